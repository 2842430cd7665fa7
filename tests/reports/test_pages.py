"""Every page: one stylesheet, nothing from outside, names are text, tables that scroll say so."""

import json
import re
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from PIL import Image

from conftest import ROOT
from mnistry.data.dataset import load
from mnistry.data.mnist_c import CORRUPTIONS
from mnistry.reading.reader import Digit, Reader, Reading
from mnistry.reports import pages
from mnistry.reports.comparison_page import draw
from mnistry.reports.comparison_page import render as comparison
from mnistry.reports.reading_page import shown, write_page
from mnistry.reports.report import write_report
from mnistry.reports.statistics import Comparison
from mnistry.reports.study_page import write_study_report
from mnistry.settings import Settings
from mnistry.training import robustness
from mnistry.training.runs import Run, open_run, writing
from mnistry.training.search.study import find_store
from mnistry.training.search.tune import Tuned

EVIL = "<img src=x onerror=alert(1)>"
SPACE = {
    "C": FloatDistribution(0.001, 100.0, log=True),
    "max_iter": IntDistribution(10, 200),
    "solver": CategoricalDistribution(("lbfgs", EVIL)),
}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """A search of 8 trials, one of which failed, with a setting that would be HTML."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for k in range(8):
        params = {"C": 10.0 ** (k / 2 - 2), "max_iter": 20 * (k + 1), "solver": ("lbfgs", EVIL)[k % 2]}
        study.add_trial(create_trial(params=params, distributions=SPACE, value=0.9 + k / 100, user_attrs={"nll": 0.1}))
    study.add_trial(
        create_trial(params=params, distributions=SPACE, state=TrialState.FAIL, user_attrs={"reason": f"{EVIL} failed"})
    )
    store = find_store("logistic", f"sqlite:///{tmp_path_factory.mktemp('study') / 'a.db'}")
    info = {"recipe": "logistic", "dataset": "digits", "validation": "0.2", "seed": 0, "fixed": {}}
    return Tuned(store, info | {"space": {"C": "0.001:100:log", "max_iter": "10:200", "solver": EVIL}}, study.trials)


@pytest.fixture(scope="module")
def study_page(tuned: Tuned, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_study_report(tuned, tmp_path_factory.mktemp("page")).read_text("utf-8")


def test_the_study_page_has_its_style(study_page: str):
    style = re.search(r"<style>(.*?)</style>", study_page, re.DOTALL)[1]
    assert "--ground:" in style
    assert "prefers-color-scheme: dark" in style
    assert "{%" not in style


@pytest.fixture(scope="module")
def reading_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One picture with a digit and a letter, whose name would be HTML."""
    picture, target = Image.new("RGB", (200, 120), "white"), tmp_path_factory.mktemp("page") / "page.html"
    digits = (Digit(7, 0.987, (10, 10, 40, 80), np.eye(28, dtype=np.uint8) * 255, np.full(10, 0.1, np.float32)),)
    digits += (Digit(None, 0.12, (100, 10, 40, 80), np.zeros((28, 28), np.uint8), np.full(10, 0.1, np.float32)),)
    one = shown(f"{EVIL}.png", picture, Reading("7?", digits), "4", Reader())
    write_page(target, [one, shown("\udcff.png", picture, Reading("", (), "no ink found"))], "Mistakes", more=3)
    return target.read_text("utf-8")


@pytest.fixture(scope="module")
def comparison_page() -> str:
    """Three recipes, one of which has a name that would be HTML, and one that failed."""
    data = load("digits", settings=Settings(Path("unused"), offline=True))
    names, confusion = ("cnn", EVIL, "dense"), (np.eye(10) * 36 + np.eye(10, k=1)).tolist()
    rows = [
        {
            "recipe": name, "summary": "a network", "family": "neural", "settings": {}, "seeds": [0], "runs": 1,
            "folders": ["cnn-seed0"], "accuracy": 0.97 - k / 100, "accuracy_std": None, "accuracies": [0.97],
            "nll": 0.1, "ece": 0.01, "parameters": 1000 * (k + 1), "model_bytes": 5000,
            "fit_seconds": 2.0, "energy_joules": 2345.0 if k else None, "peak_memory_mb": 1234.5, "microseconds": 3.0,
            "confusion": confusion, "confusions": [{"truth": 0, "read_as": 1, "times": 1.0}], "missed": 9,
            "missed_alone": 1,
        }
        for k, name in enumerate(names)
    ]  # fmt: skip
    about = {
        "dataset": "digits", "dataset_sha256": "0", "n": {"train": 1437, "test": 360}, "made": "2026-01-01T00:00:00Z",
        "machine": {"system": "Linux", "cores": 2}, "versions": {"numpy": "2"}, "wrong_test_labels": 0,
    }  # fmt: skip
    pairs = [
        {"better": a, "worse": b, "difference": 0.01, "interval": [-0.005, 0.025], "distinguishable": False}
        for a, b in combinations(names, 2)
    ]
    shared = [{"index": 3, "truth": 3, "label_is_wrong": False, "read_as": dict.fromkeys(names, 5)}]
    failed = [{"recipe": "knn", "reason": f"{EVIL} failed"}]
    compared = Comparison(about, rows, [pairs[0], pairs[2]], [[None] * 3] * 3, shared, failed, [EVIL], pairs)
    return comparison(compared, data, draw(compared))


def test_the_comparison_tells_memory_and_energy_where_they_are_known(comparison_page: str):
    assert "the peak memory, and the energy that the processors took" in comparison_page
    assert comparison_page.count("1,234 MB") == 3
    assert comparison_page.count("1,234 MB, 2.35 kJ") == 2


