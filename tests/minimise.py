"""Minimise an expected loss over the logits, from several starts and then to the last digit."""

import numpy as np
from scipy.optimize import minimize

import counterpoise as cp


def expected_loss(recipe, probability):
    """The loss and its slope as a function of the logits, where the classes have these probabilities."""

    def at(logits):
        loss, slope = cp.loss_and_gradient(logits[None], probability[None], recipe, reduction="sum")
        return float(loss), slope[0]

    return at


def minimum(recipe, probability, *, starts=3, seed=0):
    """The best logits (C,) or (L,) for these probabilities."""
    function = expected_loss(recipe, probability)
    rng = np.random.default_rng(seed)
    at_prior = np.log(probability) if recipe.family == "softmax" else np.log(probability / (1 - probability))
    first = (at_prior / recipe.temperature - recipe.offset) / recipe.scale
    points = [first, *rng.normal(size=(starts - 1, len(probability)))]
    found = [minimize(function, z, jac=True, method="BFGS", options={"gtol": 1e-8}) for z in points]
    return _polished(function, min(found, key=lambda result: result.fun).x)


def _polished(function, logits, steps=4):
    """Newton's steps, since a line search that compares losses stops at half the digits."""
    for _ in range(steps):
        width = 1e-5
        hessian = np.array(
            [(function(logits + e)[1] - function(logits - e)[1]) / (2 * width) for e in width * np.eye(len(logits))]
        )
        # a shift of all logits changes nothing: its curvature of 0 is not to be divided by
        step = np.linalg.lstsq(hessian, function(logits)[1], rcond=1e-7)[0]
        logits = logits - step
    return logits
