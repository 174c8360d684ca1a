"""A trained model with everything that its use requires: from the columns of a table to probabilities and decisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from counterpoise.decide.multiclass import decide_classes
from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.recipes import Recipe
from counterpoise.table.features.cells import read_rows
from counterpoise.table.features.novelty import REFUSE
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners import Fitted
from counterpoise.table.model.description import Description
from counterpoise.table.monitoring.remarks import Remarks
from counterpoise.table.reading.frames import table_of

Class = str | int | float | bool


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One fitted learner of a model.

    Parameters
    ----------
    label
        Name for the reader.
    learner
        Name of the learner, from `LEARNERS`.
    recipe
        The loss, which turns logits into probabilities.
    share
        Share in the blend, from 0 to 1; the members' shares sum to 1.
    fitted
        The fitted learner, which gives the logits.
    """

    label: str
    learner: str
    recipe: Recipe
    share: float
    fitted: Fitted


@dataclass(frozen=True, slots=True, eq=False)
class Ruling:
    """The rule from probabilities to decisions, and what is known about it.

    Parameters
    ----------
    goal
        The goal of the training.
    threshold
        For two classes a number: a row is flagged when the probability of the positive class is at least this. For
        more, one number per class: the decision is the class whose probability has the largest ratio to its threshold.
    promised
        Whether every constraint of the goal holds on new rows of the same kind, with 95 % confidence.
    met
        Whether every constraint holds on the rows that the threshold was chosen on.
    reason
        The promise in words, or why nothing is promised.
    """

    goal: Goal
    threshold: float | NDArray[np.float64]
    promised: bool
    met: bool
    reason: str

    def apply(self, probability: ArrayLike) -> NDArray[np.int64]:
        """Class places (N,), from probabilities (N, C), or of two classes from those of the positive one (N,).

        Examples
        --------
        >>> Ruling(Goal("f1"), 0.3, False, True, "").apply([0.2, 0.4])
        array([0, 1])
        """
        found = np.asarray(probability, np.float64)
        if isinstance(self.threshold, float):
            positive = found if found.ndim == 1 else found[:, 1]
            return (positive >= self.threshold).astype(np.int64)
        return decide_classes(found, self.threshold)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A classifier of table rows: what `counterpoise.load` gives, and `counterpoise.train` in its result.

    Parameters
    ----------
    members
        The fitted learners.
    classes
        Classes in the order of the probabilities; of two the second is the positive one.
    decision
        The rule from probabilities to decisions.
    schema
        The map from columns to features.
    target
        Name of the predicted column.
    facts
        Content of decision.json.
    """

    members: tuple[Member, ...]
    classes: tuple[Class, ...]
    decision: Ruling
    schema: Schema
    target: str
    facts: Mapping[str, Any]

    @property
    def targets(self) -> tuple[str, ...]:
        """The target alone; a model of several labels has more of them."""
        return (self.target,)

    @property
    def training_shares(self) -> NDArray[np.float64] | None:
        """Class shares of the training table (C,); None if its rows had weights: the probabilities are for others."""
        if self.facts.get("weight") is not None or "counts" not in self.facts:
            return None
        counts = np.array([self.facts["counts"][str(name)] for name in self.classes], np.float64)
        return np.asarray(counts / counts.sum())

    @property
    def description(self) -> Description:
        """How the service describes the model."""
        kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
        return Description(
            title=self.target,
            summary="A probability per class and a decision for each row",
            target={"type": "string"},
            decision={"type": kinds[type(self.classes[0])], "enum": list(self.classes)},
        )

    def for_label(self, label: str | None, where: str) -> "Model":
        """The model itself, which has no labels; `where` names it in the error for one that is asked for."""
        if label is not None:
            raise UserError(f"{where} decides on one target, {self.target!r}, and has no labels; omit label")
        return self

    def predict_proba(self, frame: Any, *, as_of: Any = None, unknown: str = REFUSE) -> NDArray[np.float64]:
        """Honest probabilities of every class (N, C), in the order of `classes`.

        Parameters
        ----------
        frame
            A pandas or Polars data frame with the columns of the training table; the target may be absent.
        as_of
            Day up to which ages of dates are counted: a date, or text such as 2024-01-31. None: the newest date of the
            rows, with a warning if they are few. A model without such ages needs none.
        unknown
            Treatment of a column that matters and whose categories or texts are all unknown to the model: "refuse" the
            rows, or count the cells as "missing".

        Raises
        ------
        UserError
            If a column is absent, or holds what the model cannot use, or nothing that it knows.

        Warns
        -----
        UserWarning
            As `counterpoise predict`: of new categories, and of columns and class shares that are not what they were.
        """
        table, matrix = read_rows(table_of(frame, only=self.schema.names), self.schema, as_of)
        probability = self.probability(matrix)
        Remarks(self.schema, self.facts, self.classes, self.training_shares, unknown).tell(table, matrix, probability)
        return probability

    def predict(self, frame: Any, *, as_of: Any = None, unknown: str = REFUSE) -> NDArray[Any]:
        """The class that each row is decided to be (N,), at the threshold of `decision`."""
        places = self.decision.apply(self.predict_proba(frame, as_of=as_of, unknown=unknown))
        return np.asarray(self.classes)[places]

    def probability(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same from the feature matrix."""
        mixed = posterior(self.members, matrix)
        if mixed.ndim == 2:
            return mixed
        both = np.empty((len(mixed), 2))
        both[:, 0], both[:, 1] = 1 - mixed, mixed
        return both

    def decide(self, probability: ArrayLike) -> NDArray[np.int64]:
        """1 at the class that each row is decided to be, else 0 (N, C), from probabilities (N, C)."""
        places = self.decision.apply(probability)
        return np.asarray(places[:, None] == np.arange(len(self.classes)), np.int64)

    def written(self, probability: NDArray[np.float64], decided: NDArray[np.int64]) -> pl.DataFrame:
        """What a file of predictions holds of rows with these probabilities and decisions (N, C)."""
        classes: Any = pl.Series("decision", list(self.classes))
        return pl.DataFrame(
            [pl.Series(f"probability_{name}", probability[:, place]) for place, name in enumerate(self.classes)]
            + [classes.gather(decided.argmax(axis=1))]
        )

    def answers(self, decided: NDArray[np.int64]) -> list[Class]:
        """The class of each row, from decisions (N, C)."""
        return [self.classes[place] for place in decided.argmax(axis=1).tolist()]

    def explain(self, frame: Any, *, as_of: Any = None) -> pl.DataFrame:
        """How much each column moved each row: log odds with its value, minus those with a typical value in its place.

        Typical is the median of the training rows, of categories the most frequent one.

        Parameters
        ----------
        frame
            As for `predict_proba`; a few thousand rows at most, since each column costs a prediction.
        as_of
            As for `predict_proba`.

        Returns
        -------
        polars.DataFrame
            One column per column that the model uses, in log odds of the class that is decided for the row (with two
            classes: of the positive one). A column that others could replace gets little, as in any measure that hides
            one column at a time.
        """
        _, matrix = read_rows(table_of(frame, only=self.schema.names), self.schema, as_of)
        whole = self.probability(matrix)
        places = self.decision.apply(whole) if len(self.classes) > 2 else np.ones(len(matrix), np.int64)
        own = _log_odds(whole, places)
        typical = {name: one["typical"] for name, one in self.facts.get("columns", {}).items() if "typical" in one}
        moved = {}
        for name, features in self.schema.features_of.items():
            hidden = matrix.copy()
            hidden[:, features] = [typical.get(self.schema.features[place], np.nan) for place in features]
            moved[name] = own - _log_odds(self.probability(hidden), places)
        return pl.DataFrame(moved)


