"""The Open Inference Protocol, version 2: what `tritonclient` and KServe's client speak.

Inputs, one of them: `images` UINT8 (0 to 255) or FP32 (0 to 1; 0 to 255 where a value is above 1) of [n, 28, 28] or
[n, 784], light ink on dark as MNIST has it; or `pictures` BYTES [n], files in base64 (raw in the binary extension).
Outputs: for images `probabilities` FP32 [n, 10] and `digit` FP32 [n, 1], the probability that it is one at all, as in
the ONNX file; for pictures `text` BYTES [n] and `reading` BYTES [n], the JSON of POST /predict.
"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from mnistry import __version__
from mnistry.web.engine import Engine
from mnistry.web.guard import State, read_body
from mnistry.web.schema import InferBody, RequestError, json_body, refusals
from mnistry.web.tensors import HEADER, Inference, answer, parse

MODEL = "mnistry"
VERSION = "1"
Name = Annotated[str, Path(json_schema_extra={"enum": [MODEL]})]
METADATA = {
    "name": MODEL,
    "versions": [VERSION],
    "platform": "onnxruntime_onnx",
    "inputs": [
        {"name": "images", "datatype": "UINT8", "shape": [-1, 28, 28]},
        {"name": "pictures", "datatype": "BYTES", "shape": [-1]},
    ],
    "outputs": [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
        {"name": "digit", "datatype": "FP32", "shape": [-1, 1]},
        {"name": "text", "datatype": "BYTES", "shape": [-1]},
        {"name": "reading", "datatype": "BYTES", "shape": [-1]},
    ],
}


def router(engine: Engine, state: State) -> APIRouter:
    """The routes under /v2."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"])

    async def ready() -> None:
        if state.draining or not state.ready:
            raise RequestError(503, "The service is ending." if state.draining else state.problem)
        await engine.check()

    @routes.get("", responses=refusals())
    async def server() -> dict[str, Any]:
        """The server's name, version and extensions."""
        return {"name": MODEL, "version": __version__, "extensions": ["binary_tensor_data"]}

    @routes.get("/health/live", responses=refusals())
    async def live() -> dict[str, bool]:
        """Whether the process answers at all."""
        return {"live": True}

    @routes.get("/health/ready", responses=refusals())
    async def server_ready() -> dict[str, bool]:
        """Whether an image goes through the model."""
        await ready()
        return {"ready": True}

    @routes.get("/models/{model}/ready", responses=refusals(404))
    @routes.get("/models/{model}/versions/{version}/ready", responses=refusals(404), include_in_schema=False)
    async def model_ready(model: Name, version: str = VERSION) -> dict[str, Any]:
        """The same, for the model."""
        _known(model, version)
        await ready()
        return {"name": MODEL, "ready": True}

    @routes.get("/models/{model}", responses=refusals(404))
    @routes.get("/models/{model}/versions/{version}", responses=refusals(404), include_in_schema=False)
    async def metadata(model: Name, version: str = VERSION) -> dict[str, Any]:
        """The model's inputs and outputs."""
        _known(model, version)
        return METADATA

    @routes.post(
        "/models/{model}/infer", responses=refusals(404, 408, 413, 415), openapi_extra=json_body(InferBody)
    )  # fmt: skip
    @routes.post("/models/{model}/versions/{version}/infer", include_in_schema=False)
    async def infer(request: Request, model: Name, version: str = VERSION) -> Response:
        """Recognise images of 28x28, or read whole pictures."""
        _known(model, version)
        settings = engine.settings
        body = await read_body(request, settings)
        engine.refuse_if_full()
        asked = parse(body, request.headers.get(HEADER), settings.max_batch, settings.max_pictures)
        told, headers = answer(MODEL, asked, await _outputs(engine, asked))
        return Response(told, headers=headers)

    return routes


async def _outputs(engine: Engine, asked: Inference) -> dict[str, Any]:
    if asked.images is not None:
        proba, is_digit = await engine.recognize(asked.images)
        return {"probabilities": proba, "digit": is_digit[:, None]}
    readings = await engine.read_many(asked.pictures or [])
    return {
        "text": [reading["text"].encode() for reading in readings],
        "reading": [json.dumps(reading).encode() for reading in readings],
    }


def _known(model: str, version: str) -> None:
    if model != MODEL or version != VERSION:
        raise RequestError(404, f"There is one model here: {MODEL}, version {VERSION}.")
