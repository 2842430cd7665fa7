"""What stands at each place where the locator has found something: its second look, with one ONNX file."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.reading.recognizer import session
from mnistry.reading.views import View

Floats = NDArray[np.float32]

SIGN, MARK, NOTHING = 10, 11, 12  # classes beside the ten digits: another sign, a mark of a number, none of these
CLASSES = 13
BATCH = 256  # candidates at a time
FEW = 12  # so many are sooner seen without a thread pool


class Verifier:
    """Looks at candidates with one verifier file."""

    def __init__(self, model: bytes) -> None:
        self._bytes = model

    def answers(self, views: list[View], boxes: Floats, best: NDArray[np.intp]) -> Floats:
        """Probabilities (n, 13) of what stands in boxes (n, 4) of the picture, each seen in the view that `best` names.

        Ten digits, another sign, a mark of a number such as a currency's, and none of these.
        """
        answers = np.zeros((len(boxes), CLASSES), np.float32)
        for k in np.unique(best):
            chosen = np.flatnonzero(best == k)
            places = views[k].to_view(boxes[chosen].reshape(-1, 2, 2)).reshape(-1, 4)
            for start in range(0, len(chosen), BATCH):
                part = slice(start, start + BATCH)
                answers[chosen[part]] = self._answers(views[k], places[part])
        return answers

    def _answers(self, look: View, places: Floats) -> Any:
        network = self._small if len(places) <= FEW else self._large
        return network.run(None, {"images": look.pixels[None], "boxes": places})[0]

    @property
    def metadata(self) -> dict[str, str]:
        """What the verifier's file says of itself."""
        return dict(self._small.get_modelmeta().custom_metadata_map)

    @cached_property
    def _small(self) -> Any:
        return session(self._bytes, 1)

    @cached_property
    def _large(self) -> Any:
        return session(self._bytes, 0)
