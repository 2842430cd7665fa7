"""The routes under /corrections and /finetune: a reading corrected, corrections listed, deleted, moved, learnt."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from mnistry.imaging.decode import PictureError
from mnistry.reading.reader import Reader, model_card
from mnistry.reading.recognizer import bundled, taught, undo_taught
from mnistry.settings import MnistryError, install_hint
from mnistry.web.corrections import Corrections, StoreError
from mnistry.web.engine import Engine, check_answers, check_pixels
from mnistry.web.guard import read_body
from mnistry.web.metrics import LOG
from mnistry.web.schema import (
    CorrectionAnswer,
    CorrectionsAnswer,
    CountAnswer,
    RequestError,
    TeachingAnswer,
    raw_body,
    refusals,
)

T = TypeVar("T")
STATUS = {"full": 507, "busy": 503, "damaged": 503}
MOST_IMPORTED = 64 * 2**20  # bytes of an imported zip
KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}
LARGEST = 2**53  # the largest number of a correction that JavaScript can hold
LOOK_SECONDS = 5.0  # between two looks whether another program has taught the model, or undone that
TRAINING = ("keras", "onnx", "cv2")  # what a teaching needs beside the service
COMMAND = ("-P", "-m", "mnistry.training.processes", "mnistry.cli", "finetune", "--json", "--progress")


class Teaching:
    """Teaches the bundled model in a process of its own, and lets the engine answer with the newest taught one.

    `state` is what GET /finetune answers. A model that was taught or undone by another program is taken up, too.
    """

    def __init__(self, engine: Engine, home: Path | None) -> None:
        self.engine, self.home = engine, home
        self.told, self.state, self.share = "", "idle", 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        card = engine.reader.card
        own = card["sha256"] != model_card()["sha256"] and "taught" not in card
        self.impossible = "This service reads with a model of its own, which is not taught." if own else ""
        if home is None:
            self.impossible = "This service stores no corrections."
        self._used = card["sha256"]

    def open(self) -> None:
        """Begin to look for models that other programs have taught."""
        if not self.impossible:
            self._begin(self._look())

    def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def answer(self) -> dict[str, Any]:
        """The state as `TeachingAnswer`."""
        missing = [name for name in TRAINING if find_spec(name) is None]
        why = self.impossible or (missing and f"Teaching needs the extra [train]: {install_hint('train')}.") or ""
        figures = self.engine.reader.card.get("taught")
        state = {"state": self.state, "share": round(self.share, 3), "told": why or self.told}
        return {"possible": not why, **state, "taught": figures}

    async def start(self) -> None:
        """Begin a teaching; raises RequestError where one is under way already."""
        if self.state == "learning":
            raise RequestError(409, "It is learning already: wait until it is done.")
        self.state, self.share, self.told = "learning", 0.0, "getting ready"
        self._begin(self._teach())

    async def refresh(self) -> None:
        """Answer with the newest model under the home; one that fails the service's self-test is refused."""
        reader = await asyncio.to_thread(_newest, self.home)
        if reader.card["sha256"] != self._used:
            await asyncio.to_thread(check_answers, reader)
            self.engine.replace(reader)
            self._used = reader.card["sha256"]

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.state != "learning":
                try:
                    await self.refresh()
                except MnistryError as problem:  # the service goes on with the model that it has
                    LOG.warning("the taught model is not used: %s", problem)

    async def _teach(self) -> None:
        try:
            last, code, error = await self._run()
            if code == 2 or "kept" not in last:
                lines = [line for line in error.splitlines() if line.startswith("mnistry: ")]
                self.state, self.told = "failed", (lines or ["mnistry: It ended unexpectedly."])[-1][9:]
            else:
                await self.refresh()
                self.state, self.told = ("taught" if last["kept"] else "refused"), last["reason"]
        except (MnistryError, OSError) as problem:
            self.state, self.told = "failed", str(problem)

    async def _run(self) -> tuple[dict[str, Any], int, str]:
        """The last line that the process prints, its exit code and what it writes to stderr."""
        pipe = asyncio.subprocess.PIPE
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable, *COMMAND, stdin=pipe, stdout=pipe, stderr=pipe,
            env={**os.environ, "MNISTRY_HOME": str(self.home)},
        )  # fmt: skip
        assert process.stdout
        assert process.stderr
        error, last = asyncio.create_task(process.stderr.read()), dict[str, Any]()
        async for line in process.stdout:
            last = json.loads(line)
            self.share, self.told = last.get("share", 1.0), last.get("told", self.told)
        return last, await process.wait(), (await error).decode("utf-8", "replace")


def _newest(home: Path | None) -> Reader:
    return Reader((taught(home) if home else None) or bundled())


def teaching_router(teaching: Teaching, store: Corrections | None) -> APIRouter:
    """The routes of learning from corrections."""
    routes = APIRouter(prefix="/finetune", tags=["Corrections"])

    @routes.get("", response_model=TeachingAnswer, responses=refusals())
    async def state() -> Any:
        """How far the teaching is, and what the model in use was taught."""
        return JSONResponse(teaching.answer())

    @routes.post("", status_code=202, response_model=TeachingAnswer, responses=refusals(404, 409))
    async def start() -> Any:
        """Teach the model the corrections, in the background: a minute or two. GET says how far it is."""
        answer = teaching.answer()
        if store is None or not answer["possible"]:
            raise RequestError(404, answer["told"])
        if not await teaching.engine.run(_told, store.listed, 1):
            raise RequestError(400, "There are no corrections to learn from: correct a reading first.")
        await teaching.start()
        return JSONResponse(teaching.answer(), 202)

    @routes.delete("", response_model=TeachingAnswer, responses=refusals(404, 409))
    async def undo() -> Any:
        """Go back to the model before the last teaching."""
        if teaching.state == "learning":
            raise RequestError(409, "It is learning: wait until it is done.")
        if teaching.impossible or teaching.home is None:
            raise RequestError(404, teaching.impossible)
        try:
            await teaching.engine.run(undo_taught, teaching.home)
            await teaching.refresh()
        except MnistryError as problem:
            raise RequestError(404, str(problem)) from problem
        teaching.state, teaching.told = "idle", ""
        return JSONResponse(teaching.answer())

    return routes


def router(engine: Engine, store: Corrections | None) -> APIRouter:
    """The routes of corrections; where nothing is stored, each says so with 404."""
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
