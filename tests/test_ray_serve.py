"""examples/ray_serve.py: two replicas on this machine, of which one is killed while it is asked."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import LONG, ROOT

pytest.importorskip("fastapi", reason="the extra [serve] is not installed")
pytest.importorskip("ray.serve", reason="Ray Serve is not installed: pip install 'ray[serve]'")
pytestmark = pytest.mark.slow
PICTURE = ROOT / "src" / "mnistry" / "web" / "static" / "examples" / "number.png"


def ask(url: str) -> str:
    """What the service reads in the picture, or how it refuses."""
    try:
        with urllib.request.urlopen(f"{url}/predict", PICTURE.read_bytes(), timeout=30) as answer:
            return str(json.load(answer)["text"])
    except urllib.error.HTTPError as problem:
        return str(problem.code)
    except OSError as problem:
        return type(problem).__name__


def replicas(parent: int) -> list[int]:
    """The processes of the replicas of one Ray, which all stand in the session of its driver's group or name it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::ServeReplica") and f"MNISTRY_TEST={parent}".encode() in environment:
            found.append(int(folder.name))
    return found


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The example on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, ROOT / "examples" / "ray_serve.py", str(port)], stdout=subprocess.PIPE, stderr=log, text=True,
        env={**os.environ, "MNISTRY_TEST": str(os.getpid()), "RAY_USAGE_STATS_ENABLED": "0"}, cwd=tmp_path,
    )  # fmt: skip
    lines = iter(process.stdout.readline, "")
    try:
        assert any(line.startswith("Ready") for line in lines), (tmp_path / "log").read_text()[-3000:]
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        log.close()


def test_two_replicas_answer_and_go_on_when_one_is_killed(url: str):
    assert ask(url) == "2026"
    assert len(replicas(os.getpid())) == 2
    answers: Counter[str] = Counter()
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            answers[ask(url)] += 1

    clients = [threading.Thread(target=load) for _ in range(4)]
    for client in clients:
        client.start()
    time.sleep(2)
    first = replicas(os.getpid())
    os.kill(first[0], signal.SIGKILL)
    begun = time.monotonic()
    while len(now := replicas(os.getpid())) < 2 or first[0] in now:
        assert time.monotonic() - begun < LONG, "no new replica was started"
        time.sleep(0.5)
    before = answers["2026"]
    time.sleep(5)
    done.set()
    for client in clients:
        client.join()
    print(dict(answers), f"a new replica after {time.monotonic() - begun:.0f} s")
    assert answers["2026"] > before  # it goes on
    assert sum(answers.values()) - answers["2026"] <= 2 * len(clients)  # only what the killed one was working on
    assert set(answers) <= {"2026", "500", "503", "RemoteDisconnected", "ConnectionResetError"}
