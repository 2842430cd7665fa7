"""The service as a process on real sockets: deadlines, limits, an end that answers all, a store that survives."""

import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from serving import EXAMPLES, Service, running

from mnistry.web.corrections import Corrections
from mnistry.web.server import plain_length

PICTURE = (EXAMPLES / "number.png").read_bytes()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits for requests for a second."""
    with running(tmp_path_factory.mktemp("hasty"), "--receive-seconds", "1", "--connections", "20") as started:
        yield started


def ask(service: Service, method: str = "GET", path: str = "/v2/health/ready", body: bytes | None = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def talk(service: Service, data: bytes) -> tuple[bytes, float]:
    """Send this and nothing more; what comes back until the connection is closed, and after how long."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received, time.monotonic() - started


HALVES = [
    b"",
    b"GET / HTTP/1.1\r\nHost: loc",
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc",
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
]


def test_a_client_that_stops_half_way_is_told_and_cut_off(hasty: Service):
    with ThreadPoolExecutor(len(HALVES)) as threads:  # at once: each waits for more than a second
        answers = list(threads.map(talk, [hasty] * len(HALVES), HALVES))
    for received, seconds in answers:
        assert b" 408 " in received
        assert b'"error"' in received
        assert 0.8 < seconds < 6


def test_half_a_head_on_a_connection_that_was_used_is_cut_off(hasty: Service):
    received, seconds = talk(hasty, b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v2 HTT")
    assert received.startswith(b"HTTP/1.1 200")
    assert b" 408 " in received
    assert seconds < 6


def test_a_body_that_nobody_reads_does_not_hold_its_connection(hasty: Service):
    received, seconds = talk(hasty, b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nabc")
    assert received.startswith(b"HTTP/1.1 200")
    assert seconds < 20


def test_a_drip_of_bytes_is_not_progress(hasty: Service):
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=20) as connection:
        try:
            for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 500:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass
    assert time.monotonic() - started < 6


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3", b"HELLO\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"a" * 20_000]
)
def test_what_is_no_http_is_refused_at_once(hasty: Service, data: bytes):
    received, seconds = talk(hasty, data)
    assert b" 400 " in received
    assert seconds < 1


def test_connections_above_the_limit_are_told_to_come_later(hasty: Service):
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", hasty.port)))
        received, _ = talk(hasty, b"")
    assert b" 503 " in received
    assert b"Retry-After: 1" in received
    deadline = time.monotonic() + 5
    while ask(hasty)[0] != 200:
        assert time.monotonic() < deadline


def test_a_body_that_is_too_large_is_told_while_it_is_sent(hasty: Service):
    status, body, _ = ask(hasty, "POST", "/predict", bytes(4_000_000))
    assert status == 413
    assert b"1048576" in body


def test_the_log_is_json_with_ids_and_without_pictures(tmp_path: Path):
    with running(tmp_path) as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port)
        connection.request("POST", "/predict", PICTURE, {"X-Request-ID": "my-7"})
        answer = connection.getresponse()
        assert answer.headers["x-request-id"] == "my-7"
        assert json.loads(answer.read())["text"] == "2026"
        connection.close()
        assert service.stop() == 0
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "my-7"]
    assert set(line) == {"time", "level", "message", "request_id", "method", "route", "status", "ms", "bytes"}
    assert (line["route"], line["status"]) == ("/predict", 200)


def test_metrics_count_what_was_asked(hasty: Service):
    ask(hasty, "POST", "/predict", PICTURE)
    status, text, _ = ask(hasty, path="/metrics")
    assert status == 200
    assert b'mnistry_requests_total{method="POST",route="/predict",status="200"}' in text


def clients(service: Service, n: int, stop: threading.Event) -> tuple[list[threading.Thread], list[Any]]:
    """Clients that ask one request after the other; every request that was sent whole and not answered is a loss."""
    lost: list[Any] = []

    def work() -> None:
        connection = None
        while not stop.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
                    connection.connect()
            except OSError:
                return  # no longer accepted
            try:
                connection.request("POST", "/predict", PICTURE)
                answer = connection.getresponse()
                if answer.status != 200 or json.loads(answer.read())["text"] != "2026":
                    lost.append(answer.status)
                if answer.will_close:
                    connection.close()
                    connection = None
            except Exception as problem:  # noqa: BLE001 - whatever it is, a request was lost
                lost.append(problem)
                return

    threads = [threading.Thread(target=work) for _ in range(n)]
    for thread in threads:
        thread.start()
    return threads, lost


def test_after_sigterm_every_accepted_request_is_answered(tmp_path: Path):
    with running(tmp_path, "--quiet") as service:
        stop = threading.Event()
        threads, lost = clients(service, 8, stop)
        time.sleep(1.5)
        started = time.monotonic()
        code = service.stop()
        seconds = time.monotonic() - started
        stop.set()
        for thread in threads:
            thread.join(20)
    assert code == 0
    assert seconds < 15
    assert [each for each in lost if not isinstance(each, ConnectionResetError)] == []
    assert len(lost) <= 1  # a connection that the kernel had taken and the service had not yet


