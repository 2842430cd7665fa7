"""The house plan: the order of the floors, a light start, and folders and modules that stay small."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from conftest import ROOT

PACKAGE = ROOT / "src" / "mnistry"

# A floor imports only from floors to its left; `web` sees `reading` and nothing of what stands between.
ORDER = [
    "settings",
    "checks",
    "imaging",
    "reading",
    "web",
    "data",
    "models",
    "training",
    "reports",
    "pipeline",
    "notebook",
    "cli",
    "__main__",
]
ABOVE = {"data", "models", "training", "reports"}
MOST_LINES = 400  # of a module
MOST_MODULES = 12  # of a folder
# Lines of Python in a folder, as it is: raised for a new capability only.
BUDGET = {
    "cli": 1436, "data": 2065, "data/drawing": 2365, "imaging": 337, "models": 1860, "models/locator": 349,
    "reading": 1673, "reports": 1705, "training": 2278, "training/locator": 1106, "training/search": 1018, "web": 2130,
    "web/site": 220,
}  # fmt: skip
HEAVY = [
    "sklearn", "keras", "tensorflow", "matplotlib", "optuna", "ray", "fastapi", "onnxruntime", "onnx", "cv2", "PIL",
    "numpy", "rich", "scipy", "jinja2", "pandas",
]  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = [path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".") for path in FILES]
FOLDERS = sorted({path.parent.relative_to(PACKAGE).as_posix() for path in FILES if path.parent != PACKAGE})


def path_of(module: str) -> Path:
    return PACKAGE / (module.replace(".", "/") + ".py")


def imports(module: str) -> set[str]:
    """The modules of ours that a module imports, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path_of(module).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mnistry":
            base = node.module.removeprefix("mnistry").removeprefix(".")
            for name in (alias.name for alias in node.names):
                inner = f"{base}.{name}" if base else name
                found.add(inner if inner in MODULES else base)
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("mnistry.") for alias in node.names if alias.name.startswith("mnistry.")}
    return found & set(MODULES)


def floor(module: str) -> str:
    return module.split(".")[0]


def test_every_module_stands_on_a_floor():
    assert {floor(module) for module in MODULES} == {*ORDER, "__init__"}


@pytest.mark.parametrize("module", [module for module in MODULES if module != "__init__"])
def test_a_module_imports_only_from_lower_floors(module: str):
    below = {*ORDER[: ORDER.index(floor(module)) + 1], *({"training"} if floor(module) == "web" else ())}
    seen = {floor(other) for other in imports(module)}
    assert seen <= below, f"{module} imports from {seen - below}"
    if floor(module) == "web":
        assert not {o for o in imports(module) if floor(o) in ABOVE} - {"training.finetune"}
    assert floor(module) not in ABOVE or "web" not in seen


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_folder_has_a_cycle(folder: str):
    inside = [module for module in MODULES if module.startswith(folder.replace("/", ".") + ".")]
    graph = {module: imports(module) & set(inside) for module in inside}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as problem:
        pytest.fail(f"{folder} has a cycle: {' -> '.join(problem.args[1])}")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_keeps_its_budget(folder: str):
    modules = sorted((PACKAGE / folder).glob("*.py"))
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in modules)
    assert lines <= BUDGET[folder], f"{folder} has {lines} lines: what could be deleted instead?"
    assert len([path for path in modules if not path.stem.startswith("__")]) <= MOST_MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_at_most_400_lines(module: str):
    assert len(path_of(module).read_text("utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_what_it_is_in_one_docstring(folder: str):
    tree = ast.parse((PACKAGE / folder / "__init__.py").read_text("utf-8"))
    assert len(tree.body) == 1
    assert ast.get_docstring(tree)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_opens_with_a_sentence_and_documents_what_is_public(module: str):
    tree = ast.parse(path_of(module).read_text("utf-8"))
    assert ast.get_docstring(tree)
    public = [
        node for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]  # fmt: skip
    assert [node.name for node in public if not ast.get_docstring(node)] == []


def test_reading_never_sees_training():
    seen, waiting = set(), ["reading.reader", "reading.batch", "reading.visualization", "reading.saliency"]
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting += imports(module) - seen
    assert {floor(module) for module in seen} == {"settings", "imaging", "reading"}


@pytest.mark.parametrize("name", ["mnistry", "mnistry.__main__", "mnistry.cli", "mnistry.cli.main"])
def test_nothing_heavy_is_loaded_at_the_start(name: str):
    code = f"import sys, {name}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_nothing_happens_at_import(tmp_path: Path):
    names = [m.removesuffix(".__init__") for m in MODULES if m not in ("__init__", "cli.__main__")]
    code = "\n".join(f"import mnistry.{name}" for name in names)
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=tmp_path,
        env={"MNISTRY_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "src"),
             "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert not (tmp_path / "home").exists()


def test_the_public_names_are_those_of_the_plan():
    import mnistry

    assert mnistry.__all__ == [
        "Digit", "MnistryError", "PictureError", "Reader", "Reading", "__version__", "evaluate", "load", "pad", "train",
    ]  # fmt: skip
    assert all(getattr(mnistry, name) for name in mnistry.__all__)


def test_the_tree_in_contributing_is_the_tree_that_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    told, folders = set(), {0: ""}
    for line in re.search(r"```text\nsrc/mnistry/\n(.*?)```", text, re.DOTALL).group(1).splitlines():
        indent, name, phrase = re.match(r"( *)(\S+)\s*(.*)", line).groups()
        assert phrase, f"{name} has no phrase"
        path = folders[len(indent) - 2] + name
        if name.endswith("/"):
            folders[len(indent)] = path
        else:
            told.add(path)
    there = {path.relative_to(PACKAGE).as_posix() for path in FILES if path.name not in ("__init__.py", "__main__.py")}
    assert told == there | {"__init__.py"}
