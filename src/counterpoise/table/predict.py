"""Probabilities and decisions for the rows of a new table, in its order."""

import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.bundle import beside, load, refuse_existing
from counterpoise.table.features import check_categories, to_matrix
from counterpoise.table.read import read_table


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was written.

    Parameters
    ----------
    out
        The file.
    rows
        Its rows.
    decided
        How many rows went to each class.
    ignored
        Columns of the table that the model does not use.
    """

    out: Path
    rows: int
    decided: dict[str, int]
    ignored: tuple[str, ...]


def predict_table(directory: Path, table: Path, out: Path) -> Prediction:
    """Decide the rows of a table and write one row for each, in order.

    Parameters
    ----------
    directory
        What `train_table` wrote.
    table
        CSV or Parquet, with the columns of the training table; the target may be absent.
    out
        A new .parquet or .csv file: `probability_<class>` for each class, and `decision`.

    Raises
    ------
    UserError
        If a column is absent, holds what the model cannot use, or holds only categories that it does
        not know. A few such values are a warning.
    """
    refuse_existing(out)
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise UserError(f"{out} ends neither in .parquet nor in .csv")
    bundle = load(directory)
    new = read_table(table, text=bundle.schema.text)
    matrix = to_matrix(new, bundle.schema)
    for message in check_categories(new, bundle.schema):
        warnings.warn(message, stacklevel=2)
    probability = bundle.probability(matrix)
    places = bundle.decide(probability)
    columns = {f"probability_{name}": probability[:, k] for k, name in enumerate(bundle.classes)}
    decision = pl.Series("decision", [bundle.classes[place] for place in places.tolist()])
    frame = pl.DataFrame(columns).with_columns(decision)
    _write(frame, out)
    known = {column.name for column in bundle.schema.columns} | {name for name, _ in bundle.schema.dropped}
    ignored = tuple(n for n in new.frame.columns if n not in known and n != bundle.facts["target"])
    decided = {str(name): int((places == k).sum()) for k, name in enumerate(bundle.classes)}
    return Prediction(out, frame.height, decided, ignored)


def _write(frame: pl.DataFrame, out: Path) -> None:
    """Write a whole new file, or nothing; what others put there meanwhile stays."""
    partial = beside(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            if out.suffix.lower() == ".csv":
                frame.write_csv(file)
            else:
                frame.write_parquet(file)
        try:
            os.link(partial, out)  # fails where there is something, which renaming would replace
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            with out.open("xb"):
                partial.replace(out)
    except FileExistsError:
        raise UserError(f"{out} exists already; name another place or remove it") from None
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
