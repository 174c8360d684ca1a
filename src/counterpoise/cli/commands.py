"""The subcommands: each names its arguments, calls one function and shows what it returned."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as Grid

from counterpoise import __version__
from counterpoise.cli.audit import audit
from counterpoise.cli.cluster_option import Cluster
from counterpoise.cli.compare import compare
from counterpoise.cli.date_options import AsOf, Dates
from counterpoise.cli.display import progress, show
from counterpoise.cli.export import export
from counterpoise.cli.number_options import Decimal, Thousands
from counterpoise.cli.option_values import needs_table_extra, numbers_of, seconds_of, words_of
from counterpoise.cli.predict import predict
from counterpoise.cli.repeated import Command
from counterpoise.cli.serve import serve
from counterpoise.cli.terminal import say
from counterpoise.errors import UserError, nearest_name
from counterpoise.recipes import recipe_table
from counterpoise.weights import NORMALIZATIONS, SCHEMES, ClassCounts, class_weights

app = typer.Typer(
    name="counterpoise",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

# Typer carries its own copy of Click from 0.20 on and used the installed one before.
_USAGE_ERROR: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

TablePath = Annotated[
    Path,
    typer.Argument(
        metavar="TABLE", help="A .csv, .tsv, .csv.gz or .parquet file, a folder of such files, or a pattern."
    ),
]


def run(words: Sequence[str]) -> int:
    """Run one command line; `UserError` stands for every mistake in it.

    Examples
    --------
    >>> run(["weights", "10", "90", "--scheme", "inverse", "--normalize", "classes"])
    [1.8, 0.2]
    0
    """
    command = typer.main.get_command(app)
    try:  # not app(): it has its own ideas about signals and broken pipes
        with command.make_context("counterpoise", list(words)) as context:
            command.invoke(context)
    except _USAGE_ERROR as error:
        raise UserError(f"{error.format_message()} (counterpoise --help lists the commands)") from None
    except typer.Exit as left:
        return left.exit_code
    return 0


def _version(wanted: bool) -> None:
    if wanted:
        say(f"counterpoise {__version__}")
        raise typer.Exit


@app.callback()
def counterpoise(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Classifiers for imbalanced classes: train, compare, decide, predict."""


app.command(cls=Command)(audit)
app.command(cls=Command)(compare)


@app.command(cls=Command)
def train(
    table: TablePath,
    target: Annotated[str, typer.Option(help="The column with the classes; labels: y_a,y_b or 'y_*'.")],
    positive: Annotated[
        str | None, typer.Option(help="The class of interest. Default: the rarer of two classes.")
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option(help='For example f1, mcc, "recall where precision >= 0.5", "cost fn=500 fp=10".'),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A new directory. Default: counterpoise-<name of the table>.")
    ] = None,
    learner: Annotated[
        str | None,
        typer.Option(metavar="L,L,...", help="Some of lightgbm, logistic, xgboost, catboost, mlp, keras."),
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="C", help="The column that orders the rows: the latest are the test.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="C", help="Rows with the same value here stay in one part.")
    ] = None,
    weight: Annotated[
        str | None, typer.Option(metavar="C", help="Column of row weights for training, above 0.")
    ] = None,
    ignore: Annotated[
        str | None, typer.Option(metavar="C,C,...", help="Columns to leave out, by name or pattern such as 'id*'.")
    ] = None,
    dates: Dates = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    as_of: AsOf = None,
    absolute_time: Annotated[
        bool, typer.Option("--absolute-time", help="Use dates themselves as features, not only their ages.")
    ] = False,
    slices: Annotated[
        str | None, typer.Option("--slice", metavar="C", help="Show every rate by this column in the report.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory to take, such as 4GB; a larger table is thinned to fit."),
    ] = None,
    budget: Annotated[str, typer.Option(help="Approximate time limit: 90s, 5m, 1h.")] = "5m",
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same files.")] = 0,
    cluster: Cluster = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run with the same --out.")] = False,
    mlflow: Annotated[
        str | None, typer.Option(metavar="URI", help="Log the run to this MLflow tracking server or folder.")
    ] = None,
) -> None:
    """Train, compare and decide on one table."""
    needs_table_extra()
    from counterpoise import goals
    from counterpoise.table import train_table
    from counterpoise.table.asked import DEFAULT_LEARNERS
    from counterpoise.table.reading.named_columns import parts_of
    from counterpoise.table.report.tracking import check_tracking

    if mlflow is not None:
        check_tracking()
    with progress() as told:
        training = train_table(
            table,
            target=target,
            out=out,
            resume=resume,
            cluster=cluster,
            progress=told,
            positive=positive,
            goal=None if goal is None else goals.goal(goal),
            learners=DEFAULT_LEARNERS if learner is None else tuple(words_of("--learner", learner)),
            time=time,
            group=group,
            weight=weight,
            slice=slices,
            ignore=() if ignore is None else parts_of("--ignore", ignore),
            dates=dates,
            decimal=decimal,
            thousands=thousands,
            as_of=as_of,
            absolute_time=absolute_time,
            memory=memory,
            budget=seconds_of(budget),
            seed=seed,
        )
    for name, text in training.summary_lines():
        say(f"{name:<10}{text}")
    if mlflow is not None:
        training.track(mlflow)


