"""A small web service of one model: a prediction per row, and nothing else.

It runs in one process. A prediction runs in a thread, at most one per core; everything that can be wrong with a request
is said with its row and column.
"""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from counterpoise import __version__
from counterpoise.errors import UserError, refuse_missing
from counterpoise.table.bundle import REPORT, load
from counterpoise.table.features import to_matrix
from counterpoise.table.json_rows import Mistake, RefusedError, row_schema, rows_of, table_of_rows
from counterpoise.table.model import Model
from counterpoise.table.multilabel_model import MultilabelModel

if TYPE_CHECKING:
    from fastapi import FastAPI

MOST_ROWS = 10_000
MOST_BYTES = 16_000_000
_SECONDS_TO_FINISH = 30


def application(directory: str | Path, *, most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES) -> "FastAPI":
    """The service, for any ASGI server.

    Parameters
    ----------
    directory
        What `counterpoise train` wrote.
    most_rows, most_bytes
        A request with more of them is refused (413).

    Raises
    ------
    UserError
        If FastAPI is not installed, or the directory holds no model.
    """
    installed()
    import anyio
    from fastapi import FastAPI, Request
    from fastapi.responses import HTMLResponse, JSONResponse

    model = load(directory)
    report = Path(directory, REPORT)
    app = FastAPI(title=f"Counterpoise: {_served(model)}", version=__version__, docs_url=None, redoc_url=None)
    cores = anyio.CapacityLimiter(os.cpu_count() or 1)

    @app.get("/health", summary="What is served")
    def health() -> dict[str, Any]:
        return {
            "status": "ok",
            "target": model.target,
            "classes": [str(name) for name in model.classes],
            "goal": model.facts["goal"],
        }

    @app.get("/", summary="The report of the training", response_class=HTMLResponse)
    def page() -> HTMLResponse:
        if not report.is_file():
            return HTMLResponse(f"{REPORT} is not in the directory of the model", status_code=404)
        return HTMLResponse(report.read_bytes())

    @app.post("/predict", summary=_summary(model), openapi_extra=_openapi(model))
    async def predict(request: Request) -> JSONResponse:
        body = await _limited(request, most_bytes)
        if body is None:
            return JSONResponse({"detail": f"the body has more than {most_bytes:,} bytes; send fewer rows"}, 413)
        return JSONResponse(*await anyio.to_thread.run_sync(answer, model, body, most_rows, limiter=cores))

    return app


def answer(model: Model | MultilabelModel, body: bytes, most_rows: int) -> tuple[dict[str, Any], int]:
    """What a request gets, and its HTTP status."""
    try:
        rows = rows_of(body)
        if len(rows) > most_rows:
            return {"detail": f"rows holds {len(rows):,} rows; send at most {most_rows:,} at a time"}, 413
        return {"predictions": predictions(model, rows)}, 200
    except RefusedError as refused:
        return {"detail": [_detail(one) for one in refused.mistakes]}, 422


def predictions(model: Model | MultilabelModel, rows: list[Any]) -> list[dict[str, Any]]:
    """A probability per class, by its name, and a decision for each row; of several labels those that it has.

    Raises
    ------
    RefusedError
        As `table_of_rows`.
    """
    probability = model.probability(to_matrix(table_of_rows(rows, model.schema), model.schema))
    names = [str(name) for name in model.classes]
    return [
        {"probability": dict(zip(names, own, strict=True)), "decision": decision}
        for own, decision in zip(probability.tolist(), _decisions(model, probability), strict=True)
    ]


def serve(
    directory: str | Path, *, host: str = "127.0.0.1", port: int = 8000, ready: Callable[[str], None] = lambda _: None
) -> None:
    """Serve a model until the process is told to stop (SIGTERM, SIGINT); requests in progress are finished.

    Parameters
    ----------
    directory
        What `counterpoise train` wrote.
    host, port
        Where to listen; port 0 is any free one.
    ready
        Called with the address once it listens.

    Raises
    ------
    UserError
        As `application`; or if the address cannot be listened on.
    """
    app = application(directory)
    import uvicorn

    # uvicorn would set up logging anew, which closes the handlers of whoever shares the process, and their streams
    config = uvicorn.Config(app, log_config=None, log_level="warning", timeout_graceful_shutdown=_SECONDS_TO_FINISH)
    with _listening(host, port) as listener:
        # uvicorn hands the signal on when it has stopped; being told to stop is no failure
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, lambda *_: None)
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listener.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listener])


def installed() -> None:
    """Raise `UserError` if what the service runs on is not there."""
    refuse_missing(("fastapi", "uvicorn"), "serve")


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65_535:
        raise UserError(f"port is {port}; it lies between 0 and 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise UserError(f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another") from None


async def _limited(request: Any, most: int) -> bytes | None:
    """The body, or None as soon as it is too long, whatever its header says."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            return None
    return bytes(body)


def _detail(mistake: Mistake) -> dict[str, Any]:
    return {"loc": ["body", *mistake.place], "msg": mistake.message, "type": "value_error"}


def _decisions(model: Model | MultilabelModel, probability: NDArray[np.float64]) -> list[Any]:
    """Of each row its class, or a list of its labels."""
    if isinstance(model, Model):
        return [model.classes[place] for place in model.decision.apply(probability).tolist()]
    return [
        [label for label, has in zip(model.labels, row, strict=True) if has]
        for row in model.decide(probability).tolist()
    ]


def _served(model: Model | MultilabelModel) -> str:
    return model.target if isinstance(model, Model) else f"{len(model.labels)} labels"


def _summary(model: Model | MultilabelModel) -> str:
    if isinstance(model, Model):
        return "A probability per class and a decision for each row"
    return "A probability per label and the labels decided for each row"


def _decision_schema(model: Model | MultilabelModel) -> dict[str, Any]:
    if isinstance(model, MultilabelModel):
        return {"type": "array", "items": {"type": "string", "enum": list(model.labels)}, "uniqueItems": True}
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return {"type": kinds[type(model.classes[0])], "enum": list(model.classes)}


def _openapi(model: Model | MultilabelModel) -> dict[str, Any]:
    names = [str(name) for name in model.classes]
    one = {
        "type": "object",
        "properties": {
            "probability": {
                "type": "object",
                "properties": {name: {"type": "number", "minimum": 0, "maximum": 1} for name in names},
            },
            "decision": _decision_schema(model),
        },
    }
    asked = {"type": "object", "properties": {"rows": {"type": "array", "items": row_schema(model.schema)}}}
    answered = {"type": "object", "properties": {"predictions": {"type": "array", "items": one}}}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": asked | {"required": ["rows"]}}},
        },
        "responses": {
            "200": {"description": "Predicted", "content": {"application/json": {"schema": answered}}},
            "413": {"description": "Too many rows or bytes"},
            "422": {"description": "A row that cannot be used; detail names its place"},
        },
    }
