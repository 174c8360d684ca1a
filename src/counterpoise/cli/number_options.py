"""The options about numbers that several commands have."""

from typing import Annotated

import typer

Decimal = Annotated[
    str | None,
    typer.Option(metavar="MARK", help="What stands before a fraction, . or , where the columns do not tell."),
]
Thousands = Annotated[
    str | None,
    typer.Option(metavar="MARK", help="What stands between groups of digits, such as , or . where nothing tells."),
]
