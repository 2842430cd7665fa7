"""The routes under /corrections: a wrong reading corrected, and what was corrected listed, deleted, moved."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from mnistry.imaging.decode import PictureError
from mnistry.settings import MnistryError
from mnistry.web.corrections import Corrections, StoreError
from mnistry.web.engine import Engine, check_pixels
from mnistry.web.guard import read_body
from mnistry.web.schema import CorrectionAnswer, CorrectionsAnswer, CountAnswer, RequestError, raw_body, refusals

T = TypeVar("T")
STATUS = {"full": 507, "busy": 503, "damaged": 503}
MOST_IMPORTED = 64 * 2**20  # bytes of an imported zip
KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}
LARGEST = 2**53  # the largest number of a correction that JavaScript can hold


def router(engine: Engine, store: Corrections | None) -> APIRouter:
    """The routes; where nothing is stored, each says so with 404."""
    routes = APIRouter(prefix="/corrections", tags=["Corrections"])

    async def kept(work: Callable[..., T], *arguments: Any) -> T:
        return await engine.run(_told, work, *arguments)

    def corrections() -> Corrections:
        if store is None:
            raise RequestError(404, "This service stores no corrections.")
        return store

    @routes.get("", response_model=CorrectionsAnswer, responses=refusals(404))
    async def listed() -> Any:
        """The newest 500, without their pictures."""
        return JSONResponse({"corrections": await kept(corrections().listed)})

    @routes.post(
        "", status_code=201, response_model=CorrectionAnswer, responses=refusals(404, 408, 413, 415, 507),
        openapi_extra=raw_body("image/png", "image/jpeg", "image/webp"),
    )  # fmt: skip
    async def add(
        request: Request,
        label: str = Query(min_length=1, max_length=64, pattern="^[0-9?\n]+$", description="what the picture shows"),
        read: str = Query("", max_length=64, description="what had been read"),
    ) -> Any:
        """Keep a picture and what it shows; it is on the disk before the answer comes."""
        chosen, picture = corrections(), await read_body(request, engine.settings)
        check_pixels(picture, engine.settings.max_pixels)
        found = await kept(chosen.add, picture, label, read)
        return JSONResponse(found, 201)

    @routes.get("/export", response_class=Response, responses=refusals(404))
    async def export() -> Response:
        """All pictures and labels.csv as a zip."""
        data = await kept(corrections().export)
        name = {"content-disposition": 'attachment; filename="corrections.zip"'}
        return Response(data, media_type="application/zip", headers=name)

    @routes.post(
        "/import", response_model=CountAnswer, responses=refusals(404, 408, 413, 415, 507),
        openapi_extra=raw_body("application/octet-stream"),
    )  # fmt: skip
    async def take(request: Request) -> Any:
        """Add those of an exported zip: all or none."""
        chosen = corrections()
        data = await read_body(request, engine.settings, MOST_IMPORTED)
        added, known = await kept(chosen.take, data)
        return JSONResponse({"added": added, "known": known})

    @routes.get("/{number}/picture", response_class=Response, responses=refusals(404))
    async def picture(number: int) -> Response:
        """The picture of one, as it was sent."""
        data = await kept(corrections().picture, _number(number))
        if data is None:
            raise RequestError(404, "There is no correction of this number.")
        return Response(data, media_type=_kind(data))

    @routes.delete("/{number}", status_code=204, response_class=Response, responses=refusals(404))
    async def delete(number: int) -> Response:
        """Forget one."""
        if not await kept(corrections().delete, _number(number)):
            raise RequestError(404, "There is no correction of this number.")
        return Response(status_code=204)

    return routes


def _told(work: Callable[..., T], *arguments: Any) -> T:
    """Do this, with what goes wrong as a RequestError."""
    try:
        return work(*arguments)
    except StoreError as problem:
        raise RequestError(STATUS[problem.kind], str(problem)) from problem
    except PictureError as problem:
        raise RequestError(400, f"The picture cannot be read: {problem}.") from problem
    except MnistryError as problem:
        raise RequestError(400, str(problem)) from problem


def _number(number: int) -> int:
    if not 0 <= number <= LARGEST:
        raise RequestError(404, "There is no correction of this number.")
    return number


def _kind(data: bytes) -> str:
    return next((kind for start, kind in KINDS.items() if data.startswith(start)), "application/octet-stream")
