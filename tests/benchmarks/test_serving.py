"""The benchmark of the service measures both servers on the same rows, and judges by the ratios."""

import asyncio
import json

import numpy as np
import pytest
from starlette import testclient

from absent import needs
from benchmarks import serving
from benchmarks.serving import HEADER, Outcome, Turn, cells, measure
from benchmarks.speed import clients, servers
from benchmarks.speed.servers import COUNTERPOISE, ENDPOINT, MLFLOW
from counterpoise.table import load
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.model.one import naive
from counterpoise.table.using.json_rows import table_of_rows
from counterpoise.table.using.serve import application

needs("fastapi", "lightgbm", "uvicorn")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=servers.MODELS)
def place(request, tmp_path_factory):
    found = tmp_path_factory.mktemp("serving")
    few = {"LightGBM": ("lightgbm",), "blend": ("lightgbm", "logistic")}  # any blend will do
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "MODELS", few)
        said = servers.train(found, request.param, rows=600, budget=60.0)
    assert said.startswith(request.param)
    (found / request.param).rename(found / "model")
    servers.requests(found, "model")
    return found


def test_both_servers_get_the_same_rows_and_the_endpoint_gives_what_the_members_say(place):
    ours = testclient.TestClient(application(place / "model"))
    endpoint = testclient.TestClient(servers.endpoint(place / "model"))
    bodies = (place / f"model {ENDPOINT}.jsonl").read_text().splitlines()
    assert bodies == (place / f"model {COUNTERPOISE}.jsonl").read_text().splitlines()
    model = load(place / "model")
    for body in bodies[:20]:
        matrix = to_matrix(table_of_rows(json.loads(body)["rows"], model.schema), model.schema)
        (found,) = endpoint.post("/predict", json=json.loads(body)).json()["probability"]
        assert found == pytest.approx(naive(model.members, matrix).item(), rel=1e-4)
        assert ours.post("/predict", content=body).status_code == 200


def test_mlflow_gets_the_same_rows_encoded(place):
    plain, split = (
        json.loads((place / f"model {name}.jsonl").read_text().splitlines()[3]) for name in (ENDPOINT, MLFLOW)
    )
    numbers = split["dataframe_split"]["data"][0]
    assert numbers[: servers._NUMBERS] == list(plain["rows"][0].values())[: servers._NUMBERS]
    assert len(split["dataframe_split"]["columns"]) == len(numbers) == 20


def test_servers_are_measured_by_turns(place):
    with (
        servers.running(COUNTERPOISE, place, "model") as ours,
        servers.running(ENDPOINT, place, "model") as endpoint,
    ):
        (found,) = measure("blend", 2, {COUNTERPOISE: ours, ENDPOINT: endpoint}, pairs=2, seconds=0.3)
    assert (len(found.ours), len(found.others), found.peer) == (2, 2, ENDPOINT)
    assert all(len(line) == len(HEADER) for line in cells(found))
    assert "| blend | 2 | FastAPI |" in serving.as_markdown([found], "")


def test_a_refused_request_ends_the_measuring(place):
    with servers.running(COUNTERPOISE, place, "model") as side, pytest.raises(RuntimeError, match=r"422.*rows"):
        asyncio.run(clients.load(side.port, "/predict", ['{"rows": []}'], 1, 0.2))


def test_clients_take_turns_through_the_requests_and_count_whole_answers():
    sent = []

    async def answered(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                sent.append(int(await reader.readexactly(length)))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
                await asyncio.sleep(0.001)
                writer.write(b"ngth: 2\r\n\r\n{")
                await asyncio.sleep(0.001)
                writer.write(b"}")
        except asyncio.IncompleteReadError:  # the client has left
            pass
        finally:
            writer.close()

    async def both():
        server = await asyncio.start_server(answered, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found = await clients.load(port, "/", [str(k) for k in range(100)], 2, 0.2)
        server.close()
        await asyncio.sleep(0.01)
        return found

    seconds, lasted = asyncio.run(both())
    assert sorted(sent[:4]) == [0, 1, 50, 51]
    assert min(seconds) > 0.002
    assert lasted >= 0.2
    assert 0 < len(seconds) < len(sent)  # the first ones do not count


def test_bars():
    fast, slow, late = Turn(1.0, 2.0, 900.0), Turn(2.0, 4.0, 450.0), Turn(9.5, 20.0, 100.0)
    assert Outcome("LightGBM", 1, ENDPOINT, (fast, slow), (slow, slow)).met
    assert Outcome("LightGBM", 1, ENDPOINT, (slow,), (fast,)).met is False
    assert Outcome("LightGBM", 1, ENDPOINT, (late,), (late,)).met is False  # more than 9 ms
    assert Outcome("LightGBM", 4, ENDPOINT, (late,), (late,)).met
    skipped = Outcome("blend", 4, MLFLOW, skipped="there is none")
    assert skipped.met is None
    assert "skipped: there is none" in serving.as_markdown([skipped], "")
    np.testing.assert_allclose([Turn.of([0.001] * 99 + [0.1], 2.0).p50, Turn.of([0.001] * 100, 2.0).rate], [1.0, 50.0])
