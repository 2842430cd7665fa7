"""Run folders: whole or not at all, and every kind of damage told in a sentence."""

import dataclasses
import errno
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnistry.settings import MnistryError, not_written, write_atomic
from mnistry.training.runs import (
    MANIFEST,
    check_manifest,
    find_finished,
    find_run,
    free_name,
    open_run,
    sha256,
    writing,
)


def test_a_folder_stands_with_its_manifest_only_after_the_block(tmp_path: Path):
    folder = tmp_path / "runs" / "one"
    with writing(folder) as draft:
        (draft.path / "a.txt").write_text("a")
        assert not folder.exists()
    assert set(check_manifest(folder)) == {"a.txt"}
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, failure: type[BaseException]):
    with pytest.raises(failure), writing(tmp_path / "one") as draft:
        (draft.path / "a.txt").write_text("a")
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_never_overwritten(tmp_path: Path):
    with writing(tmp_path / "one") as draft:
        (draft.path / "a.txt").write_text("a")
    with pytest.raises(MnistryError, match="exists already"), writing(tmp_path / "one"):
        raise AssertionError("not reached")
    assert (tmp_path / "one" / "a.txt").read_text() == "a"


def test_what_was_put_there_meanwhile_is_kept(tmp_path: Path):
    with writing(tmp_path / "one") as draft:
        (draft.path / "a.txt").write_text("a")
        (tmp_path / "one").mkdir()
        (tmp_path / "one" / "notes.txt").write_text("precious")
    assert (tmp_path / "one" / "notes.txt").read_text() == "precious"
    assert draft.folder == tmp_path / "one-2"
    assert (draft.folder / "a.txt").read_text() == "a"


def test_two_runs_of_one_name_at_once_both_stand(tmp_path: Path):
    with writing(tmp_path / "one") as first, writing(tmp_path / "one") as second:
        (first.path / "a.txt").write_text("first")
        (second.path / "a.txt").write_text("second")
    assert {path.name for path in tmp_path.iterdir()} == {"one", "one-2"}


def test_an_empty_folder_may_be_filled(tmp_path: Path):
    (tmp_path / "one").mkdir()
    with writing(tmp_path / "one") as draft:
        (draft.path / "a.txt").write_text("a")
    assert (tmp_path / "one" / "a.txt").exists()


def test_a_link_to_a_run_stays_a_link(tmp_path: Path):
    with writing(tmp_path / "one") as draft:
        (draft.path / "a.txt").write_text("a")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    with writing(tmp_path / "link", replace=True) as draft:
        (draft.path / "b.txt").write_text("b")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "one" / "b.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"one", "link"}


def test_what_a_killed_process_left_is_swept_away_by_the_next_and_what_lives_is_not(tmp_path: Path):
    code = (
        "import os, sys; from pathlib import Path; from mnistry.training.runs import writing\n"
        "with writing(Path(sys.argv[1])) as draft: (draft.path / 'a').write_text('a'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "killed"], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with writing(tmp_path / "alive") as alive:
        with writing(tmp_path / "another"):
            assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} >= {alive.path.name}
        write_atomic(tmp_path / "file", b"")
    assert {path.name for path in tmp_path.iterdir()} == {"alive", "another", "file"}


def test_a_full_disk_is_told_in_a_sentence_when_a_run_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with writing(tmp_path / "one") as draft:
        (draft.path / "a.txt").write_text("a")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(MnistryError, match=r"No space left on device\. Free some"), writing(tmp_path / "one", True):
        raise AssertionError("not reached")


def test_a_page_that_was_deleted_damages_no_run(tmp_path: Path):
    with writing(tmp_path / "one") as draft:
        (draft.path / "report.html").write_text("a")
        (draft.path / "run.json").write_text("a")
    (tmp_path / "one" / "report.html").unlink()
    check_manifest(tmp_path / "one")
    (tmp_path / "one" / "run.json").unlink()
    with pytest.raises(MnistryError, match="missing"):
        check_manifest(tmp_path / "one")


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.ENOSPC, "Free some space"), (errno.EROFS, "may write to"), (errno.EIO, "another")]
)
def test_the_advice_fits_the_problem(tmp_path: Path, number: int, advice: str):
    assert advice in str(not_written(tmp_path, OSError(number, "why")))


