"""What a client can hold of the service, and what he is told."""

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import polars as pl
import pytest

from absent import needs
from counterpoise.errors import UserError
from counterpoise.table import load
from counterpoise.table.using import asgi, connection, json_rows, listening
from counterpoise.table.using.asgi import Reply, Service
from counterpoise.table.using.json_rows import TooLargeError, request_of, table_of_rows

needs("uvicorn")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    import counterpoise as cp

    rng = np.random.default_rng(0)
    x, kind = rng.normal(size=300), rng.choice(["a", "b"], 300)
    frame = pl.DataFrame(
        {"x": x, "kind": kind, "y": np.where(x + (kind == "a") + rng.normal(size=300) > 1, "yes", "no")}
    )
    out = tmp_path_factory.mktemp("limits") / "model"
    cp.train(frame, target="y", learners=("lightgbm",), budget=10.0).save(out)
    return out


# What the application does, without a server


def called(app, pieces, *, headers=(), path="/predict", method="POST", **scope):
    """Status, headers and body of what the application sends, and how many pieces it did not ask for."""
    left, sent = list(pieces), []

    async def receive():
        if not left:
            await asyncio.sleep(3600)
        return left.pop(0)

    async def send(message):
        sent.append(message)

    request = {"type": "http", "path": path, "method": method, "headers": list(headers), **scope}
    asyncio.run(app(request, receive, send))
    if not sent:
        return None, {}, b"", len(left)
    assert [one["type"] for one in sent] == ["http.response.start", *["http.response.body"] * (len(sent) - 1)]
    assert [one.get("more_body", False) for one in sent[1:]] == [True] * (len(sent) - 2) + [False]
    body = b"".join(one.get("body", b"") for one in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body, len(left)


def piece(body, *, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


def echo(body):
    return Reply(200, bytes(body))


def small(most_bytes=100):
    return Service({"/": Reply(200, b"page", asgi.HTML)}, {"/predict": echo}, most_bytes=most_bytes)


def test_a_body_in_pieces():
    found = called(small(), [piece(b"a", more=True), piece(b"", more=True), {"type": "http.request"}])
    assert found[0::2] == (200, b"a")


def test_a_body_that_is_too_large_is_answered_and_the_rest_of_it_dropped():
    status, headers, body, left = called(small(), [piece(b"x" * 60, more=True)] * 50 + [piece(b"x")])
    assert (status, left) == (413, 0)
    assert json.loads(body) == {"detail": "the body has more than 100 bytes; send fewer rows"}
    assert headers[b"connection"] == b"close"


@pytest.mark.parametrize("length", [b"101", b"9" * 400])
def test_a_length_that_is_too_large_is_refused_before_the_body(length):
    app = small()
    status, _, _, left = called(app, [piece(b"x" * 100)], headers=[(b"content-length", length)])
    assert (status, left) == (413, 0)
    assert called(app, [piece(b"x")], headers=[(b"content-length", b"100")])[0] == 200


def test_a_pause_ends_the_dropping(monkeypatch):
    monkeypatch.setattr(asgi, "_SECONDS_OF_SILENCE", 0.05)
    assert called(small(), [piece(b"x" * 101, more=True)])[0] == 413


def test_all_bodies_together_are_bounded():
    """What is held of half bodies counts; of those that were answered, refused or given up, nothing does."""
    app = small()

    async def half(size, *, leaves=False):
        told, sent = [piece(b"x" * size, more=True)], []

        async def receive():
            if not told:
                await asyncio.sleep(0 if leaves else 3600)
                return {"type": "http.disconnect"}
            return told.pop()

        async def send(message):
            sent.append(message)

        await app({"type": "http", "path": "/predict", "method": "POST", "headers": []}, receive, send)
        return [one.get("status") for one in sent]

    async def many():
        assert await half(100, leaves=True) == []
        holding = [asyncio.create_task(half(100)) for _ in range(16)]
        await asyncio.sleep(0.05)
        refused = asyncio.create_task(half(1))
        await asyncio.sleep(0.05)
        for one in [*holding, refused]:
            one.cancel()
        await asyncio.gather(*holding, refused, return_exceptions=True)
        return app._held

    assert asyncio.run(many()) == 0
    statuses = []

    async def full():
        holding = [asyncio.create_task(half(100)) for _ in range(16)]
        await asyncio.sleep(0.05)
        statuses.extend(await asyncio.wait_for(half(1), 10))
        for one in holding:
            one.cancel()
        await asyncio.gather(*holding, return_exceptions=True)

    asyncio.run(full())
    assert statuses[0] == 503


def test_a_body_has_its_time(monkeypatch):
    monkeypatch.setattr(asgi, "SECONDS_FOR_A_BODY", 0.05)
    status, _, body, _ = called(small(), [piece(b"x", more=True)])
    assert (status, json.loads(body)["detail"]) == (408, "the body did not arrive within 0.05 seconds")


def test_who_leaves_gets_nothing_and_nothing_is_raised():
    assert called(small(), [piece(b"x", more=True), {"type": "http.disconnect"}])[0] is None


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"deflate, gzip"])
def test_a_compressed_body_is_refused(coding):
    status, _, body, _ = called(small(), [piece(b"x")], headers=[(b"content-encoding", coding)])
    assert status == 415
    assert f"the body is compressed ({coding.decode()}); send it uncompressed" in body.decode()


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/", 200, None),
        ("HEAD", "/", 200, None),
        ("POST", "/", 405, b"GET, HEAD"),
        ("GET", "/predict", 405, b"POST"),
        ("HEAD", "/predict", 405, b"POST"),
        ("PUT", "/predict", 405, b"POST"),
        ("GET", "/report.html", 404, None),
        ("GET", "/../decision.json", 404, None),
        ("POST", "/predict/", 404, None),
        ("OPTIONS", "*", 404, None),
    ],
)
def test_pages(method, path, status, allowed):
    found, headers, body, _ = called(small(), [piece(b"")], path=path, method=method)
    assert (found, headers.get(b"allow")) == (status, allowed)
    assert int(headers[b"content-length"]) == (len(b"page") if method == "HEAD" and status == 200 else len(body))


