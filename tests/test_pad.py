"""The pad in a notebook's cell: what it gives to the next one, and in a real browser what it sends."""

import base64
import io
import os
from pathlib import Path

import pytest
from PIL import Image

import mnistry
from mnistry.notebook import SCRIPT, STYLE, pad_assets
from writing import draw_seven_on_pad

CHROMIUM = Path(os.environ.get("MNISTRY_CHROMIUM", "/usr/bin/chromium"))
# What anywidget gives to `render`, with Python's part left out.
MODEL = """
  window.sent = [];
  const values = { words: "", picture: null }, listeners = [];
  window.model = {
    get: (name) => values[name],
    set: (name, value) => (values[name] = value),
    save_changes: () => sent.push(btoa(String.fromCharCode(...new Uint8Array(values.picture.buffer)))),
    on: (_, work) => listeners.push(work),
    off: () => {},
    say: (words) => { values.words = words; listeners.forEach((work) => work()); },
  };
  window.widget.render({ model, el: document.body });
"""


def test_the_next_cell_has_the_reading(seven: Image.Image):
    pytest.importorskip("anywidget", reason="the extra [notebook] is not installed")
    drawn, file = mnistry.pad(), io.BytesIO()
    assert (drawn.reading, drawn.words) == (None, "")
    seven.save(file, "PNG")
    drawn.picture = file.getvalue()
    assert drawn.reading.text == "7"
    assert drawn.words.startswith("7  (")
    assert drawn.reading.digits[0].image.shape == (28, 28)
    drawn.picture = b""
    assert (drawn.reading, drawn.words) == (None, "")
    assert set(drawn.get_state()) >= {"_esm", "_css", "picture", "words"}


def test_without_anywidget_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    import sys

    from mnistry import notebook

    notebook._pad_class.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ImportError, match=r"anywidget, which is not installed: pip install '\.\[notebook\]'"):
        mnistry.pad()


def test_what_a_notebook_shows_needs_nothing_from_elsewhere():
    script, style = pad_assets()
    assert "import" not in [line.split(" ")[0] for line in (script + SCRIPT).splitlines()]
    assert "//" not in (style + STYLE).replace("/*", "").replace("*/", "")
    assert ":root" not in style


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}: apt-get install chromium")
def test_in_a_browser_a_stroke_sends_its_picture_and_the_words_are_shown(tmp_path: Path):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    script, style = pad_assets()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.set_content(f"<style>{style}{STYLE}</style><body></body>")
        page.add_script_tag(content=(script + SCRIPT).replace("export default", "window.widget ="), type="module")
        page.wait_for_function("window.widget")
        page.evaluate(f"() => {{ {MODEL} }}")
        draw_seven_on_pad(page)
        page.wait_for_function("sent.length")
        picture = Image.open(io.BytesIO(base64.b64decode(page.evaluate("sent.at(-1)"))))
        page.evaluate("model.say('7  (99.9%)')")
        assert page.locator(".pad-told").text_content() == "7  (99.9%)"
        page.screenshot(path=str(tmp_path / "pad.png"))
        page.locator("button.tool", has_text="Clear").click()
        page.wait_for_function("sent.at(-1) === ''")
        browser.close()
    assert complaints == []
    assert mnistry.Reader().read(picture).text == "7"
