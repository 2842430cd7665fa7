"""Before and after every request: who asks, by what name; the answer's headers, its count and its line in the log."""

import asyncio
import logging
import re
import secrets
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mnistry.web.configuration import ServeSettings
from mnistry.web.metrics import LOG, Metrics, log_request
from mnistry.web.schema import RequestError, refusal

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
READING = {"GET", "HEAD", "OPTIONS"}  # methods that change nothing
SPILT_SECONDS = 1.0  # for how long the rest of a body that is too large is taken in, so that its sender hears of it
MOST_SPILT = 16 * 2**20  # bytes
AT_ONCE = 16  # requests begun in one turn of the event loop: with more, those that are to be refused wait longer


@dataclass
class State:
    """What changes while the service runs: `ready` after the self-test, `draining` after SIGTERM."""

    ready: bool = False
    draining: bool = False
    problem: str = "The service is starting."


class Guard:
    """ASGI middleware: checks Host and Origin, numbers the request, adds headers, counts and logs."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics, state: State) -> None:
        self.app, self.settings, self.metrics, self.state = app, settings, metrics, state
        self.headers = [(name.encode(), value.encode()) for name, value in security_headers(settings.frames)]
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        watched = _Watched(self, scope, send)
        try:
            await self._turns.begin()
            if problem := refused(Headers(scope=scope), scope["method"], self.settings):
                await refusal(403, problem)(scope, receive, watched.send)
            else:
                await self.app(scope, receive, watched.send)
        except ClientDisconnect:
            LOG.debug("a client went away before its request had come whole")
        except Exception:  # noqa: BLE001 - a client must never see a trace, nor a connection that just ends
            LOG.exception("a mistake of the service", extra={"fields": {"request_id": watched.id}})
            if not watched.status:
                await refusal(500, "The service made a mistake; its log says which.")(scope, receive, watched.send)
        finally:
            self._turns.end()
            watched.finish()


class Turns:
    """Lets many requests begin in their order, few in each turn of the event loop, which looks at sockets in between.

    As long as there are few requests, each begins at once.
    """

    def __init__(self) -> None:
        self._open, self._begun = 0, 0  # requests that are here; of these, how many this turn has begun
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def begin(self) -> None:
        """Wait until a request may begin; `end` is to be called after it."""
        self._open += 1
        if self._open <= AT_ONCE:
            return
        loop = asyncio.get_running_loop()
        if not self._begun:
            loop.call_soon(self._next, loop)
        if self._begun < AT_ONCE:
            self._begun += 1
        else:
            self._waiting.append(loop.create_future())
            await self._waiting[-1]

    def end(self) -> None:
        """A request is over."""
        self._open -= 1

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._begun = 0
        while self._waiting and self._begun < AT_ONCE:
            if not (waiting := self._waiting.popleft()).done():  # whoever asked may have gone
                waiting.set_result(None)
                self._begun += 1
        if self._begun:
            loop.call_soon(self._next, loop)


class _Watched:
    """One request on its way: adds the headers to its answer, and remembers its status and size."""

    def __init__(self, guard: Guard, scope: Scope, send: Send) -> None:
        self.guard, self.scope, self._send = guard, scope, send
        self.status, self.bytes, self.started = 0, 0, time.perf_counter()
        given = Headers(scope=scope).get("x-request-id", "")
        self.id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message["headers"] = list(message.get("headers", ()))
            given = {name for name, _ in headers}
            headers += [header for header in self.guard.headers if header[0] not in given]
            headers.append((b"x-request-id", self.id.encode()))
            if self.guard.state.draining:
                headers.append((b"connection", b"close"))
        else:
            self.bytes += len(message.get("body", b""))
        await self._send(message)

    def finish(self) -> None:
        seconds = time.perf_counter() - self.started
        route, method = getattr(self.scope.get("route"), "path", "other"), self.scope["method"]
        method = method if method in {*READING, "POST", "DELETE"} else "other"  # so that counters stay few
        status = self.status or 499  # the client went away
        self.guard.metrics.request(route, method, status, seconds)
        fields: dict[str, Any] = {"request_id": self.id, "method": method, "route": route, "status": status}
        log_request(fields | {"ms": round(1000 * seconds, 2), "bytes": self.bytes})


def refused(headers: Headers, method: str, settings: ServeSettings) -> str:
    """Why a request is refused for its Host or Origin; empty where it is not.

    A foreign Host is how another site's page reaches a service on this machine (DNS rebinding); a foreign Origin on a
    request that changes something is another site's page at work (CSRF).
    """
    host = headers.get("host", "")
    if not _listed(_name(host), settings.hosts):
        return "This name is not one of the service's own: start it with --allow-host NAME if it is to be."
    origin = headers.get("origin")
    if method in READING or origin is None or origin in settings.origins:
        return ""
    return "" if urlsplit(origin).netloc.lower() == host.lower() else "Pages of other origins may not ask for this."


async def read_body(request: Request, settings: ServeSettings, most: int | None = None) -> bytes:
    """The body of a request, within the limits of size (`most` or the settings') and time. Raises RequestError."""
    most = most or settings.max_body
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestError(415, "Send the body as it is, without Content-Encoding.")
    declared = request.headers.get("content-length", "")
    try:
        async with asyncio.timeout(settings.receive_seconds):
            if declared.isdigit() and int(declared) > most:
                await _spill(request)
                raise _too_large(most)
            return await _receive(request, most)
    except TimeoutError as problem:
        raise RequestError(
            408, f"The request took longer than {settings.receive_seconds:g} seconds to arrive."
        ) from problem


async def _receive(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            await _spill(request)
            raise _too_large(most)
    return bytes(body)


async def _spill(request: Request) -> None:
    """Take in and forget the rest of a body for a moment: a client that still sends would not read the answer."""
    spilt = 0
    try:
        async with asyncio.timeout(SPILT_SECONDS):
            while spilt < MOST_SPILT:
                message = await request.receive()
                spilt += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        logging.getLogger(__name__).debug("the rest of a body did not come")


def _too_large(most: int) -> RequestError:
    return RequestError(413, f"The body is too large: expected at most {most} bytes. Send a smaller picture.")


def _name(host: str) -> str:
    """The name in a Host header, without the port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower().rstrip(".")


def _listed(name: str, hosts: Sequence[str]) -> bool:
    return any(name == host or (host.startswith("*.") and name.endswith(host[1:])) for host in hosts)


def security_headers(frames: Sequence[str]) -> list[tuple[str, str]]:
    """The headers of every answer: a page of ours runs its own scripts only, and no other page shows it."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "connect-src": "'self'",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": " ".join(frames) or "'none'",
    }
    return [
        ("content-security-policy", "; ".join(f"{name} {value}" for name, value in policy.items())),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ]