def test_it_can_be_mounted():
    assert called(small(), [piece(b"x")], path="/model/predict", root_path="/model")[0] == 200


# The work for one request


def test_many_objects_are_refused_before_they_are_read(monkeypatch):
    body = b'{"rows": [' + b"[]," * 200_000 + b"[]]}"
    monkeypatch.setattr(json_rows.json, "loads", lambda _: pytest.fail("it was read"))
    with pytest.raises(TooLargeError, match="more than 100,000 objects and lists"):
        request_of(body, 10_000)


@pytest.mark.parametrize(
    "text", ['["[[[["]', '{"a\\"[": "\\\\"}', '[{"a": "{"}, "\\\\\\"["]', '"[', '["\\\\", [], "\\"]"]', "[]" * 3]
)
def test_objects_and_lists_are_counted_outside_of_text(text):
    within, expected, escaped = False, 0, False
    for character in text:
        if escaped:
            escaped = False
        elif within and character == "\\":
            escaped = True
        elif character == '"':
            within = not within
        elif not within and character in "[{":
            expected += 1
    assert json_rows._containers(text.encode()) == expected


def test_utf_16_is_refused():
    """Its bytes would be counted as what they are not."""
    with pytest.raises(json_rows.RefusedError, match="not JSON"):
        request_of('{"rows": [{"x": 1}]}'.encode("utf-16"), 10)
    assert request_of('{"rows": [{"x": 1}]}'.encode("utf-8-sig"), 10) == ([{"x": 1}], None)


def counted(monkeypatch, module, name):
    calls, real = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *given, **more: calls.append(1) or real(*given, **more))
    return calls


def test_names_are_compared_for_the_mistakes_that_are_told(saved, monkeypatch):
    schema = load(saved).schema
    calls = counted(monkeypatch, json_rows.difflib, "get_close_matches")
    with pytest.raises(json_rows.RefusedError) as refused:
        table_of_rows([{f"key {k}": 1 for k in range(300)}] * 500, schema)
    assert len(refused.value.mistakes) == len(calls) == 20


def test_long_names_are_not_compared(saved, monkeypatch):
    calls = counted(monkeypatch, json_rows.difflib.SequenceMatcher, "ratio")
    with pytest.raises(json_rows.RefusedError, match="lacks the columns 'x', 'kind'; send null"):
        table_of_rows([{"x" * 100_000: 1, "k" * 101: 2}], load(saved).schema)
    assert calls == []


