"""The service answers what the model answers, says what is wrong with a request, and stops when told."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import polars as pl
import pytest
from starlette import testclient

from counterpoise.cli import main
from counterpoise.errors import UserError
from counterpoise.table import load, predict_table
from counterpoise.table.features.reference_day import Reference
from counterpoise.table.features.schema import Column, Schema
from counterpoise.table.using import json_rows
from counterpoise.table.using import serve as service
from counterpoise.table.using.json_rows import row_schema

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quick(tmp_path_factory, imbalanced):
    import counterpoise as cp

    out = tmp_path_factory.mktemp("quick") / "model"
    cp.train(imbalanced(300), target="label", learners=("lightgbm",), budget=10.0).save(out)
    return out


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    import counterpoise as cp

    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    frame = pl.DataFrame({"x": x, "y": np.digitize(x + 0.3 * rng.normal(size=300), [-0.5, 1.0])})
    out = tmp_path_factory.mktemp("several") / "model"
    cp.train(frame, target="y", learners=("lightgbm",), budget=10.0).save(out)
    return out


@pytest.fixture(scope="module")
def client(quick):
    return testclient.TestClient(service.application(quick, most_rows=50, most_bytes=20_000))


def rows(frame):
    return json.loads(json.dumps(frame.drop("label").to_dicts(), default=str))


def test_answers_are_the_models(client, quick, imbalanced):
    frame = imbalanced(40, seed=7)
    answer = client.post("/predict", json={"rows": rows(frame)})
    assert answer.status_code == 200
    found = answer.json()["predictions"]
    model = load(quick)
    probability = [[one["probability"]["no"], one["probability"]["yes"]] for one in found]
    np.testing.assert_allclose(probability, model.predict_proba(frame), rtol=1e-12)
    assert [one["decision"] for one in found] == model.predict(frame).tolist()


def test_classes_that_are_numbers(several):
    with testclient.TestClient(service.application(several)) as client:
        (found,) = client.post("/predict", json={"rows": [{"x": 3.0}]}).json()["predictions"]
    assert set(found["probability"]) == {"0", "1", "2"}
    assert found["decision"] == 2


def test_a_row_alone_is_as_in_a_batch(client, imbalanced):
    some = rows(imbalanced(30, seed=8)[:12])
    batch = client.post("/predict", json={"rows": some}).json()["predictions"]
    alone = [client.post("/predict", json={"rows": [row]}).json()["predictions"][0] for row in some]
    assert alone == batch


GOOD = {"size": 1.0, "wind speed [m/s]": 0.5, "kind": "oak", "wet": True, "day": "2023-05-01"}


@pytest.mark.parametrize(
    "body, status, words",
    [
        (b"", 422, "not JSON"),
        (b"{", 422, "not JSON"),
        (b"\xff\xfe", 422, "not JSON"),
        (b"[" * 9_000, 422, "nested too deeply"),
        (b'{"a":' * 3_000 + b"1" + b"}" * 3_000, 422, "nested too deeply"),
        (json.dumps({"rows": [GOOD]}).replace("1.0", "7" * 5_001).encode(), 422, "more than 4,300 digits"),
        (json.dumps({"rows": [GOOD], "as_of": None}).replace("null", "-" + "7" * 4_301).encode(), 422, "digits"),
        (b"[1]", 422, '{"rows": [{column: value'),
        (b'{"rows": {"size": 1}}', 422, '{"rows": [{column: value'),
        (b'{"rows": []}', 422, "at least one"),
        (b'{"rows": [7]}', 422, "row 1 is not an object"),
        (json.dumps({"rows": [GOOD, {"size": 1}]}).encode(), 422, "row 2 lacks the columns 'wind speed [m/s]', 'kind'"),
        (json.dumps({"rows": [{**GOOD, "size": "many"}]}).encode(), 422, "row 1, column 'size': 'many' is not"),
        (json.dumps({"rows": [GOOD, {**GOOD, "size": [1]}]}).encode(), 422, "row 2, column 'size': '[1]' is a list"),
        (json.dumps({"rows": [{**GOOD, "kind": {}}]}).encode(), 422, "row 1, column 'kind': '{}' is an object"),
        (json.dumps({"rows": [{**GOOD, "size": float("nan")}]}).encode(), 422, "column 'size': NaN is not JSON"),
        (json.dumps({"rows": [{**GOOD, "kind": "\ud800"}]}).encode(), 422, "column 'kind': '\\ud800' holds half of a"),
        (json.dumps({"rows": [{**GOOD, "size": float("inf")}]}).encode(), 422, "column 'size': is infinite"),
        (json.dumps({"rows": [{**GOOD, "size": 10**400}]}).encode(), 422, "column 'size'"),
        (json.dumps({"rows": [{**GOOD, "day": "May"}]}).encode(), 422, "'May' is not a date; send a date such as"),
        (json.dumps({"rows": [{**GOOD, "wet": "maybe"}]}).encode(), 422, "is not a flag; send true, false or null"),
        (json.dumps({"rows": [GOOD] * 51}).encode(), 413, "rows holds 51 rows; send at most 50"),
        (b" " * 20_001, 413, "more than 20,000 bytes"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_answered(client, body, status, words):
    answer = client.post("/predict", content=body)
    assert answer.status_code == status
    detail = answer.json()["detail"]
    assert words in (detail if isinstance(detail, str) else " ".join(one["msg"] for one in detail))


WHOLE = json.dumps(GOOD)


@pytest.mark.parametrize(
    "body, place, words",
    [
        (f'{{"rows": [{WHOLE}], "rows": [{WHOLE}]}}', ["rows"], "the body holds 'rows' twice"),
        (f'{{"rows": [{WHOLE}], "as_of": null, "as_of": "2024-01-01"}}', ["as_of"], "the body holds 'as_of' twice"),
        (f'{{"rows": [{WHOLE}, {WHOLE[:-1]}, "size": 2}}]}}', ["rows", 1, "size"], "row 2 holds 'size' twice"),
        (f'{{"rows": [{WHOLE[:-1]}, "wet": true}}]}}', ["rows", 0, "wet"], "row 1 holds 'wet' twice"),
        (f'{{"rows": [{WHOLE[:-1]}, "more": {{"a": 1, "a": 1}}}}]}}', ["a"], "an object of the body holds 'a' twice"),
        (f'{{"rows": [{WHOLE}], "prior": 0.2}}', ["prior"], "'prior', which is unknown; it may hold"),
        (f'{{"rows": [{WHOLE}], "as_off": "2024-01-31"}}', ["as_off"], "is 'as_off' meant to be 'as_of'?"),
        (f'{{"unknown": "missing", "rows": [{WHOLE}]}}', ["unknown"], "leave it out"),
        (f'{{"rows": [{WHOLE}], "": 1}}', [""], "it may hold 'rows' and 'as_of'"),
    ],
)  # fmt: skip
def test_a_request_says_each_thing_once_and_nothing_unknown(client, body, place, words):
    answer = client.post("/predict", content=body.encode())
    (one,) = answer.json()["detail"]
    assert (answer.status_code, one["loc"]) == (422, ["body", *place])
    assert words in one["msg"]


@pytest.mark.parametrize("query", ["unknown=missing", "prior=0.2&as_of=2024-01-31", "as_of", "%72ows=1", "&&"])
def test_the_address_has_no_parameters(client, query):
    answer = client.post(f"/predict?{query}", json={"rows": [GOOD]})
    (one,) = answer.json()["detail"]
    assert answer.status_code == 422 and one["loc"][0] == "query"
    assert one["msg"].endswith("and none is known; the body holds 'rows' and 'as_of'")
    assert client.post("/predict?", json={"rows": [GOOD]}).status_code == 200


def test_a_misspelled_column_is_guessed(client):
    row = {**GOOD, "sise": 1.0}
    del row["size"]
    (one,) = client.post("/predict", json={"rows": [row]}).json()["detail"]
    assert one == {
        "loc": ["body", "rows", 0, "size"],
        "msg": "row 1 lacks the column 'size'; is 'sise' meant to be 'size'?",
        "type": "value_error",
    }


def test_what_is_allowed(client):
    empty = dict.fromkeys(GOOD)
    spelled = {**GOOD, "size": "1.0", "wet": 1, "more": "ignored", "label": "yes"}
    odd = {**GOOD, "kind": "baobab"}
    answer = client.post("/predict", json={"rows": [empty, spelled, GOOD, odd, {**GOOD, "kind": None}]})
    assert answer.status_code == 200
    found = answer.json()["predictions"]
    assert found[1] == found[2]
    assert found[3] == found[4]  # a new category counts as missing, as in a file


def test_the_other_pages(client, quick):
    assert client.get("/health").json() == {"status": "ok", "target": "label", "classes": ["no", "yes"], "goal": "f1"}
    assert client.get("/").text == (quick / "report.html").read_text(encoding="utf-8")
    described = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
    asked = described["content"]["application/json"]["schema"]["properties"]["rows"]
    assert (asked["minItems"], asked["maxItems"]) == (1, 50)
    row = asked["items"]
    assert set(row["properties"]["kind"]["type"]) == {"string", "boolean", "null"}
    assert row["properties"]["size"] == {"type": ["number", "null"]}
    assert row["properties"]["day"]["format"] == "date"
    assert client.get("/docs").status_code == 404


@pytest.mark.parametrize("value", ["oak", "baobab", "", True, False, None])
def test_what_the_description_allows_is_answered(client, value):
    """A category of words is text, a flag or nothing."""
    assert client.post("/predict", json={"rows": [{**GOOD, "kind": value}]}).status_code == 200


def test_a_category_of_codes_may_be_a_number():
    kinds = row_schema(Schema((Column("code", "category", ("007", "V58")), Column("kind", "category", ("oak",)))))
    assert "number" in kinds["properties"]["code"]["type"]
    assert "number" not in kinds["properties"]["kind"]["type"]


@pytest.mark.parametrize("value", [True, False, 0, 1, 1.0, None])
def test_a_flag_may_be_a_number_that_is_one(client, value):
    assert client.post("/predict", json={"rows": [{**GOOD, "wet": value}]}).status_code == 200
    refused = client.post("/predict", json={"rows": [{**GOOD, "wet": 3}]})
    assert refused.json()["detail"][0]["msg"] == "row 1, column 'wet': '3' is not a flag; send true, false or null"


@pytest.fixture
def running(quick):
    command = [sys.executable, "-c", "import sys; from counterpoise.cli import main; sys.exit(main())"]
    process = subprocess.Popen(
        [*command, "serve", str(quick), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    line = process.stdout.readline()
    assert line.startswith("http://127.0.0.1:")
    yield process, line.split()[0]
    process.kill()
    process.communicate()


def test_fifty_at_once_are_as_one_by_one_and_a_stop_finishes_them(running, imbalanced):
    process, address = running
    requests = [{"rows": rows(imbalanced(20, seed=k)[: 3 + k % 5])} for k in range(50)]
    with httpx.Client(base_url=address, timeout=60) as client:
        assert client.get("/health").status_code == 200
        alone = [client.post("/predict", json=one).json() for one in requests]
        with ThreadPoolExecutor(50) as pool:
            together = list(pool.map(lambda one: client.post("/predict", json=one).json(), requests))
        assert together == alone

    # a request that is halfway in when the signal comes is answered
    host, port = address.removeprefix("http://").split(":")
    body = json.dumps(requests[0]).encode()
    with socket.create_connection((host, int(port)), timeout=60) as half:
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        half.sendall(head.encode() + body[:20])
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        half.sendall(body[20:])
        answer = b""
        while piece := half.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == alone[0]
    assert process.wait(timeout=60) == 0


def test_threads_agree(quick, imbalanced):
    """LightGBM's predict may be called from many threads."""
    model = load(quick)
    bodies = [json.dumps({"rows": rows(imbalanced(20, seed=k))}).encode() for k in range(16)]
    alone = [service.answer(model, body, 100) for body in bodies]
    start = threading.Barrier(8)

    def many(_):
        start.wait()
        return [service.answer(model, body, 100) for body in bodies]

    with ThreadPoolExecutor(8) as pool:
        assert all(found == alone for found in pool.map(many, range(8)))


