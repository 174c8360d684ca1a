"""The options about dates that several commands have."""

from typing import Annotated

import typer

AsOf = Annotated[
    str | None,
    typer.Option(
        metavar="DATE", help="The day up to which ages of dates are counted. Default: the newest date of the table."
    ),
]
Dates = Annotated[
    str | None,
    typer.Option(metavar="day-first|month-first", help="How to read 03/04/2024 where nothing in the table decides."),
]
