"""Teaching by the service: in a process of its own, told while it runs, taken up when it is done, and undone."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import EXAMPLES, client, running

from mnistry import Reader
from mnistry.reading.recognizer import bundled, keep_taught
from mnistry.web import teaching

KEEP = """
import hashlib, sys
from pathlib import Path
from mnistry.reading.recognizer import bundled, keep_taught
from mnistry.training.export import with_metadata
model = with_metadata(bundled(), {"word": "other"})
card = {"sha256": hashlib.sha256(model).hexdigest(), "summary": "a test", "taught": {"n": 1}}
keep_taught(Path(sys.argv[-1]), model, card)
"""


def acting(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let this code be the process that teaches."""
    monkeypatch.setattr(teaching, "COMMAND", ("-c", code))


def taught_elsewhere(home: Path) -> None:
    import hashlib

    from mnistry.training.export import with_metadata

    model = with_metadata(bundled(), {"word": "other"})
    keep_taught(home, model, {"sha256": hashlib.sha256(model).hexdigest(), "summary": "a test", "taught": {"n": 1}})


def run(work: Callable[[Any], Any], home: Path | None, reader: Reader | None = None, corrected: bool = True) -> Any:
    """Do something with a client of a service that has one correction."""

    async def inside() -> Any:
        async with client(reader, home=home) as opened:
            if corrected and home:
                picture = (EXAMPLES / "seven.png").read_bytes()
                assert (await opened.post("/corrections?label=7", content=picture)).status_code == 201
            return await work(opened)

    return asyncio.run(inside())


async def finished(opened: Any) -> dict[str, Any]:
    """Wait until it is no longer learning."""
    for _ in range(1200):
        state = (await opened.get("/finetune")).json()
        if state["state"] != "learning":
            return dict(state)
        await asyncio.sleep(0.05)
    raise AssertionError(state)


@pytest.mark.slow
def test_a_teaching_is_told_while_it_runs_and_its_model_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    code = """
import json, pathlib, time
print(json.dumps({"share": 0.5, "told": "learning"}), flush=True)
while not pathlib.Path(__import__("os").environ["MNISTRY_HOME"], "go").exists(): time.sleep(0.01)
""" + KEEP.replace("sys.argv[-1]", '__import__("os").environ["MNISTRY_HOME"]') + """
print(json.dumps({"kept": True, "reason": ""}))
"""  # fmt: skip
    acting(monkeypatch, code)

    async def work(opened: Any) -> None:
        assert (await opened.get("/finetune")).json() == {
            "possible": True, "state": "idle", "share": 0.0, "told": "", "taught": None,
        }  # fmt: skip
        assert (await opened.post("/finetune")).status_code == 202
        assert (await opened.post("/finetune")).status_code == 409
        assert (await opened.delete("/finetune")).status_code == 409
        for _ in range(600):
            state = (await opened.get("/finetune")).json()
            if state["share"] == 0.5:
                break
            await asyncio.sleep(0.05)
        assert (state["state"], state["told"]) == ("learning", "learning")
        (tmp_path / "go").touch()
        state = await finished(opened)
        assert (state["state"], state["taught"]) == ("taught", {"n": 1})
        undone = (await opened.delete("/finetune")).json()
        assert (undone["state"], undone["taught"]) == ("idle", None)
        assert (await opened.delete("/finetune")).status_code == 404

    run(work, tmp_path)


@pytest.mark.parametrize(
    ("code", "state", "told"),
    [
        ("import json; print(json.dumps({'kept': False, 'reason': 'MNIST falls.'}))", "refused", "MNIST falls."),
        ("import sys; print('mnistry: No MNIST.', file=sys.stderr); sys.exit(2)", "failed", "No MNIST."),
        ("import os; os.kill(os.getpid(), 9)", "failed", "It ended unexpectedly."),
    ],
)
def test_a_teaching_that_comes_to_nothing_says_why(
    code: str, state: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    acting(monkeypatch, code)

    async def work(opened: Any) -> Any:
        await opened.post("/finetune")
        return await finished(opened)

    answer = run(work, tmp_path)
    assert (answer["state"], answer["told"], answer["taught"]) == (state, told, None)


def test_a_model_that_another_program_has_taught_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(teaching, "LOOK_SECONDS", 0.05)

    async def work(opened: Any) -> None:
        taught_elsewhere(tmp_path)
        for _ in range(600):
            if (state := (await opened.get("/finetune")).json())["taught"]:
                break
            await asyncio.sleep(0.05)
        assert state["taught"] == {"n": 1}

    run(work, tmp_path)


def test_what_cannot_be_taught_says_so(tmp_path: Path, dense_run: Any):
    async def start(opened: Any) -> Any:
        return await opened.post("/finetune")

    assert run(start, None).status_code == 404
    assert run(start, tmp_path, corrected=False).status_code == 400
    other = Reader((tmp_path / "other.onnx").write_bytes(dense_run.model.read_bytes()) and tmp_path / "other.onnx")
    assert "model of its own" in run(start, tmp_path, other).json()["error"]


@pytest.mark.slow
def test_a_real_teaching_through_a_real_service(tmp_path: Path, mnist: Path):  # noqa: ARG001
    import httpx

    from mnistry.web.corrections import Corrections

    for k, name in enumerate(["seven.png", "number.png", "paper.jpg"]):
        Corrections(tmp_path / "home").add((EXAMPLES / name).read_bytes(), ["7", "2026", "4815"][k])
    with running(tmp_path) as service:
        begun = time.monotonic()
        assert httpx.post(f"{service.url}/finetune").status_code == 202
        while (state := httpx.get(f"{service.url}/finetune").json())["state"] == "learning":
            time.sleep(0.5)
        print(json.dumps(state), f"{time.monotonic() - begun:.0f} s", file=sys.stderr)
        assert state["state"] == "taught"
        assert state["taught"]["mnist"]["after"] > 0.995
        assert httpx.delete(f"{service.url}/finetune").json()["taught"] is None
