"""The request for a training, and the command that repeats it."""

import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import inf
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from counterpoise.errors import UserError, nearest_name
from counterpoise.goals import Goal
from counterpoise.table.features.reference_day import day_of
from counterpoise.table.learners import LEARNERS, installed
from counterpoise.table.reading.date_columns import check_order
from counterpoise.table.reading.frames import FRAME
from counterpoise.table.reading.memory import bytes_of
from counterpoise.table.reading.named_columns import joined, option_words
from counterpoise.table.reading.numbers import Marks

DEFAULT_LEARNERS = ("lightgbm", "logistic", "catboost")
DEFAULT_BUDGET = 300.0
_OF_THE_TABLE = ("time", "group", "weight", "slice", "ignore", "dates", "decimal", "thousands", "as_of")


@dataclass(frozen=True, slots=True)
class Asked:
    """The request for a training.

    Parameters
    ----------
    target
        The column with the classes; or columns of labels that a row may have at once: names separated by commas, and
        patterns such as y_*.
    positive
        The class of interest; None: of two classes the rarer. For labels, the value of a row that has one; None: 1,
        true, or the rarer value.
    goal
        The goal; None: f1, or macro_f1 with more than two classes.
    learners
        Names of `LEARNERS`.
    recipes
        Labels of the losses that may run; None: all that suit the learner.
    time, group, weight, slice
        Names of columns: the order of the rows, the rows that belong together, the weight of each row in training, and
        the groups for which the report shows its figures.
    budget
        Approximate time limit in seconds.
    seed
        Seed; the same seed gives the same files.
    targets
        The columns of labels, if they are already listed.
    ignore
        Columns to omit: names and patterns such as id*.
    dates
        "day-first" or "month-first", for columns of dates such as 03/04/2024 where nothing else decides.
    decimal, thousands
        As in `Marks`: the meaning of numbers that are text where the columns do not show it.
    as_of
        Day up to which ages of dates are counted, as 2024-01-31; None: the newest date of a column.
    absolute_time
        Whether dates themselves are features too.
    memory
        Bytes of memory that may be taken, also as text such as 4GB; of a table that needs more, only a part of the
        frequent rows is held. None: the whole table is held.
    """

    target: str
    positive: str | None = None
    goal: Goal | None = None
    learners: tuple[str, ...] = DEFAULT_LEARNERS
    recipes: tuple[str, ...] | None = None
    time: str | None = None
    group: str | None = None
    weight: str | None = None
    slice: str | None = None
    budget: float = DEFAULT_BUDGET
    seed: int = 0
    targets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    dates: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    as_of: str | None = None
    absolute_time: bool = False
    memory: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.seed, Integral):
            raise UserError(f"seed is {self.seed!r}; it must be a whole number")
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}; it must be 0 or more")
        if not isinstance(self.budget, Real):
            raise UserError(f"budget is {self.budget!r}; it is a number of seconds")
        if not 0 < self.budget < inf:
            raise UserError(f"budget is {self.budget:g} s; it must be more than 0 and finite, such as 5m")
        if not self.learners:
            raise UserError(f"learner is empty; choose from {', '.join(LEARNERS)}")
        for name in self.learners:
            if name not in LEARNERS:
                raise nearest_name("learner", name, LEARNERS)
            installed(name)
        object.__setattr__(self, "seed", int(self.seed))  # JSON takes none of NumPy's
        named = [name for name in (self.target, self.group, self.weight) if name is not None]
        if len(set(named)) < len(named):
            raise UserError("target, group and weight must be different columns")
        Marks(self.decimal, self.thousands)  # says what is wrong with them
        if self.time == self.target:
            raise UserError(f"time is {self.time!r}, which is the target; name another column")
        check_order(self.dates)
        if self.memory is not None:
            object.__setattr__(self, "memory", bytes_of(self.memory))
        if (day := day_of(self.as_of)) is not None:
            object.__setattr__(self, "as_of", day.isoformat())  # as JSON and the command that repeats it hold it

    @property
    def marks(self) -> Marks:
        """The user's marks of numbers that are text."""
        return Marks(self.decimal, self.thousands)

    @property
    def named_columns(self) -> dict[str, str | tuple[str, ...] | None]:
        """Columns with another role than a feature, which cannot be ignored."""
        targets = self.targets or self.target
        return {"target": targets, "time": self.time, "group": self.group, "weight": self.weight}

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """Columns that are needed even if ignored: figures can be shown by a column that the model does not see."""
        return () if self.slice is None else (self.slice,)

    @property
    def extra_columns(self) -> list[str]:
        """The named columns other than the target."""
        return [name for name in (self.time, self.group, self.weight, self.slice) if name is not None]


def class_of_interest(goal: Goal, positive: str | None) -> tuple[str | None, Goal]:
    """The positive class, and the goal without its name if it names one."""
    name = goal.class_of_interest
    alone = goal if name is None else goal.without_class()
    alone.check_served("train")
    if name is not None and positive not in (None, name):
        raise UserError(f"the goal names class {name!r}, but positive is {positive!r}; pass one of them")
    return positive if name is None else name, alone


def command_of(path: Path, asked: Asked, positive: str | None, goal: Goal) -> str:
    """The command that repeats the training, or for a frame the call."""
    if path == FRAME:
        chosen: dict[str, Any] = {
            "target": list(asked.targets) if asked.targets and asked.target == joined(asked.targets) else asked.target,
            "positive": positive,
            "goal": str(goal),
            "learners": list(asked.learners),
        }
        chosen |= {name: getattr(asked, name) for name in ("time", "group", "weight", "slice")}
        chosen |= {name: getattr(asked, name) for name in ("dates", "decimal", "thousands")}
        chosen |= {"ignore": list(asked.ignore) or None}
        chosen |= {"as_of": asked.as_of, "absolute_time": asked.absolute_time or None}
        chosen |= {"budget": None if asked.budget == DEFAULT_BUDGET else asked.budget, "seed": asked.seed}
        said = ", ".join(f"{name}={value!r}" for name, value in chosen.items() if value is not None)
        return f"counterpoise.train(frame, {said})"
    words = ["counterpoise", "train", str(path), *option_words("target", asked.target)]
    if positive is not None:
        words += option_words("positive", positive)
    words += ["--goal", str(goal), "--learner", ",".join(asked.learners)]
    words += words_of(**{name: getattr(asked, name) for name in _OF_THE_TABLE})
    if asked.absolute_time:
        words.append("--absolute-time")
    if asked.budget != DEFAULT_BUDGET:
        words += ["--budget", f"{asked.budget:g}s"]
    if asked.memory is not None:
        words += ["--memory", str(asked.memory)]
    return shlex.join([*words, "--seed", str(asked.seed)])


def words_of(*, ignore: Sequence[str] = (), **options: str | None) -> list[str]:
    """The options of a command by which a table is read and split, those that are given, as words of a shell.

    Examples
    --------
    >>> words_of(time="day", group=None, ignore=["a", "b,c"], decimal=",")
    ['--time', 'day', '--decimal', ',', '--ignore', 'a,"b,c"']
    """
    given = options | {"ignore": joined(ignore) if ignore else None}
    return [
        word
        for name, value in given.items()
        if value is not None
        for word in option_words(name.replace("_", "-"), value)
    ]


def versions_of(learners: Sequence[str]) -> dict[str, str]:
    """Versions of the software that was used."""
    found = {"python": platform.python_version()}
    packages = [package for name in learners for package in LEARNERS[name].packages]
    for name in dict.fromkeys(("counterpoise", "lightgbm", "numpy", "polars", "scipy", *packages)):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
