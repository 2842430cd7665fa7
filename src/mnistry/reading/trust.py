"""How the answers of the locator and of the recogniser become one probability."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Proba = NDArray[np.float32]

LEAST = 1e-3  # and greatest: what no answer is surer of
FLOOR = 1e-6  # of a probability whose logarithm is taken


@dataclass(frozen=True)
class Trust:
    """What each answer counts, fitted on validation scenes, and from where on something is told."""

    locator: float = 0.6  # exponents of the probabilities of the ten digits
    recogniser: float = 0.4
    sure: float = 2.1  # of the logits that something stands there, that it is no other sign, that it is a digit
    sign: float = 0.45
    is_digit: float = 0.3
    bias: float = -2.4
    told: float = 0.5  # the probability from which on the digit is told, and not ?
    shown: float = (
        0.45  # how surely something stands there, digit or other sign, from which on it is told as ? at least
    )
    possible: float = 0.2  # beside digits: the probability of a digit from which on it is told as ? at least
    doubt: float = 0.5  # the recogniser's word for a digit below which it is asked about the contrast as well
    certain: float = 0.9  # the probability from which on a digit is told however faint it is
    faint: float = 0.5  # of the strength of the digits: what is fainter is not as strong as they are
    mark: float = 0.5  # of the height of the digits: a sign that is lower is a dash, a dot or a comma


def combined(trust: Trust, sure: Proba, classes: Proba, proba: Proba, is_digit: Proba) -> Proba:
    """Probabilities (n, 10) that each is this digit; a row's sum is the probability that it is a digit at all.

    `sure` (n,) and `classes` (n, 11) are the locator's, `proba` (n, 10) and `is_digit` (n,) the recogniser's, which
    counts as far as it takes what it sees for a digit: on broken ink it says nothing.
    """
    own = classes[:, :10] / (classes[:, :10].sum(axis=1, keepdims=True) + FLOOR)
    heard = trust.recogniser * is_digit[:, None]
    mixed = trust.locator * np.log(own + FLOOR) + heard * np.log(proba + FLOOR)
    mixed = np.exp(mixed - mixed.max(axis=1, keepdims=True))
    mixed /= mixed.sum(axis=1, keepdims=True)
    stands = trust.sure * logit(sure) + trust.sign * logit(1 - classes[:, 10]) + trust.is_digit * logit(is_digit)
    return np.asarray(mixed / (1 + np.exp(-stands - trust.bias))[:, None], np.float32)


def logit(proba: Proba) -> Proba:
    """Logarithm of the odds, within bounds."""
    clipped = np.clip(proba, LEAST, 1 - LEAST)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)
