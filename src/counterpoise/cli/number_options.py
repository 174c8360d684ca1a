"""The options about numbers that several commands have."""

from typing import Annotated

import typer

Decimal = Annotated[
    str | None,
    typer.Option(metavar="MARK", help="Decimal mark, . or , for columns that do not show it."),
]
Thousands = Annotated[
    str | None,
    typer.Option(metavar="MARK", help="Mark between groups of digits, such as , or . for columns that do not show it."),
]
