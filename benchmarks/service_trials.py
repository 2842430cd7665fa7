"""The service under trial: `python benchmarks/service_trials.py half|overload|sigterm|clients|soak|openapi|all [...]`.

* `half`: requests at random moments, half as many as are answered at best; how long an answer takes from the moment at
  which it was due, tensors and drawings of 320x240.
* `overload`: three times as many requests as are answered at best, on 400 connections, whether they are answered or
  not: how many are answered, how long a refusal takes, who is left hanging.
* `sigterm`: services that are told to end while eight clients ask: is every request answered that was accepted?
* `clients`: 64 clients at a time with digits of their own, as tensors, binary tensors and pictures, some of them
  invalid, some cut off: is any answer that of another client? The reader of this process says what is right.
* `soak`: how the memory grows with the number of requests.
* `openapi`: `benchmarks/openapi.py`.

    [--seconds 10] [--overload-seconds 60] [--ends 100] [--asked 20000] [--soak 100000] [--cases 5000]

Clients are asyncio in this process, on the same cores as the service. Needs mnistry[serve], and schemathesis for
`openapi`. Exit code 1: something was lost, wrong or left hanging. The last line is one JSON object.
"""

import argparse
import asyncio
import gc
import io
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from serving import EXAMPLE, Client, bodies, closed, http_request, machine, mnistry, quantiles

from mnistry import Reader

TRIALS = ("half", "overload", "sigterm", "clients", "soak", "openapi")
OVERLOAD = 3  # times the peak
CONNECTIONS = 400  # of the overload
PEAK_CLIENTS, PEAK_SECONDS = 16, 4.0
HANGING_SECONDS = 15.0  # who has no answer by then is left hanging
CLIENTS, ENDING_CLIENTS = 64, 8
INFER = "/v2/models/mnistry/infer"
SETTLED = 0.2  # of the soak: after this share of the requests the memory is looked at
Images = NDArray[np.uint8]


