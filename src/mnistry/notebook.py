"""`pad()`: the drawing pad in a notebook's cell; it is read while you draw, and the next cell has the reading."""

from functools import cache
from importlib import resources
from typing import Any

from mnistry.reading.reader import Reader, Reading
from mnistry.settings import missing_extra

# The page's own pad, and how a notebook shows it: bytes of a PNG go to Python, words come back.
SCRIPT = """
export default {
  render({ model, el }) {
    const host = element("div", { class: "mnistry-pad" });
    const told = element("p", { class: "pad-told", role: "status" });
    let last = 0;
    const pad = createPad(host, { onchange: async (changed, whole) => {
      if (!whole && !pad.blank) return;
      const mine = ++last;
      const bytes = pad.blank ? new ArrayBuffer(0) : await (await pad.picture()).arrayBuffer();
      if (mine !== last) return;
      model.set("picture", new DataView(bytes));
      model.save_changes();
    } });
    host.addEventListener("keydown", (event) => event.stopPropagation()); // they are the pad's, not the notebook's
    const show = () => (told.textContent = model.get("words"));
    model.on("change:words", show);
    show();
    host.append(told);
    el.append(host);
    return () => model.off("change:words", show);
  },
};
"""
STYLE = """
.mnistry-pad { max-width: 34rem; color: var(--text); font: 1rem/1.5 system-ui, sans-serif; padding: 2px; }
.mnistry-pad .tool-text { font-size: .85rem; }
.mnistry-pad .pad-told { margin: 0; min-height: 2.4rem; font-size: 1.6rem; white-space: pre-line; }
"""


def pad(reader: Reader | None = None) -> Any:
    """Show the pad in this cell: `drawn = mnistry.pad(); drawn`. In the next cell `drawn.reading` has what it says.

    `drawn.reading` is a `Reading`, with the digits and the 28x28 of each, or None while nothing is drawn;
    `drawn.picture` has the bytes of the drawing, a PNG. `reader` is the one to read with, by default `Reader()`. Works
    without internet. Raises MissingExtraError, an ImportError, without the extra `notebook`.
    """
    try:
        return _pad_class()(reader or Reader())
    except ModuleNotFoundError as problem:
        raise missing_extra("mnistry.pad", problem) from problem


def pad_assets() -> tuple[str, str]:
    """The page's pad for other programs: its JavaScript module, and its style for what is inside `.mnistry-pad`."""
    folder = resources.files("mnistry") / "web" / "static"
    script, style = ((folder / name).read_text("utf-8") for name in ("pad.js", "pad.css"))
    return script, style.replace(":root", ".mnistry-pad") + ".mnistry-pad * { box-sizing: border-box; }\n"


@cache
def _pad_class() -> Any:
    import anywidget
    import traitlets

    script, style = pad_assets()

    class Pad(anywidget.AnyWidget):  # type: ignore[misc]
        _esm, _css = script + SCRIPT, style + STYLE
        picture = traitlets.Bytes(b"").tag(sync=True)
        words = traitlets.Unicode("").tag(sync=True)

        def __init__(self, reader: Reader) -> None:
            super().__init__()
            self._reader = reader
            self.reading: Reading | None = None
            self.observe(self._read, "picture")

        def _read(self, _: Any) -> None:
            self.reading = self._reader.read(self.picture) if self.picture else None
            self.words = _words(self.reading)

    return Pad


def _words(reading: Reading | None) -> str:
    if reading is None:
        return ""
    if len(reading.digits) == 1 and reading.digits[0].digit is not None:
        return f"{reading.text}  ({reading.digits[0].probability:.1%})"
    return reading.text if any(sign.isdigit() for sign in reading.text) else "This does not look like a digit."
