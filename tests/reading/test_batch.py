"""Many pictures: folders, patterns, standard input, labels, processes, and what is shown of them."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT
from mnistry.imaging.decode import Source
from mnistry.reading.batch import Score, edit_distance, label_of, pictures_of, read_all, read_labels
from mnistry.reading.reader import Reader, Reading
from mnistry.reading.visualization import draw_reading
from mnistry.settings import MnistryError

EXAMPLES = ROOT / "examples" / "pictures"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The ten examples, one of them in a folder below, a damaged picture and a text."""
    shutil.copytree(EXAMPLES, tmp_path / "pictures")
    (tmp_path / "pictures" / "below").mkdir()
    (tmp_path / "pictures" / "7_crossed.png").rename(tmp_path / "pictures" / "below" / "7_crossed.png")
    (tmp_path / "pictures" / "bad.png").write_bytes(b"\x89PNG but no more")
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    return tmp_path / "pictures"


def test_a_folder_stands_for_its_pictures_and_a_bad_one_stops_nothing(command, folder: Path):
    code, out, err = command("read", folder, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (1, "")
    assert [Path(line["file"]).name for line in lines if "error" in line] == ["bad.png"]
    read = {Path(line["file"]).name[0]: line["text"] for line in lines if "text" in line}
    assert read == {digit: digit for digit in "0123456789"}


def test_a_pattern_stands_for_what_it_matches(command, folder: Path):
    code, out, _ = command("read", folder / "[03]*.*")
    assert code == 0
    assert [re.search(r": (\d) ", line)[1] for line in out.splitlines()] == ["0", "3"]  # type: ignore[index]


def tarred(folder: Path, target: Path, mode: str = "w") -> Path:
    """A tar file of everything in a folder, by name."""
    with tarfile.open(target, mode, format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, path.relative_to(folder).as_posix(), recursive=False)
    return target


@pytest.mark.parametrize(("name", "mode"), [("digits.tar", "w"), ("digits.tar.gz", "w:gz"), ("digits.TGZ", "w:gz")])
def test_a_tar_file_stands_for_the_pictures_in_it(command, folder: Path, name: str, mode: str):
    archive = tarred(folder, folder.parent / name, mode)
    code, out, err = command("read", archive, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (1, "")
    assert [line["file"] for line in lines] == [
        f"{archive}/{path.relative_to(folder).as_posix()}" for path in sorted(folder.rglob("*.*g"))
    ]
    assert [Path(line["file"]).name for line in lines if "error" in line] == ["bad.png"]
    assert sorted(line["text"] for line in lines if "text" in line) == list("0123456789")
    _, out, _ = command("read", folder.parent / "digits.*", "--json")
    assert [json.loads(line) for line in out.splitlines()] == lines


def test_a_tar_file_is_read_in_constant_memory(tmp_path: Path):
    picture, memory = (EXAMPLES / "7_crossed.png").read_bytes(), []
    with tarfile.open(tmp_path / "many.tar", "w") as archive:
        for k in range(3000):
            member = tarfile.TarInfo(f"{k}.png")
            member.size = 100
            archive.addfile(member, io.BytesIO(picture[:100]))
    tracemalloc.start()
    for k, _ in enumerate(pictures_of([str(tmp_path / "many.tar")])):
        if k in (100, 2999):
            memory.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert memory[1] < memory[0] + 100_000


def test_damage_of_a_tar_file_is_told_after_what_came_before(tmp_path: Path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.png").write_bytes((EXAMPLES / "7_crossed.png").read_bytes()[:1000])
    whole = tarred(folder, tmp_path / "whole.tar").read_bytes()
    assert [Path(name).name for name, _ in pictures_of([str(tmp_path / "whole.tar")])] == ["a.png", "b.png", "c.png"]
    second = 512 + 1024
    for content in (
        whole[: second + 600], whole[: second + 100], whole[:second], whole[:second] + b"x" * 512 + whole[second:]
    ):  # fmt: skip
        (tmp_path / "cut.tar").write_bytes(content)
        found = list(pictures_of([str(tmp_path / "cut.tar")]))
        assert [Path(name).name for name, _ in found] == ["a.png", "cut.tar"]
        assert "damaged tar file" in found[-1][1].reason
    for content, reason in ((b"", "damaged"), (b"no tar file" * 100, "damaged"), (bytes(10240), "no picture")):
        (tmp_path / "none.tar").write_bytes(content)
        ((_, source),) = pictures_of([str(tmp_path / "none.tar")])
        assert reason in source.reason


@pytest.mark.parametrize("name", ["*.nothing", "."])
def test_nothing_to_read_is_told(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.chdir(tmp_path)
    code, out, err = command("read", name)
    assert (code, out) == (1, "")
    assert "no picture in this folder" in err or "no file matches" in err


def test_a_name_without_pictures_does_not_stop_the_rest(command, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    picture = EXAMPLES / "7_crossed.png"
    code, out, err = command("read", "", tmp_path / "*.zzz", tmp_path / "empty", picture)
    assert code == 1
    assert out.startswith(f"{picture}: 7")
    assert "it is empty" in err
    assert err.count("\n") >= 3


def test_what_is_read_is_never_written_over(command, tmp_path: Path):
    own = tmp_path / "own.png"
    own.write_bytes((EXAMPLES / "7_crossed.png").read_bytes())
    labels = tmp_path / "labels.html"
    labels.write_text("file,label\nown.png,7\n")
    for arguments in (["--show", own], ["--labels", labels, "--show", labels]):
        code, _, err = command("read", own, *arguments)
        assert code == 2
        assert "would write over" in err
    assert own.read_bytes() == (EXAMPLES / "7_crossed.png").read_bytes()
    assert labels.read_text().startswith("file,label")


def test_a_drawing_is_written_for_one_picture_or_not_at_all(command, tmp_path: Path):
    code, _, err = command("read", EXAMPLES / "7_crossed.png", EXAMPLES / "2_marker.png", "--show", tmp_path / "o.png")
    assert code == 2
    assert ".html" in err
    assert not (tmp_path / "o.png").exists()


def test_names_that_begin_like_a_picture_are_names():
    listed = io.BytesIO(b"BM7.png\nRIFF.png\n" + b"x" * 100 + b".png\nlast.png")
    names = [name for name, _ in pictures_of(["-"], listed)]
    assert names == ["BM7.png", "RIFF.png", "x" * 100 + ".png", "last.png"]
    for path in EXAMPLES.iterdir():
        assert [source for _, source in pictures_of(["-"], io.BytesIO(path.read_bytes()))] == [path.read_bytes()]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [("a.png,banana", "Line 2"), ("a.png,3,4,5", "Line 2"), ("a.png,3\na.png,4", "a.png twice")],
)
def test_labels_that_cannot_be_are_told(tmp_path: Path, lines: str, sentence: str):
    (tmp_path / "labels.csv").write_text(f"file,label\n{lines}\n")
    with pytest.raises(MnistryError, match=sentence):
        read_labels(tmp_path / "labels.csv")


def test_standard_input_is_one_picture_or_names():
    picture = (EXAMPLES / "7_crossed.png").read_bytes()
    assert list(pictures_of(["-"], io.BytesIO(picture))) == [("-", picture)]
    names = [name for name, _ in pictures_of(["-"], io.BytesIO(b"a\nlonger.png\r\n\nlast"))]
    assert names == ["a", "longer.png", "last"]
    assert list(pictures_of(["-"], io.BytesIO(b""))) == []


def test_names_from_standard_input_are_read_by_the_command(folder: Path):
    names = "\n".join(str(path) for path in sorted(folder.glob("[0-5]*")))
    done = subprocess.run(
        [sys.executable, "-m", "mnistry.cli", "read", "-"], input=names, capture_output=True, text=True, check=True
    )
    assert [re.search(r": (\d) ", line)[1] for line in done.stdout.splitlines()] == list("012345")  # type: ignore[index]


@pytest.mark.slow
def test_workers_keep_the_order_and_read_the_same():
    names = [str(path) for path in sorted(EXAMPLES.iterdir())] * 8
    pictures = [(name, name) for name in [*names, "none.png"]]
    one, two = (list(read_all(Reader(), pictures, workers)) for workers in (1, 2))
    assert [result.file for result in two] == [name for name, _ in pictures]
    assert [result.reading for result in one] == [result.reading for result in two]
    assert two[-1].error == "no such file"


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_what_kills_twice_is_named():
    pictures = [*[(f"{k}", b"x") for k in range(70)], ("deadly", b"x" * 10), ("last", b"x")]
    results = list(read_all(Deadly(), pictures, 2))
    assert [result.file for result in results] == [name for name, _ in pictures]
    assert [result.file for result in results if result.error] == ["deadly"]
    assert "twice" in next(result.error for result in results if result.error)


class Deadly(Reader):
    """Kills the process that gives it the picture of ten bytes."""

    def read(self, source: Source) -> Reading:
        if source == b"x" * 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return Reading("", ())


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed():
    code = (
        "import sys; from mnistry.reading.batch import read_all; from mnistry.reading.reader import Reader\n"
        "picture = open(sys.argv[1], 'rb').read()\n"
        "for result in read_all(Reader(), (('x', picture) for _ in iter(int, 1)), 2): print('read', flush=True)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, EXAMPLES / "7_crossed.png"], stdout=subprocess.PIPE)
    with parent:
        parent.stdout.readline()
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        children = children or [path.name for path in Path("/proc").glob("[0-9]*") if parent_of(path) == parent.pid]
        assert len(children) >= 2
        parent.kill()
    end = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < end, "a worker has outlived its parent"
        time.sleep(0.05)


def parent_of(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_a_name_that_no_file_can_have_stops_nothing(command):
    code, out, err = command("read", "a" * 300, EXAMPLES / "7_crossed.png", "b" * 300 + "*")
    assert code == 1
    assert ": 7 (" in out
    assert len(err.splitlines()) == 2


def test_a_folder_that_may_not_be_entered_is_told(command, folder: Path, monkeypatch: pytest.MonkeyPatch):
    real = os.scandir

    def scandir(path: str = ".") -> object:  # root may enter every folder
        if Path(path).name == "below":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    code, out, err = command("read", folder)
    assert code == 1
    assert len(out.splitlines()) == 9
    assert "below: this folder cannot be entered (Permission denied)" in err
    code, _, err = command("read", folder / "below")
    assert (code, err.count("\n")) == (1, 1)


def test_reading_is_lazy():
    taken = []

    def pictures() -> "list[tuple[str, Source]]":
        for path in sorted(EXAMPLES.iterdir()):
            taken.append(path)
            yield str(path), str(path)

    next(read_all(Reader(), pictures()))
    assert len(taken) == 1


def test_labels_are_found_by_the_end_of_the_path_and_scored(command, folder: Path, tmp_path: Path):
    labels = tmp_path / "labels.csv"
    lines = ["below/7_crossed.png,7", *(f"{path.name},{path.name[0]}" for path in folder.glob("[0-6]*")), "bad.png,1"]
    labels.write_text("file,label\n" + "\n".join(lines) + "\n")
    code, out, _ = command("read", folder, "--labels", labels, "--json", "--show", tmp_path / "mistakes.html")
    figures = json.loads(out.splitlines()[-1])["labels"]
    assert code == 1
    assert (figures["pictures"], figures["right"], figures["without_label"]) == (9, 8, 2)
    assert figures["digit_accuracy"] == pytest.approx(8 / 9)
    assert command("read", folder, "--labels", labels)[1].splitlines()[-1].startswith("88.9% of 9 pictures")
    assert "<img" not in (tmp_path / "mistakes.html").read_text()  # the only mistake cannot be drawn


def test_mistakes_are_shown_on_a_page(command, folder: Path, tmp_path: Path):
    labels, page = tmp_path / "labels.csv", tmp_path / "page.html"
    labels.write_text("file,label\n3_chalk.png,8\n4_pencil.jpg,4\n")
    code, _, _ = command("read", folder / "3_chalk.png", "--labels", labels, "--show", page)
    text = page.read_text()
    assert code == 0
    assert text.count("<img") == 3  # the picture, what the model saw, and what the answer rests on
    assert re.search(r"<b>3</b> \d+\.\d\d %", text)
    assert "8, read as 3" in text
    assert "http" not in text  # nothing is fetched


@pytest.mark.parametrize("text", ["", "name,label\na,1\n", "file\na\n", "\0"])
def test_what_is_no_labels_file_is_told(tmp_path: Path, text: str):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(MnistryError, match="labels file"):
        read_labels(tmp_path / "labels.csv")


def test_label_by_hand():
    labels = {"a/b.png": "1", "b.png": "2", "c.png": ""}
    assert [label_of(name, labels) for name in ("x/a/b.png", "x/b.png", "c.png", "d.png")] == ["1", "2", "", None]


def test_score_by_hand():
    score = Score()
    assert score.add("12", "12")
    assert not score.add("1?", "123")  # 1 read, 2 changed, 3 missing
    assert score.add("?", "")
    assert not score.add("5", "")
    assert score.add("9", None)
    assert score.figures() == {
        "pictures": 4, "right": 2, "accuracy": 0.5, "digits": 5, "digit_accuracy": 0.6, "without_label": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("a", "b", "edits"), [("", "", 0), ("123", "", 3), ("kitten", "sitting", 3), ("12", "21", 2)])
def test_edit_distance_by_hand(a: str, b: str, edits: int):
    assert edit_distance(a, b) == edit_distance(b, a) == edits


def test_one_picture_is_drawn_with_its_box_and_what_the_model_saw(command, tmp_path: Path):
    code, _, _ = command("read", EXAMPLES / "7_crossed.png", "--show", tmp_path / "out.png")
    reading = Reader().read(EXAMPLES / "7_crossed.png")
    with Image.open(EXAMPLES / "7_crossed.png") as picture, Image.open(tmp_path / "out.png") as drawn:
        scale = 900 / max(picture.size)
        x, y, width, _ = (round(value * scale) for value in reading.digits[0].box)
        colours = np.asarray(drawn)[max(y, 0) : y + 2, x + 20 : x + width - 20].reshape(-1, 3)
        assert (colours == (26, 127, 55)).all(axis=1).mean() > 0.4  # the upper side of the box is green
        seen = np.asarray(drawn.convert("L"))[-114 + 0 : -30, 10:94]
    assert code == 0
    assert np.abs(np.asarray(seen, int)[1::3, 1::3][:26] - (255 - reading.digits[0].image)[:26].astype(int)).mean() < 60


def test_a_blank_picture_is_drawn_with_its_reason():
    blank = Image.new("RGB", (60, 40), "white")
    sheet = draw_reading(blank, Reader().read(blank))
    assert np.asarray(sheet)[600:].min() < 255


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--show", "out.txt"], "A drawing is written as .png"),
        (["--show", "out.png", "--labels", "labels.csv"], "ends in .html"),
        (["--workers", "0"], "from 1 to 64"),
        (["--labels", "none.csv"], "cannot be read"),
    ],
)
def test_what_read_cannot_do_is_told(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.csv").write_text("file,label\na,1\n")
    code, out, err = command("read", EXAMPLES / "7_crossed.png", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_many_pictures_are_not_drawn_into_one(command, tmp_path: Path):
    code, _, err = command("read", EXAMPLES / "7_crossed.png", EXAMPLES / "3_chalk.png", "--show", tmp_path / "o.png")
    assert code == 2
    assert "many are shown on a page" in err
