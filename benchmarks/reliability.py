"""Races and faults on purpose: `python benchmarks/reliability.py KIND [--n N] [--seed S]`; the kinds are:

* `trainings`: a training of its own is killed N times at random (kill -9) while it fits, and resumed each time;
  whenever one has come to its end its weights are compared, bit by bit, with those of one that nobody interrupted.
* `teachings`: the same with `finetune`, which goes on by itself.
* `searches`: N searches of one study, two trials at a time, are killed at random; then one comes to its end: every
  trial that was begun has been finished once, none is lost or counted twice, and no process is left.
* `cost`: N rounds of `cnn` on MNIST (two epochs), without and with checkpoints: their share of the time.
* `fetch`: N rounds of 16 processes that fetch one file into a cold folder from mirrors of which one lies, half of them
  killed at random; then the file is fetched once more and its hash checked, and nothing else may be left.
* `read`: N pictures by two processes, one of which is killed every second: every answer there once, in order.
* `ctrl-c`: N commands (models, read, train, tune, compare) get Ctrl-C, they and all that they have started, at a random
  moment, half of them early: each ends within 20 s with 130 and without a traceback, leaves no file half written and
  no process. What comes while Python itself is starting is not ours to hear, and is counted apart.

`benchmarks/hostile.py` has hostile pictures and other files. The last line is one JSON object.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parent.parent / "examples" / "pictures"
PROCESSES = 16
DATA = random.Random(0).randbytes(2_000_000)
SEARCH = """
import sys
from pathlib import Path
from mnistry.settings import Settings
from mnistry.training.search import study
from mnistry.training.search.tune import tune
study.BEAT, study.GRACE = 1, 2
def progress(state):
    if state.running:
        print("begins", flush=True)
settings = Settings(Path(sys.argv[1]), offline=True)
tune("logistic", int(sys.argv[2]), "digits", workers=2, settings=settings, progress=progress)
"""
COST = """
import json, sys, time
from pathlib import Path
from mnistry import load
from mnistry.models.backend import Checkpoint
from mnistry.models.recipes import find_recipe
data, rows = load("mnist"), []
fit = lambda checkpoint: find_recipe("cnn").changed({"epochs": 2}).build(0).fit(
    data.train_images, data.train_labels, checkpoint=checkpoint)
fit(None)
for number in range(int(sys.argv[2])):
    for kept in ((False, True), (True, False))[number % 2]:  # whatever grows or slows down concerns both
        checkpoint = Checkpoint(Path(sys.argv[1]) / "c.npz") if kept else None
        clock, processor = time.perf_counter(), time.process_time()
        fit(checkpoint)
        row = {"kept": kept, "seconds": time.perf_counter() - clock, "processor": time.process_time() - processor}
        rows.append(row | {"writing": checkpoint.seconds if kept else 0.0})
