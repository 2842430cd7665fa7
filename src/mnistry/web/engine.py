"""The reader behind one door: pictures read in threads, tensors in batches, no more waiting than the limits allow.

Before the service is ready, the model must give the answers that are stored for it: text and probabilities of the
example pictures for the bundled model. Another model has none stored: it must read most of them.
"""

import asyncio
import base64
import io
import json
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry.imaging.decode import FORMATS, PictureError
from mnistry.reading.reader import Reader, Reading
from mnistry.reading.saliency import AGAINST, FOR, LEAST_SCALE, MOST_EXPLAINED, occlusion
from mnistry.settings import MnistryError, write_atomic
from mnistry.web.batching import Answer, Batcher, Images
from mnistry.web.configuration import ServeSettings
from mnistry.web.schema import RequestError

T = TypeVar("T")
FOLDER = Path(str(resources.files("mnistry") / "web" / "static" / "examples"))
STORED = FOLDER / "answers.json"
TOLERANCE = 1e-3  # of a probability: other processors round differently
LEAST_RIGHT = 0.5  # of the example pictures, for a model without stored answers
BUSY = "Too many requests are waiting: come again in a second."


class Engine:
    """Reads pictures and tensors with one reader.

    `waiting` counts the requests that are being answered; one more than `settings.queue` is refused with 503.
    """

    def __init__(self, reader: Reader, settings: ServeSettings, seen: Callable[[int], Any] = lambda _: None) -> None:
        self.reader, self.settings, self.waiting = reader, settings, 0
        self._batcher = Batcher(self._answers, settings.max_batch, seen)
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="mnistry-pictures")

    def replace(self, reader: Reader) -> None:
        """Answer with another reader from now on; what is being answered keeps the one it began with."""
        self.reader = reader

    async def read(self, picture: bytes, detail: bool = False) -> dict[str, Any]:
        """What a picture says, as `reading_as_json`; raises RequestError."""
        return await self._admitted(lambda: self._run(self._read, picture, detail))

    async def read_many(self, pictures: list[bytes]) -> list[dict[str, Any]]:
        """The same for the pictures of one request, which counts as one that waits; raises RequestError."""
        return await self._admitted(lambda: self._run(self._read_all, pictures))

    async def recognize(self, images: Images) -> Answer:
        """Probabilities (n, 10) and those of being a digit at all (n,); raises RequestError."""
        return await self._admitted(lambda: self._batcher.ask(images))

    async def explain(self, picture: bytes) -> dict[str, Any]:
        """How much each place of a picture's digits decided, as `heat_as_json`; raises RequestError."""
        return await self._admitted(lambda: self._run(self._explain, picture))

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do other work that takes a while in the threads, under the same limits; raises RequestError."""
        return await self._admitted(lambda: self._run(work, *arguments))

    async def check(self) -> None:
        """Put an empty image through the model: what health stands for. It passes a full queue; raises RequestError."""
        await self._in_time(self._batcher.ask(np.zeros((1, 28, 28), np.uint8)))

    def close(self) -> None:
        """End the threads."""
        self._batcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answers(self, images: Images) -> Answer:
        return self.reader.answers(images)

    def _read_all(self, pictures: list[bytes]) -> list[dict[str, Any]]:
        return [self._read(picture, False, f"Picture {k + 1}: ") for k, picture in enumerate(pictures)]

    def _read(self, picture: bytes, detail: bool, which: str = "") -> dict[str, Any]:
        try:
            check_pixels(picture, self.settings.max_pixels)
            reader = self.reader
            return reading_as_json(reader.read(picture), detail)
        except PictureError as problem:
            raise RequestError(400, f"{which}{_sentence(problem)}") from problem

    def _explain(self, picture: bytes) -> dict[str, Any]:
        try:
            check_pixels(picture, self.settings.max_pixels)
            reader = self.reader
            return heat_as_json(reader.read(picture), reader)
        except PictureError as problem:
            raise RequestError(400, _sentence(problem)) from problem

    def _run(self, work: Callable[..., T], *arguments: Any) -> "Awaitable[T]":
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def refuse_if_full(self) -> None:
        """Refuse at once, before work is spent on a request, where too many wait; raises RequestError."""
        if self.waiting >= self.settings.queue:
            raise RequestError(503, BUSY)

    async def _admitted(self, begin: Callable[[], Awaitable[T]]) -> T:
        self.refuse_if_full()
        self.waiting += 1
        try:
            return await self._in_time(begin())
        finally:
            self.waiting -= 1

    async def _in_time(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self.settings.answer_seconds):
                return await work
        except TimeoutError as problem:
            raise RequestError(503, "The answer took too long: come again in a second.") from problem


def check_pixels(picture: bytes, most: int) -> None:
    """Refuse a picture of more pixels by its header, before anything of it is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            width, height = Image.open(io.BytesIO(picture), formats=FORMATS).size
    except Exception:  # noqa: BLE001 - hostile files raise nearly anything; the reader says what is wrong with it
        return
    if width * height > most:
        raise RequestError(
            413, f"The picture has {width} x {height} pixels: expected at most {most}. Send a smaller one."
        )


