"""The log odds against each class, from logits with the classes last, without taking differences of near equals."""

from typing import NamedTuple

from counterpoise.arrays import Array, Float64Array, Namespace
from counterpoise.recipes.affine import affine_parts, total

INFINITY = float("inf")


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
        C.
    scale, offset, margin, temperature
        u = temperature (scale z + offset), with the margin off the offset of the class that the odds are against.
    """
    masked = z == -INFINITY
    finite = xp.where(masked, 0.0, z)
    parts = affine_parts(xp, finite, scale, offset)
    top = first_largest(xp, xp.where(masked, -INFINITY, xp.stop_gradient(total(parts))), classes)
    at_top = [xp.stop_gradient(at(xp, part, top)) for part in parts]
    gap = temperature * total(differences(at_top, parts))
    e = xp.exp(-xp.where(masked, INFINITY, gap))
    rest = xp.sum(xp.where(top, 0.0, e), -1, True)
    e_top = xp.sum(xp.where(top, e, 0.0), -1, True)
    others = xp.where(top, rest, e_top + (rest - e))
    alone = others == 0
    if margin.any():
        margined = affine_parts(xp, finite, scale, offset - margin)
        gap = temperature * total(margined_differences(xp, at_top, margined))
    lead = xp.where(masked, INFINITY, gap)
    odds = xp.log(xp.where(alone, 1.0, others)) + lead
    odds = xp.where(alone, -INFINITY, odds)
    return Odds(xp.where(e_top == 0, float("nan"), odds), e, top)  # with every class masked there is no answer


def shifted_logit(xp: Namespace, z: Array, *, scale: Float64Array, offset: Float64Array, temperature: float) -> Array:
    """u = temperature (scale z + offset) of the sigmoid family; an infinite logit stays what it is."""
    infinite = (z == INFINITY) | (z == -INFINITY)
    parts = affine_parts(xp, xp.where(infinite, 0.0, z), scale, offset)
    return xp.where(infinite, z, temperature * total(parts))


def first_largest(xp: Namespace, values: Array, classes: int) -> Array:
    """True at one largest value of each row."""
    top = xp.astype(xp.argmax(xp.stop_gradient(values), -1), xp.int32)
    return top[..., None] == xp.arange(classes, values, xp.int32)


def at(xp: Namespace, part: Array, place: Array) -> Array:
    """The value of a part at the one marked class of each row, (..., 1)."""
    return xp.sum(xp.where(place, part, 0.0), -1, True)


def differences(references: list[Array], own: list[Array]) -> list[Array]:
    """Part by part differences of two affine sums that may have different numbers of parts."""
    if len(references) == len(own):
        return [ref - part for ref, part in zip(references, own, strict=True)]
    return [references[0] - own[0], *references[1:], *(-part for part in own[1:])]


def margined_differences(xp: Namespace, references: list[Array], own: list[Array]) -> list[Array]:
    """`differences` with what the first of them rounds away, which a margin can lay bare and a temperature magnify."""
    parts = differences(references, own)
    minuend, subtrahend, difference = (xp.stop_gradient(part) for part in (references[0], own[0], parts[0]))
    turned = difference - minuend
    rounded_away = (minuend - (difference - turned)) - (subtrahend + turned)
    return [*parts, rounded_away]
