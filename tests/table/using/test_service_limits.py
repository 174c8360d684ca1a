"""What a client can hold of the service, and what he is told."""

import asyncio
import json

import numpy as np
import polars as pl
import pytest

from absent import needs
from counterpoise.table import load
from counterpoise.table.using import asgi, json_rows
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
