"""The Open Inference Protocol: Triton's own client on a real socket, and tensors that lie."""

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from serving import EXAMPLES, Service, client, running

from mnistry import Reader
from mnistry.web.schema import RequestError
from mnistry.web.tensors import parse

INFER = "/v2/models/mnistry/infer"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), "--quiet") as started:
        yield started


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    reader = Reader()
    files = ("number.png", "rows.png", "paper.jpg")
    return np.stack([digit.image for name in files for digit in reader.read(EXAMPLES / name).digits])


@pytest.fixture
def triton(service: Service) -> Iterator[Any]:
    http = pytest.importorskip(
        "tritonclient.http", reason="tritonclient is not installed: pip install tritonclient[http]"
    )
    opened = http.InferenceServerClient(service.url.removeprefix("http://"))
    yield opened
    opened.close()


def test_triton_finds_a_live_and_ready_server_and_model(triton: Any):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("mnistry")
    assert triton.is_model_ready("mnistry", "1")
    assert not triton.is_model_ready("another")
    assert triton.get_server_metadata()["name"] == "mnistry"
    assert {each["name"] for each in triton.get_model_metadata("mnistry")["inputs"]} == {"images", "pictures"}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("kind", ["UINT8", "FP32"])
@pytest.mark.parametrize("flat", [True, False])
def test_triton_gets_the_readers_own_answers(triton: Any, images: np.ndarray, binary: bool, kind: str, flat: bool):
    import tritonclient.http as http

    given = images if kind == "UINT8" else (images / np.float32(255)).astype(np.float32)
    given = given.reshape(len(given), 784) if flat else given
    tensor = http.InferInput("images", list(given.shape), kind)
    tensor.set_data_from_numpy(given, binary_data=binary)
    answer = triton.infer("mnistry", [tensor], request_id="seven-7")
    assert answer.get_response()["id"] == "seven-7"
    reader = Reader()
    np.testing.assert_allclose(answer.as_numpy("probabilities"), reader.predict_proba(images), atol=1e-5)
    np.testing.assert_allclose(answer.as_numpy("digit")[:, 0], reader.is_digit(images), atol=1e-5)
    wanted = [http.InferRequestedOutput("probabilities", binary_data=binary)]
    only = triton.infer("mnistry", [tensor], outputs=wanted)
    assert only.as_numpy("digit") is None


@pytest.mark.parametrize("binary", [True, False])
def test_triton_sends_whole_pictures(triton: Any, binary: bool):
    import tritonclient.http as http

    files = [(EXAMPLES / name).read_bytes() for name in ("seven.png", "rows.png")]
    given = files if binary else [base64.b64encode(data) for data in files]
    tensor = http.InferInput("pictures", [2], "BYTES")
    tensor.set_data_from_numpy(np.array(given, dtype=object), binary_data=binary)
    answer = triton.infer("mnistry", [tensor])
    assert answer.as_numpy("text").tolist() == [b"7", b"314\n159"]
    assert json.loads(answer.as_numpy("reading")[0])["digits"][0]["digit"] == 7


def test_triton_is_told_what_is_wrong(triton: Any):
    import tritonclient.http as http
    from tritonclient.utils import InferenceServerException

    tensor = http.InferInput("images", [1, 27, 28], "UINT8")
    tensor.set_data_from_numpy(np.zeros((1, 27, 28), np.uint8))
    with pytest.raises(InferenceServerException, match=r"\[400\].*28, 28"):
        triton.infer("mnistry", [tensor])
    with pytest.raises(InferenceServerException, match=r"\[404\].*one model"):
        triton.infer("another", [tensor])


def body(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "images", "shape": [1, 784], "datatype": "UINT8", "data": [0] * 784} | changes]}


