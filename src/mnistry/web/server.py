"""The service as a process: uvicorn with deadlines for clients; at the end all accepted requests are answered."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from mnistry.settings import MnistryError
from mnistry.web.configuration import ServeSettings
from mnistry.web.schema import RETRY_SECONDS, STATUSES

LAME_SECONDS = 0.3  # after SIGTERM: for how long every answer closes its connection, before idle ones are closed
LATER_SECONDS = 0.5  # the application tells of a body that is late before the connection is cut
LARGEST_HEAD = 16 * 1024  # bytes of a request's head


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
        limits = settings

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
        self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """First every answer tells its client to close the connection, so that no request meets a closed door."""
        self._app.state.own.draining = True
        if self.started:
            await asyncio.sleep(LAME_SECONDS)
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
    """A connection whose requests must arrive whole in time; uvicorn alone waits for half a head for ever."""

    limits: ServeSettings
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Refuse a connection too many; start the clock of the first request."""
        super().connection_made(transport)
        # asyncio does so only where the listener names its protocol, which `socket.create_server` does not.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > self.limits.connections:
            self._refuse(503, f"Retry-After: {RETRY_SECONDS}\r\n")
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the clock at the first byte of a request, stop it at the last."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """The next request of this connection may be here already, in part."""
        super().on_response_complete()
        self._follow()

    def _follow(self) -> None:
        waits = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        if waits or self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._forget()
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

    def _refuse(self, status: int, header: str = "") -> None:
        """Say so where nothing has been said yet, and close."""
        if self.cycle is None or self.cycle.response_complete:
            body = f'{{"error":"{STATUSES[status]}"}}'
            head = f"HTTP/1.1 {status} {'Request Timeout' if status == 408 else 'Service Unavailable'}\r\n{header}"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            self.transport.write((head + body).encode())
        self.transport.close()


def _listen(settings: ServeSettings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as problem:
        raise MnistryError(
            f"{settings.host}:{settings.port} cannot be listened on: {problem.strerror or problem}. "
            "Choose another with --port, or 0 for a free one."
        ) from problem


def _shown(host: str) -> str:
    """A host as an address that a browser can open."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
