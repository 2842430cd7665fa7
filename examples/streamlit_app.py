"""mnistry in Streamlit: draw or upload, read by the bundled model or by any of your finished runs.

    pip install '.[streamlit]'
    streamlit run examples/streamlit_app.py

The pad is the page's own, as an inline component (Components v2): nothing comes from another host. Runs are those under
MNISTRY_HOME/runs and ./runs; each must have its manifest, as `mnistry train` writes it last.
"""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from mnistry import PictureError, Reader, Reading
from mnistry.notebook import pad_assets
from mnistry.reading.visualization import draw_boxes
from mnistry.settings import Settings

DEFAULT = "The model of mnistry"
COMPONENT = """
export default function ({ parentElement, setStateValue }) {
  if (parentElement.querySelector(".mnistry-pad")) return; // Streamlit calls again after every rerun
  const host = element("div", { class: "mnistry-pad" });
  parentElement.append(host);
  let last = 0;
  const pad = createPad(host, { onchange: async (changed, whole) => {
    if (!whole && !pad.blank) return;
    const mine = ++last;
    const picture = pad.blank ? null : await pad.picture();
    const url = picture && (await new Promise((resolve) => {
      const reader = new FileReader();
      reader.addEventListener("load", () => resolve(reader.result));
      reader.readAsDataURL(picture);
    }));
    if (mine === last) setStateValue("picture", url ?? "");
  } });
}
"""


def main() -> None:
    """The page, from top to bottom."""
    st.set_page_config("mnistry", layout="wide")
    st.title("mnistry reads your handwriting")
    with st.sidebar:
        name = st.selectbox("Model", [DEFAULT, *runs()])
        threshold = st.slider("Tell a digit from this probability on", 0.0, 1.0, 0.5, 0.01)
        st.caption("Below it the answer is `?`: better no digit than a wrong one.")
    write, answer = st.columns(2)
    with write:
        drawing, upload = st.tabs(["Draw", "Upload"])
        with drawing:
            drawn = pad()
        with upload:
            file = st.file_uploader("A picture", ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tiff"])
    with answer:
        show(read(file.getvalue() if file else drawn, name), reader(name), threshold, file)


def pad() -> bytes | None:
    """What is drawn, as the bytes of a PNG; None while the pad is empty."""
    script, style = pad_assets()
    component = st.components.v2.component("mnistry_pad", css=style, js=script + COMPONENT)
    state = component(key="pad", on_picture_change=lambda: None)
    url = state.get("picture") or ""
    return base64.b64decode(url.partition(",")[2]) if url else None


def runs() -> dict[str, Path]:
    """The finished runs by their names, the newest first."""
    folders = [Settings.from_environment().runs, Path("runs")]
    found = [file.parent for folder in folders for file in folder.glob("*/manifest.json")]
    found = [run for run in found if (run / "model.onnx").is_file()]
    return {run.name: run for run in sorted(found, key=lambda run: (run / "manifest.json").stat().st_mtime)[::-1]}


@st.cache_resource  # type: ignore[untyped-decorator]
def reader(name: str) -> Reader:
    """The reader of a run, or of mnistry's own model."""
    return Reader(None if name == DEFAULT else runs()[name] / "model.onnx")


@st.cache_data(max_entries=20)  # type: ignore[untyped-decorator]
def read(picture: bytes | None, name: str) -> Reading | str | None:
    """The reading, or why there is none; None without a picture."""
    try:
        return reader(name).read(picture) if picture else None
    except PictureError as problem:
        return f"The picture cannot be read: {problem}."


def show(reading: Reading | str | None, model: Reader, threshold: float, file: Any) -> None:
    """The answer: text, probabilities, what the model saw."""
    if reading is None:
        st.info("Write a digit, or a whole number. It is read after each stroke.")
    elif isinstance(reading, str):
        st.error(reading)
    elif not reading.digits:
        st.warning(f"No digit: {reading.reason}.")
    else:
        st.header(told(reading, threshold).replace("\n", "  \n"))
        if file:
            st.image(draw_boxes(file.getvalue(), reading, 420))
        proba = model.predict_proba(np.stack([digit.image for digit in reading.digits]))
        for digit, row in zip(reading.digits, proba, strict=True):
            seen, bars = st.columns([1, 3])
            seen.image(255 - digit.image, caption="What the model saw", width=112)
            bars.bar_chart({str(label): float(p) for label, p in enumerate(row)}, height=160)
            bars.caption(f"Surest: {int(row.argmax())}; told with {digit.probability:.1%}.")


def told(reading: Reading, threshold: float) -> str:
    """The text, with ? for every digit that is less sure than the threshold."""
    left = iter(reading.digits)
    signs = [sign if sign == "\n" else sure(next(left), threshold) for sign in reading.text]
    return "".join(signs)


def sure(digit: Any, threshold: float) -> str:
    """The digit's sign, or ? where it is less sure than the threshold."""
    return "?" if digit.digit is None or digit.probability < threshold else str(digit.digit)


main()
