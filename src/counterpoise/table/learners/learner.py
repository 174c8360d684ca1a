"""The interface of a learner in the race, and of a fitted one.

A learner is one row: how it fits, how it is read back, with which settings and which recipes it may run. It sees the
feature matrix (NaN: missing; a category: its code), never the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from counterpoise.recipes import Recipe
from counterpoise.table.features.schema import Schema
from counterpoise.weights import ClassCounts

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows to learn from, or to be followed on.

    Parameters
    ----------
    matrix
        Features (N, F), float64; NaN is missing, a category is its code.
    codes
        Class indices (N,), int64.
    weight
        Weight of each row, (N,), > 0; None if all are equal.
    """

    matrix: NDArray[np.float64]
    codes: NDArray[np.int64]
    weight: NDArray[np.float64] | None = None

    def at(self, rows: NDArray[Any]) -> "Rows":
        """Some of them, by place or by mask.

        Examples
        --------
        >>> Rows(np.eye(3), np.arange(3)).at(np.array([2, 0])).codes
        array([2, 0])
        """
        return Rows(self.matrix[rows], self.codes[rows], None if self.weight is None else self.weight[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One fit: its rows, its loss and its number of steps.

    Parameters
    ----------
    rows
        The training rows.
    schema
        Names and kinds of the features.
    recipe
        The loss, of the sigmoid family for two classes, else of the softmax family.
    counts
        Rows of each class, for the recipe and the start.
    settings
        Settings of the learner.
    rounds
        Number of steps (trees, epochs, places on a path of penalties); None: as many as are worth their time, until the
        loss on `held_out` has not improved for long.
    held_out
        Rows on which the log loss of the posterior is followed after every step; only if `rounds` is None.
    seed
        Seed; the same seed gives the same result.
    each_step
        Function that is called from time to time with the share of the work that is done; it may raise an error to stop
        it.
    """

    rows: Rows
    schema: Schema
    recipe: Recipe
    counts: ClassCounts
    settings: Settings = field(default_factory=dict)
    rounds: int | None = None
    held_out: Rows | None = None
    seed: int = 0
    each_step: Callable[[float], None] = lambda _: None


class Fitted(Protocol):
    """What a fit gives: logits, and the files that hold it."""

    def logits(self, matrix: NDArray[np.float64], rounds: int | None = None) -> NDArray[np.float64]:
        """Logits (N,) for the sigmoid family, (N, C) for the softmax family; after so many steps, else after all."""
        ...

    def prepare(self) -> None:
        """Do the work that the first of many single rows would wait for."""
        ...

    def files(self) -> dict[str, bytes]:
        """The model in its native format, by file name; nothing in them is a pickle."""
        ...


@dataclass(frozen=True, slots=True)
class Followed:
    """A fit, and how the steps did on the rows held out.

    Parameters
    ----------
    model
        The fitted learner.
    curve
        Held-out log loss after each step (R,); empty if nothing was held out.
    """

    model: Fitted
    curve: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Learner:
    """One row of the table of learners.

    Parameters
    ----------
    name
        Name that `--learner` takes.
    title
        Name for a reader.
    packages
        Packages that are needed to fit it.
    files
        Names of the files of a fitted model.
    recipes
        The losses that suit it, plain cross-entropy first, each with a label for the reader.
    settings
        Sets of its parameters that are tried, by name; the first is the default.
    fit
        Function that does a job.
    load
        Function that reads the content of `Fitted.files`, for a number of classes of logits (1 for the sigmoid family).
    """

    name: str
    title: str
    packages: tuple[str, ...]
    files: tuple[str, ...]
    recipes: Callable[[ClassCounts], list[tuple[str, Recipe]]]
    settings: Mapping[str, Settings]
    fit: Callable[[Job], Followed]
    load: Callable[[Mapping[str, bytes], Schema, int], Fitted]
