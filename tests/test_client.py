"""mnistry inside other people's programs: public names, every kind of source, typed, and without the training extra."""

import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mnistry
from conftest import ROOT
from mnistry.imaging import decode
from mnistry.reading.reader import model_card
from mnistry.settings import install_hint
from mnistry.training.export import export_run

SEVEN = ROOT / "examples" / "pictures" / "7_crossed.png"
MODEL = ROOT / "src" / "mnistry" / "reading" / "bundled" / "reader.onnx"
CLIENT = """
import io
from collections.abc import Iterator
from pathlib import Path

from mnistry import Digit, MnistryError, PictureError, Reader, Reading


def read(path: Path) -> tuple[str, list[float], list[int]]:
    reader = Reader()
    with path.open("rb") as file:
        reading: Reading = reader.read(file)
    first: Digit = reading.digits[0]
    x, y, width, height = first.box
    reader.read(io.BytesIO(path.read_bytes()))
    limits: object = reader.card["limits"]
    assert limits and reading.to_dict()["text"] == reading.text
    return reading.text, [digit.probability for digit in reading.digits], [x, y, width, height]


def texts(paths: list[Path]) -> Iterator[str]:
    for reading in Reader().read_many(paths):
        yield reading.text
    for result in Reader().read_many(paths, errors="yield"):
        yield str(result) if isinstance(result, PictureError) else result.text


def refused(path: Path) -> str:
    try:
        return Reader(path).read(path).text
    except MnistryError as problem:
        return str(problem)
"""


@pytest.fixture(scope="module")
def reader() -> mnistry.Reader:
    return mnistry.Reader()


def test_the_public_names_are_those_of_their_modules():
    from mnistry.imaging.decode import PictureError
    from mnistry.reading.reader import Digit, Reading

    assert (mnistry.Digit, mnistry.Reading, mnistry.PictureError) == (Digit, Reading, PictureError)
    assert set(mnistry.__all__) <= set(dir(mnistry))


def test_every_kind_of_source_reads_the_same(reader: mnistry.Reader):
    data = SEVEN.read_bytes()
    with Image.open(SEVEN) as picture:
        picture.load()
    expected = reader.read(SEVEN)
    assert expected.text == "7"
    with SEVEN.open("rb") as file, SEVEN.open("rb", buffering=0) as raw:
        sources = [str(SEVEN), data, bytearray(data), io.BytesIO(data), file, raw, picture, np.asarray(picture)]
        assert [reader.read(source) for source in sources] == [expected] * len(sources)


