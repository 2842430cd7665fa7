"""The service as a process: uvicorn with deadlines for clients; at the end all accepted requests are answered."""

import asyncio
import ctypes
import gc
import json
import math
import re
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any, ClassVar

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from mnistry.settings import MnistryError
from mnistry.web.configuration import ServeSettings
from mnistry.web.engine import BUSY
from mnistry.web.guard import State, security_headers
from mnistry.web.metrics import Metrics
from mnistry.web.schema import RETRY_SECONDS, STATUSES

LAME_SECONDS = 0.3  # after SIGTERM: for how long every answer closes its connection, before idle ones are closed
DOOR_SECONDS = 0.05  # then: for how long connections that the kernel has already taken are still accepted
LATER_SECONDS = 0.5  # the application tells of a body that is late before the connection is cut
SO_ATTACH_FILTER = 26  # of Linux' socket options
LARGEST_HEAD = 16 * 1024  # bytes of a request's head
# The head of a request that may be refused unparsed: whatever is unusual in it is left to the parser.
PLAIN = re.compile(rb"POST [!-~]+ HTTP/1\.1\r\n")
LENGTH = re.compile(rb"\ncontent-length: ?(\d{1,18})\r", re.IGNORECASE)
UNUSUAL = re.compile(
    rb"[^\r]\n|\n(?![!#-'*+.0-9a-z^_`|~-]+:|\Z)|\n(connection|expect|transfer-encoding|upgrade)(?!: keep-alive\r)",
    re.IGNORECASE,
)


def serve(app: FastAPI, settings: ServeSettings, started: Callable[[str], None] = lambda _: None) -> None:
    """Run until SIGTERM or Ctrl-C, then answer what was accepted. `started` is told the address.

    Raises MnistryError where the address cannot be taken or the model fails its self-test.
    """
    listener = _listen(settings)
    host, port = listener.getsockname()[:2]
    server = _Server(_config(app, settings), app, lambda: started(f"http://{_shown(host)}:{port}"))
    server.run([listener])


def _config(app: FastAPI, settings: ServeSettings) -> uvicorn.Config:
    class Protocol(_Deadlines):
        limits, own, metrics = settings, app.state.own, app.state.metrics
        answering: ClassVar = set()
        refusal = _refusal(503, BUSY, settings)

    return uvicorn.Config(
        app, http=Protocol, ws="none", loop="asyncio", log_config=None, access_log=False, server_header=False,
        proxy_headers=False, timeout_keep_alive=settings.idle_seconds,  # type: ignore[arg-type]
        timeout_graceful_shutdown=settings.grace_seconds,  # type: ignore[arg-type]
        h11_max_incomplete_event_size=LARGEST_HEAD, lifespan="on",
    )  # fmt: skip


class _Server(uvicorn.Server):
    """Tells of its start, and ends in two steps."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._app, self._tell = app, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; the lifespan has proved the model before the first connection is accepted."""
        await super().startup(sockets)
        state = self._app.state.own
        if not state.ready:
            self.should_exit, self.started = True, False
            await self.shutdown(sockets)
            raise MnistryError(f"{state.problem}.")
        gc.collect()
        gc.freeze()  # what was loaded stays: looking through it again would stop all requests for 60 ms now and then
        self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """First every answer tells its client to close the connection, so that no request meets a closed door."""
        self._app.state.own.draining = True
        if self.started:
            await asyncio.sleep(LAME_SECONDS)
            for listener in sockets or []:
                _shut_door(listener)
            await asyncio.sleep(DOOR_SECONDS)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but a signal that was obeyed is not raised once more: the process ends with 0."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()


