"""Recipes and batches of as many classes as each way through the softmax kernel needs: pairs, blocks, wide rows."""

from functools import cache

import numpy as np
from mpmath import mpf, workdps

import reference
from counterpoise.recipes import SoftmaxRecipe

WIDTHS = (2, 3, 33, 40, 100)
KINDS = ("random", "extreme", "tiny", "shifted", "masked", "true masked")


def _recipe(name, classes, **parameters):
    rng = np.random.default_rng(classes)
    drawn = {
        "weight": rng.uniform(0.2, 4, classes),
        "scale": rng.uniform(0.3, 1.5, classes),
        "offset": rng.uniform(-3, 3, classes),
        "margin": rng.uniform(0, 0.5, classes),
    }
    per_class = {key: drawn[key] for key in parameters.pop("per_class", ())}
    return SoftmaxRecipe(name=f"{name}, {classes} classes", **per_class, **parameters)


@cache
def recipes(classes):
    """Every parameter of a hard target, alone and together."""
    zeros = np.arange(classes) % 3.0
    return (
        _recipe("plain", classes),
        _recipe("weighted", classes, per_class=("weight",)),
        SoftmaxRecipe(name=f"zero weight, {classes} classes", weight=zeros),
        _recipe("focal", classes, focus=2.0, per_class=("weight",)),
        _recipe("focus below 1", classes, focus=0.5),
        _recipe("robust", classes, robustness=0.3, poly=0.7),
        _recipe("offset", classes, per_class=("offset",)),
        _recipe("one scale", classes, scale=0.7),
        _recipe("margin", classes, temperature=3.0, per_class=("margin",)),
        _recipe("by predicted", classes, weight_by="predicted", per_class=("weight",)),
        _recipe(
            "everything",
            classes,
            focus=1.5,
            robustness=0.3,
            poly=0.7,
            temperature=3.0,
            per_class=("weight", "scale", "offset", "margin"),
        ),
    )


@cache
def batch(classes, dtype):
    """A row of each kind and place of the true class: logits (N, C), target (N,)."""
    rng = np.random.default_rng(5)
    places = sorted({0, classes // 2, classes - 1})
    rows, target = [], []
    for kind in KINDS:
        for place in places:
            z = rng.normal(size=classes) * 3
            if kind == "extreme":
                z = rng.choice([-100.0, 0.0, 100.0], size=classes)
            if kind == "tiny":
                z = z * 1e-8
            if kind == "shifted":
                z = z + rng.choice([-90.0, 60.0])
            if kind == "masked":
                z = np.where(np.arange(classes) == (place + 1) % classes, -np.inf, z)
            if kind == "true masked":
                z[place] = -np.inf
            rows.append(z)
            target.append(place)
    logits = np.array(rows).astype(dtype)
    return logits, np.array(target)


@cache
def looked_at(classes, dtype):
    """(N, 4): the true class of each row, the likeliest, and two more; with 100 digits all take too long."""
    logits, target = batch(classes, dtype)
    other = (target + 1) % classes, (target + classes - 1) % classes
    return np.stack([target, logits.argmax(-1), *other], axis=-1)


@cache
def expected(recipe, classes, dtype):
    """The loss of each row."""
    logits, target = batch(classes, dtype)
    return reference.softmax_rows(recipe, logits.astype(np.float64), target)


@cache
def expected_derivative(recipe, classes, dtype, order=1):
    """The derivative of each row's loss by the logits that are looked at, (N, 4); NaN where the loss is infinite."""
    logits, target = batch(classes, dtype)
    places = looked_at(classes, dtype)
    with workdps(reference.DIGITS):
        return np.array(
            [
                [reference.softmax_derivative_by(recipe, z, t, place, order) for place in looked]
                for z, t, looked in zip([[mpf(float(v)) for v in row] for row in logits], target, places, strict=True)
            ]
        )
