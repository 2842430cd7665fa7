"""Answers, bodies and refusals of the service as the OpenAPI tells them; the service itself checks by hand."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

# Every status with which the service may refuse, as the OpenAPI tells it.
STATUSES = {
    400: "The request is not as it should be; the sentence says what was expected.",
    403: "A page of another origin asked for this, or the name under which the service was called is not its own.",
    404: "There is no such thing here.",
    405: "There is no such method here.",
    408: "The request took too long to arrive.",
    409: "This is being done already.",
    413: "The request or its picture is larger than the limit.",
    415: "The body is compressed; it is to be sent as it is.",
    500: "A mistake of the service.",
    503: "Too much is waiting, or the service is not ready: come again after the seconds of Retry-After.",
    507: "There is no space left to store this.",
}
RETRY_SECONDS = 1


class RequestError(Exception):
    """A request that is not answered: its status of `STATUSES` and a sentence for whoever sent it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer: `{"error": sentence}`, with Retry-After where coming again helps."""
    retry = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
    return JSONResponse({"error": sentence}, status, {**(headers or {}), **retry})


class Problem(BaseModel):
    """A refusal."""

    error: str = Field(description="One sentence: what was expected, what came.")


class DigitAnswer(BaseModel):
    """One digit of a picture."""

    digit: int | None = Field(ge=0, le=9, description="null: a shape that is no digit")
    probability: float = Field(ge=0, le=1)
    box: list[int] = Field(min_length=4, max_length=4, description="x, y, width, height in pixels of the picture")
    probabilities: list[float] | None = Field(
        None, description="of the ten digits, their sum below 1 where it may be no digit; with detail=true"
    )
    image: str | None = Field(
        None, description="the 28x28 that the recogniser saw, a data URL of a PNG; with detail=true"
    )


class PredictAnswer(BaseModel):
    """What a picture says."""

    text: str = Field(description="The digits, a row a line; ? for a shape that is no digit.")
    digits: list[DigitAnswer]
    reason: str | None = Field(None, description="why there is no digit")


class HeatAnswer(BaseModel):
    """Where the ink of one digit decided."""

    digit: int | None = Field(ge=0, le=9)
    box: list[int] = Field(min_length=4, max_length=4, description="x, y, width, height in pixels of the picture")
    image: str = Field(
        description="the heat over this box, a data URL of a PNG: orange for the answer, blue against it"
    )


class ExplainAnswer(BaseModel):
    """Where the ink of a picture's digits decided."""

    digits: list[HeatAnswer]


class CorrectionAnswer(BaseModel):
    """A stored correction, without its picture."""

    id: int
    label: str
    read: str
    created: str


class CorrectionsAnswer(BaseModel):
    """The stored corrections, newest first."""

    corrections: list[CorrectionAnswer]


class CountAnswer(BaseModel):
    """How many were taken, and how many were there already."""

    added: int
    known: int


class TeachingAnswer(BaseModel):
    """How far the teaching is, and which model is in use."""

    possible: bool
    state: Literal["idle", "learning", "taught", "refused", "failed"] = Field(description="of this service's last one")
    share: float = Field(ge=0, le=1, description="of the work that is done")
    told: str = Field(description="what is being done; or why it is not possible, was refused or failed")
    taught: dict[str, Any] | None = Field(description="the figures of the taught model in use; null: the bundled one")


class Tensor(BaseModel):
    """An input or output of the Open Inference Protocol."""

    name: Literal["images", "pictures"]
    shape: list[int] = Field(min_length=1, max_length=4)
    datatype: Literal["UINT8", "FP32", "BYTES"]
    data: list[Any]


class InferBody(BaseModel):
    """A request of `infer`: `images` UINT8 or FP32 [n, 28, 28] or [n, 784], or `pictures` BYTES [n] in base64."""

    id: str | None = None
    inputs: list[Tensor] = Field(min_length=1, max_length=1)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented refusals of a route; every route may also refuse with 400, 403, 500 and 503."""
    return {status: {"model": Problem, "description": STATUSES[status]} for status in (400, 403, 500, 503, *statuses)}


def raw_body(*kinds: str) -> dict[str, Any]:
    """The `openapi_extra` of a route that takes raw bytes of these kinds."""
    content: dict[str, Any] = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    return {"requestBody": {"required": True, "content": content}}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra` of a route that takes this as JSON."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema = _inlined(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def openapi(app: FastAPI) -> dict[str, Any]:
    """The application's OpenAPI, without FastAPI's own 422: what it would refuse so is refused with 400 here."""
    if app.openapi_schema is None:
        told = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for path in told["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            told.get("components", {}).get("schemas", {}).pop(name, None)
        app.openapi_schema = told
    return app.openapi_schema


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        if "$ref" in value:
            return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(inner, definitions) for key, inner in value.items()}
    return [_inlined(inner, definitions) for inner in value] if isinstance(value, list) else value
