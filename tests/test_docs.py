"""What the documents say is so: commands run, links lead somewhere, figures of the README are those of the results."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from conftest import REAL, ROOT
from mnistry.models.recipes import RECIPES

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in [
    *sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")),
]}  # fmt: skip
README, LOG = PAGES["README.md"], PAGES["LOG.md"]
TRAINING, READING, RESULTS, FAQ = (PAGES[f"docs/{name}.md"] for name in ("training", "reading", "results", "faq"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ORT = Path(os.environ.get("MNISTRY_ORT", ROOT / "node_modules" / "onnxruntime-web"))
MOST_WORDS = 1000  # of the README
WIDEST = 120  # characters of a line of prose


def blocks(text: str, kind: str) -> list[str]:
    """The fenced blocks of one kind."""
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def shell_lines(text: str, program: str = "") -> list[str]:
    """What the console blocks ask to be typed, for one program or for all."""
    lines = [line[2:] for block in blocks(text, "console") for line in block.splitlines() if line.startswith("$ ")]
    return [line for line in lines if line.startswith(program)]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


COMMAND_LINES = [(page, line) for page, text in PAGES.items() for line in shell_lines(text, "mnistry ")]
WITH_COMMANDS = sorted({page for page, _ in COMMAND_LINES})


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples in it, as a reader of the documents has it."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def help_of(capsys: pytest.CaptureFixture[str]):
    """What a command says of itself."""
    from mnistry.cli.main import main

    def ask(*name: str) -> str:
        with pytest.raises(SystemExit) as done:
            main([*name, "--help"])
        assert done.value.code == 0
        return capsys.readouterr().out

    return ask


# --- Commands ---------------------------------------------------------------------------------------------


def test_every_command_is_documented_with_options_that_it_has(help_of):
    listed = set(re.findall(r"^    (\w+)(?: |$)", help_of(), re.MULTILINE))
    table = dict(re.findall(r"^\| `mnistry (\w+)(.*)\|$", TRAINING, re.MULTILINE))
    assert set(table) == listed
    for name, words in table.items():
        options = set(re.findall(r"^  (--[\w-]+)", help_of(name), re.MULTILINE))
        assert {"--json", "--quiet", *re.findall(r"--[\w-]+", words)} <= options


@pytest.mark.parametrize("name", sorted(set(re.findall(r"^\| `mnistry (\w+)", TRAINING, re.MULTILINE))))
def test_every_option_is_explained(name: str, help_of):
    options = re.findall(r"^  (--[\w-]+)(?: \S+)?(.*(?:\n {10,}.*)?)", help_of(name), re.MULTILINE)
    assert [option for option, words in options if not words.strip()] == []


@pytest.mark.parametrize(("page", "line"), COMMAND_LINES)
def test_every_line_names_a_command_and_its_options(page: str, line: str, help_of):
    _, name, *arguments = shlex.split(line)
    text = help_of(name)
    assert [word for word in arguments if word.startswith("--") and f"{word} " not in text] == [], page


def test_the_lines_for_windows_do_what_make_run_does(help_of):
    lines = re.findall(r"^\.venv\\Scripts\\mnistry (.*)$", FAQ, re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["train", "report", "read", "evaluate"]
    for line in lines:
        name, *arguments = line.split()
        text = help_of(name)
        assert all(f"{word} " in text for word in arguments if word.startswith("--"))
    assert all((ROOT / path.replace("\\", "/")).exists() for path in re.findall(r"examples\\\w+", FAQ))


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("page", ["README.md", "docs/reading.md"])
def test_the_reading_lines_run(page: str, command):
    lines = [shlex.split(line)[1:] for line in shell_lines(PAGES[page], "mnistry read") if "--model" not in line]
    assert len(lines) >= 3
    for arguments in lines:
        code, out, err = command(*arguments)
        assert code == 0, err
        assert out


@pytest.mark.slow
@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_every_line_of_a_page_runs(page: str, command, monkeypatch: pytest.MonkeyPatch):
    """In order, on the stand-in: seconds a training. fetch and site run where the real data and ONNX Runtime are."""
    for line in shell_lines(PAGES[page], "mnistry "):
        _, *arguments = shlex.split(line)
        if arguments[0] == "fetch":
            if not (REAL / "t10k-images-idx3-ubyte.gz").is_file():
                continue
            monkeypatch.setenv("MNISTRY_DATA", str(REAL))
        if arguments[0] == "site":
            if not ORT.is_dir():
                continue
            arguments += ["--ort", str(ORT)]
        code, _, err = command(*arguments)
        monkeypatch.delenv("MNISTRY_DATA", raising=False)
        assert code == 0, f"{line}: {err}"


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_extras_and_scripts_exist(page: str):
    makefile, text = (ROOT / "Makefile").read_text("utf-8"), PAGES[page]
    for target in re.findall(r"(?:^\$ |`)make ([\w-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert set(re.findall(r"['\"]\.\[(\w+)\]", text)) <= set(PROJECT["optional-dependencies"])
    if page not in ("LOG.md", "CHANGELOG.md"):  # they tell of scripts of their day
        assert [path for path in re.findall(r"(?:benchmarks|examples|notebooks)/[\w/]+\.\w+", text)
                if not (ROOT / path).is_file()] == []  # fmt: skip


def test_the_two_commands_come_first():
    assert shell_lines(README)[:2] == ["make run", "make test"]


# --- Python -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("workplace")
def test_the_readme_python_reads_a_picture(capsys: pytest.CaptureFixture[str]):
    (code,) = blocks(README, "python")
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith(("7 0.9", "7 1.0"))


@pytest.mark.usefixtures("workplace")
def test_the_python_on_reading_runs(capsys: pytest.CaptureFixture[str]):
    reading, pipeline = blocks(READING, "python")
    for code in (reading, pipeline):
        exec(compile(code, "reading.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == ["7", "7 100.0% at (83, 33, 98, 171)", "(2, 784) uint8"]


def test_the_python_on_recipes_runs(capsys: pytest.CaptureFixture[str]):
    exec(compile(blocks(TRAINING, "python")[1], "training.md", "exec"), {})
    assert float(capsys.readouterr().out) > 0.85


@pytest.mark.slow
@pytest.mark.usefixtures("workplace", "mnist")
def test_the_ten_lines_of_python_run(capsys: pytest.CaptureFixture[str]):
    code = blocks(TRAINING, "python")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    code = code.replace('mnistry.train("cnn"', 'mnistry.train("cnn", "digits"')  # seconds instead of minutes
    exec(compile(code, "training.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1].startswith(("7 0.9", "7 1.0"))


@pytest.mark.parametrize("page", ["README.md", "docs/reading.md"])
def test_what_read_prints_is_shown(page: str, command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    printed = command("read", "examples/pictures/7_crossed.png", "examples/pictures/3_chalk.png", "--json")[1]
    shown = [json.loads(line) for line in PAGES[page].splitlines() if line.startswith('{"file": "examples/')]
    for line, expected in zip(map(json.loads, printed.splitlines()), shown, strict=True):
        (digit,), (expected_digit,) = line.pop("digits"), expected.pop("digits")
        assert {key: line[key] for key in expected} == expected
        assert digit.pop("probability") == pytest.approx(expected_digit.pop("probability"), abs=0.001)
        assert digit == expected_digit


# --- Words, links, figures --------------------------------------------------------------------------------


def test_the_readme_is_short_and_shows_a_picture_first():
    assert len(README.split()) < MOST_WORDS
    assert f"There are {len(RECIPES)} recipes" in README
    assert README.index("![") < README.index("## ")


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_lead_somewhere(page: str):
    folder = (ROOT / page).parent
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        path = folder / target if target else ROOT / page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text("utf-8")), f"{target}#{anchor}"


def test_every_page_of_docs_is_reached_from_the_readme():
    reached, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = {(Path(page).parent / target).as_posix() for target in re.findall(r"\]\(([\w/]+\.md)", PAGES[page])}
        waiting += links - reached
    assert {page for page in PAGES if page.startswith("docs/")} <= reached


def test_every_recipe_and_variable_is_named():
    assert all(f"| `{name}` |" in RESULTS for name in RECIPES)
    assert all(f"| `{name}` |" in TRAINING for name in ("MNISTRY_HOME", "MNISTRY_DATA", "MNISTRY_OFFLINE"))


def test_the_table_of_the_results_is_that_of_the_published_figures():
    from mnistry.reports import published

    table = published.measured()
    shown = {}
    for line in blocks(RESULTS, "text")[0].replace(",", "").splitlines():
        words = line.replace("± ", "").split()
        if words and words[0] in RECIPES and words[1] not in ("is", "cannot"):
            shown[words[0]] = [float(word) for word in words[1:]]
    keys = ("accuracy", "std", "runs", "loss", "calibration_error", "parameters", "kilobytes", "fit_seconds",
            "microseconds")  # fmt: skip
    assert shown == {row["recipe"]: [row[key] for key in keys if row[key] is not None] for row in table["rows"]}
    assert table["date"] in RESULTS
    assert table["machine"] in RESULTS


def test_the_figures_of_the_readme_are_those_of_the_results():
    table = README.partition("## Results")[2].partition("## Limits")[0]
    figures = re.findall(r"\d+\.\d+ ± \d+\.\d+|\d+\.\d+|\d+(?= MB)", table)
    assert len(figures) >= 12
    assert [figure for figure in figures if figure not in RESULTS] == []


def test_tested_versions_are_those_of_the_lock_file():
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    ranges = [*PROJECT["dependencies"], *chain.from_iterable(PROJECT["optional-dependencies"].values())]
    rows = re.findall(
        r"^\| ([\w-]+) \| ([\d.]+) \| ([\d.]+) \|$", RESULTS.partition("## Tested versions")[2], re.MULTILINE
    )
    assert rows[0][:2] == ("Python", PROJECT["requires-python"].removeprefix(">="))
    for name, lowest, tested in rows[1:]:
        assert f"\n{name}=={tested} " in lock
        assert any(re.match(rf"{name}(\[\w+\])?>={re.escape(lowest)}(?![\d.])", wanted) for wanted in ranges), name


def test_every_extra_is_explained():
    assert set(re.findall(r"^\| `(\w+)` \|", FAQ, re.MULTILINE)) == set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("page", sorted({*PAGES} - {"docs/glossary.md"}))  # one line a term: the reports read it
def test_prose_fits_on_a_screen(page: str):
    prose = re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL)
    assert [line for line in prose.splitlines() if len(line) > WIDEST and not line.startswith("|")] == []


def test_the_log_has_a_table_of_contents_and_results():
    entries = re.findall(r"^## (\d{4}-\d\d-\d\d: .*)\n\n\*\*Result:\*\* ", LOG, re.MULTILINE)
    titles = re.findall(r"^## (.*)$", LOG, re.MULTILINE)
    assert titles[0] == "Contents"
    assert titles[1:] == entries
    assert re.findall(r"^\| \[.*?\]\(#(.*?)\) \|", LOG, re.MULTILINE) == [
        re.sub(r"[^\w\- ]", "", entry.lower()).replace(" ", "-") for entry in entries
    ]
    dates = [entry[:10] for entry in entries]
    assert dates == sorted(dates, reverse=True)


# --- Examples ---------------------------------------------------------------------------------------------


def test_the_examples_are_what_their_script_draws():
    import runpy

    import numpy as np
    from PIL import Image

    script = runpy.run_path(str(ROOT / "examples" / "draw_digits.py"))
    for style in script["STYLES"]:
        path = ROOT / "examples" / "pictures" / f"{style.digit}_{style.name}.{style.ending}"
        drawn, kept = script["draw"](style), Image.open(path)
        assert np.abs(np.asarray(drawn, float) - np.asarray(kept.convert(drawn.mode), float)).mean() < 4


def script(*names: str) -> "subprocess.CompletedProcess[str]":
    """Run the example script in the current folder."""
    return subprocess.run(
        [sys.executable, "examples/mnist_classification.py", *names], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "name", ["student", *(pytest.param(name, marks=pytest.mark.slow) for name in ("reader", "ensemble"))]
)
def test_the_script_says_what_it_cannot_train_before_it_trains_anything(name: str, workplace: Path):
    done = script("logistic", name)
    assert done.returncode != 0
    assert f"mnistry train {name}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "logistic" not in done.stdout
    assert not (workplace / "mnist_pictures").exists()


def test_the_script_refuses_a_name_that_is_no_recipe():
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "mnist_classification.py", "cnm"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "cnm" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("names", "trained"), [((), ["logistic", "dense", "cnn"]), (("knn",), ["knn"])])
def test_the_script_tells_the_story_of_its_recipes(names: tuple[str, ...], trained: list[str], workplace: Path):
    done = script(*names)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^([\w-]+): test accuracy", done.stdout, re.MULTILINE) == trained
    assert "7_crossed.png is read as 7" in done.stdout
    pictures = {path.name for path in (workplace / "mnist_pictures").iterdir()}
    assert {"samples.png", *(f"{name}_confusion.png" for name in trained)} <= pictures
    assert "cnn" not in trained or "cnn_accuracy.png" in pictures
