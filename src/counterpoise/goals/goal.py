"""A goal: one objective, what must hold while it is reached, and how many rows may be left to a person."""

import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError, nearest_name
from counterpoise.goals.confusion import Confusion
from counterpoise.goals.constraint import RATES, SMALLER_IS_BETTER, Constraint, named, share
from counterpoise.goals.cost import Cost
from counterpoise.goals.cost_matrix import CostMatrix
from counterpoise.goals.synonyms import unknown_measure

RANKINGS = ("average_precision", "roc_auc")
SUMMARIES = ("balanced_accuracy", "g_mean", "mcc", "macro_f1")
MULTICLASS = ("macro_f1", "balanced_accuracy", "g_mean", "mcc")
OBJECTIVES = (*RANKINGS, *SUMMARIES, *RATES, "f1", "f2", "f0.5", "cost")
"""The names of goals; f takes any other number above 0 too."""
REVIEW = "review"
"""The objective of a goal that only bounds rates: leave as few rows to a person as these allow."""

F_BETA = re.compile(r"f_?(?P<beta>\d+(?:\.\d*)?|\.\d+)")
# What a goal may need beyond one threshold on two classes, and what to do where it is not served.
_BEYOND = {
    "class": "names a class; make it the positive class and omit 'of'",
    "matrix": "has a cost matrix; give the costs fn= and fp= of two classes",
    "columns": "takes costs from columns; give numbers",
    "review": "leaves rows to a person; name what should be best, and omit 'with review'",
}


