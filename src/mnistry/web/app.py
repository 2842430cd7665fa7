"""The application as a value: `create_app(reader, settings)` is the page, POST /predict and the protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse, JSONResponse
from starlette.staticfiles import StaticFiles

from mnistry import __version__
from mnistry.reading.reader import Reader
from mnistry.web import protocol, teaching
from mnistry.web.configuration import ServeSettings
from mnistry.web.corrections import Corrections
from mnistry.web.engine import Engine, check_answers
from mnistry.web.guard import Guard, State, read_body
from mnistry.web.metrics import LOG, Metrics
from mnistry.web.schema import ExplainAnswer, PredictAnswer, RequestError, openapi, raw_body, refusal, refusals

STATIC = Path(str(resources.files("mnistry") / "web" / "static"))
PICTURES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "image/tiff", "application/octet-stream")
DESCRIPTION = 'Reads handwritten digits in pictures. Every refusal is `{"error": one sentence}`.'


def create_app(reader: Reader, settings: ServeSettings | None = None) -> FastAPI:
    """The service with this reader. It is ready once the reader has reproduced its stored answers (`app.state.own`)."""
    settings, state = settings or ServeSettings(), State()
    metrics = Metrics(lambda: engine.waiting)
    engine = Engine(reader, settings, metrics.batch)
    teacher = teaching.Teaching(engine, settings.home)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await _prove(engine, state)
        teacher.open()
        yield
        teacher.close()
        engine.close()

    app = FastAPI(
        title="mnistry", version=__version__, description=DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    app.state.own, app.state.engine, app.state.metrics = state, engine, metrics
    _add_reading(app, engine)
    _add_pages(app, metrics)
    app.include_router(protocol.router(engine, state))
    store = Corrections(settings.home) if settings.home else None
    app.include_router(teaching.router(engine, store))
    app.include_router(teaching.teaching_router(teacher, store))
    _add_refusals(app)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.origins, allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["content-type", "x-request-id"],
        )  # fmt: skip
    app.add_middleware(Guard, settings=settings, metrics=metrics, state=state)
    return app


async def _prove(engine: Engine, state: State) -> None:
    """The self-test; while it fails, the service says so and is not ready."""
    try:
        await asyncio.to_thread(check_answers, engine.reader)  # it may take longer than an answer
        await engine.check()
        state.ready = True
    except Exception as problem:  # noqa: BLE001 - a broken model may raise nearly anything
        state.problem = f"The model failed its self-test: {problem}"
        LOG.exception("the model failed its self-test")


def _add_reading(app: FastAPI, engine: Engine) -> None:
    @app.post(
        "/predict", tags=["Reading"], response_model=PredictAnswer, openapi_extra=raw_body(*PICTURES),
        responses=refusals(408, 413, 415),
    )  # fmt: skip
    async def predict(
        request: Request,
        detail: bool = Query(False, description="also the ten probabilities and the 28x28 of each digit"),
    ) -> Any:
        """Read the digits in a picture. The body is the file itself: PNG, JPEG, WebP, BMP, GIF or TIFF; no form."""
        return JSONResponse(await engine.read(await read_body(request, engine.settings), detail))

    @app.post(
        "/explain", tags=["Reading"], response_model=ExplainAnswer, openapi_extra=raw_body(*PICTURES),
        responses=refusals(408, 413, 415),
    )  # fmt: skip
    async def explain(request: Request) -> Any:
        """Which ink each answer rests on: how its probability changes where a small square of paper hides the digit."""
        return JSONResponse(await engine.explain(await read_body(request, engine.settings)))


def _add_pages(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return FileResponse(STATIC / "docs.html", headers={"cache-control": "no-cache"})

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")

    @app.get("/metrics", include_in_schema=False)
    async def counters() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.mount("/static", _Static(directory=STATIC), name="static")


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def refused(_: Request, problem: RequestError) -> JSONResponse:
        return refusal(problem.status, problem.sentence)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, problem: RequestValidationError) -> JSONResponse:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        return refusal(400, f"{place or 'The request'}: {first['msg']}.")

    @app.exception_handler(HTTPException)
    async def other(_: Request, problem: HTTPException) -> JSONResponse:
        sentences = {404: "There is nothing at this address; see /docs.", 405: "There is no such method here."}
        return refusal(problem.status_code, sentences.get(problem.status_code, str(problem.detail)), problem.headers)


class _Static(StaticFiles):
    """The page's own files: kept by the browser, and asked for whether they have changed."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        response = super().file_response(*arguments, **named)
        response.headers["cache-control"] = "no-cache"
        return response