app.command(cls=Command)(predict)
app.command(cls=Command)(serve)
app.command(cls=Command)(export)


@app.command(cls=Command)
def repair(
    table: TablePath,
    out: Annotated[Path, typer.Option("--out", "-o", help="A new .parquet or .csv file.")],
    weights: Annotated[
        str | None,
        typer.Option(metavar="W,W,...", help="Class weights of the training, or one number: scale_pos_weight."),
    ] = None,
    rates: Annotated[
        str | None, typer.Option(metavar="R,R,...", help="Share of each class's rows that was kept in training.")
    ] = None,
    prior: Annotated[
        str | None, typer.Option(metavar="P,P,...", help="Class shares of the training data, needed with --to.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="P,P,...|estimate", help="Class shares of these rows; 'estimate' finds them.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...", help="Columns with probabilities: one, or one per class. Default: probability..."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Correct the probabilities of a model that was trained elsewhere, with weights or on sampled rows."""
    needs_table_extra()
    from counterpoise.table import repair_table

    done = repair_table(
        table,
        out,
        weights=numbers_of("--weights", weights),
        rates=numbers_of("--rates", rates),
        prior=numbers_of("--prior", prior),
        to=to if to == "estimate" else numbers_of("--to", to),
        columns=None if columns is None else columns.split(","),
        overwrite=overwrite,
    )
    say(f"{done.rows:,} rows in {done.out}")
    for name, before, after in zip(done.columns, done.before, done.after, strict=True):
        say(f"mean of {name}: {before:.4g} -> {after:.4g}")
    if to == "estimate" and done.to is not None:
        say("estimated class shares: " + ", ".join(f"{one:.4g}" for one in done.to))


# unknown options are taken as values, so that a negative count reaches the check that explains it
@app.command(cls=Command, context_settings={"ignore_unknown_options": True})
def weights(
    counts: Annotated[list[str], typer.Argument(metavar="N...", help="Samples of each class.")],
    scheme: Annotated[str | None, typer.Option(help="Default: all. " + ", ".join(SCHEMES))] = None,
    normalize: Annotated[str | None, typer.Option(help="Default: all. " + ", ".join(NORMALIZATIONS))] = None,
) -> None:
    """Class weights from class counts."""
    strange = [word for word in counts if not re.fullmatch(r"-?\d+", word)]
    if strange:
        raise UserError(
            f"{strange[0]!r} is neither a count nor an option; counts are whole numbers (--help lists both)"
        )
    samples = ClassCounts(int(word) for word in counts)
    for kind, name, known in (
        ("scheme", scheme, SCHEMES),
        ("normalize", normalize, NORMALIZATIONS),
    ):
        if name is not None and name not in known:
            raise nearest_name(kind, name, known)
    if scheme is not None and normalize is not None:
        found = class_weights(samples, scheme=scheme, normalize=normalize)
        say("[" + ", ".join(f"{weight:.6g}" for weight in found) + "]")
        return
    grid = Grid("scheme", "normalize", box=None, pad_edge=False)
    for number in counts:
        grid.add_column(f"n={number}", justify="right")
    refused: list[UserError] = []
    made = 0
    for row in SCHEMES if scheme is None else [scheme]:
        for place, form in enumerate(NORMALIZATIONS if normalize is None else [normalize]):
            try:
                cells = [f"{weight:.4g}" for weight in class_weights(samples, scheme=row, normalize=form)]
                made += 1
            except UserError as error:
                cells = ["–"] * len(counts)
                refused.append(error)
            grid.add_row(row if place == 0 else "", form, *cells)
        if scheme is None and normalize is None:
            grid.add_row()
    if not made:
        raise refused[0]
    show(grid)
    for reason in dict.fromkeys(map(str, refused)):
        say(f"–: {reason}")


@app.command(cls=Command)
def losses() -> None:
    """List the losses, by name."""
    grid = Grid("name", "what", "source", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in recipe_table():
        grid.add_row(row.name, row.summary, row.source)
    show(grid)
