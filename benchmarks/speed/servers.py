"""What is served in `serving`: two models, the requests, and a process for each server.

python -m benchmarks.speed.servers SERVER DIRECTORY PORT    # serves until it is killed
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

COUNTERPOISE, ENDPOINT, MLFLOW = "counterpoise", "FastAPI", "MLflow"
MODELS = {"LightGBM": ("lightgbm",), "blend": ("lightgbm", "catboost", "logistic")}
_NUMBERS, _KINDS, _VALUES = 16, 4, 8
_REQUESTS, _TABLES = 5_000, 8
_PATHS = {COUNTERPOISE: "/predict", ENDPOINT: "/predict", MLFLOW: "/invocations"}
_SECONDS_TO_START = 120


@dataclass(frozen=True)
class Side:
    """A server that runs, and what to send it."""

    name: str
    port: int
    path: str
    bodies: Path


def table(rows: int, seed: int) -> Any:
    """Sixteen numbers and four categories a row, of which twelve matter; 5 % positive."""
    import polars as pl

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, _NUMBERS)).round(4)
    kinds = {f"kind{k}": rng.choice([f"value {v}" for v in range(_VALUES)], rows) for k in range(_KINDS)}
    score = 0.7 * x[:, :8].sum(axis=1) + x[:, 8] * x[:, 9] + np.abs(x[:, 10]) + 1.5 * (kinds["kind0"] == "value 3")
    score += rng.logistic(size=rows)
    frame = pl.DataFrame({f"x{k}": x[:, k] for k in range(_NUMBERS)} | kinds)
    return frame.with_columns(y=pl.Series(score > np.quantile(score, 0.95)))


def train(place: Path, model: str, *, rows: int = 3_000, budget: float = 30.0) -> str:
    """Train a model once; what it is made of, in words. A blend is that of the first table where one is best."""
    import counterpoise as cp

    for seed in range(_TABLES):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trained = cp.train(table(rows, seed), target="y", learners=MODELS[model], budget=budget)
        members = trained.model.members
        if len(members) > 1 or len(MODELS[model]) == 1:
            trained.save(place / model)
            trees = sum(one.fitted.booster.num_trees() for one in members if one.learner == "lightgbm")
            return f"{model}: {', '.join(f'{one.share:.2f} {one.label}' for one in members)}; {trees} trees of LightGBM"
    raise RuntimeError(f"on none of {_TABLES} tables a blend was best")


def requests(place: Path, model: str) -> None:
    """Write what is sent: for each server a line a request."""
    from counterpoise.table import load
    from counterpoise.table.features.matrix import to_matrix
    from counterpoise.table.using.json_rows import table_of_rows

    rows = table(_REQUESTS, 100).drop("y").to_dicts()
    schema = load(place / model).schema
    encoded = to_matrix(table_of_rows(rows, schema), schema).tolist()
    plain = [json.dumps({"rows": [row]}) for row in rows]
    split = [json.dumps({"dataframe_split": {"columns": schema.model_names, "data": [row]}}) for row in encoded]
    for name, lines in ((COUNTERPOISE, plain), (ENDPOINT, plain), (MLFLOW, split)):
        _bodies(place, model, name).write_text("\n".join(lines), encoding="utf-8")


def _bodies(place: Path, model: str, name: str) -> Path:
    return place / f"{model} {name}.jsonl"


@contextmanager
def running(name: str, place: Path, model: str, *, python: str = sys.executable) -> Iterator[Side]:
    """A server in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [python, "-m", "benchmarks.speed.servers", name, str(place / model), str(port)]
    if name == MLFLOW:
        saved = _for_mlflow(python, place / model)
        command = [python, "-m", "mlflow", "models", "serve", "-m", str(saved), "--env-manager", "local"]
        command += ["-p", str(port), "--workers", "1"]
    log = place / f"{model} {name}.log"
    with log.open("wb") as file:
        paths = os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", "")])  # MLflow calls uvicorn by name
        process = subprocess.Popen(
            command, stdout=file, stderr=file, start_new_session=True, env={**os.environ, "PATH": paths}
        )
    try:
        _wait(process, port, log)
        yield Side(name, port, _PATHS[name], _bodies(place, model, name))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{process.args} does not serve: {log.read_text(errors='replace')[-2000:]}")


def _for_mlflow(python: str, directory: Path) -> Path:
    """The booster of a saved model, as MLflow keeps it."""
    out = directory.with_name(f"{directory.name} for MLflow")
    (booster,) = directory.rglob("model.txt")
    code = (
        "import sys, lightgbm, mlflow.lightgbm; "
        "mlflow.lightgbm.save_model(lightgbm.Booster(model_file=sys.argv[1]), sys.argv[2])"
    )
    subprocess.run([python, "-c", code, str(booster), str(out)], check=True, capture_output=True)
    return out


def endpoint(directory: Path) -> Any:
    """What people write who serve a model by hand: a FastAPI application of a dozen lines."""
    from fastapi import FastAPI
    from pydantic import BaseModel

    from counterpoise.table import load

    model = load(directory)
    columns = [(one.name, {word: code for code, word in enumerate(one.categories)}) for one in model.schema.columns]

    class Body(BaseModel):
        rows: list[dict[str, float | str | None]]

    app = FastAPI()

    @app.post("/predict")
    async def predict(body: Body) -> dict[str, list[float]]:  # which is faster than a thread for each request
        rows = [[codes.get(row[name], np.nan) if codes else row[name] for name, codes in columns] for row in body.rows]
        return {"probability": scores(model, np.array(rows, np.float64)).tolist()}

    return app


def scores(model: Any, matrix: Any) -> Any:
    """The probability of the positive class (N,): by LightGBM's own `predict`, and by what the bundle has of others."""
    mixed = 0.0
    for one in model.members:
        booster = getattr(one.fitted, "booster", None)
        logits = one.fitted.logits(matrix) if booster is None else booster.predict(matrix)
        mixed = mixed + one.share / (1 + np.exp(-logits))
    return mixed


def main(name: str, directory: str, port: str) -> None:
    """Serve until killed."""
    if name == COUNTERPOISE:
        from counterpoise.table.using.serve import serve

        serve(directory, port=int(port))
    else:
        import uvicorn

        uvicorn.run(endpoint(Path(directory)), port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
