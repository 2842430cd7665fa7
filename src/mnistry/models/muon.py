"""Muon for convolutions: a step is equally long in every direction of the weights, so half the batches are enough.

Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; the length of a step is that of Adam
(Liu et al. 2025, "Muon is scalable for LLM training").
"""

from types import ModuleType
from typing import Any

ROUNDS = 5  # of the Newton-Schulz iteration
A, B, C = 3.4445, -4.775, 2.0315  # its coefficients, of Jordan et al.
LENGTH = 0.2  # root mean square of a step at a learning rate of 1: about Adam's


def muon(keras: ModuleType, rate: Any, **settings: Any) -> Any:
    """An optimizer: Muon for the kernels of convolutions, and Adam with these `settings` for all that is left."""
    ops = keras.ops

    class Muon(keras.optimizers.Adam):  # type: ignore[misc, name-defined]
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            if len(variable.shape) != 4:
                super().update_step(gradient, variable, learning_rate)
                return
            momentum = self._momentums[self._get_variable_index(variable)]
            self.assign(momentum, gradient + self.beta_1 * momentum)
            matrix = ops.reshape(gradient + self.beta_1 * momentum, (-1, variable.shape[-1]))  # (k*k*inputs, filters)
            length = LENGTH * max(matrix.shape) ** 0.5 * ops.cast(learning_rate, variable.dtype)
            self.assign_sub(variable, length * ops.reshape(orthogonal(ops, matrix), variable.shape))

    return Muon(rate, **settings)


def orthogonal(ops: Any, x: Any) -> Any:
    """About the nearest matrix to x (m, n) whose singular values are all the same: from 0.7 to 1.2 instead of 1."""
    x = x / (ops.norm(x) + 1e-7)
    for _ in range(ROUNDS):
        squares = ops.matmul(ops.transpose(x), x)  # (n, n)
        x = A * x + ops.matmul(x, B * squares + C * ops.matmul(squares, squares))
    return x
