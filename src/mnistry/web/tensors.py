"""The Open Inference Protocol's tensors: JSON and binary bodies -> checked arrays, and answers back."""

import base64
import binascii
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.web.schema import RequestError

HEADER = "inference-header-content-length"  # of Triton's binary extension: how long the JSON before the tensors is
IMAGE_TYPES: dict[str, np.dtype[Any]] = {"UINT8": np.dtype("u1"), "FP32": np.dtype("<f4")}


@dataclass(frozen=True)
class Inference:
    """One checked request: either `images` uint8 (n, 28, 28) or `pictures`, the bytes of n files."""

    id: str | None
    images: NDArray[np.uint8] | None
    pictures: list[bytes] | None
    outputs: dict[str, bool] = field(default_factory=dict)  # which outputs are wanted, and whether as binary data
    binary: bool = False  # where none is named


def parse(body: bytes, header: str | None, most_images: int, most_pictures: int) -> Inference:
    """Check a request of `infer`. Raises RequestError with 400 and one sentence."""
    head, tail = _parted(body, header)
    request = _object(strict_json(head), "The request")
    identity = request.get("id")
    if identity is not None and not isinstance(identity, str):
        raise _bad("The id of a request is text.")
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise _bad("Expected one input in `inputs`: `images` or `pictures`.")
    tensor = _object(inputs[0], "An input")
    data = _Data(tensor, tail)
    outputs, binary = _wanted(request)
    if tensor.get("name") == "images":
        return Inference(identity, _images(data, most_images), None, outputs, binary)
    if tensor.get("name") == "pictures":
        return Inference(identity, None, _pictures(data, most_pictures), outputs, binary)
    raise _bad("Expected an input of the name `images` or `pictures`.")


def strict_json(text: bytes) -> Any:
    """JSON as its standard has it: UTF-8, no NaN, no number beyond a double, no name twice. Raises RequestError."""
    try:
        return json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
    except UnicodeDecodeError as problem:
        raise _bad("The body is no UTF-8 text.") from problem
    except RecursionError as problem:
        raise _bad("The JSON is nested too deeply.") from problem
    except ValueError as problem:
        raise _bad(f"The body is no JSON: {str(problem)[:200]}.") from problem


def answer(
    name: str, request: Inference, arrays: Mapping[str, NDArray[Any] | list[bytes]]
) -> tuple[bytes, dict[str, str]]:
    """The body of the answer with those of `arrays` that are wanted, and its headers. Raises RequestError."""
    for wanted in request.outputs:
        if wanted not in arrays:
            raise _bad(f"There is no output of this name for this input: expected {' or '.join(arrays)}.")
    binaries: list[bytes] = []
    outputs = [
        _output(key, value, request.outputs.get(key, request.binary), binaries)
        for key, value in arrays.items()
        if not request.outputs or key in request.outputs
    ]
    told: dict[str, Any] = {"model_name": name, "model_version": "1", "outputs": outputs}
    head = json.dumps(told | ({} if request.id is None else {"id": request.id})).encode()
    if not binaries:
        return head, {"content-type": "application/json"}
    return b"".join([head, *binaries]), {"content-type": "application/octet-stream", HEADER: str(len(head))}


class _Data:
    """The declared kind and shape of an input, and where its data is: in the JSON or behind it."""

    def __init__(self, tensor: dict[str, Any], tail: bytes) -> None:
        self.kind, self.shape = tensor.get("datatype"), _shape(tensor.get("shape"))
        self.n = math.prod(self.shape)
        size = _object(tensor.get("parameters", {}), "Parameters").get("binary_data_size")
        self.binary = size is not None
        if self.binary and ("data" in tensor or isinstance(size, bool) or size != len(tail)):
            raise _bad("An input has either `data` or `binary_data_size`, which is the bytes behind the JSON.")
        if not self.binary and (tail or not isinstance(tensor.get("data"), list)):
            raise _bad("An input has a list as its `data`.")
        self.tail, self.values = tail, tensor.get("data")


def _images(data: _Data, most: int) -> NDArray[np.uint8]:
    if not isinstance(data.kind, str) or data.kind not in IMAGE_TYPES:
        raise _bad("`images` is of the datatype UINT8 (0 to 255) or FP32 (0 to 1).")
    if data.shape[1:] not in ((28, 28), (784,)):
        raise _bad("`images` has the shape [n, 28, 28] or [n, 784].")
    if not 1 <= data.shape[0] <= most:
        raise _bad(f"`images` holds from 1 to {most} images.")
    values = _from_bytes(data) if data.binary else _from_list(data)
    return _pixels(values, data.kind).reshape(-1, 28, 28)


def _from_bytes(data: _Data) -> NDArray[Any]:
    kind = IMAGE_TYPES[str(data.kind)]
    if len(data.tail) != data.n * kind.itemsize:
        raise _bad(f"The shape needs {data.n * kind.itemsize} bytes of data, but {len(data.tail)} came.")
    return np.frombuffer(data.tail, kind)


