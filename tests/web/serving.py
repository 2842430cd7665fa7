"""A service in this process, a service on a real socket, and a browser on its page."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from conftest import ROOT

pytest.importorskip("fastapi", reason="the extra [serve] is not installed")
pytest.importorskip("httpx", reason="httpx is not installed: pip install 'mnistry[dev]'")
pytest.importorskip("uvicorn", reason="the extra [serve] is not installed")

EXAMPLES = ROOT / "src" / "mnistry" / "web" / "static" / "examples"


@dataclass
class Service:
    """A running `mnistry serve`."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def start(tmp: Path, *arguments: object) -> Service:
    """Start it on a free port, with its home and its log under `tmp`."""
    log = tmp / "log.jsonl"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "mnistry.cli", "serve", "--port", "0", "--json", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, "MNISTRY_HOME": str(tmp / "home")},
        )  # fmt: skip
    line = process.stdout.readline()
    if not line:
        process.wait(30)
        raise AssertionError(log.read_text())
    return Service(process, json.loads(line)["address"], log)


def end(service: Service) -> None:
    service.process.stdout.close()
    if service.process.poll() is None:
        service.process.kill()
        service.process.wait(60)


@contextmanager
def running(tmp: Path, *arguments: object) -> Iterator[Service]:
    """A service for a block."""
    service = start(tmp, *arguments)
    try:
        yield service
    finally:
        end(service)


@cache
def proven() -> Any:
    """The bundled reader after its self-test, which takes longer than most tests: once for all applications here."""
    from mnistry import Reader
    from mnistry.web.engine import check_answers

    reader = Reader()
    check_answers(reader)
    return reader


@asynccontextmanager
async def client(reader: Any = None, app: Any = None, **settings: Any) -> AsyncIterator[Any]:
    """An httpx client of an application in this process, started as a server starts it."""
    import httpx

    from mnistry.web import app as module
    from mnistry.web.configuration import ServeSettings

    known = nullcontext() if reader or app else patch.object(module, "check_answers")
    app = app or module.create_app(reader or proven(), ServeSettings(**settings))
    transport = httpx.ASGITransport(app)
    with known:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as opened,
        ):
            yield opened