def posterior(members: tuple[Member, ...], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The members' honest probabilities, mixed: (N,) of the positive class of two, else (N, C)."""
    if not members:
        raise UserError("the model has no members")
    alike: dict[Any, list[tuple[Member, NDArray[Any]]]] = {}
    for one in members:
        logits = one.fitted.logits(matrix)
        alike.setdefault((id(one.recipe), logits.dtype, logits.ndim), []).append((one, logits))
    honest: dict[int, NDArray[np.float64]] = {}
    for group in alike.values():  # a call costs more than what it computes of one row
        rows = [logits for _, logits in group]
        found = group[0][0].recipe.posterior(rows[0] if len(rows) == 1 else np.concatenate(rows))
        parts = np.asarray(found, np.float64).reshape(len(group), len(matrix), *rows[0].shape[1:])
        honest |= {id(one): part for (one, _), part in zip(group, parts, strict=True)}
    return np.asarray(sum(one.share * honest[id(one)] for one in members))


def naive(members: tuple[Member, ...], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same by the sigmoid or softmax of the logits alone, as if the loss were plain cross-entropy."""
    found: Any = 0.0
    for one in members:
        logits = one.fitted.logits(matrix)
        if logits.ndim == 1:
            plain = 0.5 * (1 + np.tanh(0.5 * logits))
        else:
            plain = np.exp(logits - logits.max(axis=1, keepdims=True))
            plain /= plain.sum(axis=1, keepdims=True)
        found = found + one.share * plain
    return np.asarray(found)


def _log_odds(probability: NDArray[np.float64], places: NDArray[np.int64]) -> NDArray[np.float64]:
    chosen = np.clip(probability[np.arange(len(places)), places], 1e-12, 1 - 1e-12)
    return np.asarray(np.log(chosen) - np.log1p(-chosen))