def _from_list(data: _Data) -> NDArray[Any]:
    try:
        values = np.asarray(data.values)
    except (ValueError, OverflowError) as problem:  # lists of different lengths
        raise _bad("`data` is a flat list of numbers, or lists of the declared shape.") from problem
    if values.dtype.kind not in "iuf":
        raise _bad("`data` holds numbers within the range of the datatype.")
    if values.size != data.n or (values.ndim > 1 and values.shape != data.shape):
        raise _bad(f"The shape needs {data.n} numbers, but `data` has {values.size} as {list(values.shape)}.")
    return values


def _pixels(values: NDArray[Any], kind: Any) -> NDArray[np.uint8]:
    """As uint8; floats up to 1 are shares of full ink, floats up to 255 are what they are."""
    if values.dtype == np.uint8:
        return values
    if kind == "UINT8" and values.dtype.kind == "f":
        raise _bad("UINT8 data holds whole numbers from 0 to 255.")
    if not np.isfinite(values).all():
        raise _bad("`data` holds a number that is not finite.")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255:
        raise _bad("Pixels go from 0 to 255, or from 0 to 1 for FP32.")
    scale = 255.0 if kind == "FP32" and high <= 1 else 1.0
    return np.rint(values * scale).astype(np.uint8)


def _pictures(data: _Data, most: int) -> list[bytes]:
    if data.kind != "BYTES" or len(data.shape) not in (1, 2) or data.shape[1:] not in ((), (1,)):
        raise _bad("`pictures` is of the datatype BYTES and of the shape [n].")
    if not 1 <= data.n <= most:
        raise _bad(f"`pictures` holds from 1 to {most} pictures.")
    found = _elements(data.tail) if data.binary else [_base64(value) for value in _flat(data.values or [])]
    if len(found) != data.n:
        raise _bad(f"The shape needs {data.n} pictures, but {len(found)} came.")
    return found


def _flat(values: Sequence[Any]) -> list[Any]:
    """Elements of [n] or [n, 1]."""
    return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]


def _elements(tail: bytes) -> list[bytes]:
    """The elements of a binary BYTES tensor: each with its length as 4 bytes, little-endian, before it."""
    found, place = [], 0
    while place < len(tail):
        if place + 4 > len(tail):
            raise _bad("The binary data ends within a length.")
        (length,) = struct.unpack_from("<I", tail, place)
        if place + 4 + length > len(tail):
            raise _bad("The binary data ends within an element.")
        found.append(tail[place + 4 : place + 4 + length])
        place += 4 + length
    return found


def _base64(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as problem:
        raise _bad("`pictures` in JSON are texts in base64.") from problem


def _wanted(request: dict[str, Any]) -> tuple[dict[str, bool], bool]:
    """The outputs that are asked for, and whether those that are not named come as binary data."""
    binary = _object(request.get("parameters", {}), "Parameters").get("binary_data_output") is True
    listed = request.get("outputs", [])
    if not isinstance(listed, list) or len(listed) > 8:
        raise _bad("`outputs` is a list of the outputs that are wanted.")
    wanted = {}
    for output in (_object(output, "An output") for output in listed):
        name, parameters = output.get("name"), _object(output.get("parameters", {}), "Parameters")
        if not isinstance(name, str) or name in wanted:
            raise _bad("An output has a name, and is named once.")
        wanted[name] = parameters.get("binary_data", binary) is True
    return wanted, binary


def _output(name: str, value: NDArray[Any] | list[bytes], binary: bool, binaries: list[bytes]) -> dict[str, Any]:
    """One output; its bytes are added to `binaries` where it is to be binary."""
    told: dict[str, Any] = {"name": name}
    if isinstance(value, list):
        told |= {"datatype": "BYTES", "shape": [len(value)]}
        data = b"".join(struct.pack("<I", len(element)) + element for element in value) if binary else None
    else:
        told |= {"datatype": "FP32", "shape": list(value.shape)}
        data = value.astype("<f4").tobytes() if binary else None
    if data is None:
        plain = [element.decode() for element in value] if isinstance(value, list) else value.ravel().tolist()
        return told | {"data": plain}
    binaries.append(data)
    return told | {"parameters": {"binary_data_size": len(data)}}


def _parted(body: bytes, header: str | None) -> tuple[bytes, bytes]:
    """The JSON and the binary data behind it."""
    if header is None:
        return body, b""
    if not (header.isascii() and header.isdigit() and len(header) < 12 and int(header) <= len(body)):
        raise _bad("Inference-Header-Content-Length is the length of the JSON at the start of the body.")
    return body[: int(header)], body[int(header) :]


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 4:
        raise _bad("The shape of an input is a list of 1 to 4 whole numbers.")
    if not all(isinstance(side, int) and not isinstance(side, bool) and 0 <= side <= 2**20 for side in value):
        raise _bad("The sides of a shape are whole numbers from 0 on, and none is huge.")
    return tuple(value)


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(f"{what} is to be a JSON object.")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError("a number is larger than any double")
    return number


def _bad(sentence: str) -> RequestError:
    return RequestError(400, sentence)
