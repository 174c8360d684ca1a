"""The losses with 100 digits, straight from their definition; slow, and independent of the code under test.

With 50 digits 1 - p would have 6 left at a logit gap of 100.
"""

import mpmath
import numpy as np
from mpmath import mpf

DIGITS = 100


def _per_class(value, classes):
    return [mpf(float(v)) for v in np.broadcast_to(value, (classes,))]


def _phi(p, n, focus, robustness, poly):
    """phi with p + n = 1, both to 100 digits."""
    if p == 0:
        inner = mpf("inf") if robustness == 0 else 1 / mpf(robustness)
    else:
        cross_entropy = -mpmath.log1p(-n) if n < 0.5 else -mpmath.log(p)
        q = mpf(robustness)
        inner = cross_entropy if q == 0 else -mpmath.expm1(-q * cross_entropy) / q
    factor = mpf(1) if focus == 0 else (mpf(0) if n == 0 else n ** mpf(focus))
    if factor == 0:
        return mpf(0)
    return factor * inner + mpf(poly) * n


def softmax_loss(recipe, logits, target):
    """Loss of one row: logits (C,), target an integer or shares (C,)."""
    with mpmath.workdps(DIGITS):
        return _softmax_row(recipe, [mpf(float(z)) for z in logits], target)


def _choice(z):
    return max(range(len(z)), key=lambda k: (z[k], -k))


def _softmax_row(recipe, z, target, chosen=None):
    classes = len(z)
    a, b, m, w = (_per_class(v, classes) for v in (recipe.scale, recipe.offset, recipe.margin, recipe.weight))
    s = mpf(recipe.temperature)
    t = [mpf(int(k == target)) for k in range(classes)] if np.ndim(target) == 0 else [mpf(float(v)) for v in target]
    e = mpf(recipe.smoothing)
    t = [(1 - e) * share + e / classes for share in t]
    chosen = _choice(z) if chosen is None else chosen
    u = [s * (a[k] * z[k] + b[k]) if z[k] != mpf("-inf") else mpf("-inf") for k in range(classes)]
    loss = mpf(0)
    for k in range(classes):
        weight = {"true": w[k], "predicted": w[chosen]}.get(recipe.weight_by)
        if weight is None:
            weight = mpf(float(recipe.cost[k, chosen]))
        if t[k] * weight == 0:
            continue
        own = u[k] - s * m[k]
        others = mpmath.fsum(mpmath.exp(u[j]) for j in range(classes) if j != k)
        mine = mpmath.exp(own)
        p, n = mine / (mine + others), others / (mine + others)
        loss += t[k] * weight * _phi(p, n, recipe.focus, recipe.robustness, recipe.poly)
    if recipe.cost is not None and recipe.weight_by != "pair":
        total = mpmath.fsum(mpmath.exp(x) for x in u)
        for k in range(classes):
            for j in range(classes):
                loss += t[k] * mpmath.exp(u[j]) / total * mpf(float(recipe.cost[k, j]))
    return loss


def sigmoid_loss(recipe, logit, target, label=0):
    """Loss of one element."""
    with mpmath.workdps(DIGITS):
        return _sigmoid_element(recipe, mpf(float(logit)), mpf(float(target)), label)


def _sigmoid_element(recipe, z, t, label):
    def at(value):
        return mpf(float(value if np.ndim(value) == 0 else value[label]))

    u = mpf(recipe.temperature) * (at(recipe.scale) * z + at(recipe.offset))
    p, n = 1 / (1 + mpmath.exp(-u)), 1 / (1 + mpmath.exp(u))
    e = mpf(recipe.smoothing)
    t = t * (1 - e) + e / 2
    loss = mpf(0)
    if t * at(recipe.pos_weight) != 0:
        loss += t * at(recipe.pos_weight) * _phi(p, n, recipe.pos_focus, recipe.robustness, recipe.poly)
    if (1 - t) * at(recipe.neg_weight) != 0:
        taken_off = min(p, mpf(recipe.clip))
        loss += (
            (1 - t)
            * at(recipe.neg_weight)
            * _phi(n + taken_off, p - taken_off, recipe.neg_focus, recipe.robustness, recipe.poly)
        )
    return loss


def softmax_rows(recipe, logits, target):
    """Loss per row, float64 (N,)."""
    return np.array([float(softmax_loss(recipe, z, t)) for z, t in zip(logits, target, strict=True)])


def sigmoid_elements(recipe, logits, target):
    """Loss per element, float64, of the logits' shape (N,) or (N, L)."""
    return np.array(
        [
            [float(sigmoid_loss(recipe, z, t, label)) for label, (z, t) in enumerate(zip(zs, ts, strict=True))]
            for zs, ts in zip(np.atleast_2d(logits.T).T, np.atleast_2d(target.T).T, strict=True)
        ]
    ).reshape(np.shape(logits))


def _slope(function, point, order):
    """A derivative by central differences with 100 digits: exact to 30 of them, whatever the curvature."""
    step = mpf(10) ** -35
    if order == 1:
        return (function(point + step) - function(point - step)) / (2 * step)
    return (function(point + step) - 2 * function(point) + function(point - step)) / step**2


def softmax_derivative(recipe, logits, target, order=1):
    """d loss / d logit (or the second derivative) of one row, float64 (C,); 0 at masked logits.

    The class that weight_by chooses is held constant.
    """
    with mpmath.workdps(DIGITS):
        z = [mpf(float(v)) for v in logits]
        return np.array([softmax_derivative_by(recipe, z, target, j, order) for j in range(len(z))])


def softmax_derivative_by(recipe, z, target, j, order=1):
    """The same by logit j alone, of logits that are mpf already."""
    if z[j] == mpf("-inf"):
        return 0.0

    def moved(x):
        return _softmax_row(recipe, [*z[:j], x, *z[j + 1 :]], target, _choice(z))

    return float(_slope(moved, z[j], order))


def sigmoid_derivative(recipe, logit, target, label=0, order=1):
    """d loss / d logit (or the second derivative) of one element."""
    with mpmath.workdps(DIGITS):
        t = mpf(float(target))
        return float(_slope(lambda x: _sigmoid_element(recipe, x, t, label), mpf(float(logit)), order))
