"""The notebook: committed with its outputs, and it runs from top to bottom in time."""

import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from conftest import ROOT

NOTEBOOK = ROOT / "notebooks" / "mnist.ipynb"
MOST_SECONDS = 300


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_committed_with_its_outputs_in_order():
    cells = code_cells(nbformat.read(NOTEBOOK, 4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [output.output_type for cell in cells for output in cell.outputs]
    assert "error" not in kinds
    pictures = [output for cell in cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 12
    assert NOTEBOOK.stat().st_size < 2_000_000


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning")
def test_it_runs_from_top_to_bottom_in_time(mnist: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MNISTRY_DATA", str(mnist.resolve()))
    notebook = nbformat.read(NOTEBOOK, 4)
    start = time.monotonic()
    NotebookClient(notebook, timeout=MOST_SECONDS, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    assert time.monotonic() - start < MOST_SECONDS
    printed = "".join(o.get("text", "") for cell in code_cells(notebook) for o in cell.outputs)
    assert "cnn" in printed
    assert "one cycle" in printed
