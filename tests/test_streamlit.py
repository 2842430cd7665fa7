"""examples/streamlit_app.py: by Streamlit's own testing, and once in a real browser."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import LONG, ROOT
from writing import draw_seven_on_pad

pytest.importorskip("streamlit", reason="the extra [streamlit] is not installed: pip install '.[streamlit]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Streamlit's own
]
APP = ROOT / "examples" / "streamlit_app.py"
EXAMPLES = ROOT / "src" / "mnistry" / "web" / "static" / "examples"
CHROMIUM = Path(os.environ.get("MNISTRY_CHROMIUM", "/usr/bin/chromium"))


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    from streamlit.testing.v1 import AppTest

    monkeypatch.chdir(tmp_path)
    return AppTest.from_file(str(APP), default_timeout=LONG)


def test_it_is_short():
    assert len(APP.read_text("utf-8").splitlines()) < 150


def test_it_opens_with_the_pad_and_the_bundled_model(app: Any):
    app.run()
    assert not app.exception
    assert app.selectbox[0].options == ["The model of mnistry"]
    assert "It is read after each stroke" in app.info[0].value


def test_an_uploaded_picture_is_read_and_the_threshold_turns_digits_into_question_marks(app: Any):
    app.run()
    app.file_uploader[0].upload("number.png", (EXAMPLES / "number.png").read_bytes(), "image/png").run()
    assert not app.exception
    assert app.header[0].value == "2026"
    assert app.radio[0].options == ["2", "0", "2", "6"]
    assert any(caption.value.startswith("Surest: 2; ") for caption in app.caption)
    app.radio[0].set_value(3).run()
    assert any(caption.value.startswith("Surest: 6; ") for caption in app.caption)
    app.slider[0].set_value(1.0).run()
    assert "?" in app.header[0].value


def test_what_is_no_picture_and_what_has_no_digit_is_told(app: Any):
    app.run()
    app.file_uploader[0].upload("x.png", b"no picture", "image/png").run()
    assert app.error[0].value.startswith("The picture cannot be read: ")
    assert not app.exception


def test_each_row_of_digits_is_a_line(app: Any):
    app.run()
    app.file_uploader[0].upload("rows.png", (EXAMPLES / "rows.png").read_bytes(), "image/png").run()
    assert [line.value for line in app.header] == ["314", "159"]


def test_what_was_changed_last_is_read(app: Any):
    app.run()
    app.session_state["latest"] = "pad"
    app.file_uploader[0].upload("seven.png", (EXAMPLES / "seven.png").read_bytes(), "image/png").run()
    assert app.session_state["latest"] == "upload"


def test_a_damaged_run_is_told_in_a_sentence(app: Any, tmp_path: Path):
    (tmp_path / "runs" / "torn").mkdir(parents=True)
    for name in ("manifest.json", "model.onnx"):
        (tmp_path / "runs" / "torn" / name).write_bytes(b"{}")
    app.run()
    app.selectbox[0].set_value("torn").run()
    app.file_uploader[0].upload("seven.png", (EXAMPLES / "seven.png").read_bytes(), "image/png").run()
    assert not app.exception
    assert "ONNX" in app.error[0].value


def test_a_finished_run_can_be_chosen(app: Any, dense_run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "runs").symlink_to(dense_run.folder.parent)
    monkeypatch.setenv("MNISTRY_HOME", str(tmp_path / "home"))
    app.run()
    assert app.selectbox[0].options[1:] == [dense_run.folder.name]
    app.selectbox[0].set_value(dense_run.folder.name).run()
    app.file_uploader[0].upload("seven.png", (EXAMPLES / "seven.png").read_bytes(), "image/png").run()
    assert not app.exception
    assert re.fullmatch("[0-9?]", app.header[0].value)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The app on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--server.headless=true", f"--server.port={port}", "--server.address=127.0.0.1",
               "--browser.gatherUsageStats=false"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen([sys.executable, "-m", "streamlit", "run", APP, *options], cwd=tmp_path, env=environment)
    try:
        for _ in range(LONG):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            except OSError:
                time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}: apt-get install chromium")
def test_a_digit_drawn_in_a_browser_is_read(address: str, tmp_path: Path):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        foreign: list[str] = []
        page.on("request", lambda request: None if request.url.startswith((address, "data:", "blob:"))
                else foreign.append(request.url))  # fmt: skip
        page.goto(address)
        canvas = page.locator(".pad-canvas")
        canvas.wait_for(timeout=1000 * LONG)
        draw_seven_on_pad(page)
        sync_api.expect(page.get_by_role("heading", name="7", exact=True)).to_be_visible(timeout=1000 * LONG)
        page.wait_for_timeout(1000)
        page.screenshot(path=str(tmp_path / "streamlit.png"))
        assert page.locator(".pad-canvas").count() == 1
        page.get_by_role("tab", name="Upload").click()
        page.locator("input[type=file]").set_input_files(str(EXAMPLES / "number.png"))
        sync_api.expect(page.get_by_role("heading", name="2026", exact=True)).to_be_visible(timeout=1000 * LONG)
        page.get_by_role("tab", name="Draw").click()
        page.locator("button.tool", has_text="Clear").click()
        draw_seven_on_pad(page)  # what was changed last is read, though the picture is still there
        sync_api.expect(page.get_by_role("heading", name="7", exact=True)).to_be_visible(timeout=1000 * LONG)
        browser.close()
    assert foreign == []