def test_a_port_in_use_is_one_line(quick, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(quick), "--port", str(port)]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"counterpoise: cannot listen on 127.0.0.1, port {port}: Address already in use")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("words", [["--port", "70000"], ["--host", "256.1.1.1"]])
def test_no_such_address(quick, words, capsys):
    assert main(["serve", str(quick), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_not_installed_is_named(quick, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "uvicorn" else real(name, *more)
    )
    with pytest.raises(UserError, match=r"uvicorn is not installed: pip install 'counterpoise\[serve\]'"):
        service.serve(quick)


@pytest.fixture(scope="module")
def zoned(tmp_path_factory):
    """A model whose column `at` holds times five hours behind UTC."""
    import counterpoise as cp

    rng = np.random.default_rng(0)
    x, hours = rng.normal(size=400), rng.integers(0, 24, 400)
    at = [f"2024-0{k % 3 + 1}-{k % 27 + 1:02d}T{hour:02d}:15:00-05:00" for k, hour in enumerate(hours)]
    frame = pl.DataFrame({"at": at, "x": x, "y": np.where(x + (hours > 11) > 1, "yes", "no")})
    out = tmp_path_factory.mktemp("zoned") / "model"
    cp.train(frame, target="y", learners=("logistic",), budget=5.0).save(out)
    return out


ODD_TIMES = [
    *("9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00Z", "0001-01-01T04:59:59+00:00", "0000-01-01T00:00:00Z"),
    *("9999-12-31 19:00:00 -05:00", "01.01.0001 00:30 +02:00", "2024-01-31T10:00:00+99:00"),
]


@pytest.mark.parametrize("odd", ODD_TIMES)
@pytest.mark.parametrize("count", [1, 40])
def test_a_time_outside_the_calendar_is_the_clients_mistake(zoned, odd, count):
    some = [{"at": "2024-02-01T10:00:00-05:00", "x": 0.1}] * (count - 1) + [{"at": odd, "x": 0.2}]
    reply = service.answer(load(zoned), json.dumps({"rows": some}).encode(), 100)
    assert reply.status == 422
    (one,) = json.loads(reply.body)["detail"]
    assert one["loc"] == ["body", "rows", count - 1, "at"]
    assert one["msg"].startswith(f"row {count}, column 'at': {odd!r} ")


@pytest.mark.parametrize("odd", ODD_TIMES)
def test_a_time_outside_the_calendar_costs_its_row_alone(zoned, odd, tmp_path):
    at = ["2024-02-01T10:00:00-05:00"] * 20
    at[7] = odd
    pl.DataFrame({"at": at, "x": np.linspace(-1, 1, 20)}).write_csv(tmp_path / "new.csv")
    done = predict_table(zoned, tmp_path / "new.csv", tmp_path / "out.csv")
    assert done.unscored == 1
    assert pl.read_csv(tmp_path / "out.csv")["decision"].is_null().arg_true().to_list() == [7]
    assert odd in done.problems.read_text()


@pytest.mark.parametrize("error", [UserError("no"), ValueError("no"), OverflowError("no")])
def test_whatever_trips_in_reading_the_rows_is_no_failure_of_the_service(quick, error):
    class Tripping:
        def read(self, *_):
            raise error

    reply = service.answer(load(quick), json.dumps({"rows": [GOOD]}).encode(), 100, reader=Tripping())
    assert (reply.status, json.loads(reply.body)["detail"][0]["msg"]) == (422, "no")


@pytest.mark.parametrize("length", [5, 101, 300])
def test_unknown_names_in_a_row_are_looked_at_within_bounds(length, monkeypatch):
    """A name is compared with columns once, and no more of them than may be compared are even looked at."""
    seen = []

    def counted(_, names, **more):
        seen.append((len(names), more["n"]))
        return []

    monkeypatch.setattr(json_rows.difflib, "get_close_matches", counted)
    asked = []

    class Row(dict):
        def __iter__(self):
            for one in super().__iter__():
                asked.append(one)
                yield one

    row = Row({f"{k:0{length}d}": 1 for k in range(4_000)})
    with pytest.raises(json_rows.RefusedError, match="row 1 lacks the columns 'c0', 'c1'"):
        json_rows.table_of_rows([row], Schema(tuple(Column(f"c{k}", "number") for k in range(300))))
    assert seen == [(200 if length < 100 else 0, 1)]
    assert len(asked) <= 201


def test_a_feature_name_that_is_no_column_is_a_guess_too():
    schema = Schema((Column("whem", "date", dated=(" age",)),), reference=Reference("whem", own=True))
    with pytest.raises(json_rows.RefusedError, match="is 'whem age' meant to be 'whem'"):
        json_rows.table_of_rows([{"whem age": "2024-01-31"}], schema)


def test_a_name_that_comes_twice_among_very_many_costs_no_square():
    members = ", ".join(f'"k{k}": 1' for k in range(200_000))
    with pytest.raises(json_rows.RefusedError, match="the body holds 'k199999' twice; send it once"):
        json_rows.request_of(f'{{{members}, "k199999": 1}}'.encode(), 10)
