"""The application in this process: readings, refusals, corrections, headers, batches."""

import asyncio
import base64
import io
import json
import sqlite3
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from serving import EXAMPLES, client

from mnistry import MnistryError, Reader
from mnistry.reading.layout import Digit, Reading
from mnistry.web.engine import heat_as_json

DOCUMENTED = {400, 403, 404, 405, 408, 413, 415, 503, 507}


def run(work: Callable[[Any], Any], **settings: Any) -> Any:
    """Do something with a client of the application."""

    async def inside() -> Any:
        async with client(**settings) as opened:
            return await work(opened)

    return asyncio.run(inside())


def post(path: str, content: bytes, **settings: Any) -> Any:
    return run(lambda c: c.post(path, content=content), **settings)


def png(mode: str = "L", size: tuple[int, int] = (40, 40), colour: Any = 255) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, "PNG")
    return file.getvalue()


def test_predict_answers_as_the_command_line_does(command: Any):
    file = EXAMPLES / "rows.png"
    answer = post("/predict", file.read_bytes())
    assert answer.status_code == 200
    line = json.loads(command("read", "--json", file)[1])
    line.pop("file")
    assert answer.json() == line
    assert line["text"] == "314\n159"


def test_with_detail_each_digit_has_ten_probabilities_and_what_the_model_saw():
    file = EXAMPLES / "number.png"
    answer = post("/predict?detail=true", file.read_bytes()).json()
    reading = Reader().read(file)
    for told, digit in zip(answer["digits"], reading.digits, strict=True):
        assert len(told["probabilities"]) == 10
        assert sum(told["probabilities"]) <= 1
        assert max(told["probabilities"]) == told["probability"]  # the bars say what the answer says
        seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(told["image"].partition(",")[2]))))
        assert (seen == digit.image).all()


def test_a_digit_without_ink_of_its_own_is_explained_too():
    digit = Digit(7, 0.9, (3, 3, 9, 9), np.zeros((28, 28), np.uint8), np.full(10, 0.1, np.float32))
    told = heat_as_json(Reading("7", (digit,)), Reader())["digits"]
    assert [(one["digit"], one["box"]) for one in told] == [(7, [3, 3, 9, 9])]


def test_what_is_explained_is_the_digit_that_was_told():
    reading = Reader().read(EXAMPLES / "number.png")
    other = replace(reading.digits[0], digit=1)
    same, changed = (heat_as_json(Reading("", (digit,)), Reader())["digits"][0] for digit in (reading.digits[0], other))
    assert same["image"] != changed["image"]


def test_an_empty_picture_says_why_it_has_no_digit():
    assert post("/predict", png()).json() == {"text": "", "digits": [], "reason": "no ink found"}


@pytest.mark.parametrize(
    ("content", "status", "word"),
    [
        (b"", 400, "Empty"),
        (b"no picture", 400, "expected PNG"),
        (png()[:60], 400, "amaged"),
        (b"x" * 5000, 413, "4096 bytes"),
        (png("1", (1000, 1000)), 413, "1000 x 1000"),
    ],
)
def test_bad_pictures_are_refused_in_one_sentence(content: bytes, status: int, word: str):
    answer = post("/predict", content, max_body=4096, max_pixels=500_000)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert word in answer.json()["error"]


@pytest.mark.slow
def test_no_bad_file_of_the_field_breaks_predict(shared: Path):
    async def work(opened: Any) -> list[tuple[str, int]]:
        odd = []
        with tarfile.open(shared / "badfiles" / "badfiles.tar.xz") as archive:
            for k, member in enumerate(archive):
                if member.isfile() and k % 2 == 0:  # `Reader` gets the others in a test of its own
                    answer = await opened.post("/predict", content=archive.extractfile(member).read())
                    told = answer.json()
                    fine = "text" in told if answer.status_code == 200 else list(told) == ["error"] and told["error"]
                    if not fine or not (answer.status_code == 200 or answer.status_code in (400, 413)):
                        odd.append((member.name, answer.status_code))
        return odd

    assert run(work, max_body=64 * 2**20) == []


def test_foreign_hosts_and_origins_are_refused():
    async def work(opened: Any) -> list[int]:
        asked = [
            await opened.get("/", headers={"host": "evil.example"}),
            await opened.get("/v2", headers={"host": "localhost:9000"}),
            await opened.get("/v2", headers={"host": "a.friend.org"}),
            await opened.post("/corrections?label=1", content=b"", headers={"origin": "https://evil.example"}),
            await opened.post("/predict", content=png(), headers={"origin": "http://localhost"}),
        ]
        assert "access-control-allow-origin" not in asked[1].headers
        return [answer.status_code for answer in asked]

    assert run(work, allowed_hosts=("*.friend.org",)) == [403, 200, 200, 403, 200]


