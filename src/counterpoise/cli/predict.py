"""`counterpoise predict`: probabilities and decisions for the rows of a new table."""

from pathlib import Path
from typing import Annotated

import typer

from counterpoise.cli.cluster_option import Cluster
from counterpoise.cli.date_options import AsOf
from counterpoise.cli.option_values import needs_table_extra
from counterpoise.cli.terminal import say
from counterpoise.errors import UserError


def predict(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that counterpoise train wrote.")],
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="A .csv or .parquet file, a folder of such files, or a pattern.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new .parquet or .csv file.")],
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="auto|P",
            help="Adjust the probabilities to the class shares of these rows: estimated, or given (P of the positive "
            "class; of several classes P,P,...).",
        ),
    ] = None,
    as_of: AsOf = None,
    unknown: Annotated[
        str,
        typer.Option(
            metavar="refuse|missing",
            help="What to do with an important column that holds only values unknown to the model: refuse the "
            "table, or read the values as missing.",
        ),
    ] = "refuse",
    cluster: Cluster = None,
) -> None:
    """Write probabilities and decisions for the rows of a table, in its order."""
    needs_table_extra()
    from counterpoise.table import predict_table

    to = None if prior is None else _prior(prior)
    done = predict_table(directory, table, out, prior=to, as_of=as_of, unknown=unknown, cluster=cluster)
    decided = ", ".join(f"{name} {rows:,}" for name, rows in done.decided.items())
    say(f"{done.rows:,} rows in {done.out}; decided: {decided}")
    if done.told_by and done.as_of is not None:
        say(
            f"ages of dates are counted up to {done.as_of}, the newest date of {done.told_by!r}; --as-of sets "
            "another day"
        )
    if done.prior is not None:
        shares = zip(done.decided, done.prior, strict=True)
        say("adjusted to class shares: " + ", ".join(f"{name} {share:.4g}" for name, share in shares))
    if done.problems is not None:
        say(f"{done.unscored:,} rows could not be scored and are empty; {done.problems} gives the reasons")
    if done.ignored:
        shown = ", ".join(done.ignored[:10]) + (" ..." if len(done.ignored) > 10 else "")
        say(f"columns that the model does not know were ignored: {shown}")


def _prior(text: str) -> str | list[float]:
    if text == "auto":
        return text
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise UserError(f"--prior {text!r} is neither auto nor shares such as 0.05, or 0.2,0.3,0.5") from None
