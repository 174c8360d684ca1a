"""The log odds against each class, from logits with the classes last, without taking differences of near equals."""

from typing import NamedTuple

import numpy as np

from counterpoise.arrays import Array, Float64Array, Namespace
from counterpoise.recipes.affine import INFINITY, affine_parts, roughly, total, what_rounds_away
from counterpoise.recipes.derived import derived

CLOSE, RELATIVELY_CLOSE = 0.125, 1e-6
"""How far below the largest logit one counts as close to it."""


class Odds(NamedTuple):
    """log((1 - p) / p) of each class with its margin, (..., C); exp(u - max u); and where that maximum is."""

    against: Array
    exponential: Array
    top: Array


def odds_against_all(
    xp: Namespace,
    z: Array,
    classes: int,
    *,
    scale: Float64Array,
    offset: Float64Array,
    margin: Float64Array,
    temperature: float,
) -> Odds:
    """The log odds against every class, relative to the largest logit of all.

    Parameters
    ----------
    xp
        The functions of the logits' framework.
    z
        Logits (..., C); -inf masks a class.
    classes
        Number of classes C.
    scale, offset, margin, temperature
        Parameters of u = temperature (scale z + offset); the margin is subtracted from the offset of the class that the
        odds are against.
    """
    largest = xp.max(roughly(xp, z, scale, offset), -1, True)
    largest = xp.where(largest == -INFINITY, 0.0, largest)
    gap = temperature * total(differences(largest, affine_parts(xp, z, scale, offset)))
    # any class close to the largest serves; which ones are equal to it depends on how a compiler fuses operations
    close = CLOSE + RELATIVELY_CLOSE * temperature * xp.where(largest < 0, -largest, largest)
    top = first_of(xp, xp.stop_gradient(gap) <= close, classes)
    e = xp.exp(-gap)
    rest = xp.sum(xp.where(top, 0.0, e), -1, True)
    e_top = xp.sum(xp.where(top, e, 0.0), -1, True)
    others = xp.where(top, rest, e_top + (rest - e))
    alone = others == 0
    if margin.any():
        margined = affine_parts(xp, z, scale, derived(np.subtract, offset, margin))
        gap = temperature * total(margined_differences(xp, largest, margined))
    lead = xp.where(gap == INFINITY, INFINITY, gap)  # a masked class has no slope
    odds = xp.log(xp.where(alone, 1.0, others)) + lead
    odds = xp.where(alone, -INFINITY, odds)
    return Odds(xp.where(e_top == 0, float("nan"), odds), e, top)  # with every class masked there is no answer


def shifted_logit(xp: Namespace, z: Array, *, scale: Float64Array, offset: Float64Array, temperature: float) -> Array:
    """u = temperature (scale z + offset) of the sigmoid family; an infinite logit stays what it is."""
    u = total(affine_parts(xp, z, scale, offset))
    return u if temperature == 1 else temperature * u


def first_of(xp: Namespace, marked: Array, classes: int) -> Array:
    """True at the first marked class of each row; faster than an argmax where that is compiled to a loop."""
    countdown = classes - xp.arange(classes, marked, xp.int32)
    chosen = xp.where(marked, countdown, xp.constant(0, marked, xp.int32))
    return marked & (chosen == xp.max(chosen, -1, True))


def at(xp: Namespace, part: Array, place: Array) -> Array:
    """The value of a part at the one marked class of each row, (..., 1)."""
    return xp.sum(xp.where(place, part, 0.0), -1, True)


def differences(reference: Array, parts: list[Array]) -> list[Array]:
    """The reference less the sum of the parts, in parts."""
    return [reference - parts[0], *(-part for part in parts[1:])]


def margined_differences(xp: Namespace, reference: Array, parts: list[Array]) -> list[Array]:
    """`differences` with what the first of them rounds away, which a margin can lay bare and a temperature magnify."""
    first, *rest = differences(reference, parts)
    rounded_away = what_rounds_away(xp, reference, -parts[0], first)
    return [first, *rest, xp.where(first == INFINITY, 0.0, rounded_away)]
