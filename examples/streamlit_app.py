"""mnistry in Streamlit: draw or upload, read by the bundled model or by any of your finished runs.

    pip install '.[streamlit]'
    streamlit run examples/streamlit_app.py

The pad is the page's own, as an inline component (Components v2): nothing comes from another host. Runs are those under
MNISTRY_HOME/runs and ./runs; each must have its manifest, as `mnistry train` writes it last.
"""

import base64
from pathlib import Path

import streamlit as st

from mnistry import Digit, MnistryError, PictureError, Reader, Reading
from mnistry.notebook import pad_assets
from mnistry.reading.visualization import draw_boxes
from mnistry.settings import Settings

DEFAULT = "The model of mnistry"
KINDS = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"]
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
STYLE = """
.mnistry-pad {
  --card: var(--st-secondary-background-color); --line: var(--st-border-color); --accent: var(--st-primary-color);
  --text: var(--st-text-color); --ink: var(--st-text-color); color: var(--text);
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
            file = st.file_uploader("A picture", KINDS, on_change=latest, args=("upload",))
    uploaded = file.getvalue() if file else None
    with answer:
        show(uploaded or drawn if st.session_state.get("latest") == "upload" else drawn or uploaded, name, threshold)


def latest(source: str) -> None:
    """Remember that this was changed last: it is what is read."""
    st.session_state["latest"] = source


def pad() -> bytes | None:
    """What is drawn, as the bytes of a PNG; None while the pad is empty."""
    script, style = pad_assets()
    component = st.components.v2.component("mnistry_pad", css=style + STYLE, js=script + COMPONENT)
    state = component(key="pad", on_picture_change=lambda: latest("pad"))
    url = state.get("picture") or ""
    return base64.b64decode(url.partition(",")[2]) if url else None


def runs() -> dict[str, Path]:
    """The finished runs by their names, the newest first."""
    folders = [Settings.from_environment().runs, Path("runs")]
    found = [file for folder in folders for file in folder.glob("*/manifest.json")]
    found = sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)
    return {file.parent.name: file.parent for file in found if file.with_name("model.onnx").is_file()}


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
    except MnistryError as problem:  # a run that is damaged, or is gone
        return str(problem)


def show(picture: bytes | None, name: str, threshold: float) -> None:
    """The answer: text, probabilities, what the model saw."""
    reading = read(picture, name)
    if picture is None or reading is None:
        st.info("Write a digit, or a whole number. It is read after each stroke.")
    elif isinstance(reading, str):
        st.error(reading)
    elif not reading.digits:
        st.warning(f"No digit: {reading.reason}.")
    else:
        for line in told(reading, threshold).split("\n"):
            st.header(line)
        which = 0
        if len(reading.digits) > 1:
            st.image(draw_boxes(picture, reading, 420))
            signs = reading.text.replace("\n", "")
            which = st.radio("Look at one digit", range(len(signs)), format_func=signs.__getitem__, horizontal=True)
        look(reading.digits[which])


def look(digit: Digit) -> None:
    """What the recogniser saw, and how probable each of the ten digits is."""
    seen, bars = st.columns([1, 2])
    seen.image(255 - digit.image, caption="What the recogniser saw", width=140)
    rows = (
        f"<tr><td>{k}<td><meter value={p:.3f}></meter><td>{p:.1%}" for k, p in enumerate(digit.probabilities.tolist())
    )
    bars.html(f"<table aria-label='Probability of each digit'>{''.join(rows)}</table>")


def told(reading: Reading, threshold: float) -> str:
    """The text, with ? for every digit that is less sure than the threshold."""
    left = iter(reading.digits)
    return "".join(sign if sign == "\n" else sure(next(left), threshold) for sign in reading.text)


def sure(digit: Digit, threshold: float) -> str:
    """The digit's sign, or ? where it is less sure than the threshold."""
    return "?" if digit.digit is None or digit.probability < threshold else str(digit.digit)


main()