@pytest.fixture(scope="module")
def report_page(dense_run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(dense_run.folder, folder)
    with writing(folder, replace=True) as draft:
        (draft.path / "run.json").unlink()
        (draft.path / "run.json").write_text(json.dumps(dense_run.info | {"summary": EVIL}))
    return write_report(open_run(folder)).read_text("utf-8")


@pytest.mark.slow
def test_the_report_shows_spoilt_digits_once_they_are_measured(dense_run: Run, report_page: str, tmp_path: Path):
    assert "evaluate RUN --corruptions" in report_page
    shutil.copytree(dense_run.folder, tmp_path / "run")
    run = open_run(tmp_path / "run")
    rows = [{"name": name, "about": "", "accuracy": 0.9, "errors": 36} for name in CORRUPTIONS]
    robustness.keep(run, {"n": 360, "clean": 0.97, "mean": 0.9, "corruptions": rows})
    page = write_report(run).read_text("utf-8")
    assert "evaluate RUN --corruptions" not in page
    assert page.count('<img class="strip"') == 15
    assert "accuracy on spoilt digits: " in page
    assert (run.folder / "corruptions.png").is_file()


@pytest.fixture(params=["study", "reading", "comparison", "report"])
def page(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(f"{request.param}_page")


def test_every_page_has_the_one_stylesheet_and_needs_nothing_from_outside(page: str):
    css = (Path(pages.__file__).parent / "templates" / "page.css").read_text("utf-8")
    assert page.count("<style>") == 1
    assert css.strip() in page
    assert re.findall(r'(?:src|href)\s*=\s*"(?!data:image/png;base64,|#|https://labelerrors\.com")([^"]+)"', page) == []
    assert not re.search(r"url\((?!#)|@import|<link|<iframe|<script [^>]*src", page)
    assert 'name="viewport"' in page
    assert '<html lang="en">' in page
    assert page.count("<h1>") == page.partition("</head>")[0].count("<title>") == 1


def test_names_are_text(page: str):
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_every_picture_and_drawing_has_words(page: str):
    assert re.findall(r"<img (?![^>]*alt=\"[^\"]{5,}\")[^>]*>", page) == []
    assert re.findall(r"<svg (?![^>]*role=\"img\" aria-label=\"[^\"]{5,}\")[^>]*>", page) == []
    assert re.findall(r"<nav>", page) == []


def test_every_table_that_scrolls_says_so_and_can_be_reached_by_keyboard(page: str):
    regions = re.findall(r'<div class="card wide"([^>]*)>(.*?)</div>', page, re.DOTALL)
    assert page.count("card wide") == len(regions)
    for attributes, inside in regions:
        assert 'tabindex="0"' in attributes
        assert re.search('role="region" aria-label="[^"]+"', attributes)
        assert "Scroll sideways for more columns" in inside


def test_every_word_that_is_a_link_is_in_the_glossary(page: str):
    linked = set(re.findall(r'href="#([^"]+)"', page))
    assert linked <= set(re.findall(r'id="([^"]+)"', page))
    assert any(name.startswith("term-") for name in linked)


def test_the_glossary_of_the_pages_is_that_of_the_docs():
    ours = (Path(pages.__file__).parent / "templates" / "glossary.md").read_text("utf-8")
    assert (ROOT / "docs" / "glossary.md").read_text("utf-8") == ours
    terms = {term for term, _ in pages.glossary(ours).values()}
    assert {"calibration error", "Brier score", "nats", "hsf", "AUROC", "softmax", "epoch"} <= terms
    assert ours.count("\n* ") == len(terms)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    shares = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_its_ground_as_wcag_aa_asks(mode: int):
    css = (Path(pages.__file__).parent / "templates" / "page.css").read_text("utf-8")
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", css.split(":root {")[mode + 1].split("}")[0]))
    for text in ("text", "soft", "accent", "warn", "good"):
        for ground in ("ground", "card"):
            light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{text} on {ground}"


def test_the_reading_page_has_the_probabilities_as_text(reading_page: str):
    assert "<b>7</b> 98.70 %" in reading_page
    assert "<b>?</b> 12.00 %" in reading_page
    assert "4, read as 7?" in reading_page
    assert "no ink found" in reading_page
    assert "3 more are not shown" in reading_page
    assert "\\udcff.png" in reading_page
    assert reading_page.count("<img") == 2 + 2 + 1  # two pictures, two digits, the reason of the one that was read
    assert "hiding the" in reading_page


def test_the_comparison_sorts_by_every_figure(comparison_page: str):
    (table,) = re.findall(r'<table class="[^"]*sortable">(.*?)</table>', comparison_page, re.DOTALL)
    assert [float(v) for v in re.findall(r'<td data-value="(\d+)">[\d,]+</td>', table)] == [1000, 2000, 3000]
    assert "table.sortable" in comparison_page
    assert comparison_page.count('<td class="text">no</td>') == 3  # each of the three pairs


def test_the_report_says_why_for_every_mistake(report_page: str, dense_run: Run):
    mistakes = dense_run.metrics["mistakes"]
    assert len(mistakes) < 60
    assert report_page.count("the same, coloured where the answer") == len(mistakes)
    assert "The second picture says why" in report_page


def test_the_page_of_readings_loads_no_training_library():
    code = "import sys, mnistry.reports.reading_page, mnistry.reports.pages; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "sklearn", "keras", "scipy", "mnistry.data", "mnistry.models", "mnistry.training"} & {
        *loaded
    }
    assert "mnistry.reading.saliency" in loaded


def test_reading_without_a_page_does_not_load_jinja():
    code = "import sys, mnistry.reports.reading_page; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "jinja2" not in loaded
