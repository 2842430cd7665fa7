"""A file from mirrors that misbehave in every way, on this machine."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mnistry.data import sources
from mnistry.data.download import DownloadError, download
from mnistry.settings import MnistryError

DATA = bytes(range(256)) * 1000
HASH = hashlib.sha256(DATA).hexdigest()


class Mirror(BaseHTTPRequestHandler):
    """Answers by the first part of the path."""

    other = ""

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        getattr(self, kind)()

    def good(self) -> None:
        self._send(DATA)

    def html(self) -> None:
        self._send(b"<!doctype html><title>This domain is for sale</title>" + DATA)

    def short(self) -> None:
        self._send(DATA[:5000])

    def cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA[:5000])

    def long(self) -> None:
        self._send(DATA + b"more")

    def wrong(self) -> None:
        self._send(DATA[::-1])

    def forbidden(self) -> None:
        self.send_error(403)

    def stall(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(DATA[:100])
        self.wfile.flush()
        time.sleep(1.5)

    def drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        self._drip(DATA[:100])

    def broken_chunk(self) -> None:
        self._raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n")

    def rubbish(self) -> None:
        self._raw(b"\x00\xff rubbish\r\n\r\n")

    def long_header(self) -> None:
        self._raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n" + DATA)

    def many_headers(self) -> None:
        self._raw(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 500 + b"\r\n" + DATA)

    def slow_headers(self) -> None:
        self._drip(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100)

    def endless_continue(self) -> None:
        self._drip(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 100)

    def _drip(self, *pieces: bytes) -> None:
        pieces = pieces if len(pieces) > 1 else tuple(bytes([byte]) for byte in pieces[0])
        with suppress(OSError):
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(0.05)

    def _raw(self, answer: bytes) -> None:
        with suppress(OSError):  # the client has heard enough
            self.wfile.write(answer)

    def elsewhere(self) -> None:
        self.send_response(302)
        self.send_header("Location", f"{Mirror.other}/good/x")
        self.end_headers()

    def nearby(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/good/x")
        self.end_headers()

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Mirror) for _ in range(2)]
    for one in servers:
        threading.Thread(target=one.serve_forever, daemon=True).start()
    Mirror.other = f"http://127.0.0.1:{servers[1].server_port}"
    yield f"http://127.0.0.1:{servers[0].server_port}"
    for one in servers:
        one.shutdown()
        one.server_close()


def fetch(server: str, folder: Path, *kinds: str, **options: float) -> Path:
    target = folder / "file.gz"
    download([f"{server}/{kind}/file.gz" for kind in kinds], target, len(DATA), HASH, **options)
    return target


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("html", "HTML page"),
        ("short", "5000 bytes instead of 256000"),
        ("cut", "5000 bytes instead of 256000"),
        ("long", "more bytes instead of 256000"),
        ("wrong", "wrong sha256"),
        ("forbidden", "HTTP 403"),
        ("elsewhere", "redirects elsewhere"),
        ("stall", "did not answer in time"),
        ("drip", "not finished after"),
        ("slow_headers", "not finished after"),
        ("endless_continue", "not finished after"),
        ("broken_chunk", "no proper HTTP"),
        ("rubbish", "no proper HTTP"),
        ("long_header", "no proper HTTP"),
        ("many_headers", "no proper HTTP"),
    ],
)
def test_a_bad_mirror_means_the_next_one(server: str, tmp_path: Path, kind: str, reason: str):
    deadline = 1.0 if "not finished" in reason else 20.0
    target = fetch(server, tmp_path, kind, "good", timeout=0.5, deadline=deadline)
    assert target.read_bytes() == DATA
    target.unlink()
    with pytest.raises(DownloadError, match=reason):
        fetch(server, tmp_path, kind, timeout=0.5, deadline=deadline)
    assert list(tmp_path.iterdir()) == []


def test_a_mirror_that_failed_is_asked_last_for_the_next_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def download(urls: list[str], *_: object) -> str:
        asked.append(urls[0])
        return urls[-1] if "bad" in urls[0] else urls[0]

    monkeypatch.setattr(sources, "MIRRORS", ("http://bad/", "http://good/"))
    monkeypatch.setattr(sources, "download", download)
    sources._download_missing(tmp_path, None)
    assert ["bad" in url for url in asked] == [True, False, False, False]


def test_a_mirror_that_nobody_runs_means_the_next_one(server: str, tmp_path: Path):
    target = tmp_path / "file.gz"
    download(["http://127.0.0.1:9/x", f"{server}/good/x"], target, len(DATA), HASH)
    assert target.read_bytes() == DATA


def test_a_redirect_within_the_mirror_is_followed(server: str, tmp_path: Path):
    assert fetch(server, tmp_path, "nearby").read_bytes() == DATA


def test_progress_is_told_up_to_the_size(server: str, tmp_path: Path):
    told: list[tuple[str, int, int]] = []
    download([f"{server}/good/x"], tmp_path / "f", len(DATA), HASH, lambda *step: told.append(step))
    assert told[-1] == ("f", len(DATA), len(DATA))


def test_many_downloads_at_once_leave_one_whole_file(server: str, tmp_path: Path):
    threads = [threading.Thread(target=fetch, args=(server, tmp_path, "good")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["file.gz"]
    assert (tmp_path / "file.gz").read_bytes() == DATA


def test_a_folder_that_cannot_be_written_is_one_sentence(server: str, tmp_path: Path):
    (tmp_path / "file").write_text("a file where a folder is wanted")
    with pytest.raises(MnistryError, match=r"could not be written.*MNISTRY_HOME"):
        fetch(server, tmp_path / "file", "good")
