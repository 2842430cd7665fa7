"""MNIST from start to end in one script: load, look, train, prove, show, read.

    python examples/mnist_classification.py [RECIPE ...]

Trains the recipes that are named, by default logistic, dense and cnn (together about three minutes on two cores), and
leaves its pictures in the folder mnist_pictures. `mnistry models` lists the recipes. The test digits are read once for
each model, after its training.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

import mnistry
from mnistry.models.recipes import RECIPES, Recipe, find_recipe
from mnistry.reports import figures
from mnistry.training import metrics

PICTURES = Path("mnist_pictures")
DEFAULT = ("logistic", "dense", "cnn")


def main(names: list[str]) -> None:
    """The whole story."""
    recipes = [find_alone(name) for name in names or DEFAULT]
    PICTURES.mkdir(exist_ok=True)

    # Load: verified files, a tenth of the training digits held back
    data = mnistry.load("auto", validation=0.1, seed=0)
    print(f"{data.name}: {len(data.train_labels)} digits to train, {len(data.test_labels)} to test")

    # Look
    save("samples", figures.samples(data.train_images, data.train_labels))
    save("class_counts", figures.class_counts({"training": data.train_labels, "test": data.test_labels}))

    for recipe in recipes:
        # Train: a scikit-learn classifier, whatever is inside
        name, model = recipe.name, recipe.build(seed=0)
        model.fit(data.train_images, data.train_labels, validation=(data.validation_images, data.validation_labels))
        if len(model.history_) > 1:
            save(f"{name}_accuracy", figures.curve(model.history_, "accuracy"))
            save(f"{name}_loss", figures.curve(model.history_, "loss"))

        # Prove: once, on the test digits
        proba = model.predict_proba(data.test_images)
        result = metrics.evaluate(proba, data.test_labels)
        low, high = result["accuracy_interval"]
        print(f"{name}: test accuracy {result['accuracy']:.2%} ({low:.2%} to {high:.2%}), loss {result['nll']:.4f}")
        save(f"{name}_confusion", figures.confusion(result["confusion"]))

        # Show: the first predictions, and the surest mistakes
        save(f"{name}_predictions", figures.predictions(data.test_images[:15], data.test_labels[:15], proba[:15]))
        worst = [mistake["index"] for mistake in result["mistakes"][:15]]
        save(f"{name}_mistakes", figures.predictions(data.test_images[worst], data.test_labels[worst], proba[worst]))

    # Read pictures from outside, with the model that comes with mnistry
    reader = mnistry.Reader()
    for path in sorted((Path(__file__).parent / "pictures").iterdir()):
        reading = reader.read(path)
        print(f"{path.name} is read as {reading.text} ({reading.digits[0].probability:.1%})")
    print(f"The pictures are in {PICTURES.resolve()}")


def find_alone(name: str) -> Recipe:
    """The recipe of this name; raises MnistryError if there is none, or if it needs other models to learn from."""
    recipe = find_recipe(name)
    if "members" in recipe.settings or recipe.settings.get("teacher") in RECIPES:
        raise mnistry.MnistryError(
            f"{name} needs other trained models, which this script does not train: use `mnistry train {name}`, "
            "which trains them first."
        )
    return recipe


def save(name: str, figure: Figure) -> None:
    """Write one figure into the folder."""
    figures.save_png(figure, PICTURES / f"{name}.png")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except mnistry.MnistryError as mistake:
        sys.exit(f"mnist_classification.py: {mistake}")
