"""One class against all others: the two-class problem of a goal that names one class of many."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise import goals
from counterpoise.decide.multiclass import check_class_probability, checked_classes
from counterpoise.decide.rows import real_numbers
from counterpoise.errors import UserError, nearest_name
from counterpoise.goals import Goal
from counterpoise.ties import HAIR, first_largest


class AgainstRest(NamedTuple):
    """The class that a goal names as the positive one, in the order that `choose_threshold` takes.

    Parameters
    ----------
    target
        Whether each row is of the class, (N,).
    probability
        Probability of the class in [0, 1], (N,).
    goal
        The goal without the name of the class.
    place
        Index of the class's column.
    """

    target: NDArray[np.bool_]
    probability: NDArray[np.float64]
    goal: Goal
    place: int

    def classes(self, probability: ArrayLike, decided: ArrayLike) -> NDArray[np.int64]:
        """The class of every row: this one if the decision is for it, else the most probable of the others.

        Parameters
        ----------
        probability
            Probabilities (N, C), in [0, 1].
        decided
            The result of a decision's `apply` on the class's column, (N,): whether each row is of the class, or the
            three codes of a review band.

        Returns
        -------
        NDArray
            Class indices, (N,), and -1 for a row that is left to a person.

        Examples
        --------
        >>> rows = [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.1, 0.6, 0.3]]
        >>> one = for_class("recall of c where alerts of c <= 0.5", ["a", "b", "c"], [0, 2, 1], rows)
        >>> one.classes(rows, [False, True, True])
        array([0, 2, 2])
        """
        scores, codes = real_numbers("probability", probability), real_numbers("decided", decided)
        if scores.ndim != 2 or codes.shape != scores.shape[:1] or not 0 <= self.place < scores.shape[1]:
            raise UserError(
                f"probability and decided have shapes {scores.shape} and {codes.shape}; pass (N, C) and (N,)"
            )
        check_class_probability(scores)
        bad = np.flatnonzero(~np.isin(codes, (-1, 0, 1)))
        if len(bad):
            raise UserError(f"decided is {codes[bad[0]]:g} in row {bad[0]}; pass the result of a decision's apply")
        others = scores.copy()
        others[:, self.place] = -1.0
        most = first_largest(others, HAIR * others.max(axis=1, keepdims=True))
        return np.where(codes == 1, self.place, np.where(codes == 0, most, -1))


def for_class(goal: Goal | str, classes: Sequence[object], target: ArrayLike, probability: ArrayLike) -> AgainstRest:
    """The two-class problem of a goal that names a class among many.

    Parameters
    ----------
    goal
        A goal about one class, such as "recall of fraud where precision of fraud >= 0.5".
    classes
        Names of the columns, (C,).
    target
        Class indices, (N,).
    probability
        Probabilities (N, C), in [0, 1].

    Raises
    ------
    UserError
        If the goal names no class, an unknown one, or more than one; or the arrays do not belong together.

    Examples
    --------
    >>> from counterpoise.decide import choose_threshold
    >>> rows = [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.1, 0.6, 0.3]]
    >>> one = for_class("recall of c where precision of c >= 0.5", ["a", "b", "c"], [0, 2, 1], rows)
    >>> str(one.goal), one.target
    ('recall where precision >= 0.5', array([False,  True, False]))
    >>> choose_threshold(one.target, one.probability, one.goal).apply(one.probability)
    array([False,  True, False])
    """
    wanted = goals.goal(goal)
    wanted.check_served("for_class", "class", "review")
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise UserError(f"classes is {classes!r}; pass the names of the columns, in their order")
    names = [str(name) for name in classes]
    truth, scores = checked_classes(target, probability)
    if len(names) != scores.shape[1] or len(set(names)) < len(names):
        raise UserError(f"classes are {', '.join(names)} but probability has {scores.shape[1]} columns; name each once")
    name = wanted.class_of_interest
    if name is None:
        raise UserError(
            f"goal {str(wanted)!r} is not about one class only; write 'recall of fraud where precision of fraud >= 0.5'"
        )
    if name not in names:
        raise nearest_name("class", name, names)
    place = names.index(name)
    return AgainstRest(truth == place, scores[:, place], wanted.without_class(), place)
