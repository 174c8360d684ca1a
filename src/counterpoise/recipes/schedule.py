"""A recipe as a function of the epoch.

Any function from the number of an epoch, counted from 0, to a recipe is a schedule; `deferred` makes the best known.
"""

from collections.abc import Callable

from counterpoise.errors import UserError
from counterpoise.recipes.named import Recipe

Schedule = Callable[[int], Recipe]


def deferred(before: Recipe, after: Recipe, *, at: int) -> Schedule:
    """One recipe for the first epochs, another for the rest: features first, then the balance of the classes.

    Parameters
    ----------
    before, after
        The two recipes, of one family.
    at
        The first epoch, counted from 0, that trains with `after`; 1 or more.

    Raises
    ------
    UserError
        For recipes of two families, or an `at` below 1.

    References
    ----------
    Cao et al., Learning imbalanced datasets with label-distribution-aware margin loss, NeurIPS 2019, algorithm 1: LDAM
    without weights, and from epoch 160 of 200 with the weights of `class_balanced`.

    Examples
    --------
    >>> from counterpoise import class_weights, softmax
    >>> counts, scheme = [900, 100], "effective_number"
    >>> weight = class_weights(counts, scheme)
    >>> schedule = deferred(softmax.ldam(counts), softmax.ldam(counts, weight=weight), at=160)
    >>> [schedule(epoch).weight.size for epoch in (0, 159, 160, 199)]
    [1, 1, 2, 2]
    """
    families = [getattr(recipe, "family", None) for recipe in (before, after)]
    if None in families or families[0] != families[1]:
        raise UserError(f"a schedule changes between two recipes of one family; found {before!r} and {after!r}")
    if isinstance(at, bool) or not isinstance(at, int) or at < 1:
        raise UserError(f"at is {at!r}; it must be the number of an epoch, 1 or more (epochs are counted from 0)")
    return lambda epoch: before if epoch < at else after