class _Deadlines(H11Protocol):
    """A connection whose requests must arrive whole in time and whose answers must be taken; uvicorn waits for ever.

    A request that finds `limits.queue` others being answered is refused here, before it is parsed or a task is made
    for it: under a flood of requests, refusing is most of the work.
    """

    limits: ServeSettings
    own: State
    metrics: Metrics
    answering: ClassVar[set["_Deadlines"]]  # the connections of this server whose request is here, and not its answer
    refusal: bytes
    _deadline: asyncio.TimerHandle | None = None
    _spilt, _refused_at = 0, -math.inf  # bytes of a refused body that are still to come; when the last refusal was

    def connection_made(self, transport: Any) -> None:
        """Refuse a connection too many; start the clock of the first request."""
        self.gathering = _Gathering(transport, self)
        super().connection_made(self.gathering)  # type: ignore[arg-type]
        # asyncio does so only where the listener names its protocol, which `socket.create_server` does not.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > self.limits.connections:
            self._refuse(503)
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._forget()
        self.answering.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the clock at the first byte of a request, stop it at the last."""
        if self.transport.is_closing():
            return
        if self._spilt:
            data = self._spill(data)
        elif len(self.answering) >= self.limits.queue and self._refused_early(data):
            return
        if data:
            super().data_received(data)
            self._follow()

    def pause_writing(self) -> None:
        """Start to look whether the client takes its answer."""
        super().pause_writing()
        self._look(sys.maxsize)

    def shutdown(self) -> None:
        """Let a request that is on its way arrive before an idle connection is closed."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LAME_SECONDS, self._close_if_idle)
        else:
            super().shutdown()

    def _close_if_idle(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def _look(self, before: int) -> None:
        """Cut the connection where less than `answer_seconds` ago as much was left to send: nobody reads."""
        left = self.gathering.get_write_buffer_size()
        if left >= before:
            self.gathering.abort()
        elif left:
            self.loop.call_later(self.limits.answer_seconds, self._look, left)

    def on_response_complete(self) -> None:
        """The next request of this connection may be here already, in part."""
        self.answering.discard(self)
        super().on_response_complete()
        self._follow()

    def _refused_early(self, data: bytes) -> bool:
        """Refuse a plain request and keep the connection, whose body may still be on its way; False: it is not one."""
        head, end, body = data.partition(b"\r\n\r\n")
        left = plain_length(head) - len(body)
        if not end or not 0 <= left <= self.limits.max_body or self.own.draining:
            return False
        if self.conn.their_state is not h11.IDLE or self.conn.trailing_data[0]:
            return False
        self.transport.write(self.refusal)
        self.metrics.refused()
        self._spilt, self._refused_at = left, self.loop.time()
        if not left:
            self._wait()
        elif self._deadline is None:
            self._watch()
        return True

    def _spill(self, data: bytes) -> bytes:
        """What follows the body of the request that was refused."""
        spilt = min(self._spilt, len(data))
        self._spilt -= spilt
        if not self._spilt:
            self._wait()
        return data[spilt:]

    def _wait(self) -> None:
        """Wait for the next request, as after an answer."""
        self._forget()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; one whose requests were refused meanwhile is not idle."""
        self.timeout_keep_alive_task = None
        if self.loop.time() - self._refused_at < self.timeout_keep_alive:
            self._wait()
        else:
            super().timeout_keep_alive_handler()

    def _follow(self) -> None:
        waits = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        if waits or self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._forget()
            if not waits and self.cycle and not self.cycle.response_complete:
                self.answering.add(self)
        elif self._deadline is None:
            self._watch()

    def _watch(self) -> None:
        self._deadline = self.loop.call_later(self.limits.receive_seconds + LATER_SECONDS, self._late)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        """Say so where nothing has been said yet, and close."""
        if not self._spilt and (self.cycle is None or self.cycle.response_complete):
            self.transport.write(_refusal(status, STATUSES[status], self.limits, "Connection: close\r\n"))
        self.transport.close()


def plain_length(head: bytes) -> int:
    """The length that the head of a POST declares for its body; -1: there is something for the parser in it."""
    head += b"\r\n"
    lengths = LENGTH.findall(head)
    plain = len(lengths) == 1 and PLAIN.match(head) and not UNUSUAL.search(head)
    return int(lengths[0]) if plain else -1


class _Gathering:
    """A transport that sends an answer's head together with the first of its body: one call of the system, not two."""

    def __init__(self, transport: asyncio.Transport, protocol: H11Protocol) -> None:
        self._transport, self._protocol = transport, protocol
        self._held = b""  # a head
        self._begun: Any = None  # the cycle whose head has been written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keep the head of an answer, send all else."""
        cycle = self._protocol.cycle
        if cycle and cycle.response_started and cycle is not self._begun:
            self._held, self._begun = data, cycle
        else:
            self._transport.write(self._held + data)
            self._held = b""

    def close(self) -> None:
        """Send what is kept, and close."""
        self._transport.write(self._held)
        self._transport.close()


def _refusal(status: int, sentence: str, settings: ServeSettings, header: str = "") -> bytes:
    """A whole answer that refuses, written without the application."""
    body = json.dumps({"error": sentence})
    header += f"Retry-After: {RETRY_SECONDS}\r\n" if status == 503 else ""
    header += "".join(f"{name}: {value}\r\n" for name, value in security_headers(settings.frames))
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{header}Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _listen(settings: ServeSettings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as problem:
        raise MnistryError(
            f"{settings.host}:{settings.port} cannot be listened on: {problem.strerror or problem}. "
            "Choose another with --port, or 0 for a free one."
        ) from problem


def _shut_door(listener: socket.socket) -> None:
    """Let the kernel take no more connections: closing the listener would reset those that wait to be accepted.

    On Linux, by a filter that drops every packet; elsewhere there is no such thing, and the moment stays.
    """
    if sys.platform == "linux":
        drop = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0
        with suppress(OSError):
            program = struct.pack("HL", 1, ctypes.addressof(drop))
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def _shown(host: str) -> str:
    """A host as an address that a browser can open."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
