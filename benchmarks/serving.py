"""How much the service serves, beside the field's usual endpoint: Flask and `keras.predict` on the same network.

    python benchmarks/serving.py [--seconds 3] [--clients 1,16,64] [--no-flask] [--overload SECONDS] [--soak N]

Flask decodes the same bodies (JSON with 784 numbers; PNG through Pillow, resized to 28x28 as its tutorials do) and
calls `predict` of the reader's own network with untrained weights: they take as long. Clients are closed loops, each on
a connection of its own, in this process. On a machine with other work the figures are ratios only: the load before and
after is told. `--overload` first finds the peak at 16 clients, then asks three times as often for so long.
`--soak` asks so many times and tells how the memory grows. Needs flask and mnistry[train,serve]. The last line is one
JSON object.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mnistry import Reader

EXAMPLE = Path(__file__).parent.parent / "src" / "mnistry" / "web" / "static" / "examples" / "seven.png"
OVERLOAD = 3  # times the peak

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
    parser.add_argument("--no-flask", action="store_true")
    parser.add_argument("--overload", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--soak", type=int, default=0, metavar="N")
    options = parser.parse_args()
    figures: dict[str, Any] = {
        "load_before": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    counts = [int(n) for n in options.clients.split(",")]
    with mnistry() as (port, process):
        figures["mnistry"] = compare("mnistry", port, bodies("mnistry"), counts, options.seconds)
        if options.overload:
            figures["overload"] = asyncio.run(overload(port, bodies("mnistry")["tensor"], options.overload))
        if options.soak:
            figures["soak"] = soak(port, process, bodies("mnistry")["tensor"], options.soak)
    if not options.no_flask:
        with flask() as port:
            figures["flask"] = compare("flask", port, bodies("flask"), counts, options.seconds)
        figures["times_as_many"] = {
            kind: {n: round(figures["mnistry"][kind][n]["rate"] / figures["flask"][kind][n]["rate"], 1) for n in by}
            for kind, by in figures["flask"].items()
        }
    print(json.dumps(figures | {"load_after": os.getloadavg()[0], "python": platform.python_version()}))


def bodies(service: str) -> dict[str, bytes]:
    """Whole HTTP requests: a digit as a tensor, and as a picture."""
    picture = EXAMPLE.read_bytes()
    tensor: dict[str, Any]
    pixels = Reader().read(picture).digits[0].image.ravel().tolist()
    if service == "flask":
        paths, tensor = ("/tensor", "/png"), {"data": pixels}
    else:
        paths = ("/v2/models/mnistry/infer", "/predict")
        tensor = {"inputs": [{"name": "images", "shape": [1, 28, 28], "datatype": "UINT8", "data": pixels}]}
    return {
        "tensor": _request(paths[0], json.dumps(tensor).encode(), "application/json"),
        "png": _request(paths[1], picture, "image/png"),
    }


def compare(name: str, port: int, asked: dict[str, bytes], counts: list[int], seconds: float) -> dict[str, Any]:
    """Requests a second and the time of an answer in ms, for each body and number of clients."""
    found: dict[str, Any] = {}
    for kind, request in asked.items():
        asyncio.run(closed(port, request, 2, 0.5))
        for n in counts:
            times, statuses = asyncio.run(closed(port, request, n, seconds))
            found.setdefault(kind, {})[str(n)] = told(times, seconds) | {"statuses": dict(statuses)}
            print(name, kind, n, found[kind][str(n)], flush=True)
    return found


def told(times: list[float], seconds: float) -> dict[str, float]:
    """Rate, and quantiles in milliseconds."""
    p50, p99 = np.quantile(times, [0.5, 0.99]) * 1000
    return {"rate": round(len(times) / seconds, 1), "p50": round(float(p50), 2), "p99": round(float(p99), 2)}


async def closed(port: int, request: bytes, n: int, seconds: float) -> tuple[list[float], Counter[int]]:
    """n clients that ask one request after the other."""
    times: list[float] = []
    statuses: Counter[int] = Counter()
    end = time.perf_counter() + seconds

    async def work() -> None:
        client = _Client(port)
        while time.perf_counter() < end:
            started = time.perf_counter()
            statuses[await client.ask(request)] += 1
            times.append(time.perf_counter() - started)
        client.close()

    await asyncio.gather(*(work() for _ in range(n)))
    return times, statuses


async def overload(port: int, request: bytes, seconds: float) -> dict[str, Any]:
    """Ask three times as often as is answered at best, without waiting: what is answered, refused and left hanging."""
    times, _ = await closed(port, request, 16, 2.0)
    peak = len(times) / 2.0
    answered: list[float] = []
    refused: list[float] = []
    idle = [_Client(port) for _ in range(400)]
    running: set[asyncio.Task[None]] = set()
    missed = 0

    async def one(client: _Client) -> None:
        started = time.perf_counter()
        status = await client.ask(request)
        (answered if status == 200 else refused).append(time.perf_counter() - started)
        idle.append(client)

    begun, sent = time.perf_counter(), 0
    while (now := time.perf_counter() - begun) < seconds:
        while sent < now * peak * OVERLOAD:
            sent += 1
            if idle:
                task = asyncio.create_task(one(idle.pop()))
                running.add(task)
                task.add_done_callback(running.discard)
            else:
                missed += 1  # all 400 connections wait: as many clients do not even come
        await asyncio.sleep(0.002)
    _, hanging = await asyncio.wait(running, timeout=15) if running else (set(), set())
    return {
        "peak": round(peak, 1), "goodput": round(len(answered) / seconds, 1), "refused": len(refused),
        "refused_p99_ms": round(1000 * float(np.quantile(refused, 0.99)), 1) if refused else None,
        "not_sent": missed, "hanging": len(hanging),
    }  # fmt: skip


def soak(port: int, process: int, request: bytes, n: int) -> dict[str, Any]:
    """Memory in MB before and after n requests, each after some for warming up."""
    asyncio.run(closed(port, request, 16, 5.0))
    before, done = _memory(process), 0
    while done < n:
        times, _ = asyncio.run(closed(port, request, 16, 5.0))
        done += len(times)
    return {"requests": done, "mb_before": before, "mb_after": _memory(process)}


class _Client:
    """One connection; asks as a client would that is written for speed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """The status of the answer, read whole."""
        self.streams = self.streams or await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        if b"connection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        if self.streams:
            self.streams[1].close()
            self.streams = None


@contextmanager
def mnistry() -> Iterator[tuple[int, int]]:
    """`mnistry serve`: its port and process."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "mnistry.cli", "serve", "--port", "0", "--json", "--quiet"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "MNISTRY_HOME": home})
        assert process.stdout
        yield int(json.loads(process.stdout.readline())["address"].rpartition(":")[2]), process.pid
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def flask() -> Iterator[int]:
    """The field's endpoint: its port."""
    port = 18_321
    process = subprocess.Popen([sys.executable, "-c", FLASK, str(port)], stderr=subprocess.DEVNULL)
    for _ in range(300):
        try:
            asyncio.run(closed(port, bodies("flask")["png"], 1, 0.1))
            break
        except OSError:
            time.sleep(0.2)
    yield port
    process.kill()
    process.wait(30)


def _request(path: str, body: bytes, kind: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _memory(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 2)


if __name__ == "__main__":
    main()
