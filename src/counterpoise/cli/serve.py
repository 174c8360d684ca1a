"""`counterpoise serve`: predictions over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from counterpoise.cli.option_values import needs_table_extra
from counterpoise.cli.terminal import say


def serve(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that counterpoise train wrote.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is reachable from elsewhere.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 is any free one.")] = 8000,
    unknown: Annotated[
        str,
        typer.Option(
            metavar="refuse|missing",
            help="What to do with rows whose important columns hold only values unknown to the model: refuse "
            "them, or read the values as missing.",
        ),
    ] = "refuse",
) -> None:
    """Answer POST /predict over HTTP until stopped."""
    needs_table_extra()
    from counterpoise.table.using.serve import serve as serve_model

    def ready(address: str) -> None:
        say(f"{address} serves {directory}: POST /predict, GET /health, /openapi.json, / (the report)")

    serve_model(directory, host=host, port=port, unknown=unknown, ready=ready)