@dataclass(frozen=True, slots=True)
class Goal:
    """An objective, its constraints, and the share of rows that may be left to a person.

    Parameters
    ----------
    objective
        Name of the quantity to optimise; "cost" with `costs`; "review" for as few rows left to a person as the
        constraints allow.
    constraints
        Constraints that must hold; default none.
    costs
        The costs, if the objective is "cost".
    of
        The class of the objective, against all others; None if there are two classes.
    review
        Largest share of the rows that may be left to a person, in [0, 1]; None for no rows, or with the objective
        "review" for no bound.

    Raises
    ------
    UserError
        If a part is unknown, or the parts contradict each other.

    Examples
    --------
    >>> from counterpoise.goals import goal
    >>> found = goal("recall where precision >= 50% and alerts <= 0.1")
    >>> found.objective, [str(constraint) for constraint in found.constraints]
    ('recall', ['precision >= 0.5', 'alerts <= 0.1'])
    >>> goal(str(found)) == found
    True
    """

    objective: str
    constraints: tuple[Constraint, ...] = ()
    costs: Cost | CostMatrix | None = None
    of: str | None = None
    review: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "objective", _checked_objective(self.objective))
        if (self.objective == "cost") != isinstance(self.costs, Cost | CostMatrix):
            raise UserError(
                f"goal {self.objective!r} with costs={self.costs!r}: "
                "write Goal('cost', costs=Cost(fn=500, fp=10)), and no costs with another objective"
            )
        if self.of is not None:
            object.__setattr__(self, "of", str(self.of))
            if self.objective in (*SUMMARIES, "cost", REVIEW):
                raise UserError(f"{self.objective!r} is about all classes; omit 'of {self.of}'")
        object.__setattr__(self, "constraints", tuple(self.constraints))
        for place, constraint in enumerate(self.constraints):
            if not isinstance(constraint, Constraint):
                raise UserError(f"{constraint!r} is not a constraint; write Constraint('precision', 0.5)")
            refuse_contradiction(constraint, self.constraints[:place], self.objective, self.of, self.costs)
        if self.review is not None:
            object.__setattr__(self, "review", share(REVIEW, self.review))
        if (self.constraints or self.review is not None) and self.ranking:
            raise UserError(f"{self.objective!r} judges the order of the scores and takes no constraint")
        if self.objective == REVIEW:
            self._refuse_what_is_kept_without_review()

    def _refuse_what_is_kept_without_review(self) -> None:
        classes = {one.of for one in self.constraints}
        rates = {one.rate for one in self.constraints}
        if len(self.constraints) < 2 or (len(classes) == 1 and "recall" not in rates):
            raise UserError(
                "bounds alone ask for the fewest rows left to a person, but these bounds hold without any, by "
                "flagging all rows or none; bound recall and another rate (precision >= 0.9 and recall >= 0.8), "
                "or name what should be best (recall where precision >= 0.9)"
            )

    @property
    def ranking(self) -> bool:
        """Whether the goal judges the order of the scores only, so that no threshold enters it."""
        return self.objective in RANKINGS

    @property
    def minimise(self) -> bool:
        """Whether less is better."""
        return self.objective in ("cost", REVIEW, *SMALLER_IS_BETTER)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold costs.

        Examples
        --------
        >>> from counterpoise.goals import goal
        >>> goal("cost fn=amount fp=10").columns
        ('amount',)
        """
        return self.costs.columns if isinstance(self.costs, Cost) else ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the goal names.

        Examples
        --------
        >>> from counterpoise.goals import goal
        >>> goal("recall of fraud where precision of fraud >= 0.5 and fpr of 'very bad' <= 1%").classes
        ('fraud', 'very bad')
        """
        matrix = self.costs.classes if isinstance(self.costs, CostMatrix) else ()
        named_ones = (self.of, *(one.of for one in self.constraints))
        return tuple(dict.fromkeys([*matrix, *(name for name in named_ones if name is not None)]))

    @property
    def needs(self) -> tuple[str, ...]:
        """What it takes to serve the goal beyond one threshold: of "class", "matrix", "columns" and "review".

        Examples
        --------
        >>> from counterpoise.goals import goal
        >>> goal("cost fn=amount fp=10 with review <= 1%").needs
        ('columns', 'review')
        """
        matrix = isinstance(self.costs, CostMatrix)
        band = self.objective == REVIEW or self.review is not None
        found = (bool(self.classes) and not matrix, matrix, bool(self.columns), band)
        return tuple(need for need, needed in zip(_BEYOND, found, strict=True) if needed)

    @property
    def class_of_interest(self) -> str | None:
        """The class that all of the goal speaks of; None where it names none, or where a part speaks of others too.

        Examples
        --------
        >>> from counterpoise.goals import goal
        >>> goal("recall of fraud where precision of fraud >= 0.5").class_of_interest
        'fraud'
        >>> goal("macro_f1 where recall of fraud >= 0.5").class_of_interest
        """
        spoken = {one.of for one in self.constraints} | (set() if self.objective == REVIEW else {self.of})
        return spoken.pop() if len(spoken) == 1 else None

    def without_class(self) -> "Goal":
        """The same goal of two classes, where the class that it names is the positive one.

        Examples
        --------
        >>> from counterpoise.goals import goal
        >>> str(goal("recall of fraud where precision of fraud >= 0.5").without_class())
        'recall where precision >= 0.5'
        """
        return replace(self, of=None, constraints=tuple(replace(one, of=None) for one in self.constraints))

    def check_served(self, by: str, *served: str) -> None:
        """Refuse a goal that needs what is not among `served`.

        Parameters
        ----------
        by
            Name of the function that should serve the goal, for the message.
        served
            The `needs` that it serves.

        Examples
        --------
        >>> from counterpoise.goals import goal
        >>> goal("f1 of fraud").check_served("choose_threshold")
        Traceback (most recent call last):
        ...
        counterpoise.errors.UserError: goal 'f1 of fraud' is not for choose_threshold: it names a class; make it the \
positive class and omit 'of'
        """
        for need in self.needs:
            if need not in served:
                raise UserError(f"goal {str(self)!r} is not for {by}: it {_BEYOND[need]}")

    @property
    def label(self) -> str:
        """The objective for a reader.

        Examples
        --------
        >>> from counterpoise.goals import goal
        >>> goal("cost fn=5 fp=1").label, goal("roc_auc of fraud").label
        ('cost per row', 'roc auc of fraud')
        """
        if self.objective == "cost":
            return "cost per row"
        return named(self.objective.replace("_", " "), self.of)

    def value(self, confusion: Confusion) -> NDArray[np.float64]:
        """The objective's own value; a ranking goal has its F1 measured.

        Parameters
        ----------
        confusion
            The counts of the two classes, or of the class that the objective names against all others.

        Raises
        ------
        UserError
            If the four counts do not tell: costs from columns, a cost matrix, or the objective "review".

        Examples
        --------
        >>> float(Goal("f1").value(Confusion(tp=8, fp=2, fn=2, tn=88)))
        0.8
        """
        if isinstance(self.costs, Cost):
            return confusion.cost(**self.costs.numbers())
        if self.objective in ("cost", REVIEW):
            raise UserError(f"the four counts of two classes do not determine the value of goal {str(self)!r}")
        if self.ranking:
            return confusion.f_beta(1.0)
        beta = F_BETA.fullmatch(self.objective)
        if beta:
            return confusion.f_beta(float(beta["beta"]))
        return np.asarray(getattr(confusion, self.objective), np.float64)

    def score(self, confusion: Confusion) -> NDArray[np.float64]:
        """The value, turned so that more is better.

        Examples
        --------
        >>> from counterpoise.goals import goal
        >>> float(goal("cost fn=500 fp=10").score(Confusion(tp=8, fp=10, fn=2, tn=80)))
        -11.0
        """
        return -self.value(confusion) if self.minimise else self.value(confusion)

    def magnitude(self, confusion: Confusion) -> NDArray[np.float64]:
        """What the rounding of the value is relative to: 1 for a rate, all costs without their signs for a cost.

        Examples
        --------
        >>> from counterpoise.goals import goal
        >>> float(goal("cost fn=500 fp=10 tp=-100").magnitude(Confusion(tp=8, fp=10, fn=2, tn=80)))
        19.0
        """
        if not isinstance(self.costs, Cost):
            return np.ones(())
        return confusion.cost(**{name: abs(cost) for name, cost in self.costs.numbers().items()})

    def __str__(self) -> str:
        bounds = " and ".join(map(str, self.constraints))
        if self.objective != REVIEW:
            head = str(self.costs) if self.costs is not None else named(self.objective, self.of)
            bounds = f"{head} where {bounds}" if bounds else head
        return bounds if self.review is None else f"{bounds} with review <= {self.review!r}"


