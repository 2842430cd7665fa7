"""How much the service serves, beside the field's usual endpoint: Flask and `keras.predict` on the same network.

    python benchmarks/serving.py [--seconds 3] [--clients 1,16,64] [--rounds 1] [--no-flask]

Three bodies: a digit as a tensor; `small`, the same as a PNG of 28x28; `png`, a drawing of 320x240, in which mnistry
also finds the digit. Flask decodes the same bodies (JSON with 784 numbers; PNG through Pillow, resized to 28x28 as its
tutorials do) and calls `predict` of the reader's own network with untrained weights: they take as long. Clients are
closed loops, each on a connection of its own, in this process. On a machine with other work the figures are ratios
only: the load before and after is told, and `--rounds` measures both in turn so often and tells the median of the
ratios. Needs flask and mnistry[train,serve]. The last line is one JSON object.
"""

import argparse
import asyncio
import io
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from mnistry import Reader

EXAMPLE = Path(__file__).parent.parent / "src" / "mnistry" / "web" / "static" / "examples" / "seven.png"

FLASK = """
import io, sys
import numpy as np
from flask import Flask, jsonify, request
from PIL import Image
from mnistry.models.networks import reader_network
app, model = Flask("field"), reader_network(16)

@app.post("/tensor")
def tensor():
    x = np.array(request.get_json()["data"], "uint8").reshape(-1, 28, 28)
    return jsonify(model.predict(x, verbose=0)[0].tolist())

@app.post("/png")
def png():
    image = Image.open(io.BytesIO(request.data)).convert("L").resize((28, 28))
    return jsonify(model.predict(255 - np.asarray(image)[None], verbose=0)[0].tolist())

app.run(port=int(sys.argv[1]), threaded=True)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--clients", default="1,16,64")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-flask", action="store_true")
    options = parser.parse_args()
    counts = [int(n) for n in options.clients.split(",")]
    told: dict[str, Any] = {"load_before": os.getloadavg()[0], **machine()}
    with ExitStack() as stack:
        ports = {"mnistry": stack.enter_context(mnistry())[0]}
        if not options.no_flask:
            ports["flask"] = stack.enter_context(flask())
        rounds = [compare(ports, counts, options.seconds) for _ in range(options.rounds)]
    told |= {"rounds": rounds, "load_after": os.getloadavg()[0]}
    if not options.no_flask:
        told["times_as_many"] = {case: round(median(ratios(rounds, case)), 1) for case in rounds[0]}
    print(json.dumps(told))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}


def ratios(rounds: list[dict[str, Any]], case: str) -> list[float]:
    """How many times as many requests mnistry answers, a round each."""
    return [found[case]["mnistry"]["rate"] / found[case]["flask"]["rate"] for found in rounds]


@cache
def bodies(service: str) -> dict[str, bytes]:
    """Whole HTTP requests: a digit as a tensor and as a small picture, and a drawing with a digit."""
    picture, small = EXAMPLE.read_bytes(), io.BytesIO()
    tensor: dict[str, Any]
    image = Reader().read(picture).digits[0].image
    Image.fromarray(image).save(small, "PNG")
    if service == "flask":
        paths, tensor = ("/tensor", "/png"), {"data": image.ravel().tolist()}
    else:
        paths = ("/v2/models/mnistry/infer", "/predict")
        inputs = {"name": "images", "shape": [1, 28, 28], "datatype": "UINT8", "data": image.ravel().tolist()}
        tensor = {"inputs": [inputs]}
    return {
        "tensor": http_request(paths[0], json.dumps(tensor).encode(), "application/json"),
        "small": http_request(paths[1], small.getvalue(), "image/png"),
        "png": http_request(paths[1], picture, "image/png"),
    }


def compare(ports: dict[str, int], counts: list[int], seconds: float) -> dict[str, Any]:
    """Case ("tensor 16": body and clients) -> service -> rate and times; both services one after the other."""
    found: dict[str, Any] = {}
    for kind in bodies("mnistry"):
        for n in counts:
            for name, port in ports.items():
                request = bodies(name)[kind]
                asyncio.run(closed(port, request, n, 0.5))
                figures = asyncio.run(closed(port, request, n, seconds))
                found.setdefault(f"{kind} {n}", {})[name] = figures
                print(name, kind, n, figures, flush=True)
    return found


async def closed(port: int, request: bytes, n: int, seconds: float) -> dict[str, Any]:
    """n clients that ask one request after the other: answers a second, times in ms, and how often each status."""
    times: list[float] = []
    statuses: Counter[int] = Counter()
    begun = time.perf_counter()

    async def work() -> None:
        client = Client(port)
        while (started := time.perf_counter()) < begun + seconds:
            statuses[await client.ask(request)] += 1
            times.append(time.perf_counter() - started)
        client.close()

    await asyncio.gather(*(work() for _ in range(n)))
    taken = time.perf_counter() - begun  # the last answers come after `seconds`
    return {"rate": round(len(times) / taken, 1), **quantiles(times), "statuses": dict(statuses)}


def quantiles(times: list[float]) -> dict[str, float]:
    """The median and the time that 99 of 100 keep, in ms."""
    p50, p99 = np.quantile(times, [0.5, 0.99]) * 1000 if times else (math.nan, math.nan)
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}


class Client:
    """Asks whole requests one after the other, on a connection that is kept; written for speed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection: _Connection | None = None
        self.head, self.body = b"", b""

    async def ask(self, request: bytes) -> int:
        """The status of the answer, with its `head` in lower case and its `body`; raises OSError."""
        if self.connection is None or self.connection.lost:  # the service closes those that ask for nothing
            await self.connect()
        connection = self.connection
        assert connection
        connection.transport.write(request)
        self.head, self.body = await connection.answer()
        if b"connection: close" in self.head:
            self.close()
        return int(self.head[9:12])

    async def connect(self) -> "_Connection":
        """Open a connection."""
        loop = asyncio.get_running_loop()
        _, self.connection = await loop.create_connection(_Connection, "127.0.0.1", self.port)
        return self.connection

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self.connection:
            self.connection.transport.close()
            self.connection = None


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self._received, self._head, self._length, self.lost = b"", b"", -1, False
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None

    async def answer(self) -> tuple[bytes, bytes]:
        """Head and body of the next answer; raises OSError."""
        if self.lost:
            raise ConnectionResetError("the connection has ended")
        self._answer = asyncio.get_running_loop().create_future()
        self.data_received(b"")  # it may be here already
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._answer and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the connection ended before the answer"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._length < 0:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            self._head, self._received = head.lower(), rest
            self._length = int(self._head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self._received) >= self._length and self._answer and not self._answer.done():
            self._answer.set_result((self._head, self._received))
            self._received, self._length = b"", -1


@contextmanager
def mnistry() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`mnistry serve`: its port and process."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "mnistry.cli", "serve", "--port", "0", "--json", "--quiet"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "MNISTRY_HOME": home})
        assert process.stdout
        try:
            yield int(json.loads(process.stdout.readline())["address"].rpartition(":")[2]), process
        finally:
            process.terminate()  # nothing where it has ended
            process.wait(60)
            process.stdout.close()


@contextmanager
def flask() -> Iterator[int]:
    """The field's endpoint: its port."""
    port = 18_321
    process = subprocess.Popen([sys.executable, "-c", FLASK, str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                asyncio.run(closed(port, bodies("flask")["png"], 1, 0.1))
                break
            except OSError:
                time.sleep(0.2)
        yield port
    finally:
        process.kill()
        process.wait(30)


def http_request(path: str, body: bytes, kind: str, header: str = "") -> bytes:
    """A whole request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{header}Content-Type: {kind}\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


if __name__ == "__main__":
    main()
