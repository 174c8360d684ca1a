"""What the user wants, in words a program can hold to.

    f1   f2   f0.5   balanced_accuracy   g_mean   mcc   macro_f1   average_precision   roc_auc
    recall where precision >= 0.5        precision where recall >= 90% and alerts <= 2%
    cost fn=500 fp=10                    cost fn=500 fp=10 tp=20 where alerts <= 5%

A goal is one objective and any number of constraints. `Goal.parse` reads it, `str` writes it back.
"""

import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError, nearest_name
from counterpoise.goals.confusion import Confusion

RANKINGS = ("average_precision", "roc_auc")
LARGER_IS_BETTER = ("precision", "recall", "specificity")
SMALLER_IS_BETTER = ("fpr", "alerts")
RATES = LARGER_IS_BETTER + SMALLER_IS_BETTER
SUMMARIES = ("balanced_accuracy", "g_mean", "mcc", "macro_f1")
MULTICLASS = ("macro_f1", "balanced_accuracy", "g_mean", "mcc")
COSTS = ("fn", "fp", "tp", "tn")
OBJECTIVES = (*RANKINGS, *SUMMARIES, *RATES, "f1", "f2", "f0.5", "cost")
"""The names of goals; f takes any other number above 0 too."""

_TOKEN = re.compile(r"\s*(?P<word>[^\s=<>≤≥,]+|[=<>≤≥]+|,)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_F_BETA = re.compile(r"f_?(?P<beta>\d+\.?\d*|\.\d+)")


@dataclass(frozen=True, slots=True)
class Constraint:
    """A rate and the bound that it must keep.

    Examples
    --------
    >>> str(Constraint("alerts", 0.05))
    'alerts <= 0.05'
    """

    rate: str
    bound: float

    def __post_init__(self) -> None:
        if self.rate not in RATES:
            raise nearest_name("rate", self.rate, RATES)
        object.__setattr__(self, "bound", _finite(f"the bound of {self.rate}", self.bound))
        if not 0 <= self.bound <= 1:
            raise UserError(f"{self.rate} lies between 0 and 1, not at {self.bound:g}")

    @property
    def at_least(self) -> bool:
        """Whether the bound is a lower one."""
        return self.rate in LARGER_IS_BETTER

    def shortfall(self, confusion: Confusion) -> NDArray[np.float64]:
        """How far the rate is from its bound; 0 where the bound is kept.

        Examples
        --------
        >>> float(Constraint("recall", 0.9).shortfall(Confusion(tp=8, fp=0, fn=2, tn=90)).round(3))
        0.1
        """
        rate = np.asarray(getattr(confusion, self.rate))
        gap = self.bound - rate if self.at_least else rate - self.bound
        return np.where(gap > 1e-12, gap, 0.0)  # a bound that is kept to rounding is kept

    def __str__(self) -> str:
        return f"{self.rate} {'>=' if self.at_least else '<='} {self.bound!r}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What each of the four outcomes costs; a gain is a negative cost.

    Examples
    --------
    >>> str(Cost(fn=500, fp=10))
    'cost fn=500 fp=10'
    """

    fn: float
    fp: float
    tp: float = 0.0
    tn: float = 0.0

    def __post_init__(self) -> None:
        for name in COSTS:
            object.__setattr__(self, name, _finite(f"the cost {name}", getattr(self, name)))
        for wrong, right in (("fn", "tp"), ("fp", "tn")):
            if getattr(self, wrong) <= getattr(self, right):
                raise UserError(f"a wrong decision must cost more than the right one ({wrong}= and {right}=)")

    def __str__(self) -> str:
        pairs = [f"{name}={_plain(getattr(self, name))}" for name in COSTS]
        return "cost " + " ".join(pair for pair in pairs if pair not in ("tp=0", "tn=0"))


@dataclass(frozen=True, slots=True)
class Goal:
    """An objective and its constraints.

    Parameters
    ----------
    objective
        The name of what is to be best, or "cost".
    constraints
        What must hold while it is.
    costs
        The costs, if the objective is "cost".

    Examples
    --------
    >>> goal = Goal.parse("recall where precision >= 50% and alerts <= 0.1")
    >>> goal.objective, [str(constraint) for constraint in goal.constraints]
    ('recall', ['precision >= 0.5', 'alerts <= 0.1'])
    >>> Goal.parse(str(goal)) == goal
    True
    """

    objective: str
    constraints: tuple[Constraint, ...] = ()
    costs: Cost | None = None

    def __post_init__(self) -> None:
        if self.objective != "cost" and self.objective not in RANKINGS + SUMMARIES + RATES:
            beta = _F_BETA.fullmatch(str(self.objective))
            if beta is None:
                raise nearest_name("goal", self.objective, OBJECTIVES)
            if not float(beta["beta"]) > 0:
                raise UserError(f"{self.objective!r} needs a beta above 0")
        if (self.objective == "cost") != isinstance(self.costs, Cost):
            raise UserError(
                f"goal {self.objective!r} with costs={self.costs!r}: "
                "write Goal('cost', costs=Cost(fn=500, fp=10)), and no costs with another objective"
            )
        object.__setattr__(self, "constraints", tuple(self.constraints))
        for constraint in self.constraints:
            if not isinstance(constraint, Constraint):
                raise UserError(f"{constraint!r} is no constraint; write Constraint('precision', 0.5)")
        if self.constraints and self.ranking:
            raise UserError(f"{self.objective!r} judges the order of the scores and takes no constraint")

    @classmethod
    def parse(cls, text: str) -> "Goal":
        """Read a goal; a mistake raises `UserError` that points at its place.

        Examples
        --------
        >>> Goal.parse("recal where precision >= 0.5")
        Traceback (most recent call last):
        ...
        counterpoise.errors.UserError: goal 'recal where precision >= 0.5', character 1: unknown goal 'recal'; \
did you mean 'recall'? known: average_precision, roc_auc, balanced_accuracy, g_mean, mcc, macro_f1, precision, \
recall, specificity, fpr, alerts, f1, f2, f0.5, cost
        """
        return _Parser(text).goal()

    @property
    def ranking(self) -> bool:
        """Whether the goal judges the order of the scores only, so that no threshold enters it."""
        return self.objective in RANKINGS

    @property
    def minimise(self) -> bool:
        """Whether less is better."""
        return self.objective == "cost" or self.objective in SMALLER_IS_BETTER

    @property
    def label(self) -> str:
        """The objective for a reader.

        Examples
        --------
        >>> Goal.parse("cost fn=5 fp=1").label
        'cost per row'
        """
        return "cost per row" if self.objective == "cost" else self.objective.replace("_", " ")

    def value(self, confusion: Confusion) -> NDArray[np.float64]:
        """The objective's own value; a ranking goal has its F1 measured.

        Examples
        --------
        >>> float(Goal("f1").value(Confusion(tp=8, fp=2, fn=2, tn=88)))
        0.8
        """
        if self.costs is not None:
            cost = self.costs
            return confusion.cost(fn=cost.fn, fp=cost.fp, tp=cost.tp, tn=cost.tn)
        if self.ranking:
            return confusion.f_beta(1.0)
        beta = _F_BETA.fullmatch(self.objective)
        if beta:
            return confusion.f_beta(float(beta["beta"]))
        return np.asarray(getattr(confusion, self.objective), np.float64)

    def score(self, confusion: Confusion) -> NDArray[np.float64]:
        """The value, turned so that more is better.

        Examples
        --------
        >>> float(Goal.parse("cost fn=500 fp=10").score(Confusion(tp=8, fp=10, fn=2, tn=80)))
        -11.0
        """
        return -self.value(confusion) if self.minimise else self.value(confusion)

    def __str__(self) -> str:
        head = str(self.costs) if self.costs is not None else self.objective
        return head + "".join(
            (" where " if place == 0 else " and ") + str(constraint)
            for place, constraint in enumerate(self.constraints)
        )


def goal(text: str) -> Goal:
    """Read a goal; a mistake raises `UserError` that points at its place.

    Parameters
    ----------
    text
        Such as "f1", "recall where precision >= 0.5" or "cost fn=500 fp=10".

    Examples
    --------
    >>> goal("recall where precision >= 50%").constraints
    (Constraint(rate='precision', bound=0.5),)
    """
    return Goal.parse(text)


def _finite(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name} is {value!r}; it must be a finite number")
    return number


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(float(number))


class _Parser:
    """One pass over the words of a goal; every complaint carries the place of its word."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = [(match["word"], match.start("word")) for match in _TOKEN.finditer(text)]
        self.at = 0

    def goal(self) -> Goal:
        name = self.take("the name of a goal, such as f1 or recall")
        costs = None
        if name == "cost":
            costs = self.costs()
        elif name.startswith("f") and _F_BETA.fullmatch(name):
            beta = float(_F_BETA.fullmatch(name)["beta"])  # type: ignore[index]
            if not beta > 0:
                self.complain(f"{name!r} needs a beta above 0")
            name = f"f{_plain(beta)}"
        elif name not in RANKINGS + SUMMARIES + RATES:
            if name == "f_beta":
                self.complain("f_beta stands for f1, f2, f0.5 and so on; write the number")
            self.complain(str(nearest_name("goal", name, OBJECTIVES)))
        constraints: list[Constraint] = []
        while self.at < len(self.words):
            expected = "and" if constraints else "where"
            word = self.take(expected)
            if word != expected:
                self.complain(f"found {word!r} where {expected!r} or the end should be")
            constraints.append(self.constraint())
        if constraints and name in RANKINGS:
            self.at = 1
            self.complain(f"{name!r} judges the order of the scores and takes no constraint")
        return Goal(name, tuple(constraints), costs)

    def costs(self) -> Cost:
        found: dict[str, float] = {}
        while self.at < len(self.words) and self.peek() != "where":
            if self.peek() == ",":
                self.at += 1
                continue
            name = self.take("a cost")
            if name not in COSTS:
                self.complain(str(nearest_name("outcome", name, COSTS)))
            if name in found:
                self.complain(f"{name!r} is given twice")
            if self.take("'='") != "=":
                self.complain(f"found {self.last()!r} where '=' should be, as in {name}=10")
            found[name] = self.number(percent=False)
        missing = [name for name in ("fn", "fp") if name not in found]
        if missing:
            names = " and ".join(missing)
            self.complain(f"the cost of {names} is missing; write cost fn=500 fp=10", end=True)
        try:
            return Cost(**found)
        except UserError as error:
            self.complain(str(error), end=True)

    def constraint(self) -> Constraint:
        rate = self.take("a rate, such as precision")
        if rate not in RATES:
            self.complain(str(nearest_name("rate", rate, RATES)))
        sign = {"≥": ">=", "≤": "<="}.get(self.take("'>=' or '<='"), self.last())
        right = ">=" if rate in LARGER_IS_BETTER else "<="
        if sign != right:
            self.complain(f"found {sign!r}; {rate} is bounded with {right!r}")
        bound = self.number(percent=True)
        if not 0 <= bound <= 1:
            self.complain(f"{rate} lies between 0 and 1 (or 0% and 100%), not at {self.last()}")
        return Constraint(rate, bound)

    def number(self, *, percent: bool) -> float:
        word = self.take("a number")
        digits = word[:-1] if percent and word.endswith("%") else word
        if not _NUMBER.fullmatch(digits) or not math.isfinite(float(digits)):
            self.complain(f"{word!r} is not a number")
        return float(digits) / 100 if digits != word else float(digits)

    def peek(self) -> str:
        return self.words[self.at][0].lower()

    def last(self) -> str:
        return self.words[self.at - 1][0].lower()

    def take(self, expected: str) -> str:
        if self.at >= len(self.words):
            self.complain(f"{expected} is missing", end=True)
        self.at += 1
        return self.last()

    def complain(self, what: str, *, end: bool = False) -> NoReturn:
        place = len(self.text.rstrip()) + 1 if end else self.words[self.at - 1][1] + 1
        raise UserError(f"goal {self.text!r}, character {place}: {what}")
