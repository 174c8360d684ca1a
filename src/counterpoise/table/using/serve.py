"""A small web service of one model: a prediction per row, and nothing else.

It runs in one process. Every mistake in a request is reported with its row and column.
"""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.features.novelty import FEWEST_TEXTS, REFUSE, Categories, check_unknown
from counterpoise.table.features.reference_day import odd_day
from counterpoise.table.features.schema import TEXT, Schema
from counterpoise.table.model.bundle import REPORT
from counterpoise.table.model.directory import read
from counterpoise.table.model.loading import model_of
from counterpoise.table.model.protocol import TrainedModel
from counterpoise.table.reading.table import Table
from counterpoise.table.using import listening
from counterpoise.table.using.asgi import HTML, Reply, Service, refusal
from counterpoise.table.using.json_rows import Mistake, RefusedError, TooLargeError, request_of
from counterpoise.table.using.openapi import described
from counterpoise.table.using.row_reader import RowReader

MOST_ROWS = 10_000
MOST_BYTES = 16_000_000
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def application(
    directory: str | Path, *, most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES, unknown: str = REFUSE
) -> Service:
    """The service, for any ASGI server.

    Parameters
    ----------
    directory
        Directory that `counterpoise train` wrote.
    most_rows, most_bytes
        Largest number of rows and bytes of a request; larger ones are refused (413).
    unknown
        As in `Model.predict_proba`: treatment of rows in which all values of a column are unknown to the model.

    Raises
    ------
    UserError
        If the directory holds no model.
    """
    check_unknown(unknown)
    held = read(Path(directory))
    model = model_of(held)
    health = {
        "status": "ok",
        "target": model.target,
        "classes": [str(name) for name in model.classes],
        "goal": model.facts["goal"],
    }
    pages = {
        "/": Reply(HTTPStatus.OK, held.files[REPORT], HTML),
        "/health": _as_json(health),
        "/openapi.json": _as_json(described(model, most_rows)),
    }

    prepare(model)
    reader = RowReader(model.schema)

    def predict(body: bytearray) -> Reply:
        return answer(model, body, most_rows, unknown, reader)

    return Service(pages, {"/predict": predict}, most_bytes=most_bytes)


def answer(
    model: TrainedModel,
    body: bytes | bytearray,
    most_rows: int,
    unknown: str = REFUSE,
    reader: RowReader | None = None,
) -> Reply:
    """The answer to a request: predictions, and warnings if a category is new or the day does not fit the rows.

    Parameters
    ----------
    model
        The model.
    body
        Body of the request.
    most_rows, unknown
        As in `application`.
    reader
        Reader of the model's columns, which has seen cells before; None: a new one.
    """
    try:
        rows, as_of = request_of(body, most_rows)
        day = as_of or _today(model.schema)
        reader = reader or RowReader(model.schema)
        matrix, table = _read(reader, rows, day)
        told = [] if table is None else _new_to(model, table, matrix, unknown)
        if model.schema.needs_day and model.schema.reference is not None:
            odd = odd_day(model.schema.reference, reader.newest(rows, table), day, today=as_of is None)
            told = [*([] if odd is None else [odd]), *told]
        found: dict[str, Any] = {"predictions": predictions(model, matrix)}
        found |= {"as_of": day.isoformat()} if model.schema.needs_day else {}
        return _as_json(found | ({"warnings": told} if told else {}))
    except TooLargeError as refused:
        return refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(refused))
    except RefusedError as refused:
        mistakes = {"detail": [_detail(one) for one in refused.mistakes]}
        return _as_json(mistakes, HTTPStatus.UNPROCESSABLE_ENTITY)


def _today(schema: Schema) -> date:
    """The day where the dates are that ages are counted to: in the time zone of their column, else in UTC."""
    now = datetime.now(UTC)
    zone = next(
        (one.zone for one in schema.columns if schema.reference is not None and one.name == schema.reference.column), ""
    )
    today: date = pl.Series([now]).dt.convert_time_zone(zone).dt.date()[0] if zone else now.date()
    return today


def _read(reader: RowReader, rows: list[Any], day: date) -> tuple[NDArray[np.float64], Table | None]:
    """As `RowReader.read`; rows that cannot be read are the client's mistake, never a failure of the service."""
    try:
        return reader.read(rows, day)
    except (ValueError, OverflowError) as error:
        raise RefusedError([Mistake(("rows",), str(error))]) from None


def _new_to(model: TrainedModel, table: Table, matrix: NDArray[Any], unknown: str) -> list[str]:
    """Sentences on values in the rows that are new to the model; checked only if there may be any."""
    schema = model.schema
    words = len(matrix) >= FEWEST_TEXTS and any(one.kind == TEXT for one in schema.columns)
    if not words and not np.isnan(matrix[:, schema.categorical]).any():
        return []
    categories = Categories(schema, model.facts.get("importance"), unknown)
    try:
        categories.add(table)
        return categories.said(table.path)
    except UserError as error:
        raise RefusedError([Mistake(("rows",), str(error))]) from None


def predictions(model: TrainedModel, matrix: NDArray[np.float64]) -> list[dict[str, Any]]:
    """A probability per class, by its name, and a decision for each row (N, F); of several labels those that it has."""
    probability = model.probability(matrix)
    decisions = model.answers(model.decide(probability))
    names = [str(name) for name in model.classes]
    return [
        {"probability": dict(zip(names, own, strict=True)), "decision": decision}
        for own, decision in zip(probability.tolist(), decisions, strict=True)
    ]


def prepare(model: TrainedModel) -> None:
    """Do the work that the first request would wait for."""
    for member in model.members:
        member.fitted.prepare()


def serve(
    directory: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    unknown: str = REFUSE,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve a model until the process is stopped (SIGTERM, SIGINT); requests in progress are finished.

    Parameters
    ----------
    directory
        Directory that `counterpoise train` wrote.
    host, port
        Address to listen on; port 0 is any free one.
    unknown
        As in `application`.
    ready
        Function that is called with the address once the service listens.

    Raises
    ------
    UserError
        As `application`; if uvicorn is not installed; or if the address cannot be listened on.
    """
    listening.installed()
    listening.run(application(directory, unknown=unknown), host, port, ready)


def _as_json(told: Any, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    return Reply(status, _JSON.encode(told).encode())


def _detail(mistake: Mistake) -> dict[str, Any]:
    return {"loc": ["body", *mistake.place], "msg": mistake.message, "type": "value_error"}
