"""Probabilities and decisions for the rows of a new table, in its order."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from counterpoise.table.bundle import load
from counterpoise.table.features import check_categories, to_matrix
from counterpoise.table.model import Model
from counterpoise.table.multilabel_model import MultilabelModel
from counterpoise.table.read import read_table
from counterpoise.table.write import check_place, write_table


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
        How many rows went to each class, or have each label.
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
        A new .parquet or .csv file: `probability_<class>` for each class, and `decision`; of several labels
        `probability_<label>` and `decision_<label>` (1 or 0) for each.

    Raises
    ------
    UserError
        If a column is absent, holds what the model cannot use, or holds only categories that it does
        not know. A few such values are a warning.
    """
    check_place(out)
    model = load(directory)
    new = read_table(table, text=model.schema.text)
    matrix = to_matrix(new, model.schema)
    for message in check_categories(new, model.schema):
        warnings.warn(message, stacklevel=2)
    probability = model.probability(matrix)
    known = {column.name for column in model.schema.columns} | {name for name, _ in model.schema.dropped}
    targets = {model.target} if isinstance(model, Model) else set(model.target)
    ignored = tuple(name for name in new.frame.columns if name not in known | targets)
    if isinstance(model, MultilabelModel):
        write_table(model.written(probability), out)
        decided = dict(zip(model.labels, model.decide(probability).sum(axis=0).tolist(), strict=True))
        return Prediction(out, new.frame.height, decided, ignored)
    places = model.decision.apply(probability)
    columns = {f"probability_{name}": probability[:, k] for k, name in enumerate(model.classes)}
    decision = pl.Series("decision", [model.classes[place] for place in places.tolist()])
    frame = pl.DataFrame(columns).with_columns(decision)
    write_table(frame, out)
    decided = {str(name): int((places == k).sum()) for k, name in enumerate(model.classes)}
    return Prediction(out, frame.height, decided, ignored)
