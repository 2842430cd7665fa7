"""The command line as its user meets it: results, exit codes, and a sentence for every mistake."""

import importlib.util
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from conftest import LONG, ROOT
from mnistry.settings import MnistryError, install_hint

EXAMPLES = ROOT / "examples" / "pictures"
DIGITS = ("--dataset", "digits")


def process(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mnistry", *map(str, arguments)],
        capture_output=True, text=True, env=os.environ | environ, timeout=LONG,
    )  # fmt: skip


def strict(text: str) -> object:
    """Parse JSON as programs must: no NaN, no Infinity."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


# --- Each command


def test_the_name_alone_prints_the_help(command):
    code, out, err = command()
    assert (code, err) == (0, "")
    with pytest.raises(SystemExit):
        command("--help")
    assert "Example: mnistry read" in out


def test_the_help_tells_the_story_learn_prove_read_serve(command):
    listed = re.findall(r"^    (\w+)(?: |$)", command()[1], re.MULTILINE)
    learn, use = ["fetch", "models", "train", "tune"], ["read", "serve", "site", "corrections", "finetune"]
    assert [name for name in listed if name != "COMMAND"] == [*learn, "evaluate", "report", "compare", "export", *use]


def test_fetch_finds_the_real_files(command, mnist: Path):
    code, out, _ = command("fetch", "--json")
    assert (code, strict(out)) == (0, {"folder": str(mnist), "dataset": "mnist"})


def test_fetch_out_of_reach_is_a_message_and_exit_2(command):
    code, out, err = command("fetch")
    assert (code, out) == (2, "")
    assert "MNIST is not available. Tried:" in err
    assert "MNISTRY_OFFLINE is set" in err


def test_models_lists_the_recipes(command):
    code, out, _ = command("models", "--json")
    table = strict(out)
    assert code == 0
    assert [recipe["name"] for recipe in table] == [
        "logistic", "knn", "forest", "boosting", "pca-svm", "svm",
        "dense", "cnn", "fast", "small", "deep", "wide", "strided", "kernels", "ensemble", "student",
        "best", "reader",
    ]  # fmt: skip
    assert all({"name", "summary", "family", "parameters"} <= set(recipe) for recipe in table)
    assert "101,770" in command("models")[1]


def test_models_shows_the_settings_of_a_recipe_and_what_a_search_tries(command):
    code, out, _ = command("models", "cnn")
    assert code == 0
    assert any({"batch_size", "128", "64,128,256"} <= set(line.split()) for line in out.splitlines())
    assert "degrees" in out
    recipe = strict(command("models", "cnn", "--json")[1])[0]
    assert recipe["settings"]["epochs"] == 8
    assert recipe["about"]["shift"]["unit"] == "pixels"
    assert "did you mean cnn" in command("models", "cn")[2]


def test_models_leaves_out_the_settings_that_do_nothing_for_a_recipe(command):
    shown = {name: strict(command("models", name, "--json")[1])[0]["about"] for name in ("cnn", "student", "reader")}
    assert not {"temperature", "views", "outliers"} & set(shown["cnn"])
    assert {"temperature", "views"} <= set(shown["student"])
    assert "outliers" in shown["reader"]
    assert "temperature" not in shown["reader"]  # its teacher's answers are taken as they are
    assert all(about["doc"] for about in shown["cnn"].values())


@pytest.mark.slow
def test_train_evaluate_report_export_in_a_row(command, tmp_path: Path):
    folder = tmp_path / "run"
    code, out, err = command("train", "dense", *DIGITS, "--epochs", 2, "--set", "width=16", "--out", folder)
    assert code == 0
    assert "of the 360 test digits of digits are right" in out
    assert "epoch 2/2" in err
    assert "val_accuracy" in err

    code, out, _ = command("evaluate", folder, "--json")
    figures = strict(out)
    wanted = {"accuracy", "accuracy_interval", "nll", "brier", "ece", "confusion", "per_class", "n", "dataset"}
    assert wanted | {"mistakes"} <= set(figures)
    assert figures["dataset"] == "digits"
    assert sum(map(sum, figures["confusion"])) == figures["n"] == 360

    code, out, _ = command("report", folder, "--json")
    assert Path(strict(out)["report"]).is_file()

    code, out, _ = command("export", folder, "--out", tmp_path / "out.onnx")
    assert (code, "answers as the trained model does on 360 test digits" in out) == (0, True)
    code, out, _ = command("read", EXAMPLES / "0_ballpoint.png", "--model", tmp_path / "out.onnx", "--json")
    assert code == 0
    assert command("read", EXAMPLES / "0_ballpoint.png", "--model", folder, "--json")[1] == out


def test_train_prints_strict_json_and_only_that(command, tmp_path: Path):
    code, out, err = command("train", "logistic", *DIGITS, "--out", tmp_path / "run", "--json", "--quiet")
    assert code == 0
    assert strict(out)["metrics"]["n"] == 360
    assert err == ""


def test_evaluate_prints_the_report_and_the_matrix(command, dense_run):
    code, out, _ = command("evaluate", dense_run.folder)
    assert code == 0
    assert "Classification report" in out
    assert "Confusion matrix" in out


def test_evaluate_measures_spoilt_digits_once_and_keeps_that_in_the_run(command, dense_run, tmp_path: Path):
    folder = tmp_path / "run"
    shutil.copytree(dense_run.folder, folder)
    code, out, _ = command("evaluate", folder, "--corruptions")
    assert code == 0
    assert "zigzag" in out
    assert "of the spoilt digits are right, the mean of the fifteen" in out
    kept = (folder / "corruptions.json").stat().st_mtime_ns
    figures = strict(command("evaluate", folder, "--corruptions", "--json")[1])
    assert (folder / "corruptions.json").stat().st_mtime_ns == kept
    assert len(figures["corruptions"]["corruptions"]) == 15
    assert figures["accuracy"] == dense_run.metrics["accuracy"]


def test_spoilt_digits_are_shown_also_where_nothing_can_be_kept(command, dense_run, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise MnistryError("The disk is full.")

    monkeypatch.setattr("mnistry.training.robustness.keep", full)
    monkeypatch.setattr("mnistry.training.robustness.measure", lambda *_: {"n": 360})
    code, out, err = command("evaluate", dense_run.folder, "--corruptions", "--json")
    assert code == 0
    assert strict(out)["corruptions"]["n"] == 360
    assert "The disk is full." in err


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
def test_evaluate_and_the_report_tell_who_is_read_worst_and_best(command, tmp_path: Path):
    folder = tmp_path / "run"
    assert command("train", "logistic", "--dataset", "mnist", "--set", "max_iter=2", "--out", folder)[0] == 0
    code, out, _ = command("evaluate", folder, "--writers")
    assert code == 0
    assert "Writers whose test digits are read worst" in out
    assert "of 297 writers are read without a mistake" in out
    assert command("report", folder)[0] == 0
    page = (folder / "report.html").read_text("utf-8")
    assert "297 people who wrote the test digits" in page
    assert len(re.findall(r"(Student|Employee) \d+: \d+ of \d+ right", page)) == 5
    assert 'class="bad"' in page
    assert len(re.findall(r"(?:student|employee) \d+ \(\d+ of \d+\)", page)) == 3


def test_nobody_knows_who_wrote_the_stand_ins_digits(command, dense_run):
    code, _, err = command("evaluate", dense_run.folder, "--writers")
    assert (code, "It is not recorded who wrote the test digits of digits" in err) == (2, True)


def test_read_prints_a_line_a_picture(command):
    paths = sorted(EXAMPLES.iterdir())
    code, out, err = command("read", *paths, "--json")
    lines = [strict(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [line["text"] for line in lines] == list("0123456789")
    for line, path in zip(lines, paths, strict=True):
        (digit,) = line["digits"]
        x, y, width, height = digit["box"]
        with Image.open(path) as picture:
            assert x >= 0 <= y
            assert x + width <= picture.width
            assert y + height <= picture.height
        assert 0 < digit["probability"] <= 1
        assert str(digit["digit"]) == line["text"]


def test_one_bad_picture_does_not_stop_the_rest(command, tmp_path: Path):
    (tmp_path / "bad.png").write_bytes(b"nothing")
    pictures = [EXAMPLES / "0_ballpoint.png", tmp_path / "bad.png", tmp_path / "none.png", EXAMPLES / "7_crossed.png"]
    code, out, err = command("read", *pictures)
    assert code == 1
    assert len(out.splitlines()) == 2
    assert "bad.png: no picture: expected PNG" in err
    assert "none.png: no such file" in err
    code, out, err = command("read", *pictures, "--json")
    lines = [strict(line) for line in out.splitlines()]
    assert [("text" in line, "error" in line) for line in lines] == [
        (True, False),
        (False, True),
        (False, True),
        (True, False),
    ]
    assert (code, err) == (1, "")


def test_a_blank_picture_says_so(command, tmp_path: Path):
    Image.new("L", (50, 50), 255).save(tmp_path / "blank.png")
    code, out, _ = command("read", tmp_path / "blank.png")
    assert (code, "no ink found" in out) == (0, True)
    line = strict(command("read", tmp_path / "blank.png", "--json")[1])
    assert (line["text"], line["digits"], line["reason"]) == ("", [], "no ink found")


def test_the_fallback_cannot_be_missed(command, tmp_path: Path):
    code, out, err = command("train", "logistic", "--out", tmp_path / "run")
    assert code == 0
    assert "NOT MNIST" in err
    assert "test digits of digits" in out
    code, _, err = command("train", "logistic", "--dataset", "mnist", "--out", tmp_path / "other")
    assert code == 2
    assert not (tmp_path / "other").exists()


# --- Mistakes: exit 2, one line, no traceback, nothing lost


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("trian cnn", "No command 'trian' (did you mean train?). See mnistry --help."),
        ("lern cnn", "No command 'lern' (expected fetch, models, train,"),
        ("--lern", "Unrecognized arguments: --lern. See mnistry --help."),
        ("train", "RECIPE"),
        ("train dens", "no recipe 'dens' (did you mean dense?)"),
        ("train dense --dataset cifar", "auto, mnist or digits, not 'cifar'"),
        ("train dense --validation much", "expected a share such as 0.1, or writers, not 'much'"),
        ("train dense --validation 1.5", "fraction from 0 to below 1"),
        ("train dense --dataset digits --validation writers", "It is not recorded who wrote"),
        ("train dense --seed -1", "whole number from 0"),
        ("train dense --epochs none", "epochs takes a whole number"),
        ("train dense --dataset digits --epochs 0", "The setting epochs is from 1 to 1000000, not 0"),
        ("train dense --dataset digits --batch-size 0", "The setting batch_size is from 1 to 1000000000, not 0"),
        ("train dense --set rate", "KEY=VALUE"),
        ("train dense --set rate=1", "no setting 'rate'"),
        ("train logistic --epochs 3", "Recipe logistic has no setting 'epochs'"),
        ("train dense --dataset digits --set learning_rate=1e30 --set schedule=constant", "Lower learning_rate"),
        ("train dense --out README.md/run --dataset digits", "could not be written"),
        ("evaluate nothing", "No run 'nothing'"),
        ("evaluate " + "a" * 300, "No run 'aaaa"),
        ("train logistic --dataset digits --set C=inf", "The setting C takes a number, not 'inf'"),
        ("evaluate", "no finished run"),
        ("evaluate tests", "is not a finished run"),
        ("report nothing", "No run 'nothing'"),
        ("export nothing", "No run 'nothing'"),
        ("read", "PICTURE"),
        ("read x.png --model nothing", "No run 'nothing'"),
        ("read x.png --model nothing.onnx", "cannot be read"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(command, arguments: str, sentence: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    code, out, err = command(*arguments.split())
    assert (code, out) == (2, "")
    lines = [line for line in err.splitlines() if line.startswith("mnistry: ")]
    assert len(lines) == 1
    assert sentence in lines[0]
    assert "Traceback" not in err


def test_an_existing_run_is_kept(command, dense_run):
    before = (dense_run.folder / "manifest.json").read_bytes()
    code, _, err = command("train", "dense", *DIGITS, "--out", dense_run.folder)
    assert (code, "exists already" in err) == (2, True)
    assert (dense_run.folder / "manifest.json").read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_one_sentence(command, tmp_path: Path):
    tmp_path.chmod(0o500)
    code, _, err = command("train", "logistic", *DIGITS, "--out", tmp_path / "run")
    tmp_path.chmod(0o700)
    assert (code, "could not be written" in err) == (2, True)


def test_a_missing_extra_says_what_to_install(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nclass No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'sklearn': raise ModuleNotFoundError('hidden', name=name)\n"
        "sys.meta_path.insert(0, No())\n"
    )
    done = process("train", "dense", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT / 'src'}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"mnistry: This command needs sklearn, which is not installed: {install_hint('train')}.\n"


# --- As a process


@pytest.mark.slow
def test_ctrl_c_exits_130_and_leaves_nothing_half_written(tmp_path: Path):
    running = subprocess.Popen(
        [sys.executable, "-m", "mnistry.cli", "train", "dense", *DIGITS, "--epochs", "5000", "--out", tmp_path / "run"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stderr is not None
    try:
        for line in running.stderr:
            if "epoch 2/" in line:
                break
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=LONG)
    finally:
        running.kill()
    assert running.returncode == 130
    assert out == ""
    assert "interrupted; no unfinished file was kept" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_tensorflows_chatter_does_not_reach_the_user(tmp_path: Path):
    done = process("train", "dense", *DIGITS, "--epochs", 1, "--set", "width=4", "--quiet", "--out", tmp_path / "run")
    assert (done.returncode, done.stderr) == (0, "")


def test_libtiffs_chatter_does_not_reach_the_user(tmp_path: Path):
    Image.new("L", (50, 50), 255).save(tmp_path / "a.tif", compression="tiff_lzw")
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[:8] + data[30:])
    done = process("read", tmp_path / "a.tif")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_a_closed_pipe_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m mnistry.cli read {EXAMPLES}/*.png | head -n 1", shell=True, capture_output=True, text=True
    )
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


def test_results_go_to_the_file_also_while_a_terminal_shows_the_count(tmp_path: Path):
    """rich takes over sys.stdout while it draws, and printed what came after a second to the terminal instead."""
    code = (
        "import time; from pathlib import Path; from mnistry.cli import console\n"
        "with console.counting_bar('pictures', False) as tell:\n"
        "    time.sleep(1.1)\n"
        "    for n in range(9): print(n); tell()\n"
    )
    terminal, end = pty.openpty()
    with (tmp_path / "results").open("wb") as results:
        running = subprocess.Popen([sys.executable, "-c", code], stdout=results, stderr=end)
    os.close(end)
    drawn = b""
    while part := _drawn(terminal):
        drawn += part
    assert running.wait() == 0
    assert (tmp_path / "results").read_text().split() == list("012345678")
    assert b"9 pictures" in drawn


def _drawn(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux' way to say that nobody writes to it any more
        return b""


@pytest.mark.slow
@pytest.mark.parametrize("closing", ["2>&-", ">&-", "2>/dev/full", "2>&1 | head -n 1"])
def test_closed_and_full_streams_lose_no_training(tmp_path: Path, closing: str):
    train = f"{sys.executable} -m mnistry.cli train dense {' '.join(DIGITS)} --epochs 2 --out {tmp_path}/run {closing}"
    done = subprocess.run(train, shell=True, capture_output=True, text=True)
    assert "Traceback" not in done.stdout + done.stderr
    assert (tmp_path / "run" / "manifest.json").is_file()


def test_results_that_cannot_be_written_are_one_sentence():
    done = subprocess.run(
        f"{sys.executable} -m mnistry.cli models >/dev/full", shell=True, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (
        2,
        "mnistry: The system reports an error: [Errno 28] No space left on device.\n",
    )


def test_names_of_folders_are_printed_as_they_are(command, dense_run, tmp_path: Path):
    for name in ("[", "a[bold]b", ":rocket:"):
        shutil.copytree(dense_run.folder, tmp_path / name)
        assert f"{tmp_path}/{name}" in command("evaluate", tmp_path / name)[1]


def test_a_name_with_a_new_line_stays_on_its_line(command, tmp_path: Path):
    path = tmp_path / "a\nb.png"
    path.write_bytes((EXAMPLES / "7_crossed.png").read_bytes())
    assert len(command("read", path)[1].splitlines()) == 1


@pytest.mark.slow
def test_being_terminated_leaves_nothing_half_written(tmp_path: Path):
    running = subprocess.Popen(
        [sys.executable, "-m", "mnistry.cli", "train", "dense", *DIGITS, "--epochs", "5000", "--out", tmp_path / "run"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stderr is not None
    for line in running.stderr:
        if "epoch 2/" in line:
            break
    running.terminate()
    running.communicate(timeout=LONG)
    assert running.returncode == 143
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("backend", "sentence"),
    [
        ("nonsense", "is tensorflow, jax, torch, not 'nonsense'"),
        pytest.param("jax", "wants jax, which is not", marks=pytest.mark.slow),
    ],
)
def test_a_back_end_that_is_not_there_is_one_sentence(tmp_path: Path, backend: str, sentence: str):
    if backend == "jax" and importlib.util.find_spec("jax"):
        pytest.skip("jax is installed here")
    done = process("train", "dense", *DIGITS, "--out", tmp_path / "run", KERAS_BACKEND=backend)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ['{"image_data_format": "channels_first", "floatx": "float16"}', '{"floatx": "float3"}']
)
def test_the_users_own_keras_settings_do_no_harm(tmp_path: Path, text: str):
    (tmp_path / "keras.json").write_text(text)
    done = process(
        "train", "cnn", *DIGITS, "--epochs", 1, "--set", "width=2", "--out", tmp_path / "run", KERAS_HOME=str(tmp_path)
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == (2 if "float3" in text else 0), done.stderr


def test_no_color_is_honoured(command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[3" not in command("models")[1]


def test_the_command_line_starts_at_once():
    best = min(_seconds("import mnistry.cli") - _seconds("pass") for _ in range(5))
    assert best < 0.2


def test_listing_the_recipes_needs_no_learning_library():
    code = (
        "import sys; from mnistry.cli.main import main; main(['models', '--json']);"
        "sys.exit(any(name in sys.modules for name in ('sklearn', 'keras', 'joblib', 'onnxruntime')))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def _seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def test_a_setting_given_twice_is_told(command):
    for arguments in (["--epochs", "1", "--set", "epochs=7"], ["--set", "width=2", "--set", "width=3"]):
        code, _, err = command("train", "cnn", *arguments)
        assert code == 2
        assert "given twice" in err


def test_links_in_a_circle_are_told(command, tmp_path: Path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    code, _, err = command("train", "dense", *DIGITS, "--epochs", "1", "--out", tmp_path / "loop")
    assert code == 2
    assert "circle" in err


def test_a_finished_run_is_never_exported_into(command, dense_run, tmp_path: Path):
    other = tmp_path / "other"
    shutil.copytree(dense_run.folder, other)
    code, _, err = command("export", dense_run.folder, "--out", other / "model.onnx")
    assert code == 2
    assert "finished run" in err
    assert {path.name for path in other.iterdir()} == {path.name for path in dense_run.folder.iterdir()}


def test_a_space_too_wide_and_one_that_scikit_learn_refuses(command):
    code, _, err = command("tune", "logistic", *DIGITS, "--trials", "2", "--space", "C=-1e308:1e308", "--study", "a")
    assert (code, "too wide" in err) == (2, True)
    code, _, err = command("tune", "logistic", *DIGITS, "--trials", "2", "--space", "C=-5:-1", "--study", "b")
    assert (code, "Nothing was tried" in err) == (2, True)