@pytest.mark.parametrize("cell", [[0] * 10**6, {"a": {"b": [[]] * 10**5}}, "\ud800" * 10**6, "x" * 10**6])
def test_a_large_cell_is_told_in_a_line(saved, cell):
    with pytest.raises(json_rows.RefusedError) as refused:
        table_of_rows([{"x": cell, "kind": "a"}] * 100, load(saved).schema)
    assert all(len(one.message) < 400 for one in refused.value.mistakes)
    assert len(refused.value.mistakes) == 20


def test_the_first_mistakes_are_told_in_order(saved):
    rows = [{"x": "big" if k % 3 else 1.0, "kind": "a"} for k in range(200)]
    with pytest.raises(json_rows.RefusedError) as refused:
        table_of_rows(rows, load(saved).schema)
    assert [one.place[1] for one in refused.value.mistakes] == [k for k in range(200) if k % 3][:20]


# A process that serves

SERVES = """
import sys
from counterpoise.table.using import asgi
from counterpoise.table.using import connection, listening
from counterpoise.table.using.serve import serve
connection.SECONDS_FOR_HEADERS, connection.SECONDS_TO_READ_AN_ANSWER, connection.MOST_CONNECTIONS = 1.0, 1.0, 60
asgi.SECONDS_FOR_A_BODY = 2.0
serve(sys.argv[1], port=0, ready=lambda address: print(address, flush=True))
"""


@contextlib.contextmanager
def process(saved):
    command = [sys.executable, "-c", SERVES, str(saved)]
    one = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        yield one, one.stdout.readline().strip().removeprefix("http://").split(":")
    finally:
        one.kill()
        one.communicate()


@pytest.fixture(scope="module")
def address(saved):
    with process(saved) as (_, place):
        yield place


def connected(address):
    return socket.create_connection(tuple(address), timeout=60)


def everything(connection):
    """What is sent until the other end closes, however it does."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65_536):
            found += piece
    return found


def exchange(address, request):
    with connected(address) as connection:
        connection.sendall(request)
        return everything(connection)


BODY = b'{"rows": [{"x": 1.5, "kind": "a"}]}'
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(BODY)
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Wire:
    """A transport that keeps what is written."""

    def __init__(self):
        self.written, self.closed = [], False

    def write(self, data):
        self.written.append(data)

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


@pytest.mark.parametrize(
    "writes, pieces",
    [
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"{}", b""], [b"HTTP/1.1 200 OK\r\n\r\n{}", b""]),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b""], [b"HTTP/1.1 200 OK\r\n\r\n"]),  # HEAD
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 is", b" old"], [b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 is", b" old"]),
        (
            [b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"x"],
            [b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nx"],
        ),
        ([b"HTTP/1.1 408 Late\r\n\r\n"], [b"HTTP/1.1 408 Late\r\n\r\n"]),
    ],
)
def test_the_head_of_an_answer_goes_with_its_body(writes, pieces):
    wire = Wire()
    transport = connection._InOnePiece(wire)
    for one in writes:
        transport.write(one)
    assert not transport.is_closing()
    transport.close()
    assert wire.closed
    assert wire.written == pieces


def test_an_answer_is_sent_at_once():
    """asyncio turns Nagle's algorithm off on sockets that know that they are TCP."""
    with listening.listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP

        async def accepted():
            found = asyncio.get_running_loop().create_future()

            class Protocol(asyncio.Protocol):
                def connection_made(self, transport):
                    option = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                    found.set_result(option)
                    transport.close()

            server = await asyncio.get_running_loop().create_server(Protocol, sock=listener)
            async with server:
                _, writer = await asyncio.open_connection(*listener.getsockname())
                writer.close()
                return await found

        assert asyncio.run(accepted()) != 0


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (HEAD + b"Connection: close\r\n\r\n" + BODY, b"200", b'"decision"'),
        (HEAD + b"Expect: 100-continue\r\nConnection: close\r\n\r\n" + BODY, b"100", b'"decision"'),
        (b"POST /predict HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY, b"200", b'"decision"'),
        (HEAD + b"\r\n" + BODY + HEALTH, b"200", b'"status":"ok"'),
        (
            b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"5\r\n" + BODY[:5] + b"\r\n%x\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n0\r\n\r\n",
            b"200",
            b'"decision"',
        ),
        (b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"200", b"content-length: "),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"422", b"the body is not JSON"),
        (HEAD + b"Content-Type: text/csv\r\nConnection: close\r\n\r\n" + b"x" * len(BODY), b"422", b"not JSON"),
        (HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + BODY, b"415", b"compressed (gzip)"),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nx", b"413", b"send fewer rows"),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"400", b"Invalid"),
        (b"\x16\x03\x01\x02\x00\x01\x00\xfc", b"400", b"Invalid HTTP request"),
    ],
    ids=[
        "plain",
        "expect",
        "old",
        "pipelined",
        "chunked",
        "head",
        "empty",
        "csv",
        "gzip",
        "long",
        "two lengths",
        "tls",
    ],
)
def test_what_a_request_gets(address, request_, status, words):
    found = exchange(address, request_)
    assert found.startswith(b"HTTP/1.1 " + status)
    assert words in found