def main() -> None:
    """Run what is asked for, print, and say whether all held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="+", choices=[*TRIALS, "all"])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--overload-seconds", type=float, default=60.0)
    parser.add_argument("--ends", type=int, default=100)
    parser.add_argument("--asked", type=int, default=20_000)
    parser.add_argument("--soak", type=int, default=100_000)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    gc.freeze()  # so that the clients have no pauses of their own
    work: dict[str, Callable[[], dict[str, Any]]] = {
        "half": lambda: half(options.seconds),
        "overload": lambda: overload(options.overload_seconds),
        "sigterm": lambda: sigterm(options.ends),
        "clients": lambda: clients(options.asked),
        "soak": lambda: soak(options.soak),
        "openapi": lambda: openapi(options.cases),
    }
    told: dict[str, Any] = {"load_before": round(os.getloadavg()[0], 1), **machine()}
    for name in TRIALS if "all" in options.trials else options.trials:
        told[name] = work[name]()
        print(name, json.dumps(told[name]), flush=True)
    told["load_after"] = round(os.getloadavg()[0], 1)
    told["ok"] = all(found.get("ok", True) for found in told.values() if isinstance(found, dict))
    print(json.dumps(told))
    sys.exit(int(not told["ok"]))


def half(seconds: float) -> dict[str, Any]:
    """For each body: the peak, and the times of answers at half of it."""
    found = {}
    with mnistry() as (port, _):
        for kind, request in bodies("mnistry").items():
            peak = asyncio.run(closed(port, request, PEAK_CLIENTS, PEAK_SECONDS))["rate"]
            flood = asyncio.run(asked_at(port, request, peak / 2, seconds))
            found[kind] = {"peak": peak, "asked_a_second": peak / 2, **quantiles(flood.answered), **flood.told()}
    return found


def overload(seconds: float) -> dict[str, Any]:
    """The peak, and what comes of three times as many requests."""
    with mnistry() as (port, _):
        request = bodies("mnistry")["tensor"]
        peak = asyncio.run(closed(port, request, PEAK_CLIENTS, PEAK_SECONDS))["rate"]
        flood = asyncio.run(asked_at(port, request, peak * OVERLOAD, seconds))
        again = asyncio.run(closed(port, request, PEAK_CLIENTS, PEAK_SECONDS))["rate"]
    goodput = len(flood.answered) / seconds
    return {
        "peak": peak, "peak_after": again, "goodput": round(goodput, 1), "share_of_peak": round(goodput / peak, 3),
        "answered": quantiles(flood.answered), "refused": quantiles(flood.refused), **flood.told(),
        "ok": not flood.hanging and not flood.failed,
    }  # fmt: skip


@dataclass
class Flood:
    """What came of requests that were asked at their time; seconds from the moment at which each was due."""

    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    failed: int = 0  # neither answered nor refused
    not_sent: int = 0  # all connections waited for an answer
    hanging: int = 0

    def told(self) -> dict[str, int]:
        """The numbers of each."""
        counts = {"n_answered": len(self.answered), "n_refused": len(self.refused)}
        return counts | {"failed": self.failed, "not_sent": self.not_sent, "hanging": self.hanging}


async def asked_at(port: int, request: bytes, rate: float, seconds: float) -> Flood:
    """Ask at random moments, so many times a second, whether the service keeps up or not."""
    found, idle, running = Flood(), [Client(port) for _ in range(CONNECTIONS)], set[asyncio.Task[None]]()

    async def one(client: Client, due: float) -> None:
        try:
            status = await client.ask(request)
        except OSError:
            found.failed += 1
        else:
            times = found.answered if status == 200 else found.refused
            times.append(time.perf_counter() - due)
        idle.append(client)

    due = begun = time.perf_counter()
    while due < begun + seconds:
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        if idle:
            task = asyncio.create_task(one(idle.pop(), due))
            running.add(task)
            task.add_done_callback(running.discard)
        else:
            found.not_sent += 1
            await asyncio.sleep(0)
        due += random.expovariate(rate)
    if running:
        found.hanging = len((await asyncio.wait(running, timeout=HANGING_SECONDS))[1])
    for client in idle:
        client.close()
    return found


def sigterm(n: int) -> dict[str, Any]:
    """n services that end while they are asked."""
    ends = [asyncio.run(one_end(k)) for k in range(n)]
    total: Counter[str] = sum((end["counts"] for end in ends), Counter())
    codes = Counter(end["code"] for end in ends)
    seconds = [end["seconds"] for end in ends]
    return {
        "ends": n, "exit_codes": dict(codes), "longest_seconds": round(max(seconds), 2), **total,
        "ok": not total["lost"] and set(codes) == {0},
    }  # fmt: skip


async def one_end(seed: int) -> dict[str, Any]:
    """Start a service, ask it, end it; "lost" counts requests without an answer on a connection that it had accepted.

    A connection is known to be accepted once it has been answered. One that is reset before its first answer may have
    been the kernel's alone: such are "not_accepted".
    """
    chosen, counts = random.Random(seed), Counter[str]()
    requests = list(bodies("mnistry").values())

    async def work(port: int) -> None:
        client, answered = Client(port), 0
        while True:
            if client.connection is None:
                answered = 0
                try:
                    await client.connect()
                except OSError:
                    return  # the door is closed
            try:
                status = await asyncio.wait_for(client.ask(chosen.choice(requests)), 30)
            except (OSError, TimeoutError):
                counts["lost" if answered else "not_accepted"] += 1
                return
            answered += 1
            counts["answered" if status == 200 else "refused"] += 1

    with mnistry() as (port, process):
        running = [asyncio.create_task(work(port)) for _ in range(ENDING_CLIENTS)]
        await asyncio.sleep(chosen.uniform(0.3, 1.0))
        begun = time.perf_counter()
        process.terminate()
        code = await asyncio.to_thread(process.wait, 60)
        seconds = time.perf_counter() - begun
        await asyncio.gather(*running)
    return {"code": code, "seconds": seconds, "counts": counts}


def clients(n: int) -> dict[str, Any]:
    """n requests by 64 clients that each know the answers to their own."""
    digits, reader = own_digits(CLIENTS), Reader()
    counts = Counter[str]()
    with mnistry() as (port, _):
        asyncio.run(ask_own(port, [own_requests(digits[k], k, reader) for k in range(CLIENTS)], n, counts))
    return {"clients": CLIENTS, **counts, "ok": not counts["wrong"] and not counts["lost"]}


@dataclass(frozen=True)
class Own:
    """A request and what its answer must be: `check` is given status, head and body; `cut`: only so much is sent."""

    request: bytes
    check: Callable[[int, bytes, bytes], bool]
    cut: int = 0


def own_digits(n: int) -> list[Images]:
    """Digits (28, 28) of the example pictures, moved and turned so that no two have the same answer."""
    reader, folder = Reader(), EXAMPLE.parent
    files = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
    found = [digit.image for file in files for digit in reader.read(file).digits]
    return [np.rot90(np.roll(found[k % len(found)], k // len(found), axis=1), k % 4).copy() for k in range(n)]


def own_requests(image: Images, k: int, reader: Reader) -> list[Own]:
    """What client k asks: its digit in several forms, and some requests that are invalid or cut off."""
    proba = reader.predict_proba(image[None])[0]
    picture, expected = as_png(image), reader.read(as_png(image)).to_dict()
    names = [f"client-{k}-{form}" for form in range(3)]

    def tensor(name: str, status: int, head: bytes, body: bytes) -> bool:
        told: dict[str, Any] = json.loads(body) if status == 200 else {"id": ""}
        return told["id"] == name and named(head, name) and np.allclose(told["outputs"][0]["data"], proba, atol=1e-4)

    def read(status: int, head: bytes, body: bytes) -> bool:
        return status == 200 and named(head, names[2]) and seen(json.loads(body)) == seen(expected)

    def refused(status: int, head: bytes, _: bytes) -> bool:
        return status == 400 and named(head, names[2])

    given = {"name": "images", "shape": [1, 28, 28], "datatype": "UINT8", "data": image.ravel().tolist()}
    plain = [{"id": name, "inputs": [given]} for name in names[:2]]
    invalid = [b"no picture", json.dumps({"inputs": [{**given, "shape": [2, 28, 28]}]}).encode(), b'{"inputs": NaN}']
    whole = asked(INFER, json.dumps(plain[0]).encode(), names[0])
    return [
        Own(whole, partial(tensor, names[0])),
        Own(asked(INFER, json.dumps(plain[1]).encode(), names[1]), partial(tensor, names[1])),
        Own(asked("/predict", picture, names[2]), read),
        Own(asked("/predict", invalid[0], names[2]), refused),
        Own(asked(INFER, invalid[1], names[2]), refused),
        Own(asked(INFER, invalid[2], names[2]), refused),
        Own(whole, refused, cut=len(whole) // 2),
    ]


async def ask_own(port: int, requests: list[list[Own]], n: int, counts: Counter[str]) -> None:
    """Each client asks its own at random, n in all; counts what is right, wrong, cut off and lost."""

    async def work(own: list[Own], chosen: random.Random) -> None:
        client = Client(port)
        while counts.total() < n:
            one = chosen.choices(own, [6, 6, 4, 1, 1, 1, 1])[0]
            if one.cut:
                counts["cut"] += 1
                client.close()
                (await client.connect()).transport.write(one.request[: one.cut])
                await asyncio.sleep(chosen.uniform(0, 0.01))
                client.close()
                continue
            try:
                status = await asyncio.wait_for(client.ask(one.request), 60)
            except (OSError, TimeoutError):
                counts["lost"] += 1
                client.close()
                continue
            if status == 503:
                counts["busy"] += 1
                continue
            right = one.check(status, client.head, client.body)
            counts[("right" if status == 200 else "refused") if right else "wrong"] += 1

    await asyncio.gather(*(work(own, random.Random(k)) for k, own in enumerate(requests)))


def soak(n: int) -> dict[str, Any]:
    """Memory in MB over n requests, and the slope of the line through what comes after the first fifth."""
    seen: list[tuple[int, float]] = []
    with mnistry() as (port, process):
        request, done = bodies("mnistry")["tensor"], 0
        while done < n or len(seen) < 5:
            done += asyncio.run(closed(port, request, PEAK_CLIENTS, 2.0))["statuses"].get(200, 0)
            seen.append((done, memory(process.pid)))
    settled = [(at, size) for at, size in seen if at >= SETTLED * done]
    at, size = np.array(settled).T
    slope = float(np.polyfit(at, size, 1)[0]) * 100_000
    told = {"requests": done, "mb_first": seen[0][1], "mb_settled": settled[0][1], "mb_last": seen[-1][1]}
    return told | {"mb_per_100_000": round(slope, 3), "ok": slope < 1 or done < 50_000}


def openapi(cases: int) -> dict[str, Any]:
    """The last line of `benchmarks/openapi.py`."""
    script = Path(__file__).with_name("openapi.py")
    done = subprocess.run([sys.executable, script, "--cases", str(cases)], capture_output=True, text=True, check=False)
    try:
        return {**json.loads(done.stdout.splitlines()[-1]), "ok": done.returncode == 0}
    except (IndexError, ValueError):
        return {"ok": False, "told": (done.stdout + done.stderr)[-500:]}


def asked(path: str, body: bytes, name: str) -> bytes:
    """A whole request of this name."""
    return http_request(path, body, "application/octet-stream", f"X-Request-ID: {name}\r\n")


def named(head: bytes, name: str) -> bool:
    """Whether an answer is to the request of this name."""
    return f"x-request-id: {name}\r\n".encode() in head + b"\r\n"


def seen(reading: dict[str, Any]) -> tuple[str, list[list[int]]]:
    """What a reading says, and where the digits are."""
    return reading["text"], [digit["box"] for digit in reading["digits"]]


def as_png(image: Images) -> bytes:
    """A digit as a dark drawing on paper, 140 pixels high."""
    file, size = io.BytesIO(), 112
    paper = Image.new("L", (140, 140), 255)
    paper.paste(Image.fromarray(255 - image).resize((size, size)), (14, 14))
    paper.save(file, "PNG")
    return file.getvalue()


def memory(process: int) -> float:
    """A process's resident memory in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 2)


if __name__ == "__main__":
    main()
