"""The notebooks: committed with their outputs, and they run from top to bottom in time."""

import re
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import mnistry
from conftest import LONG, ROOT

FOLDER = ROOT / "notebooks"
PICTURES = {"mnist": 12, "your_own_digits": 8}  # at least so many in its outputs


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run(name: str, shorter: tuple[str, str] | None = None) -> str:
    """Run a notebook anew, with one piece of its code replaced by a `shorter` one, and return what it prints."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    if shorter:
        assert sum(cell.source.count(shorter[0]) for cell in code_cells(notebook)) == 1
        for cell in code_cells(notebook):
            cell.source = cell.source.replace(*shorter)
    start = time.monotonic()
    NotebookClient(notebook, timeout=LONG, resources={"metadata": {"path": str(FOLDER)}}).execute()
    assert time.monotonic() - start < LONG
    return "".join(o.get("text", "") for cell in code_cells(notebook) for o in cell.outputs)


@pytest.mark.parametrize("name", PICTURES)
def test_they_are_committed_with_their_outputs_in_order(name: str):
    cells = code_cells(nbformat.read(FOLDER / f"{name}.ipynb", 4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [output.output_type for cell in cells for output in cell.outputs]
    assert "error" not in kinds
    pictures = [output for cell in cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= PICTURES[name]
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 2_000_000


@pytest.mark.parametrize("name", PICTURES)
def test_they_open_on_colab_and_install_mnistry_there(name: str):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    assert (
        f"colab.research.google.com/github/OWNER/mnistry/blob/main/notebooks/{name}.ipynb" in notebook.cells[0].source
    )
    assert '%pip install --quiet "/content/mnistry[train]"' in code_cells(notebook)[0].source


@pytest.mark.parametrize("name", PICTURES)
def test_what_they_import_from_mnistry_is_there(name: str):
    cells = code_cells(nbformat.read(FOLDER / f"{name}.ipynb", 4))
    lines = [line for cell in cells for line in cell.source.splitlines() if line.startswith("from mnistry")]
    assert len(lines) >= 4
    exec("\n".join(lines), {})
    used = {name for cell in cells for name in re.findall(r"(?<!from )\bmnistry\.(\w+)", cell.source)}
    assert used <= set(mnistry.__all__)


def test_every_notebook_is_tested():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(PICTURES)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning")
def test_the_whole_story_runs_from_top_to_bottom(mnist: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MNISTRY_DATA", str(mnist.resolve()))
    printed = run("mnist", ('{"epochs": 4}', '{"epochs": 1}'))
    assert "cnn" in printed
    assert "one cycle" in printed


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning")
def test_own_digits_run_from_top_to_bottom(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MNISTRY_OFFLINE", "1")  # it needs no data
    printed = run("your_own_digits")
    assert "10 of 10 right" in printed
    assert "read: 472" in printed
    assert "read: 350" in printed
    assert "no digit recognised" in printed
    assert "no ink found" in printed