def test_a_body_over_the_limit_is_refused_while_it_is_still_sent(address):
    """As Python's and Java's own clients send it: all of it, before they look for an answer."""
    request = urllib.request.Request(f"http://{':'.join(address)}/predict", b" " * 45_000_000, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 413
    assert "more than 16,000,000 bytes" in refused.value.read().decode()


def test_half_sent_headers_have_their_time_and_others_are_answered_meanwhile(address):
    waiting = [connected(address) for _ in range(40)]
    for place, one in enumerate(waiting):
        one.sendall([b"", b"G", b"GET /health HTTP/1.1\r\nHost: x", b"POST"][place % 4])
    assert exchange(address, HEALTH).startswith(b"HTTP/1.1 200")
    for one in waiting:
        with one:
            assert everything(one).startswith(b"HTTP/1.1 408")


def test_a_byte_now_and_then_does_not_prolong_it(address):
    with connected(address) as one, contextlib.suppress(ConnectionError):
        for place in range(200):
            one.sendall(b"GET /health HTTP/1.1\r\nX-Long: "[place : place + 1] or b"x")
            time.sleep(0.05)
        pytest.fail("it was never closed")


def test_a_kept_connection_may_pause_between_requests(address):
    with connected(address) as one:
        for _ in range(2):
            one.sendall(HEAD + b"\r\n" + BODY)
            found = b""
            while b'"decision"' not in found:
                found += one.recv(65_536)
            time.sleep(1.5)  # more than half-sent headers may take
        one.sendall(HEALTH)
        assert everything(one).startswith(b"HTTP/1.1 200")


def test_half_bodies_have_their_time(address):
    with connected(address) as one:
        one.sendall(HEAD + b"\r\n" + BODY[:9])
        assert everything(one).startswith(b"HTTP/1.1 408")


def test_who_does_not_read_is_cut_off(address):
    with connected(address) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(ConnectionError):
            for _ in range(500):
                one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        poll = select.poll()
        poll.register(one, 0)  # nothing but that the connection is gone
        assert poll.poll(30_000)
    assert exchange(address, HEALTH).startswith(b"HTTP/1.1 200")


def test_connections_are_counted(address):
    held = [connected(address) for _ in range(60)]
    try:
        time.sleep(0.2)
        assert exchange(address, HEALTH).startswith(b"HTTP/1.1 503")
    finally:
        for one in held:
            one.close()
    time.sleep(0.2)
    assert exchange(address, HEALTH).startswith(b"HTTP/1.1 200")


def test_a_stop_waits_for_no_half_body_and_clients_that_left_are_no_news(saved):
    with process(saved) as (running, address):
        for size in (0, 5, 30):
            with connected(address) as one:
                one.sendall(HEAD + b"\r\n" + BODY[:size])
        with connected(address) as half, connected(address) as headers:
            half.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b" " * 500_000)
            headers.sendall(b"POST /predict HTT")
            time.sleep(0.3)
            running.send_signal(signal.SIGTERM)
            assert running.wait(timeout=30) == 0
            assert b'"the service is stopping"' in everything(half)
        assert running.stderr.read() == ""


def test_a_port_that_is_none():
    with pytest.raises(UserError, match="port is -1"):
        listening.listening("127.0.0.1", -1)
