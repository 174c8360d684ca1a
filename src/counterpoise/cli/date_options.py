"""The options about dates that several commands have."""

from typing import Annotated

import typer

Dates = Annotated[
    str | None,
    typer.Option(metavar="day-first|month-first", help="How to read 03/04/2024 where nothing in the table decides."),
]
