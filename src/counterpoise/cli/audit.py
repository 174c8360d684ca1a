"""`counterpoise audit`: look at a table before anything is learned from it."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from counterpoise.cli.date_options import Dates
from counterpoise.cli.number_options import Decimal, Thousands
from counterpoise.cli.option_values import needs_table_extra
from counterpoise.cli.terminal import say

TablePath = Annotated[
    Path, typer.Argument(metavar="TABLE", help="A .csv or .parquet file, or a folder of .parquet files.")
]


def audit(
    table: TablePath,
    target: Annotated[str, typer.Option(help="The column with the classes.")],
    time: Annotated[
        str | None, typer.Option(help="A column of dates, times or numbers; changes over it are reported.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="A column whose equal values mark rows that belong together.")
    ] = None,
    ignore: Annotated[str | None, typer.Option(metavar="C,C,...", help="Columns to leave out, as for train.")] = None,
    dates: Dates = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="The day up to which ages of dates are counted, as for train; dates after it are reported.",
        ),
    ] = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    to_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="A new .json file for the facts.")
    ] = None,
    to_html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="A new .html file for the page.")
    ] = None,
) -> None:
    """Check a table before training: what it can show, and what would mislead."""
    needs_table_extra()
    from counterpoise.table.audit.audit import audit_table
    from counterpoise.table.audit.page import page, screen
    from counterpoise.table.files import refuse_existing, write_text
    from counterpoise.table.reading.named_columns import parts_of

    for out in (to_json, to_html):
        if out is not None:
            refuse_existing(out, streams=True)
    ignored = () if ignore is None else parts_of("--ignore", ignore)
    found = audit_table(
        table,
        target=target,
        time=time,
        group=group,
        ignore=ignored,
        dates=dates,
        as_of=as_of,
        decimal=decimal,
        thousands=thousands,
    )
    say(*screen(found, min(shutil.get_terminal_size((100, 24)).columns, 110)).split("\n"))
    if to_json is not None:
        write_text(json.dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n", to_json)
    if to_html is not None:
        write_text(page(found), to_html)