def test_other_origins_are_let_in_only_where_they_are_named():
    answer = run(lambda c: c.get("/v2", headers={"origin": "https://a.org"}), origins=("https://a.org",))
    assert answer.headers["access-control-allow-origin"] == "https://a.org"


@pytest.mark.parametrize("path", ["/", "/docs", "/static/app.js", "/v2", "/nothing"])
def test_every_answer_has_the_headers_of_a_guarded_page(path: str):
    headers = run(lambda c: c.get(path)).headers
    assert "script-src 'self';" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-request-id"]


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%5capp.py", "//etc/passwd"])
def test_path_tricks_find_nothing(path: str):
    assert run(lambda c: c.get(path)).status_code == 404


def test_the_page_and_its_scripts_name_no_other_host():
    for file in EXAMPLES.parent.glob("*.*"):
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text.replace("$://", ""), file.name


def test_mistakes_of_the_service_are_told_without_a_trace(monkeypatch: pytest.MonkeyPatch):
    reader = Reader()

    async def work(opened: Any) -> Any:
        monkeypatch.setattr(reader, "read", lambda _: 1 / 0)
        return await opened.post("/predict", content=png())

    answer = run(work, reader=reader)
    assert answer.status_code == 500
    assert answer.json() == {"error": "The service made a mistake; its log says which."}


def test_a_model_that_fails_its_self_test_is_not_ready(monkeypatch: pytest.MonkeyPatch):
    reader = Reader()
    real = reader.predict_proba
    monkeypatch.setattr(reader, "predict_proba", lambda images: np.roll(real(images), 1, axis=1))

    async def work(opened: Any) -> Any:
        return await opened.get("/v2/health/ready"), await opened.get("/v2/health/live")

    ready, live = run(work, reader=reader)
    assert (ready.status_code, live.status_code) == (503, 200)
    assert "self-test" in ready.json()["error"]


def test_the_self_test_may_take_longer_than_an_answer(monkeypatch: pytest.MonkeyPatch):
    import time

    from mnistry.web import app

    reader = Reader()
    reader.predict_proba(np.zeros((1, 28, 28), np.uint8))
    monkeypatch.setattr(app, "check_answers", lambda _: time.sleep(1.5))
    assert run(lambda c: c.get("/v2/health/ready"), reader=reader, answer_seconds=1.0).status_code == 200


def test_a_full_queue_is_told_with_retry_after_and_health_passes_it(monkeypatch: pytest.MonkeyPatch):
    import time

    reader = Reader()
    real = reader.read

    async def work(opened: Any) -> Any:
        monkeypatch.setattr(reader, "read", lambda source: (time.sleep(0.5), real(source))[1])
        asked = [opened.post("/predict", content=png()) for _ in range(5)]
        waiting = asyncio.gather(*asked)
        await asyncio.sleep(0.2)
        ready = await opened.get("/v2/health/ready")
        return ready, await waiting

    ready, answers = run(work, reader=reader, queue=2)
    assert ready.status_code == 200
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 503)


def test_an_answer_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch):
    import time

    reader = Reader()

    async def work(opened: Any) -> Any:
        monkeypatch.setattr(reader, "read", lambda _: time.sleep(1))
        return await opened.post("/predict", content=png())

    assert run(work, reader=reader, answer_seconds=0.3).status_code == 503


def test_batches_form_by_themselves_and_each_gets_its_own_rows():
    from mnistry.web.batching import Batcher

    sizes: list[int] = []

    def model(images: Any) -> tuple[Any, ...]:
        import time

        time.sleep(0.02)
        return (images[:, 0, 0].astype(np.float32),)

    async def work() -> None:
        batcher = Batcher(model, 8, sizes.append)
        images = [np.full((1 + k % 3, 28, 28), k, np.uint8) for k in range(40)]
        for k, (answer,) in enumerate(await asyncio.gather(*map(batcher.ask, images))):
            assert answer.tolist() == [k] * (1 + k % 3)
        batcher.close()

    asyncio.run(work())
    assert max(sizes) <= 8
    assert len(sizes) < 20


# --- Corrections ------------------------------------------------------------------------------------------