def test_replacing_keeps_the_files_and_fails_without_loss(tmp_path: Path):
    with writing(tmp_path / "one") as draft:
        (draft.path / "a.txt").write_text("a")
    with pytest.raises(RuntimeError), writing(tmp_path / "one", replace=True) as draft:
        (draft.path / "a.txt").write_text("changed")
        raise RuntimeError
    assert (tmp_path / "one" / "a.txt").read_text() == "a"
    with writing(tmp_path / "one", replace=True) as draft:
        (draft.path / "b.txt").write_text("b")
    assert set(check_manifest(tmp_path / "one")) == {"a.txt", "b.txt"}
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MnistryError, match="could not be written"), writing(tmp_path / "file" / "run"):
        raise AssertionError("not reached")


def test_no_space_in_the_middle_is_one_sentence_and_leaves_nothing(tmp_path: Path):
    with pytest.raises(MnistryError, match=r"No space left.*Free some space"), writing(tmp_path / "one"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def damaged(run, tmp_path: Path, name: str, change) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    change(folder / name)
    return folder


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        (MANIFEST, Path.unlink, "not a finished run"),
        (MANIFEST, lambda path: path.write_text('{"sha'), "is damaged"),
        (MANIFEST, lambda path: path.write_text("[]"), "is damaged"),
        ("model.onnx", Path.unlink, "model.onnx is missing"),
        ("model.onnx", lambda path: path.write_bytes(path.read_bytes()[:-1]), "sha256 is not"),
        ("metrics.json", lambda path: path.write_text("{}"), "sha256 is not"),
        ("history.csv", lambda path: path.write_text(""), "sha256 is not"),
    ],
)
def test_a_half_written_or_damaged_run_is_refused(dense_run, tmp_path: Path, name, change, reason):
    folder = damaged(dense_run, tmp_path, name, change)
    with pytest.raises(MnistryError, match=reason):
        open_run(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.json", "[]"),
        ("run.json", "{}"),
        ("run.json", "[" * 100_000),
        ("metrics.json", "{}"),
        ("metrics.json", '{"accuracy": NaN, "n": 1, "mistakes": [], "parts": {}}'),
        ("history.csv", ""),
        ("history.csv", "epoch,loss\n1,2,3\n"),
        ("history.csv", "epoch,loss,accuracy\n1,2," + "3" * 200_000 + "\n"),
    ],
)
def test_a_well_sealed_run_with_strange_content_is_refused(dense_run, tmp_path: Path, name: str, text: str):
    folder = damaged(dense_run, tmp_path, name, lambda path: path.write_text(text))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["sha256"][name] = sha256(folder / name)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(MnistryError, match="no run of this version"):
        open_run(folder)


@pytest.mark.parametrize("kind", ["archive", "text", "object", "lies"])
def test_probabilities_that_are_no_array_are_told(dense_run, tmp_path: Path, kind: str):
    archive, plain = io.BytesIO(), io.BytesIO()
    np.savez(archive, a=np.zeros(3))
    np.save(plain, np.zeros(3))
    lies = plain.getvalue().replace(b"(3,)", b"(((((((")
    content = {"archive": archive.getvalue(), "text": b"7", "object": b"\x80\x04N.", "lies": lies}[kind]
    (tmp_path / "test_probabilities.npy").write_bytes(content)
    with pytest.raises(MnistryError, match="no run of this version"):
        _ = dataclasses.replace(dense_run, folder=tmp_path).test_probabilities


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, '{"sha256": {"/etc/passwd": "0"}}', '{"sha256": {"../x": "0"}}',
        '{"sha256": {"' + "n" * 300 + '": "0"}}', '{"sha256": {"x\\u0000": "0"}}', '{"sha256": {"x\\ud800": "0"}}',
    ],
)  # fmt: skip
def test_a_strange_manifest_is_refused(dense_run, tmp_path: Path, text: str):
    folder = damaged(dense_run, tmp_path, MANIFEST, lambda path: path.write_text(text))
    with pytest.raises(MnistryError, match="is damaged"):
        open_run(folder)


