"""The bounds of a goal: a rate, and how high or low it must stay."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.goals.confusion import Confusion
from counterpoise.goals.synonyms import unknown_measure
from counterpoise.goals.words import finite, written_name

LARGER_IS_BETTER = ("precision", "recall", "specificity")
SMALLER_IS_BETTER = ("fpr", "alerts")
RATES = LARGER_IS_BETTER + SMALLER_IS_BETTER


@dataclass(frozen=True, slots=True)
class Constraint:
    """A rate and the bound that it must keep.

    Parameters
    ----------
    rate
        One of `RATES`.
    bound
        The bound, in [0, 1]: a lower bound for a rate that should be large, an upper bound for the others.
    of
        The class whose rate is bounded, against all others; None if there are two classes and one is the positive one.

    Examples
    --------
    >>> str(Constraint("alerts", 0.05)), str(Constraint("precision", 0.5, of="fraud"))
    ('alerts <= 0.05', 'precision of fraud >= 0.5')
    """

    rate: str
    bound: float
    of: str | None = None

    def __post_init__(self) -> None:
        if self.rate not in RATES:
            raise unknown_measure("rate", self.rate, RATES)
        object.__setattr__(self, "bound", share(self.rate, self.bound))
        if self.of is not None:
            object.__setattr__(self, "of", str(self.of))

    @property
    def at_least(self) -> bool:
        """Whether the bound is a lower one."""
        return self.rate in LARGER_IS_BETTER

    @property
    def name(self) -> str:
        """The rate and its class.

        Examples
        --------
        >>> Constraint("recall", 0.9, of="very bad").name
        "recall of 'very bad'"
        """
        return named(self.rate, self.of)

    @property
    def bounded(self) -> tuple[str, str | None]:
        """What is bounded: a specificity of s is a false positive rate of 1 − s.

        Examples
        --------
        >>> Constraint("specificity", 0.9).bounded == Constraint("fpr", 0.1).bounded
        True
        """
        return "fpr" if self.rate == "specificity" else self.rate, self.of

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
        return f"{self.name} {'>=' if self.at_least else '<='} {self.bound!r}"


def named(rate: str, of: str | None) -> str:
    """A rate with the class it is of, as a goal's text has it.

    Examples
    --------
    >>> named("recall", None), named("recall", "fraud")
    ('recall', 'recall of fraud')
    """
    return rate if of is None else f"{rate} of {written_name(of)}"


def share(name: str, value: object) -> float:
    """A bound between 0 and 1, or `UserError`.

    Examples
    --------
    >>> share("alerts", 200)
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: alerts lies between 0 and 1, not at 200; write 20% as 0.2, and 200 of 10000 as 0.02
    """
    number = finite(f"the bound of {name}", value)
    if not 0 <= number <= 1:
        raise UserError(f"{name} lies between 0 and 1, not at {number:g}; write 20% as 0.2, and 200 of 10000 as 0.02")
    return number
