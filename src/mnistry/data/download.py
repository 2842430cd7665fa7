"""One file from several mirrors: verified and whole, or not at all."""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from queue import Empty, Queue
from urllib import error, parse, request

from mnistry.settings import MnistryError, write_atomic

TIMEOUT = 10.0  # seconds to connect, and between two pieces
DEADLINE = 300.0  # seconds for one file from one mirror, from the first word to the last, however steadily it drips
PIECE = 1 << 16  # bytes

Progress = Callable[[str, int, int], None]  # name of the file, bytes so far, bytes in all


class DownloadError(MnistryError):
    """No mirror gave the file; `tried` says what each one answered."""

    def __init__(self, name: str, tried: Sequence[str]) -> None:
        super().__init__(f"{name} could not be downloaded: " + "; ".join(tried))
        self.tried = tuple(tried)


def download(
    urls: Sequence[str],
    target: Path,
    size: int,
    sha256: str,
    progress: Progress | None = None,
    timeout: float = TIMEOUT,
    deadline: float = DEADLINE,
) -> str:
    """Put the file of `size` bytes with this hash at `target`, from the first of `urls` that gives it.

    A wrong hash, a page of HTML, a short or long file, a stall, a redirect to another host: the next mirror.
    Nothing but the verified file ever stands at `target`. Returns the address that gave it. Raises DownloadError if no
    mirror had it and MnistryError if the folder cannot be written.
    """
    tried = []
    for url in urls:
        try:
            data = _body(url, size, timeout, deadline, lambda done: _tell(progress, target.name, done, size))
            _check(data, size, sha256)
        except (OSError, ValueError, HTTPException) as problem:
            tried.append(f"{url}: {_reason(problem)}")
        else:
            write_atomic(target, data)
            return url
    raise DownloadError(target.name, tried)


class _SameHost(request.HTTPRedirectHandler):
    """Follow a redirect only within the mirror: lapsed domains lead to strangers' pages."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        old, new = parse.urlsplit(req.full_url), parse.urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            fp.close()
            raise ValueError(f"redirects elsewhere, to {new.scheme}://{new.netloc}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _body(url: str, size: int, timeout: float, deadline: float, tell: Callable[[int], None]) -> bytes:
    """What the mirror sends, but no more than one byte past the size."""
    data, end = bytearray(), time.monotonic() + deadline
    pieces: Queue[bytes | Exception] = Queue()
    # A thread of its own: a mirror that sends a header byte by byte keeps whoever reads it for as long as it likes.
    threading.Thread(target=_receive, args=(url, size, timeout, pieces), daemon=True).start()
    while True:
        try:
            piece = pieces.get(timeout=max(0.0, end - time.monotonic()))
        except Empty:
            raise TimeoutError(f"not finished after {deadline:g} s") from None
        if isinstance(piece, Exception):
            raise piece
        if not piece:
            return bytes(data)
        data += piece
        tell(min(len(data), size))


def _receive(url: str, size: int, timeout: float, pieces: "Queue[bytes | Exception]") -> None:
    """Put what the mirror sends into the queue: an empty piece at the end, or the problem."""
    opener, received = request.build_opener(_SameHost), 0
    try:
        with opener.open(request.Request(url, headers={"User-Agent": "mnistry"}), timeout=timeout) as answer:
            while received <= size and (piece := answer.read1(min(PIECE, size + 1 - received))):
                received += len(piece)
                pieces.put(piece)
        pieces.put(b"")
    except Exception as problem:  # noqa: BLE001 - raised again by who waits
        if isinstance(problem, error.HTTPError):
            problem.close()
        pieces.put(problem)


def _check(data: bytes, size: int, sha256: str) -> None:
    if data.lstrip()[:1] == b"<":
        raise ValueError("sent an HTML page instead of the file")
    if len(data) != size:
        sent = f"{len(data)} bytes" if len(data) < size else "more bytes"
        raise ValueError(f"sent {sent} instead of {size}")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError("sent a file with the wrong sha256")


def _reason(problem: OSError | ValueError | HTTPException) -> str:
    if isinstance(problem, HTTPException):
        return f"answered in no proper HTTP ({type(problem).__name__})"
    if isinstance(problem, error.HTTPError):
        return f"answered HTTP {problem.code}"
    if isinstance(problem, error.URLError):
        problem = problem.reason if isinstance(problem.reason, OSError) else problem
    if isinstance(problem, TimeoutError):
        return str(problem) if "after" in str(problem) else "did not answer in time"
    return str(problem) or type(problem).__name__


def _tell(progress: Progress | None, name: str, done: int, size: int) -> None:
    if progress:
        progress(name, done, size)
