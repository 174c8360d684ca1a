"""Probabilities and decisions for the rows of a new table, in its order, in constant memory."""

import csv
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.decide.prior import adjust_prior
from counterpoise.errors import UserError
from counterpoise.table.cluster import Cluster
from counterpoise.table.features.cells import Problem
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.features.novelty import REFUSE, check_unknown
from counterpoise.table.features.reference_day import NewestDay, odd_day
from counterpoise.table.files import appended, check_place, refuse_existing, whole_file
from counterpoise.table.model.loading import load
from counterpoise.table.model.protocol import TrainedModel
from counterpoise.table.monitoring.remarks import Remarks
from counterpoise.table.using.stream import Block, ahead, blocks, columns_of
from counterpoise.table.using.table_day import day_of_file

AUTO = "auto"
_WRONG_COLUMN = 1 / 3
"""A column with so large a share of cells that cannot be used is wrong as a whole."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was written.

    Parameters
    ----------
    out
        Path of the result.
    rows
        Number of its rows.
    decided
        Number of rows decided as each class, or that have each label.
    ignored
        Columns of the table that the model does not use.
    unscored
        Number of rows that could not be scored.
    problems
        Path of the file with the reasons, or None if all rows were scored.
    prior
        The class shares that the probabilities were adjusted to, or None.
    as_of
        Day up to which ages of dates were counted; None if the model has no such ages.
    told_by
        The column whose newest date is that day; "" if the day was given.
    """

    out: Path
    rows: int
    decided: dict[str, int]
    ignored: tuple[str, ...]
    unscored: int = 0
    problems: Path | None = None
    prior: tuple[float, ...] | None = None
    as_of: date | None = None
    told_by: str = ""


def predict_table(
    directory: str | Path,
    table: str | Path,
    out: str | Path,
    *,
    prior: str | float | Sequence[float] | None = None,
    as_of: Any = None,
    unknown: str = REFUSE,
    cluster: str | None = None,
) -> Prediction:
    """Decide the rows of a table and write one row for each, in order; the table may be larger than memory.

    Parameters
    ----------
    directory
        Directory that `train_table` wrote.
    table
        A CSV or Parquet file, a folder of such files, or a pattern, with the columns of the training table; the target
        may be absent.
    out
        Path of a new .parquet or .csv file, with `probability_<class>` for each class, and `decision`; for several
        labels `probability_<label>` and `decision_<label>` (1 or 0) for each. A row with a cell that the model cannot
        use, such as a word among numbers, is empty there; a second file, `<out>.problems.csv`, then gives the reason
        for each such row (counted from 1).
    prior
        Class shares of these rows, to which the probabilities are adjusted before they become decisions: for two
        classes the share of positives, else one per class; or "auto" to estimate them, which reads the table twice.
        Refused for several labels and for a model whose training rows had weights; these also get no warning about
        shifts of their shares.
    as_of
        Day up to which ages of dates are counted: a date, or text such as 2024-01-31. None: the newest date of the
        table, which is then read twice. A model without such ages needs none.
    unknown
        Treatment of a column that matters and whose categories or texts are all unknown to the model: "refuse" the
        table, or count the cells as "missing".
    cluster
        Address of a Ray cluster whose machines score the blocks of rows; "local" starts one here. None: this process
        scores them.

    Raises
    ------
    UserError
        If a column is absent, holds nothing that the model knows, or cells that it cannot use in a third of the rows or
        more; or for a prior that does not fit.

    Warns
    -----
    UserWarning
        Of new categories, and of columns and class shares that are not what they were in training.
    """
    directory, table, out = Path(directory), Path(table), Path(out)
    check_place(out)
    check_unknown(unknown)
    reasons = out.with_name(out.name + ".problems.csv")
    refuse_existing(reasons)
    model = load(directory)
    given = columns_of(table)
    day = day_of_file(table, model.schema, as_of)
    shares = None if prior is None else _shares(model, table, prior, day, unknown)
    scoring = Scoring(model, table, shares, day, given=as_of is not None, unknown=unknown)
    with appended(out) as append, whole_file(reasons) as text, _scored(model, day, cluster) as scored:
        with text.open("x", encoding="utf-8", newline="") as file:
            write = csv.writer(file).writerow
            write(("row", "problem"))
            for block, (matrix, probability) in scored(blocks(table, model.schema)):
                append(scoring.add(block, matrix, probability))
                for row, why in _by_row(block.problems):
                    write((block.first + row + 1, why))
        scoring.check_columns()
        for message in scoring.warnings():
            warnings.warn(message, stacklevel=2)
        if not scoring.unscored:
            text.unlink()
    known = {column.name for column in model.schema.columns} | {name for name, _ in model.schema.dropped}
    known |= set(model.targets)
    return Prediction(
        out,
        scoring.rows,
        {str(name): int(count) for name, count in zip(model.classes, scoring.decided, strict=True)},
        tuple(name for name in given if name not in known),
        scoring.unscored,
        reasons if scoring.unscored else None,
        None if shares is None else tuple(shares.tolist()),
        day if model.schema.needs_day else None,
        model.schema.reference.column if model.schema.reference is not None and as_of is None else "",
    )


Scores = tuple[NDArray[np.float64], NDArray[np.float64]]


def score_of(shared: tuple[TrainedModel, date | None], block: Block) -> Scores:
    """The features of a block of rows, and their probabilities."""
    model, day = shared
    matrix = to_matrix(block.table, model.schema, day)
    return matrix, model.probability(matrix)