def test_a_manifest_alone_makes_no_run(tmp_path: Path):
    with writing(tmp_path / "one") as draft:
        (draft.path / "run.json").write_text("[]")
    with pytest.raises(MnistryError, match="no run of this version"):
        open_run(tmp_path / "one")


def test_runs_are_found_by_path_by_name_and_as_the_latest(dense_run):
    root = dense_run.folder.parent
    for name in (str(dense_run.folder), "dense", "latest"):
        assert find_run(name, root).folder == dense_run.folder
    with pytest.raises(MnistryError, match=r"No run 'dens'.*: dense\."):
        find_run("dens", root)


def test_no_run_yet_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(MnistryError, match="mnistry train cnn makes one"):
        find_run("latest", tmp_path)


def test_a_new_run_takes_the_first_free_name(tmp_path: Path):
    for expected in ("cnn-seed0", "cnn-seed0-2", "cnn-seed0-3"):
        folder = free_name("cnn-seed0", tmp_path)
        assert folder.name == expected
        folder.mkdir()


def test_the_run_folder_holds_what_the_contract_names(dense_run):
    names = {path.name for path in dense_run.folder.iterdir()}
    assert {"run.json", "history.csv", "metrics.json", "model.onnx", "model.keras", MANIFEST} <= names
    info = json.loads((dense_run.folder / "run.json").read_text())
    assert {"recipe", "seed", "versions", "dataset_sha256", "machine", "seconds", "status"} <= set(info)


def test_a_finished_run_is_found_by_what_it_did_and_a_damaged_one_passed_over(dense_run, tmp_path: Path):
    wanted = {key: dense_run.info[key] for key in ("recipe", "settings", "seed", "dataset_sha256", "split", "n")}
    told: list[str] = []
    assert find_finished(tmp_path / "none", wanted) is None
    shutil.copytree(dense_run.folder, tmp_path / "good")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "run.json").write_text("[]")
    assert find_finished(tmp_path, wanted, told.append).folder == tmp_path / "good"
    for key, value in {"seed": 1, "split": "0.3", "settings": wanted["settings"] | {"width": 7}}.items():
        assert find_finished(tmp_path, wanted | {key: value}, told.append) is None
    assert told == []
    (tmp_path / "good" / "model.onnx").write_bytes(b"")
    assert find_finished(tmp_path, wanted, told.append) is None
    assert "model.onnx is damaged" in told[0]


def test_a_run_from_before_a_setting_was_there_had_its_default(dense_run, tmp_path: Path):
    wanted = {"settings": dense_run.info["settings"]}
    shutil.copytree(dense_run.folder, tmp_path / "old")
    fewer = {key: value for key, value in wanted["settings"].items() if key not in ("spoilt", "neighbours")}
    with writing(tmp_path / "old", replace=True) as draft:
        (draft.path / "run.json").write_text(json.dumps(dense_run.info | {"settings": fewer}))
    assert find_finished(tmp_path, wanted).folder == tmp_path / "old"
    assert find_finished(tmp_path, {"settings": wanted["settings"] | {"spoilt": 0.1}}) is None


def test_of_equal_runs_the_first_finished_is_taken(dense_run, tmp_path: Path):
    """Whoever trains again does not choose the better one."""
    for name, finished in (("a", "2026-03-01"), ("b", "2026-01-01"), ("c", "2026-02-01")):
        shutil.copytree(dense_run.folder, tmp_path / name)
        with writing(tmp_path / name, replace=True) as draft:
            (draft.path / "run.json").write_text(json.dumps(dense_run.info | {"finished": finished}))
    assert find_finished(tmp_path, {"seed": 0}).folder == tmp_path / "b"
