"""One digit in MNIST form -> its probabilities, with ONNX Runtime alone."""

import hashlib
import json
from contextlib import suppress
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.settings import MnistryError, Settings, write_together

BATCH = 16  # images at a time: small batches stay in the processor's cache
UNPICKLED = ("_session", "_learned")  # what each process opens for itself
TAUGHT = "taught"  # the folder under MNISTRY_HOME of the models that `mnistry finetune` has made
TAUGHT_KEPT = 5  # of these: the newest is in use, the others are what --undo goes back to


class Recognizer:
    """One model: by default what `mnistry finetune` has made of the one that comes with the package, if it has; see
    `Reader`."""

    def __init__(self, model: str | Path | bytes | None = None) -> None:
        model = taught(Settings.from_environment().home) if model is None else model
        self._bytes = bundled() if model is None else _model_bytes(model)
        self._known = model is None  # the bundled model needs no checks, and is opened when it is first used
        self._path = Path(model) if isinstance(model, str | Path) else None
        if not self._known:
            _check_contract(self._session)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in UNPICKLED}  # each process opens its own

    def predict_proba(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (n, 10) of digits in MNIST form, uint8 (n, 28, 28); raises MnistryError."""
        return self.answers(images)[0]

    def is_digit(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability (n,) that each image is a digit at all; 1 if the model has not learnt to refuse."""
        return self.answers(images)[1]

    def answers(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The probabilities (n, 10), and those (n,) of being a digit at all."""
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
            raise MnistryError(f"The reader takes images uint8 (n, 28, 28), not {images.dtype} {images.shape}.")
        proba, is_digit = np.empty((len(images), 10), np.float32), np.ones(len(images), np.float32)
        session, names = self._session, ["probabilities", "digit"][: 1 + self.refuses]
        try:
            for start in range(0, len(images), BATCH):
                answers = session.run(names, {"images": images[start : start + BATCH]})
                proba[start : start + BATCH] = answers[0]
                if self.refuses:
                    is_digit[start : start + BATCH] = answers[1][:, 0]
        except Exception as problem:  # onnxruntime raises several classes without a common base
            raise MnistryError(f"The model fails on images of the right form: {str(problem)[:200]}") from problem
        if not self._known:
            _check_answers(proba, is_digit)
        return proba, np.minimum(is_digit, np.float32(1))  # a sigmoid's 1.0000001 is a rounding error

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The most probable digit of each image, (n,); raises MnistryError."""
        return self.predict_proba(images).argmax(axis=1)

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata in the model's file: recipe, accuracy, data, versions."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def card(self) -> dict[str, Any]:
        """What is known of the model: its data, recipe, figures on the test digits ("test"), and limits.

        The card of a model that `mnistry finetune` has made also has "taught": on what, and what came of it.
        `mnistry export` writes this card beside the ONNX file. For a model without one: sha256, bytes, the metadata in
        the file and a sentence under "limits".
        """
        if self._known:
            return model_card()
        digest = hashlib.sha256(self._bytes).hexdigest()
        with suppress(OSError, ValueError, AttributeError):
            card: dict[str, Any] = json.loads(self._path.with_suffix(".json").read_text("utf-8"))  # type: ignore[union-attr]
            if card.get("sha256") == digest:
                return card
        if digest == (card := model_card())["sha256"]:
            return card
        limits = "Not known: there is no card beside the model's file."
        return {"sha256": digest, "bytes": len(self._bytes), **self.metadata, "limits": limits}

    @property
    def is_bundled(self) -> bool:
        """Whether this is the model that comes with the package."""
        return self._known or self._bytes == bundled()

    @cached_property
    def refuses(self) -> bool:
        """Whether the model has learnt what is no digit; if not, it answers with a digit to everything."""
        return any(output.name == "digit" for output in self._session.get_outputs())

    @cached_property
    def _session(self) -> Any:
        try:
            return session(self._bytes, 1)  # one small digit is faster without a thread pool
        except Exception as problem:  # onnxruntime raises several classes without a common base
            raise MnistryError(f"The model is no ONNX file that can be run: {str(problem)[:200]}") from problem


def model_card(name: str = "reader") -> dict[str, Any]:
    """The card of a bundled model, `reader`, `locator` or `verifier`: data, recipe, figures, limits."""
    card: dict[str, Any] = json.loads(_file(f"{name}.json").decode())
    return card


def session(model: bytes, threads: int) -> Any:
    """An ONNX file in ONNX Runtime, with so many threads, 0: as many as there are cores; for use beside other work."""
    import onnxruntime  # 0.1 s and 45 MB, so not before it is needed

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong with a model is said by us: no log, no fallback that prints
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def bundled(name: str = "reader") -> bytes:
    """The ONNX file of a model that comes with the package, checked by its card's hash. Raises MnistryError."""
    data = _file(f"{name}.onnx")
    if hashlib.sha256(data).hexdigest() != model_card(name)["sha256"]:
        raise MnistryError("A model that comes with mnistry is damaged: install mnistry again.")
    return data


def taught(home: Path) -> Path | None:
    """The file of the newest model that was taught under this home, or None; raises MnistryError if it is damaged."""
    cards = sorted((home / TAUGHT).glob("*.json"))
    if not cards:
        return None
    file = cards[-1].with_suffix(".onnx")
    try:
        whole = hashlib.sha256(file.read_bytes()).hexdigest() == json.loads(cards[-1].read_text("utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise MnistryError(f"The taught model {file} is damaged: mnistry finetune --undo goes back to the one before.")
    return file


def keep_taught(home: Path, model: bytes, card: dict[str, Any]) -> Path:
    """Keep a model as the newest taught one; its card comes last, and only then it counts. Raises MnistryError."""
    folder = home / TAUGHT
    numbers = [int(path.stem) for path in folder.glob("*.*") if path.stem.isdecimal()]
    file = folder / f"{max(numbers, default=0) + 1:06}.onnx"
    write_together({file: model, file.with_suffix(".json"): json.dumps(card, indent=1).encode()})
    for old in sorted(folder.glob("*.json"))[:-TAUGHT_KEPT]:
        _forget(old)
    return file


def undo_taught(home: Path) -> dict[str, Any]:
    """Forget the newest taught model, and give the card of the one that counts now; raises MnistryError."""
    cards = sorted((home / TAUGHT).glob("*.json"))
    if not cards:
        raise MnistryError("There is nothing to undo: the model in use is the one that comes with mnistry.")
    try:
        _forget(cards[-1])
    except OSError as problem:
        raise MnistryError(f"{cards[-1]} cannot be deleted: {problem.strerror}.") from problem
    return Recognizer(taught(home) or bundled()).card


def _forget(card: Path) -> None:
    card.unlink()
    card.with_suffix(".onnx").unlink(missing_ok=True)


def _file(name: str) -> bytes:
    return (resources.files("mnistry") / "reading" / "bundled" / name).read_bytes()


def _model_bytes(model: str | Path | bytes) -> bytes:
    if isinstance(model, bytes | bytearray):
        return bytes(model)
    if not isinstance(model, str | Path):
        raise MnistryError(f"A model is the path or the bytes of an ONNX file, not {type(model).__name__}.")
    try:
        if not Path(model).is_file() and Path(model).exists():
            raise MnistryError(f"The model {model} is not a file: expected the path of an ONNX file.")
        return Path(model).read_bytes()
    except (OSError, ValueError) as problem:
        raise MnistryError(f"The model {model} cannot be read ({problem}).") from problem


def _check_contract(session: Any) -> None:
    inputs = {i.name: (i.type, i.shape) for i in session.get_inputs()}
    outputs = {o.name: (o.type, o.shape) for o in session.get_outputs()}
    kept = _is(inputs.get("images"), "tensor(uint8)", [28, 28]) and _is(
        outputs.get("probabilities"), "tensor(float)", [10]
    )
    kept &= "digit" not in outputs or _is(outputs["digit"], "tensor(float)", [1])
    if not kept or len(inputs) != 1:
        raise MnistryError(
            "The model does not keep the contract: expected the input images, uint8 [n, 28, 28], and the outputs "
            "probabilities, float32 [n, 10], and maybe digit, float32 [n, 1]; "
            f"found {inputs} -> {outputs}."
        )


def _check_answers(proba: NDArray[np.float32], is_digit: NDArray[np.float32]) -> None:
    if len(proba) and not (proba.min() >= 0 and abs(proba.sum(axis=1) - 1).max() < 1e-3):  # false for NaN, too
        raise MnistryError("The model does not keep the contract: its answers are no probabilities that sum to 1.")
    if len(is_digit) and not (is_digit.min() >= 0 and is_digit.max() < 1 + 1e-3):
        raise MnistryError("The model does not keep the contract: its output digit is no probability.")


def _is(value: tuple[str, list[Any]] | None, kind: str, shape: list[int]) -> bool:
    """Whether this is a tensor of the kind with any number of rows of the shape."""
    return value is not None and value[0] == kind and value[1][1:] == shape and not isinstance(value[1][0], int)