def test_corrections_are_kept_listed_exported_deleted_and_imported(tmp_path: Path, command: Any):
    picture = (EXAMPLES / "seven.png").read_bytes()

    async def work(opened: Any) -> None:
        made = await opened.post("/corrections?label=7&read=1", content=picture)
        assert made.status_code == 201
        number = made.json()["id"]
        assert (await opened.post("/corrections?label=7&read=1", content=picture)).json()["id"] == number
        (listed,) = (await opened.get("/corrections")).json()["corrections"]
        assert (listed["label"], listed["read"]) == ("7", "1")
        assert (await opened.get(f"/corrections/{number}/picture")).content == picture
        exported = (await opened.get("/corrections/export")).content
        (tmp_path / "c.zip").write_bytes(exported)
        assert (await opened.delete(f"/corrections/{number}")).status_code == 204
        assert (await opened.delete(f"/corrections/{number}")).status_code == 404
        assert (await opened.post("/corrections/import", content=exported)).json() == {"added": 1, "known": 0}
        assert (await opened.post("/corrections/import", content=exported)).json() == {"added": 0, "known": 1}

    run(work, home=tmp_path / "home")
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        archive.extractall(tmp_path / "out")
    pictures = sorted((tmp_path / "out").glob("*.png"))
    code, out, _ = command("read", "--labels", tmp_path / "out" / "labels.csv", "--json", *pictures)
    assert code == 0
    assert json.loads(out.splitlines()[0])["text"] == "7"
    assert '"labels"' in out.splitlines()[-1]


@pytest.mark.parametrize("query", ["", "label=", "label=x", "label=" + "7" * 65, "label=%3Cimg%3E"])
def test_a_label_is_digits(query: str, tmp_path: Path):
    assert post(f"/corrections?{query}", png(), home=tmp_path).status_code == 400


def test_a_service_without_a_home_keeps_nothing():
    assert run(lambda c: c.get("/corrections")).status_code == 404


def test_a_torn_file_of_corrections_is_told_and_left_as_it_is(tmp_path: Path):
    torn = b"SQLite format 3\0" + b"\7" * 4000
    (tmp_path / "corrections.sqlite").write_bytes(torn)
    answer = post("/corrections?label=7", (EXAMPLES / "seven.png").read_bytes(), home=tmp_path)
    assert answer.status_code == 503
    assert "left as it is" in answer.json()["error"] or "cannot be used" in answer.json()["error"]
    assert (tmp_path / "corrections.sqlite").read_bytes() == torn


def test_a_locked_file_of_corrections_is_told_and_nothing_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from mnistry.web import corrections

    monkeypatch.setattr(corrections, "WAIT_SECONDS", 0.1)
    picture = (EXAMPLES / "seven.png").read_bytes()
    store = corrections.Corrections(tmp_path)
    store.add(picture, "7")
    other = sqlite3.connect(tmp_path / "corrections.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    answer = post("/corrections?label=1", picture, home=tmp_path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    other.execute("ROLLBACK")
    other.close()
    assert [each["label"] for each in store.listed()] == ["7"]


def test_a_full_disk_is_told_and_nothing_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from mnistry.web import corrections

    store = corrections.Corrections(tmp_path)
    store.add((EXAMPLES / "seven.png").read_bytes(), "7")
    real = sqlite3.connect

    def full(*arguments: Any, **named: Any) -> Any:
        database = real(*arguments, **named)
        database.execute("PRAGMA max_page_count = 1")  # the file may not grow
        return database

    monkeypatch.setattr(sqlite3, "connect", full)
    answer = post("/corrections?label=4815", (EXAMPLES / "paper.jpg").read_bytes(), home=tmp_path)
    monkeypatch.undo()
    assert answer.status_code == 507
    assert [each["label"] for each in store.listed()] == ["7"]


@pytest.mark.parametrize("name", ["nothing", "labels", "bomb"])
def test_an_import_that_is_no_export_adds_nothing(name: str, tmp_path: Path):
    from mnistry.web.corrections import Corrections

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        if name == "labels":
            archive.writestr("labels.csv", "file,label\na.png,7\nmissing.png,8\n")
            archive.writestr("a.png", (EXAMPLES / "seven.png").read_bytes())
        if name == "bomb":
            archive.writestr("labels.csv", "file,label\n" + " " * (300 * 2**20))
    with pytest.raises(MnistryError):
        Corrections(tmp_path).take(file.getvalue() if name != "nothing" else b"no zip")
    assert Corrections(tmp_path).listed() == []


def test_of_many_requests_few_begin_in_one_turn_of_the_loop_and_in_their_order():
    from mnistry.web.guard import AT_ONCE, Turns

    async def work() -> list[tuple[int, int]]:
        turns, begun, turn = Turns(), [], 0

        async def one(k: int) -> None:
            try:
                await turns.begin()
                begun.append((k, turn))
                await asyncio.sleep(0.2)
            finally:
                turns.end()

        tasks = [asyncio.create_task(one(k)) for k in range(5 * AT_ONCE)]
        for _ in range(20):
            await asyncio.sleep(0)
            turn += 1
            tasks[-1].cancel()  # one that waits goes away
        await asyncio.wait(tasks)
        await asyncio.sleep(0)
        await turns.begin()  # nothing is left of them
        return begun

    begun = asyncio.run(work())
    assert [k for k, _ in begun] == list(range(5 * AT_ONCE - 1))
    assert max(Counter(turn for _, turn in begun).values()) <= 2 * AT_ONCE  # the first few need not wait
