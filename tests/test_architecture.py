"""The house plan: who may import whom, a light start, and rooms that stay small."""

import ast
import subprocess
import sys

import pytest

from conftest import ROOT

PACKAGE = ROOT / "src" / "mnistry"

# A room imports only from rows above its own, never from its own.
ROWS = [
    {"settings", "form", "quiet", "blobs", "spoil"},
    {
        "download", "decode", "ink", "lines", "sheets", "segments", "cuts", "metrics", "runs", "figures", "terminal",
        "backend", "augment", "habits", "letters", "space",
    },
    {"sources", "picture", "contract", "networks", "estimators", "outliers"},
    {"dataset", "reader", "classical", "graphs", "pipeline"},
    {"lessons", "report", "comparison", "batch"},
    {"neural", "comparison_page", "showing"},
    {"export", "ensemble"},
    {"models"},
    {"training", "trial", "study"},
    {"compare", "crew"},
    {"cluster"},
    {"tuning"},
    {"study_report"},
    {"tuning_command"},
    {"arguments"},
    {"cli"},
]  # fmt: skip
HEAVY = [
    "sklearn", "keras", "tensorflow", "matplotlib", "optuna", "ray", "fastapi", "onnxruntime", "onnx", "cv2", "PIL",
    "numpy", "rich", "scipy", "jinja2",
]  # fmt: skip
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def imports(module: str) -> set[str]:
    """The rooms that a room imports, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mnistry":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("mnistry.")}
    return found & set(MODULES)


def row(module: str) -> int:
    return next(number for number, rooms in enumerate(ROWS) if module in rooms)


def test_every_room_has_its_row():
    assert sorted(room for rooms in ROWS for room in rooms) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_from_smaller_rows(module: str):
    wrong = {other for other in imports(module) if row(other) >= row(module)}
    assert not wrong, f"{module} (row {row(module)}) imports {wrong}"


def test_reading_never_sees_training():
    seen, waiting = set(), ["reader"]
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting += imports(module) - seen
    assert seen == {
        "reader",
        "picture",
        "decode",
        "ink",
        "lines",
        "sheets",
        "segments",
        "cuts",
        "blobs",
        "form",
        "settings",
    }


def test_only_the_command_line_sees_the_report():
    assert {module for module in MODULES if "report" in imports(module)} == {"cli"}


@pytest.mark.parametrize("module", [*MODULES, "__init__"])
def test_a_room_has_at_most_400_lines(module: str):
    assert len((PACKAGE / f"{module}.py").read_text("utf-8").splitlines()) <= 400


@pytest.mark.parametrize("module", MODULES)
def test_a_room_opens_with_a_sentence_and_documents_what_is_public(module: str):
    tree = ast.parse((PACKAGE / f"{module}.py").read_text("utf-8"))
    assert ast.get_docstring(tree)
    public = [
        node for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]  # fmt: skip
    assert [node.name for node in public if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("name", ["mnistry", "mnistry.cli"])
def test_nothing_heavy_is_loaded_at_the_start(name: str):
    code = f"import sys, {name}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_happens_at_import(tmp_path):
    code = "import os, pkgutil, importlib, mnistry\n" + "\n".join(f"import mnistry.{m}" for m in MODULES)
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=tmp_path,
        env={"MNISTRY_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert not (tmp_path / "home").exists()


def test_the_public_names_are_those_of_the_plan():
    import mnistry

    assert mnistry.__all__ == ["MnistryError", "Reader", "__version__", "evaluate", "load", "train"]
    assert all(getattr(mnistry, name) for name in mnistry.__all__)