@pytest.mark.slow
def test_half_open_clients_do_not_hold_up_the_end(tmp_path: Path):
    with running(tmp_path, "--receive-seconds", "2") as service, ExitStack() as stack:
        for data in (b"", b"GET / HT", b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            connection.sendall(data)
        time.sleep(0.3)
        started = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - started < 8


PLAIN = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (PLAIN + b"Content-Length: 12", 12),
        (PLAIN + b"content-length:7\r\nConnection: keep-alive\r\nA: b c", 7),
        (PLAIN + b"Connection: close\r\nContent-Length: 12", -1),
        (PLAIN + b"Content-Length: 12\r\nExpect: 100-continue", -1),
        (PLAIN + b"Content-Length: 12\r\nTransfer-Encoding: chunked", -1),
        (PLAIN + b"Content-Length: 12\r\nA: b\nTransfer-Encoding: chunked", -1),
        (PLAIN + b"Content-Length: 12\r\nTransfer-Encoding : chunked", -1),
        (PLAIN + b"Content-Length: 12\r\nA: b\r\n Transfer-Encoding: chunked", -1),
        (PLAIN + b"Content-Length: 12\r\nContent-Length: 13", -1),
        (PLAIN + b"Content-Length: 12\r\nContent-Length : 13", -1),
        (PLAIN + b"Content-Length: -1", -1),
        (PLAIN + b"Content-Length: 1_2", -1),
        (PLAIN + b"A: b", -1),
        (b"POST /predict HTTP/1.0\r\nContent-Length: 12", -1),
        (b"GET /predict HTTP/1.1\r\nContent-Length: 12", -1),
    ],
)
def test_only_a_plain_request_is_refused_without_the_parser(head: bytes, length: int):
    assert plain_length(head) == length


def test_a_request_too_many_is_refused_before_its_body_has_come_and_its_connection_goes_on(tmp_path: Path):
    stop, head = threading.Event(), PLAIN + b"Content-Length: 1000\r\n\r\n"

    def busy() -> None:
        while not stop.is_set():
            ask(service, "POST", "/explain", PICTURE)

    with running(tmp_path, "--queue", 1) as service, ExitStack() as stack:
        thread = threading.Thread(target=busy)
        thread.start()
        refused: Any = None
        for _ in range(100):  # until one comes while another is answered
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=20))
            connection.sendall(head)
            connection.settimeout(0.3)
            try:
                refused = connection.recv(65536)
                break
            except TimeoutError:  # it took the place itself
                connection.close()
                time.sleep(0.1)
        stop.set()
        thread.join(20)
        assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"Retry-After: 1\r\n" in refused
        assert b"content-security-policy: " in refused
        assert json.loads(refused.partition(b"\r\n\r\n")[2])["error"]
        connection.settimeout(20)
        connection.sendall(b"x" * 1000 + b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        _, text, _ = ask(service, path="/metrics")
        assert service.stop() == 0
        assert any(json.loads(line).get("refused") for line in service.log.read_text().splitlines())
    assert b'mnistry_requests_total{method="POST",route="other",status="503"}' in text


@pytest.mark.slow
def test_a_client_that_does_not_take_its_answer_is_cut_off(tmp_path: Path):
    with running(tmp_path, "--answer-seconds", "1", "--quiet") as service:
        noise = np.random.default_rng(0)
        for _ in range(10):  # so that the answer is larger than what the kernel keeps for a socket
            file = io.BytesIO()
            Image.fromarray(noise.integers(0, 256, (580, 580, 3), np.uint8)).save(file, "PNG", compress_level=0)
            assert ask(service, "POST", "/corrections?label=1", file.getvalue())[0] in (201, 503)
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(20)
            connection.connect(("127.0.0.1", service.port))
            connection.sendall(b"GET /corrections/export HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(4)
            received = 0
            with suppress(ConnectionResetError):
                while chunk := connection.recv(65536):
                    received += len(chunk)
    assert 0 < received < 9_000_000


def test_a_client_that_leaves_before_its_body_has_come_is_no_mistake_of_the_service(tmp_path: Path):
    with running(tmp_path) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(PLAIN + b"Content-Length: 1000\r\n\r\nabc")
            time.sleep(0.3)
        deadline = time.monotonic() + 10
        while b'status="499"' not in ask(service, path="/metrics")[1]:
            assert time.monotonic() < deadline
        assert service.stop() == 0
        assert "mistake" not in service.log.read_text()


def test_corrections_survive_kill_9(tmp_path: Path):
    with running(tmp_path, "--quiet") as service:
        kept = 0
        killer = threading.Timer(1.0, service.process.kill)
        killer.start()
        try:
            while True:
                status, _, _ = ask(service, "POST", f"/corrections?label={kept}", PICTURE)
                assert status == 201
                kept += 1
        except OSError:
            pass
        killer.join()
    assert kept
    found = Corrections(tmp_path / "home").listed()
    assert len(found) in (kept, kept + 1)


def test_an_address_that_is_taken_is_told_in_one_sentence(hasty: Service, command: Any):
    code, out, err = command("serve", "--port", hasty.port)
    assert (code, out) == (2, "")
    assert f"127.0.0.1:{hasty.port}" in err


def test_a_model_that_is_not_that_of_its_card_is_not_served(tmp_path: Path, command: Any):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    (tmp_path / "m.json").write_text('{"sha256": "0000"}')
    code, _, err = command("serve", "--port", 0, "--model", tmp_path / "m.onnx")
    assert code == 2
    assert "card" in err


@pytest.mark.parametrize(
    "option", [("--queue", 0), ("--port", 70000), ("--max-body", 10), ("--receive-seconds", "nan")]
)
def test_a_setting_out_of_range_is_told(option: tuple[str, Any], command: Any):
    code, _, err = command("serve", *option)
    assert code == 2
    assert err.count("\n") == 1


def test_an_answer_does_not_wait_for_the_clients_acknowledgement(hasty: Service):
    """Head and body of an answer are two writes: without TCP_NODELAY the second waits 40 ms for a delayed ACK."""
    connection, times = http.client.HTTPConnection("127.0.0.1", hasty.port), []
    for _ in range(60):
        started = time.perf_counter()
        connection.request("GET", "/v2/health/live")
        connection.getresponse().read()
        times.append(time.perf_counter() - started)
    connection.close()
    assert min(times[30:]) < 0.03  # at first the kernel acknowledges at once