LIES = {
    "shape above data": body(shape=[2, 784]),
    "shape below data": body(data=[0] * 1568),
    "negative side": body(shape=[-1, 784]),
    "negative sides": body(shape=[-1, -784]),
    "huge side": body(shape=[10**18, 784]),
    "no image": body(shape=[0, 784], data=[]),
    "true as a side": body(shape=[True, 784]),
    "no shape": body(shape=None),
    "too large a number": body(data=[256] + [0] * 783),
    "negative number": body(data=[-1] + [0] * 783),
    "fraction": body(data=[0.5] + [0] * 783),
    "huge whole number": body(data=[10**400] + [0] * 783),
    "text among numbers": body(data=["1"] + [0] * 783),
    "null among numbers": body(data=[None] + [0] * 783),
    "rows of two lengths": body(data=[[0] * 700, [0] * 84]),
    "truth values": body(data=[True] * 784),
    "no list": body(data="AAAA"),
    "other datatype": body(datatype="INT64"),
    "datatype is an object": body(datatype={}),
    "datatype is a list": body(datatype=[[]]),
    "name is an object": body(name={}),
    "wanted output is an object": body() | {"outputs": [{"name": {}}]},
    "other name": body(name="pixels"),
    "no base64": body(name="pictures", datatype="BYTES", shape=[1], data=["***"]),
    "too many pictures": body(name="pictures", datatype="BYTES", shape=[17], data=["AAAA"] * 17),
    "binary size without data": body(parameters={"binary_data_size": 784}),
    "two inputs": {"inputs": body()["inputs"] * 2},
    "no inputs": {"inputs": []},
    "inputs are no list": {"inputs": 7},
    "id is a number": body() | {"id": 7},
    "an output that is none": body() | {"outputs": [{"name": "logits"}]},
    "an output twice": body() | {"outputs": [{"name": "digit"}, {"name": "digit"}]},
    "parameters are a list": body() | {"parameters": []},
    "a list": [],
}
TEXTS = {
    "NaN": json.dumps(body(datatype="FP32", data=[float("nan")] + [0] * 783)),
    "Infinity": json.dumps(body(datatype="FP32", data=[float("inf")] + [0] * 783)),
    "1e400": json.dumps(body(datatype="FP32")).replace("[0,", "[1e400,"),
    "depth of 100 000": "[" * 100_000,
    "deep data": json.dumps(body(data=7)).replace("7}", "[" * 100_000 + "]" * 100_000 + "}"),
    "deep but legal data": json.dumps(body(data=7)).replace("7}", "[" * 200 + "0" + "]" * 200 + "}"),
    "duplicate keys": json.dumps(body()).replace('"shape"', '"shape": [1, 28, 28], "shape"', 1),
    "half": json.dumps(body())[:100],
    "number": "7",
    "nothing": "",
}


@pytest.mark.parametrize("name", [*LIES, *TEXTS])
def test_a_tensor_that_lies_is_refused_in_one_sentence(name: str):
    content = TEXTS[name] if name in TEXTS else json.dumps(LIES[name])

    async def work() -> Any:
        async with client() as opened:
            return await opened.post(INFER, content=content)

    answer = asyncio.run(work())
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert 0 < len(answer.json()["error"]) < 300


@pytest.mark.parametrize("header", ["x", "-1", "1e3", "99999999999999999999", "9999", "٣"])
def test_a_lie_about_the_length_of_the_json_is_refused(header: str):
    with pytest.raises(RequestError):
        parse(json.dumps(body()).encode(), header, 10, 10)


def test_binary_tensors_must_have_the_bytes_of_their_shape():
    head = json.dumps({"inputs": [{"name": "images", "shape": [1, 784], "datatype": "FP32",
                                   "parameters": {"binary_data_size": 784}}]}).encode()  # fmt: skip
    with pytest.raises(RequestError, match="3136 bytes"):
        parse(head + bytes(784), str(len(head)), 10, 10)
    nan = np.full(784, np.nan, "<f4").tobytes()
    head = head.replace(b"784}", b"3136}")
    with pytest.raises(RequestError, match="not finite"):
        parse(head + nan, str(len(head)), 10, 10)


def test_floats_up_to_1_are_shares_of_ink_and_larger_ones_are_levels():
    ones = parse(json.dumps(body(datatype="FP32", data=[1.0] + [0.0] * 783)).encode(), None, 10, 10)
    levels = parse(json.dumps(body(datatype="FP32", data=[255.0] + [1.0] * 783)).encode(), None, 10, 10)
    assert ones.images.ravel()[:2].tolist() == [255, 0]
    assert levels.images.ravel()[:2].tolist() == [255, 1]
