"""What the documents say is so: commands exist and run, settings are described, the Python lines work."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import REAL, ROOT
from mnistry.models.recipes import RECIPES

README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
COMMANDS = {"fetch", "models", "train", "tune", "evaluate", "report", "compare", "read", "export"}


def blocks(text: str, kind: str) -> list[str]:
    """The fenced blocks of one kind."""
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def shell_lines(text: str) -> list[str]:
    """What the console blocks ask to be typed."""
    return [line[2:] for block in blocks(text, "console") for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples in it, as a reader of the README has it."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_is_documented(capsys: pytest.CaptureFixture[str]):
    from mnistry.cli.main import main

    with pytest.raises(SystemExit):
        main(["--help"])
    listed = set(re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE))
    assert listed == COMMANDS
    assert set(re.findall(r"^\| `mnistry (\w+)", README, re.MULTILINE)) == COMMANDS


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_of_train_and_the_others_is_explained(name: str, capsys: pytest.CaptureFixture[str]):
    from mnistry.cli.main import main

    with pytest.raises(SystemExit) as done:
        main([name, "--help"])
    text = capsys.readouterr().out
    assert done.value.code == 0
    options = re.findall(r"^  (--[\w-]+)(?: \S+)?(.*(?:\n {10,}.*)?)", text, re.MULTILINE)
    assert {"--json", "--quiet"} <= {option for option, _ in options}
    assert [option for option, words in options if not words.strip()] == []


def test_the_readme_commands_run(command, workplace: Path, monkeypatch: pytest.MonkeyPatch):
    """On the stand-in, so that a whole training takes seconds; fetch on the real data where it is."""
    ran = []
    for line in shell_lines(README):
        program, *arguments = shlex.split(line)
        if program != "mnistry":
            continue
        if arguments[0] == "fetch":
            if not (REAL / "t10k-images-idx3-ubyte.gz").is_file():
                continue
            monkeypatch.setenv("MNISTRY_DATA", str(REAL))
        code, _, err = command(*arguments)
        monkeypatch.delenv("MNISTRY_DATA", raising=False)
        assert code == 0, f"{line}: {err}"
        ran.append(arguments[0])
    assert set(ran) >= COMMANDS - {"fetch"}
    assert (workplace / "mine.onnx").is_file()


def test_the_readme_make_commands_exist():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    lines = [line for line in shell_lines(README) + shell_lines(CONTRIBUTING) if line.startswith("make ")]
    assert "make run" in lines
    assert "make test" in lines
    for line in lines:
        assert re.search(rf"^{line.split()[1]}:", makefile, re.MULTILINE), line


@pytest.mark.filterwarnings("ignore::mnistry.data.sources.FallbackWarning")
@pytest.mark.usefixtures("workplace")
def test_the_readme_python_runs(capsys: pytest.CaptureFixture[str]):
    (code,) = blocks(README, "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    if not (REAL / "t10k-images-idx3-ubyte.gz").is_file():
        pytest.skip("the split by writers needs the real MNIST: set MNISTRY_DATA to its folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTRY_DATA", str(REAL))
        code = code.replace('mnistry.train("cnn"', 'mnistry.train("cnn", "digits"')  # seconds instead of minutes
        exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1].startswith(("7 0.9", "7 1.0"))


def test_the_readme_shows_what_read_prints(command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    printed = command("read", "examples/pictures/7_crossed.png", "examples/pictures/3_chalk.png", "--json")[1]
    shown = [json.loads(line) for line in README.splitlines() if line.startswith('{"file": "examples/')]
    for line, expected in zip(map(json.loads, printed.splitlines()), shown, strict=True):
        (digit,), (expected_digit,) = line.pop("digits"), expected.pop("digits")
        assert line == expected
        assert digit.pop("probability") == pytest.approx(expected_digit.pop("probability"), abs=0.001)
        assert digit == expected_digit


def test_every_recipe_and_variable_is_named():
    assert all(f"`{name}`" in README for name in RECIPES)
    assert all(f"`{name}`" in README for name in ("MNISTRY_HOME", "MNISTRY_DATA", "MNISTRY_OFFLINE"))


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_links_and_pictures_lead_somewhere(text: str):
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_rooms_are_described_as_they_are():
    from test_architecture import ROWS

    table = {name: int(number) for number, name in re.findall(r"^\| (\d+) \| `(\w+)\.py`", CONTRIBUTING, re.MULTILINE)}
    assert table == {room: number for number, rooms in enumerate(ROWS) for room in rooms}


def test_the_examples_are_what_their_script_draws():
    import runpy

    import numpy as np
    from PIL import Image

    script = runpy.run_path(str(ROOT / "examples" / "draw_digits.py"))
    for style in script["STYLES"]:
        path = ROOT / "examples" / "pictures" / f"{style.digit}_{style.name}.{style.ending}"
        drawn, kept = script["draw"](style), Image.open(path)
        assert np.abs(np.asarray(drawn, float) - np.asarray(kept.convert(drawn.mode), float)).mean() < 4


def test_the_script_tells_the_story(workplace: Path):
    done = subprocess.run(
        [sys.executable, "examples/mnist_classification.py", "logistic"],
        capture_output=True, text=True, cwd=workplace,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "logistic: test accuracy" in done.stdout
    assert "7_crossed.png is read as 7" in done.stdout
    assert {"samples.png", "logistic_confusion.png"} <= {p.name for p in (workplace / "mnist_pictures").iterdir()}


def test_the_lock_file_has_hashes_and_no_index_address():
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in lock
    packages = re.findall(r"^[\w.-]+==", lock, re.MULTILINE)
    entries = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    assert len(packages) == len(entries) > 30
    assert all("--hash=sha256:" in entry for entry in entries)
