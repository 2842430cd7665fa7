"""The page of a model in the form of Hugging Face: its front matter, its code, and that no other page is lost."""

import re
from pathlib import Path
from typing import Any

import pytest

from mnistry.settings import MnistryError
from mnistry.training import robustness
from mnistry.training.export import export_run
from mnistry.training.model_card import BUNDLED, bundled_cards, bundled_page
from mnistry.training.runs import Run

yaml = pytest.importorskip("yaml", reason="PyYAML comes with Jupyter")


def front_matter(page: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", page, re.DOTALL)[1])
    return found


def test_an_export_into_a_folder_is_ready_to_be_published(dense_run: Run, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(robustness, "kept", lambda _: {"mean": 0.75})
    model, _ = export_run(dense_run, tmp_path / "out")
    assert sorted(path.name for path in model.parent.iterdir()) == ["README.md", "model.json", "model.onnx"]
    page = (tmp_path / "out" / "README.md").read_text("utf-8")
    about = front_matter(page)
    assert about["license"] == "mit"
    assert about["library_name"] == "onnx"
    assert about["metrics"] == ["accuracy"]
    (index,) = about["model-index"]
    clean, spoilt = index["results"]
    assert index["name"] == "mnistry-dense"
    assert set(clean) == {"task", "dataset", "metrics"}
    assert clean["dataset"]["type"] == "sklearn-digits"
    assert clean["metrics"][0] == {"type": "accuracy", "value": pytest.approx(dense_run.metrics["accuracy"], abs=1e-5)}
    assert spoilt["metrics"] == [{"type": "accuracy", "value": 0.75}]
    assert "43 people in Turkey" in page
    assert export_run(dense_run, tmp_path / "out")[0] == model  # a page of ours is written anew


def test_the_code_of_the_page_runs(dense_run: Run, tmp_path: Path, capsys, monkeypatch):
    export_run(dense_run, tmp_path / "mine.onnx")
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", (tmp_path / "mine.md").read_text("utf-8"), re.DOTALL)
    exec(code[0], {})
    assert re.fullmatch(r"\[\d\]\n", capsys.readouterr().out)
    assert 'Reader("mine.onnx").read("photo.jpg")' in code[1]


@pytest.mark.parametrize(("target", "page"), [("", "README.md"), ("mine.onnx", "mine.md")])
def test_somebody_elses_page_is_never_written_over(dense_run: Run, tmp_path: Path, target: str, page: str):
    (tmp_path / page).write_text("mine")
    with pytest.raises(MnistryError, match="is there already, and not from mnistry: choose another --out"):
        export_run(dense_run, tmp_path / target)
    assert (tmp_path / page).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_bundled_page_is_made_from_the_cards_of_today():
    page, cards = (BUNDLED / "README.md").read_text("utf-8"), bundled_cards()
    assert page == bundled_page(cards), "a bundled model is new: run `make card`"
    assert [*cards][:2] == ["reader", "locator"]
    assert all((BUNDLED / f"{name}.onnx").is_file() for name in cards)
    about = front_matter(page)
    assert about["datasets"] == ["ylecun/mnist"]
    found = about["model-index"][0]["results"][0]["metrics"][0]["value"]
    assert found == pytest.approx(cards["reader"]["test"]["accuracy"], abs=1e-5)
    assert all(card["sha256"] in page and card["limits"] in page for card in cards.values())


def test_figures_of_a_model_without_test_digits_are_shown_where_its_card_has_them():
    cards = bundled_cards()
    cards["locator"] |= {"figures": {"single_digits": "99.7 %"}}
    assert "\n| single digits | 99.7 % |\n" in bundled_page(cards)