def _checked_objective(name: object) -> str:
    """The one spelling of a known objective: f2 for f_2 and f2.0."""
    text = str(name)
    if text in (*RANKINGS, *SUMMARIES, *RATES, "cost", REVIEW):
        return text
    beta = F_BETA.fullmatch(text)
    if beta is None:
        raise unknown_measure("goal", name, OBJECTIVES)
    number = float(beta["beta"])
    if not 0 < number < np.inf:
        raise UserError(f"{text!r} needs a finite beta above 0")
    return f"f{np.format_float_positional(number, trim='-')}"


def refuse_contradiction(
    added: Constraint, earlier: tuple[Constraint, ...], objective: str, of: str | None, costs: Cost | CostMatrix | None
) -> None:
    """Refuse a constraint that bounds what is bounded already, or speaks of other classes than the rest of the goal.

    Examples
    --------
    >>> refuse_contradiction(Constraint("fpr", 0.1), (Constraint("specificity", 0.8),), "recall", None, None)
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: fpr is bounded twice (it is 1 - specificity); keep the stricter bound
    """
    for one in earlier:
        if one.bounded == added.bounded:
            why = "" if one.rate == added.rate else f" (it is 1 - {one.rate})"
            raise UserError(f"{added.name} is bounded twice{why}; keep the stricter bound")
    spoken = [(one.name, one.of) for one in (*earlier, added)]
    if isinstance(costs, CostMatrix):
        if added.of not in (None, *costs.classes):
            raise nearest_name("class of the cost matrix", added.of, costs.classes)
        spoken.insert(0, ("the cost matrix", costs.classes[0]))
    elif objective not in (*SUMMARIES, REVIEW):
        spoken.insert(0, (named(objective, of), of))
    with_class = [(name, of) for name, of in spoken if of is not None]
    without = [name for name, of in spoken if of is None]
    if with_class and without:
        raise UserError(
            f"{with_class[0][0]} names a class and {without[0]} does not; "
            f"name the class, as in {named(without[0], with_class[0][1])}"
        )
