import numpy as np
import pytest

from mnistry.models.backend import load_keras
from mnistry.models.muon import LENGTH, muon, orthogonal
from mnistry.models.recipes import find_recipe


@pytest.mark.parametrize("shape", [(288, 64), (25, 16), (16, 40)])
def test_all_directions_become_about_equally_long(shape: tuple[int, int]):
    keras = load_keras()
    left, _, right = np.linalg.svd(np.random.default_rng(0).normal(size=shape), full_matrices=False)
    matrix = left * np.geomspace(1, 10, len(right)) @ right
    made = keras.ops.convert_to_numpy(orthogonal(keras.ops, keras.ops.convert_to_tensor(matrix, "float32")))
    turned = left.T @ made @ right.T
    assert np.allclose(turned, np.diag(np.diag(turned)), atol=1e-3)  # the same directions
    assert (np.diag(turned) > 0.6).all()
    assert (np.diag(turned) < 1.3).all()


def test_kernels_take_steps_of_one_length_and_all_else_takes_those_of_adam():
    keras = load_keras()
    generator = np.random.default_rng(0)
    shapes = {"kernel": (3, 3, 16, 32), "dense": (20, 10), "bias": (32,)}
    gradients = {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    steps = []
    for optimizer in (muon(keras, 0.01, beta_2=0.99), keras.optimizers.Adam(0.01, beta_2=0.99)):
        variables = [keras.Variable(np.zeros(shape, np.float32)) for shape in shapes.values()]
        for _ in range(3):
            optimizer.apply([keras.ops.convert_to_tensor(one) for one in gradients.values()], variables)
        steps.append(dict(zip(shapes, map(keras.ops.convert_to_numpy, variables), strict=True)))
    ours, adams = steps
    assert np.array_equal(ours["dense"], adams["dense"])
    assert np.array_equal(ours["bias"], adams["bias"])
    assert np.sqrt((ours["kernel"] ** 2).mean()) == pytest.approx(3 * 0.01 * LENGTH, rel=0.3)
    assert (ours["kernel"] * gradients["kernel"]).sum() < 0


def test_a_step_goes_on_in_the_direction_of_those_before():
    keras = load_keras()
    first, second = np.random.default_rng(0).normal(size=(2, 3, 3, 8, 16)).astype(np.float32)
    optimizer, kernel = muon(keras, 0.01), keras.Variable(np.zeros(first.shape, np.float32))
    optimizer.apply([keras.ops.convert_to_tensor(first)], [kernel])
    before = keras.ops.convert_to_numpy(kernel)
    optimizer.apply([keras.ops.convert_to_tensor(second)], [kernel])
    step = (before - keras.ops.convert_to_numpy(kernel)).reshape(-1, 16)
    left, _, right = np.linalg.svd((second + 0.9 * (second + 0.9 * first)).reshape(-1, 16), full_matrices=False)
    assert np.sum(step * (left @ right)) / np.linalg.norm(step) / np.linalg.norm(left @ right) > 0.97


@pytest.mark.slow
def test_the_setting_chooses_the_optimizer(few_digits: tuple[np.ndarray, np.ndarray]):
    models = [find_recipe("fast").changed({"optimizer": name}).build(0).fit(*few_digits) for name in ("muon", "adam")]
    one, other = (model.model_.get_weights()[0] for model in models)
    assert not np.array_equal(one, other)