print(json.dumps(rows))
"""
FETCH = """
import sys
from pathlib import Path
from mnistry.data.download import download
download(sys.argv[2:4], Path(sys.argv[1]), int(sys.argv[4]), sys.argv[5])
"""


def start(code: str, *arguments: object, stdout: int | None = None) -> "subprocess.Popen[bytes]":
    """A process of this Python; the first argument is a place of its own."""
    environment = os.environ | {"MNISTRY_OFFLINE": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "MNISTRY_HOME": str(arguments[0])}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment, stdout=stdout,
                            stderr=subprocess.DEVNULL)  # fmt: skip


def begun(code: str, *arguments: object) -> "subprocess.Popen[bytes]":
    """The same, when it has said that it begins."""
    process = start(code, *arguments, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"begins\n", f"it ended with {process.wait()} before it began"
    threading.Thread(target=process.stdout.read, daemon=True).start()
    return process


def fit(kept: Path, result: Path) -> None:
    """A training of a second or two; a checkpoint after each epoch."""
    import numpy as np

    from mnistry.data.dataset import load
    from mnistry.models.backend import Checkpoint
    from mnistry.models.recipes import find_recipe

    data = load("digits")
    recipe = find_recipe("cnn").changed({"epochs": 12, "batch_size": 64, "width": 8})
    checkpoint = Checkpoint(kept / "c.npz", resume=True, pause=0)
    fitted = recipe.build(1).fit(data.train_images[:512], data.train_labels[:512], checkpoint=checkpoint)
    np.savez(result, *fitted.model_.get_weights())
    os._exit(0)


def teach(kept: Path, result: Path) -> None:
    """A teaching of the bundled reader, which is kept by itself; a checkpoint after each step."""
    import numpy as np

    from mnistry.data.dataset import load
    from mnistry.models.backend import Checkpoint
    from mnistry.training import finetune as teaching

    Checkpoint.due = lambda _: True  # type: ignore[method-assign, assignment]
    teaching.STEPS, teaching.KNOWN_OUTLIERS, teaching.KNOWN_DIGITS = 20, 50, 500
    corrections = [(path.read_bytes(), path.name[0]) for path in sorted(EXAMPLES.iterdir())]
    taught = teaching.finetune(corrections, load("digits"), home=kept)
    np.savez(result, np.frombuffer(taught.model, np.uint8))
    os._exit(0)


def trainings(n: int, chance: random.Random, folder: Path) -> dict[str, Any]:
    """See above."""
    return killed(fit, n, chance, folder)


def teachings(n: int, chance: random.Random, folder: Path) -> dict[str, Any]:
    """See above."""
    return killed(teach, n, chance, folder)


def killed(work: Callable[[Path, Path], None], n: int, chance: random.Random, folder: Path) -> dict[str, Any]:
    """Kill it n times within the time that it takes; what comes to its end is compared.

    Each is a process of its own, forked from one that has only imported the libraries, which takes longest.
    """
    os.environ |= {"MNISTRY_OFFLINE": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["keras", "mnistry.models.recipes", "mnistry.training.finetune"])
    kept, result = folder / "kept", folder / "result"
    for name in ("kept", "undisturbed", "first"):
        (folder / name).mkdir()
    for name in ("first", "undisturbed"):  # the first one waits for the imports
        begun, whole = time.perf_counter(), context.Process(target=work, args=(folder / name, folder / "whole"))
        whole.start()
        whole.join()
        assert whole.exitcode == 0
    longest, wanted = time.perf_counter() - begun, digest(folder / "whole")
    kills = finished = equal = went_on = 0
    while kills < n or any(kept.rglob("*.npz")):
        resumed = any(kept.rglob("*.npz"))
        went_on += resumed
        begun, process = time.perf_counter(), context.Process(target=work, args=(kept, result))
        process.start()
        process.join(chance.uniform(0, longest) if kills < n else None)
        if process.exitcode is None:
            process.kill()
            process.join()
            kills += 1
            continue
        if not resumed:
            longest = min(longest, time.perf_counter() - begun)  # a machine may have become less busy
        finished += 1
        equal += process.exitcode == 0 and digest(result) == wanted
        print(f"{kills} killed, {went_on} went on, {equal} of {finished} ended the same", flush=True)
        for left in kept.rglob("*.npz"):
            left.unlink()
    return {
        "kills": kills, "whole_seconds": round(longest, 1), "went_on": went_on, "finished": finished, "equal": equal,
        "ok": finished == equal,
    }  # fmt: skip


def digest(result: Path) -> str:
    """The hash of the weights, not of the archive, which has the time in it."""
    import numpy as np

    with np.load(result.with_name(result.name + ".npz")) as file:
        return hashlib.sha256(b"".join(file[name].tobytes() for name in sorted(file.files))).hexdigest()


def searches(n: int, chance: random.Random, folder: Path) -> dict[str, Any]:
    """See above."""
    from mnistry.settings import Settings
    from mnistry.training.search import study

    def trials() -> list[Any]:
        return study.open_study(study.find_store("logistic", settings=Settings(folder))).get_trials(deepcopy=False)

    def begins(trial: Any) -> int:  # the number under which its settings were tried first
        return int(trial.system_attrs.get("failed_trial", trial.number))

    for _ in range(n):
        process = begun(SEARCH, folder, 10_000)
        time.sleep(chance.uniform(0, 5))
        process.kill()
        process.wait()
    asked = sorted({begins(trial) for trial in trials()})
    code = start(SEARCH, folder, len(asked), stdout=subprocess.DEVNULL).wait()
    found = trials()
    complete = sorted(begins(trial) for trial in found if trial.state.name == "COMPLETE")
    interrupted = [trial.number for trial in found if trial.state.name == "FAIL"]
    again = sorted(trial.system_attrs["retry_history"][-1] for trial in found if "retry_history" in trial.system_attrs)
    left = left_after(folder)
    return {
        "kills": n, "asked": len(asked), "complete": len(complete), "interrupted": len(interrupted),
        "left": left, "ok": code == 0 and not left and again == interrupted and complete == asked,
    }  # fmt: skip


def cost(n: int, _: random.Random, folder: Path) -> dict[str, Any]:
    """See above."""
    process = start(COST, folder, n, stdout=subprocess.PIPE)
    rows = json.loads(process.communicate()[0].splitlines()[-1])
    mean = {
        (kept, key): statistics.fmean(row[key] for row in rows if row["kept"] == kept)
        for kept in (False, True)
        for key in ("seconds", "processor", "writing")
    }
    share = mean[True, "writing"] / mean[True, "seconds"]
    return {
        "rounds": n, "share_of_the_clock": round(share, 4),
        "processor_ratio": round(mean[True, "processor"] / mean[False, "processor"], 4),
        "clock_ratio": round(mean[True, "seconds"] / mean[False, "seconds"], 4),
        "fits": [round(row["seconds"], 2) for row in rows], "writing": [round(row["writing"], 3) for row in rows],
        "ok": share < 0.02,
    }  # fmt: skip


class Mirror(BaseHTTPRequestHandler):
    """The file at /good, slowly; something else at every other address."""

    def do_GET(self) -> None:
        """One answer."""
        body = DATA if self.path.startswith("/good") else DATA[::-1]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            for place in range(0, len(body), 100_000):
                self.wfile.write(body[place : place + 100_000])
                time.sleep(0.005)
        except OSError:
            pass  # the client was killed

    def log_message(self, *_: object) -> None:
        """Nothing."""


def fetch(n: int, chance: random.Random, folder: Path) -> dict[str, Any]:
    """See above."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base, sha256 = f"http://127.0.0.1:{server.server_port}", hashlib.sha256(DATA).hexdigest()
    right = left = kills = 0
    for k in range(n):
        target = folder / str(k) / "file"
        arguments = (target, f"{base}/lies", f"{base}/good", len(DATA), sha256)
        processes = [start(FETCH, *arguments) for _ in range(PROCESSES)]
        time.sleep(chance.uniform(0, 1))
        for process in chance.sample(processes, PROCESSES // 2):
            kills += process.poll() is None
            process.kill()
        for process in processes:
            process.wait()
        start(FETCH, *arguments).wait()
        right += hashlib.sha256(target.read_bytes()).hexdigest() == sha256
        left += len(list(target.parent.iterdir())) - 1
    server.shutdown()
    server.server_close()
    return {"rounds": n, "kills": kills, "right": right, "left_behind": left, "ok": right == n and left == 0}


def read(n: int, chance: random.Random, _: Path) -> dict[str, Any]:
    """See above."""
    from mnistry.reading.batch import read_all
    from mnistry.reading.reader import Reader

    alive: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def recorded(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        alive.append(real(*arguments, **options))
        return alive[-1]

    subprocess.Popen = recorded  # type: ignore[assignment, misc]
    done, kills = threading.Event(), 0

    def killer() -> None:
        nonlocal kills
        while not done.wait(chance.uniform(1, 4)):
            if running := [process for process in alive if process.poll() is None]:
                chance.choice(running).send_signal(signal.SIGKILL)
                kills += 1

    picture = next(EXAMPLES.glob("7_*")).read_bytes()
    threading.Thread(target=killer, daemon=True).start()
    results = list(read_all(Reader(), ((str(k), picture) for k in range(n)), 2))
    done.set()
    subprocess.Popen = real  # type: ignore[misc]
    ordered = [result.file for result in results] == [str(k) for k in range(n)]
    read = sum(result.reading is not None for result in results)
    return {"pictures": n, "kills": kills, "in_order": ordered, "read": read, "ok": ordered and read >= n - kills}


RUN = "import sys; from mnistry.cli.__main__ import run; sys.argv[0] = 'mnistry'; sys.exit(run())"  # as the script does
INTERRUPTED = (
    "models", f"read {EXAMPLES}", f"read {EXAMPLES} --workers 2", "train dense --dataset digits",
    "train forest --dataset digits", "tune knn --dataset digits --trials 2 --workers 2 --space smoothing=0.001:0.1:log",
    "compare knn --dataset digits",
)  # fmt: skip
STARTING, STARTED = b"init_import_site", "Python itself was starting"
END = 20  # seconds after which a command that was interrupted hangs


def ctrl_c(n: int, chance: random.Random, folder: Path) -> dict[str, Any]:
    """See above."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts us with & has it ignored
    usual = {}
    for number, command in enumerate(INTERRUPTED):
        begun = time.perf_counter()
        process = begin(command, folder / f"usual{number}")
        process.communicate()
        assert process.returncode == 0, command
        usual[command] = time.perf_counter() - begun
    bad: list[dict[str, Any]] = []
    ended = early = 0
    for k in range(n):
        command, home = INTERRUPTED[k % len(INTERRUPTED)], folder / str(k)
        process, after = begin(command, home), chance.uniform(0, usual[command] * chance.choice((0.2, 1)))
        try:
            process.wait(after)
            ended += 1
            fault = "" if process.returncode == 0 else f"ended with {process.returncode} by itself"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
            fault = fault_of(process, home)
        process.communicate()
        early += fault == STARTED
        if fault and fault != STARTED:
            bad.append({"command": command.partition(" ")[0], "after": round(after, 2), "fault": fault})
            print(bad[-1], flush=True)
    return {
        "tries": n, "ended_before": ended, "python_starting": early, "interrupted": n - ended - early, "bad": len(bad),
        "faults": bad, "ok": not bad,
    }  # fmt: skip


def begin(command: str, home: Path) -> "subprocess.Popen[bytes]":
    """A command in a session of its own, as in a terminal of its own."""
    environment = os.environ | {"MNISTRY_HOME": str(home), "MNISTRY_OFFLINE": "1", "PYTHONFAULTHANDLER": "1"}
    return subprocess.Popen([sys.executable, "-c", RUN, *command.split()], env=environment, start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)  # fmt: skip


def fault_of(process: "subprocess.Popen[bytes]", home: Path) -> str:
    """What is wrong with how a process ends that has got Ctrl-C, or nothing."""
    try:
        _, told = process.communicate(timeout=END)
    except subprocess.TimeoutExpired:
        processes = alive(home)
        os.killpg(process.pid, signal.SIGABRT)  # faulthandler tells where it hangs
        return f"hangs: {processes} {process.communicate()[1].decode(errors='replace')[-3000:]}"
    ours = re.search(rb'File "[^"]*mnistry/', told)
    if STARTING in told or (b"Traceback" in told and not ours):
        return STARTED
    if b"Traceback" in told or b"Error" in told:
        return told.decode(errors="replace")[-3000:]
    if process.returncode not in (130, -signal.SIGINT, 0):
        return f"ended with {process.returncode}: {told.decode(errors='replace')[-1000:]}"
    if drafts := [str(path) for path in home.rglob("*.mnistry-part*")]:
        return f"left {drafts}"
    return f"left processes {left}" if (left := left_after(home)) else ""


def left_after(home: Path) -> list[str]:
    """The processes of this home that do not end within 20 s."""
    until = time.monotonic() + END
    while alive(home) and time.monotonic() < until:
        time.sleep(0.2)
    return alive(home)


def alive(home: Path) -> list[str]:
    """The processes that have this MNISTRY_HOME."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"MNISTRY_HOME={home}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200])
        except OSError:
            continue
    return found


KINDS: dict[str, tuple[Callable[[int, random.Random, Path], dict[str, Any]], int]] = {
    "trainings": (trainings, 200), "teachings": (teachings, 50), "searches": (searches, 20), "cost": (cost, 6),
    "fetch": (fetch, 50), "read": (read, 5000), "ctrl-c": (ctrl_c, 350),
}  # fmt: skip


def main() -> int:
    """Run one of them; exit code 1 if something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--n", type=int, help="how many (default: hundreds or thousands, by kind)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    work, usual = KINDS[options.kind]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        told = work(options.n or usual, random.Random(options.seed), Path(folder))
    print(json.dumps({"kind": options.kind, "seed": options.seed, **told,
                      "seconds": round(time.perf_counter() - start, 1)}))  # fmt: skip
    return 0 if told["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