def test_a_box_counts_pixels_of_the_upright_picture(reader: mnistry.Reader):
    """Stored on its side, with EXIF's order to turn it by 90 degrees, and four times as large as is worked on."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    with Image.open(SEVEN) as picture:
        upright = picture.convert("RGB").resize((picture.width * 4, picture.height * 4))
    upright.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
    file.seek(0)
    (digit,) = reader.read(file).digits
    expected = [4 * value for value in reader.read(SEVEN).digits[0].box]
    assert np.abs(np.subtract(digit.box, expected)).max() <= 12


def test_an_open_file_may_come_in_pieces_and_is_read_from_where_it_is(reader: mnistry.Reader):
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(1000, size or 1000))

    file = Slow(b"header" + SEVEN.read_bytes())
    file.seek(6)
    assert reader.read(file).text == "7"


def test_an_open_file_that_cannot_be_read_is_told(reader: mnistry.Reader, monkeypatch: pytest.MonkeyPatch):
    closed, used = io.BytesIO(SEVEN.read_bytes()), io.BytesIO(SEVEN.read_bytes())
    closed.close()
    used.read()
    with SEVEN.open(encoding="latin-1") as text:
        for file, reason in ((closed, "closed"), (used, "seek"), (text, "'rb'"), (io.StringIO("7"), "'rb'")):
            with pytest.raises(mnistry.PictureError, match=reason):
                reader.read(file)  # type: ignore[arg-type]
    monkeypatch.setattr(decode, "MOST_BYTES", 100)
    with pytest.raises(mnistry.PictureError, match="make the file smaller"):
        reader.read(io.BytesIO(SEVEN.read_bytes()))


def test_a_reading_as_plain_values_is_what_the_command_prints(reader: mnistry.Reader, command, tmp_path: Path):
    Image.new("L", (50, 50), 255).save(tmp_path / "blank.png")
    for path in (SEVEN, tmp_path / "blank.png"):
        printed = json.loads(command("read", path, "--json")[1])
        assert printed == {"file": str(path), **reader.read(path).to_dict()}


def test_read_many_gives_errors_in_their_place_or_raises(reader: mnistry.Reader):
    sources = [SEVEN, b"no picture", SEVEN]
    first, second, third = reader.read_many(sources, errors="yield")
    assert isinstance(second, mnistry.PictureError)
    assert isinstance(first, mnistry.Reading)
    assert first == third
    readings = reader.read_many(sources)
    assert next(readings) == first
    with pytest.raises(mnistry.PictureError):
        next(readings)
    with pytest.raises(mnistry.MnistryError, match="errors='yield', not 'ignore'"):
        reader.read_many(sources, errors="ignore")  # type: ignore[call-overload]


def test_a_file_that_is_no_model_is_refused_at_once(tmp_path: Path):
    (tmp_path / "broken.onnx").write_bytes(MODEL.read_bytes()[:1000])
    for model in (SEVEN, tmp_path / "broken.onnx", SEVEN.read_bytes(), b""):
        with pytest.raises(mnistry.MnistryError, match="The model"):
            mnistry.Reader(model)


def test_the_bundled_model_is_opened_at_the_first_read():
    code = (
        "import sys; from mnistry import Reader; r = Reader(); card = r.card; assert 'onnxruntime' not in sys.modules;"
        f"assert r.read({str(SEVEN)!r}).text == '7'; assert 'onnxruntime' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_reader_goes_to_another_process_with_its_model_and_its_card(tmp_path: Path):
    shutil.copy(MODEL, tmp_path / "mine.onnx")
    shutil.copy(MODEL.with_suffix(".json"), tmp_path / "mine.json")
    for reader in (mnistry.Reader(), mnistry.Reader(tmp_path / "mine.onnx")):
        other = pickle.loads(pickle.dumps(reader))
        assert other.read(SEVEN) == reader.read(SEVEN)
        assert other.card == reader.card == model_card()


def test_the_card_is_that_beside_the_file_or_what_the_file_says(dense_run, tmp_path: Path):
    bundled = mnistry.Reader().card
    assert (bundled["dataset"], bundled["test"]["n"]) == ("mnist", 10_000)
    assert "upright Western digit" in bundled["limits"]
    model, _ = export_run(dense_run, tmp_path / "mine.onnx")
    assert mnistry.Reader(model).card["test"]["accuracy"] == dense_run.metrics["accuracy"]
    for card in ("[]", "no JSON", '{"sha256": "of another model"}'):
        (tmp_path / "mine.json").write_text(card)
        own = mnistry.Reader(str(model)).card
        assert (own["recipe"], own["dataset"], own["bytes"]) == ("dense", "digits", model.stat().st_size)
        assert own["limits"].startswith("Not known")
    assert mnistry.Reader(model.read_bytes()).card == own


@pytest.mark.parametrize(
    ("code", "name"),
    [("from mnistry import train", "mnistry.train"), ("import mnistry; mnistry.evaluate", "mnistry.evaluate"),
     ("import mnistry.pipeline", "mnistry.pipeline")],
)  # fmt: skip
def test_without_the_training_extra_one_sentence_says_what_to_install(code: str, name: str):
    done = without_sklearn(f"try:\n {code}\nexcept ImportError as problem:\n print(type(problem).__mro__)\n raise")
    assert "MnistryError" in done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"mnistry.settings.MissingExtraError: {name} needs sklearn, which is not installed: pip ")
    assert "[train]" in last


def test_without_the_training_extra_reading_works_and_the_stand_in_says_what_to_install():
    done = without_sklearn(f"import mnistry; print(mnistry.Reader().read({str(SEVEN)!r}).text); mnistry.load('digits')")
    assert done.stdout == "7\n"
    assert f"not installed: {install_hint('train')}." in done.stderr.splitlines()[-1]


def without_sklearn(code: str) -> subprocess.CompletedProcess[str]:
    hide = (
        "import sys\nclass No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'sklearn': raise ModuleNotFoundError('hidden', name=name)\n"
        "sys.meta_path.insert(0, No())\n"
    )
    return subprocess.run([sys.executable, "-c", hide + code], capture_output=True, text=True)


def test_the_lines_of_the_document_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    exec(compile(document()[0], "embedding.md", "exec"), {"__name__": "client"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("7 ")
    assert lines[-1].startswith("unreadable: no picture")


def test_the_server_of_the_document_answers():
    names: dict[str, Any] = {"__name__": "server"}
    exec(compile(document()[1], "embedding.md", "exec"), names)
    with names["ThreadingHTTPServer"](("127.0.0.1", 0), names["Handler"]) as server:
        names["Handler"].log_message = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answers = [posted(server.server_port, picture) for picture in (SEVEN.read_bytes(), b"no picture")]
        server.shutdown()
    assert answers[0] == (200, mnistry.Reader().read(SEVEN).to_dict())
    assert answers[1][0] == 422
    assert answers[1][1]["error"].startswith("no picture")


def document() -> list[str]:
    text = (ROOT / "docs" / "embedding.md").read_text("utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def posted(port: int, picture: bytes) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/", picture)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_threads_may_share_a_reader():
    reader = mnistry.Reader()
    pictures = sorted(SEVEN.parent.iterdir())
    with ThreadPoolExecutor(8) as threads:
        assert "".join(reading.text for reading in threads.map(reader.read, pictures)) == "0123456789"


@pytest.mark.slow  # mypy reads NumPy's types
def test_a_typed_client_passes_mypy_strict_and_runs(tmp_path: Path):
    (tmp_path / "client.py").write_text(CLIENT)
    source = Path(mnistry.__file__).parent.parent
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", tmp_path / "cache",
         "--config-file", os.devnull, "client.py"],
        capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"MYPYPATH": str(source)},
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    names: dict[str, object] = {}
    exec(compile(CLIENT, "client.py", "exec"), names)
    assert names["read"](SEVEN)[0] == "7"  # type: ignore[operator]
    assert list(names["texts"]([SEVEN])) == ["7", "7"]  # type: ignore[operator]
    assert "The model" in names["refused"](SEVEN)  # type: ignore[operator]
