"""`counterpoise compare`: every loss with every learner on one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as Grid

from counterpoise.cli.date_options import AsOf, Dates
from counterpoise.cli.display import progress, show
from counterpoise.cli.number_options import Decimal, Thousands
from counterpoise.cli.option_values import needs_table_extra, words_of
from counterpoise.cli.terminal import say

if TYPE_CHECKING:
    from counterpoise.table.compare import Comparison, Interval

TablePath = Annotated[Path, typer.Argument(metavar="TABLE", help="A .csv, .tsv, .csv.gz or .parquet file.")]


def compare(
    table: TablePath,
    target: Annotated[str, typer.Option(help="The column with the classes.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new directory for comparison.csv and comparison.svg.")],
    learner: Annotated[str | None, typer.Option(metavar="L,L,...", help="Default: all that are installed.")] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="R,R,...", help="Losses such as weighted,focal. Default: all.")
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help="The class of interest. Default: the rarer of two classes.")
    ] = None,
    goal: Annotated[str | None, typer.Option(help="As for train.")] = None,
    ignore: Annotated[str | None, typer.Option(metavar="C,C,...", help="Columns to leave out, as for train.")] = None,
    dates: Dates = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    as_of: AsOf = None,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same folds.")] = 0,
) -> None:
    """Compare all losses and learners on one table, on the same folds."""
    needs_table_extra()
    from counterpoise import goals
    from counterpoise.table.compare import compare_table
    from counterpoise.table.reading.named_columns import parts_of

    with progress() as told:
        done = compare_table(
            table,
            target=target,
            out=out,
            learners=None if learner is None else words_of("--learner", learner),
            recipes=None if recipe is None else words_of("--recipe", recipe),
            positive=positive,
            goal=None if goal is None else goals.goal(goal),
            ignore=() if ignore is None else parts_of("--ignore", ignore),
            dates=dates,
            decimal=decimal,
            thousands=thousands,
            as_of=as_of,
            seed=seed,
            progress=told,
        )
    show(_grid(done))
    for reason in done.left_out:
        say(f"left out: {reason}")
    sampled = "" if done.rows == done.total else f" of {done.total:,}"
    say(f"{done.rows:,}{sampled} rows, {done.folds} folds. {done.sentence}")
    say(f"{done.out / 'comparison.csv'}, {done.out / 'comparison.svg'}")


def _grid(done: "Comparison") -> Grid:
    from counterpoise.table.learners import LEARNERS
    from counterpoise.table.learners.losses import PLAIN

    grid = Grid("learner", "loss", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in (done.goal.label, "ahead of plain", "mean rank", "log loss", "seconds"):
        grid.add_column(name, justify="right")
    before = ""
    for line in done.lines:
        shown = "" if line.learner == before else LEARNERS[line.learner].title
        before = line.learner
        settings = len(LEARNERS[line.learner].settings)
        loss = f"{line.loss} ({line.setting})" if line.loss == PLAIN and settings > 1 else line.loss
        grid.add_row(
            shown,
            loss,
            f"{line.score.value:.3f}",
            "" if line.ahead is None else _signed(line.ahead),
            f"{line.rank:.1f}",
            f"{line.log_loss:.4g}",
            f"{line.seconds:.1f}",
        )
    return grid


def _signed(found: "Interval") -> str:
    if found.low == found.high:
        return f"{found.value:+.3f} on every fold"
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