@contextmanager
def _scored(
    model: TrainedModel, day: date | None, address: str | None
) -> Iterator[Callable[[Iterator[Block]], Iterator[tuple[Block, Scores]]]]:
    """What gives blocks with their scores, in order."""
    if address is None:
        yield lambda found: ((block, score_of((model, day), block)) for block in ahead(found))
        return
    with Cluster(address) as cluster:
        shared = cluster.share((model, day))
        yield lambda found: cluster.in_order(score_of, shared, found)


class Scoring:
    """The rows of a table as they go by: their scores, and the warnings at the end.

    Parameters
    ----------
    model
        The model.
    path
        Path of the table, for messages.
    shares
        Class shares that the probabilities are adjusted to, (C,), or None.
    day
        Day up to which ages of dates are counted, or None.
    given
        Whether the user gave that day.
    unknown
        As in `predict_table`.
    """

    def __init__(
        self,
        model: TrainedModel,
        path: Path,
        shares: NDArray[np.float64] | None = None,
        day: date | None = None,
        *,
        given: bool = False,
        unknown: str = REFUSE,
    ) -> None:
        self.rows = 0
        self.unscored = 0
        self.decided = np.zeros(len(model.classes), np.int64)
        self._model, self._path, self._shares, self._day = model, path, shares, day
        self._newest = NewestDay() if given and model.schema.needs_day else None
        compared = model.training_shares if shares is None else None
        self._remarks = Remarks(model.schema, model.facts, model.classes, compared, unknown)
        self._wrong: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def score(self, block: Block) -> pl.DataFrame:
        """Probabilities and decisions for each row; empty where it could not be scored."""
        return self.add(block, *score_of((self._model, self._day), block))

    def add(self, block: Block, matrix: NDArray[np.float64], probability: NDArray[np.float64]) -> pl.DataFrame:
        """The same where the features and the probabilities are known."""
        self._count_problems(block)
        if self._newest is not None and self._model.schema.reference is not None:
            self._newest.add(block.table.frame[self._model.schema.reference.column])
        scored = np.ones(len(matrix), np.bool_)
        scored[[problem.row for problem in block.problems]] = False
        self._remarks.add(block.table, matrix, probability[scored])
        self.rows += len(matrix)
        self.unscored += int((~scored).sum())
        if self._shares is not None:
            probability = adjust_prior(probability, self._model.training_shares, to=self._shares)
        decided = self._model.decide(probability)
        self.decided += decided[scored].sum(axis=0)
        frame = self._model.written(probability, decided)
        return frame if scored.all() else frame.select(pl.when(pl.Series(scored)).then(pl.all()))

    def check_columns(self) -> None:
        """Raise `UserError` if a column is wrong as a whole; asked once all rows are seen, in whatever order."""
        for name, wrong in self._wrong.items():
            if wrong >= _WRONG_COLUMN * self.rows:
                raise UserError(
                    f"{self._path}: {self._first[name]}; {wrong:,} of {self.rows:,} cells of the column "
                    "have this problem. Write them as in training, or leave them empty"
                )

    def warnings(self) -> list[str]:
        """What is not as it was in training."""
        said = self._remarks.said(self._path)
        reference = self._model.schema.reference
        if self._newest is not None and reference is not None and self._day is not None:
            odd = odd_day(reference, self._newest, self._day)
            said = [*([] if odd is None else [odd]), *said]
        return said

    def estimated_shares(self) -> NDArray[np.float64]:
        """The class shares of the rows (C,)."""
        return self._remarks.estimated_shares()

    def _count_problems(self, block: Block) -> None:
        for problem in block.problems:
            self._wrong[problem.column] += 1
            self._first.setdefault(problem.column, problem.said(block.first + problem.row + 1))


def _shares(
    model: TrainedModel, table: Path, prior: str | float | Sequence[float], day: date | None, unknown: str
) -> NDArray[np.float64]:
    """The class shares of the rows, given or estimated."""
    if model.facts.get("weight") is not None:
        raise UserError(
            f"prior is not for a model trained with row weights ({model.facts['weight']!r}): its probabilities "
            "are for the weighted shares, and its threshold belongs to these; omit it, or train without weights"
        )
    before = model.training_shares
    if before is None:
        raise UserError(
            f"prior is for one target, but the model decides on {len(model.classes)} labels, each with its own "
            "share; omit it"
        )
    if isinstance(prior, str) and prior == AUTO:
        scoring = Scoring(model, table, day=day, unknown=unknown)
        for block in ahead(blocks(table, model.schema)):
            scoring.score(block)
        scoring.check_columns()
        return scoring.estimated_shares()
    if isinstance(prior, str):
        raise UserError(f"prior {prior!r} is neither {AUTO} nor a share, nor one share per class")
    shares = np.asarray(prior, np.float64)
    if shares.size == 1 and len(before) == 2:
        if not 0 <= shares.item() <= 1:
            raise UserError(f"prior is {shares.item():g}; the share of positives lies between 0 and 1")
        shares = np.array([1 - shares.item(), shares.item()])
    adjust_prior(before[None, :], before, to=shares)  # says what is wrong with them
    return shares


def _by_row(problems: list[Problem]) -> list[tuple[int, str]]:
    found: dict[int, list[str]] = {}
    for problem in problems:
        found.setdefault(problem.row, []).append(problem.why)
    return [(row, "; ".join(why)) for row, why in sorted(found.items())]