def reading_as_json(reading: Reading, detail: bool = False) -> dict[str, Any]:
    """A reading as the command line's JSON has it, without the file.

    With `detail` each digit also has its ten `probabilities` and `image`: the 28x28 that the recogniser saw, as a data
    URL of a PNG with light ink on black.
    """
    answer = reading.to_dict()
    if detail:
        for told, digit in zip(answer["digits"], reading.digits, strict=True):
            told["probabilities"] = [round(float(p), 6) for p in digit.probabilities]
            told["image"] = _data_url(digit.image)
    return answer


def heat_as_json(reading: Reading, reader: Reader) -> dict[str, Any]:
    """For each digit its `box` and `image`: over the box, orange where ink spoke for the answer, blue against it."""
    digits = reading.digits[:MOST_EXPLAINED]
    if not digits:
        return {"digits": []}
    images = np.stack([digit.image for digit in digits])
    answers = [reader.predict(digit.image[None])[0] if digit.digit is None else digit.digit for digit in digits]
    drops = occlusion(reader, images, np.array(answers))
    return {
        "digits": [
            {"digit": digit.digit, "box": list(digit.box), "image": _data_url(_heat(digit.image, drop))}
            for digit, drop in zip(digits, drops, strict=True)
        ]
    }


def check_answers(reader: Reader) -> None:
    """Read the example pictures; raises MnistryError where the answers are not those that are stored."""
    stored = json.loads(STORED.read_text("utf-8"))
    found = answers(reader)
    if reader.card["sha256"] != stored["model_sha256"]:
        right = sum(found[name]["text"] == expected["text"] for name, expected in stored["answers"].items())
        if right < LEAST_RIGHT * len(found):
            raise MnistryError(f"the model reads {right} of {len(found)} example pictures right")
        return
    for name, expected in stored["answers"].items():
        if not _alike(found[name], expected):
            raise MnistryError(f"the model reads {name} as {found[name]['text']!r}, not as it is stored")


def answers(reader: Reader) -> dict[str, Any]:
    """What the reader says of each example picture, by the file's name; `recognised` is the recogniser's own answer."""
    found = {}
    for path in sorted(path for path in FOLDER.iterdir() if path != STORED):
        reading = reader.read(path.read_bytes())
        found[path.name] = reading_as_json(reading, detail=True)
        for told, digit in zip(found[path.name]["digits"], reading.digits, strict=True):
            told["recognised"] = [round(float(p), 6) for p in reader.predict_proba(digit.image[None])[0]]
    return found


def store_answers(reader: Reader) -> dict[str, Any]:
    """Store this reader's answers as those to be reproduced, and give them."""
    found = answers(reader)
    for digit in (digit for answer in found.values() for digit in answer["digits"]):
        digit.pop("image")
    write_atomic(STORED, json.dumps({"model_sha256": reader.card["sha256"], "answers": found}, indent=1).encode())
    return found


def _heat(image: Images, drop: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A digit's heat cut out along its ink, as RGBA: its box in the picture is the same cut."""
    if not image.any():  # a digit of which the locator has seen no ink of its own
        return np.zeros((1, 1, 4), np.uint8)
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    strength = np.abs(drop) / max(float(np.abs(drop).max()), LEAST_SCALE) * np.sqrt(image / 255)
    heat = np.empty((28, 28, 4), np.uint8)
    heat[..., :3] = np.where((drop > 0)[..., None], np.array(FOR), np.array(AGAINST))
    heat[..., 3] = np.rint(255 * strength)
    return heat[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _data_url(image: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _sentence(problem: Exception) -> str:
    text = str(problem)
    return f"{text[:1].upper()}{text[1:300]}."


def _alike(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    if found["text"] != expected["text"] or len(found["digits"]) != len(expected["digits"]):
        return False
    return all(
        abs(p - q) <= TOLERANCE
        for one, other in zip(found["digits"], expected["digits"], strict=True)
        for kind in ("probabilities", "recognised")
        for p, q in zip(one[kind], other[kind], strict=True)
    )
