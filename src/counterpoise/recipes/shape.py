"""The shape that a loss gives to a cross-entropy, as a function of one number: the odds against the truth.

Everything that a loss needs to know of a sample is o = log((1 - p) / p), the log odds against its
true class. From it c = softplus(o) is the cross-entropy and n = sigmoid(o) = 1 - p the probability
given to the wrong classes, both to full precision where p is close to 1; in c or p alone the
digits of 1 - p would be lost.

    phi = n^focus * (1 - e^(-robustness c)) / robustness + poly n      (the middle factor is c for robustness 0)
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from counterpoise.arrays import Array, Float64Array, Namespace, numpy_namespace

FAR = 100.0
"""Log odds beyond which n = 1 in every precision, so that powers of n need no slope there."""

MOST_MULTIPLIED = 8
"""A whole focus up to here is a product, which costs less than a power."""


class Derivatives(NamedTuple):
    """A function of the log odds with its first two derivatives."""

    value: Float64Array
    slope: Float64Array
    bend: Float64Array


class Chances(NamedTuple):
    """What log odds o say, each to full precision: o, n = sigmoid(o), p = sigmoid(-o), -log p and -log n."""

    odds: Array
    wrong: Array
    right: Array
    cross_entropy: Array
    surprise: Array

    def swapped(self) -> "Chances":
        """The same seen from the other class."""
        return Chances(-self.odds, self.right, self.wrong, self.surprise, self.cross_entropy)


def chances(xp: Namespace, odds: Array) -> Chances:
    """All that the two classes of a sigmoid need, from one exponential and one logarithm; slopes are right at 0 too."""
    ahead = odds >= 0
    small = xp.exp(xp.where(ahead, -odds, odds))
    rest, larger = xp.log1p(small), 1 / (1 + small)
    smaller = small * larger
    return Chances(
        odds,
        xp.where(ahead, larger, smaller),
        xp.where(ahead, smaller, larger),
        xp.where(ahead, odds, 0.0) + rest,
        xp.where(ahead, 0.0, -odds) + rest,
    )


class _Clipped(NamedTuple):
    """The rest of a sample after the clip is subtracted from its probability of being wrong."""

    counted: Array
    wrong: Array
    right: Array
    cross_entropy: Array


def _sigmoid(x: Float64Array) -> Float64Array:
    small = np.exp(-np.abs(x))
    sigmoid: Float64Array = np.where(x >= 0, 1.0, small) / (1 + small)
    return sigmoid


@dataclass(frozen=True, slots=True)
class Shape:
    """phi for one set of parameters.

    Parameters
    ----------
    focus
        Exponent of n, >= 0, which plays down easy samples (Lin et al. 2017).
    robustness
        q in [0, 1]: 0 is the log loss, 1 is 1 - p (Zhang & Sabuncu 2018).
    poly
        Coefficient of the extra term n, >= -1 (Leng et al. 2022).
    clip
        Probability that is subtracted from n, in [0, 1) (Ridnik et al. 2021); samples with n below it cost nothing.
    """

    focus: float = 0.0
    robustness: float = 0.0
    poly: float = 0.0
    clip: float = 0.0

    def value(self, xp: Namespace, at: Chances) -> Array:
        """phi of any shape, in any framework, differentiable and free of NaN for log odds from -inf to +inf."""
        if self.clip:
            kept = self._clipped(xp, at)
            phi = self._inner(xp, kept.cross_entropy, kept.wrong)
            if self.focus:
                phi = self._power(xp, kept.wrong) * phi
            if self.poly:
                phi = phi + self.poly * kept.wrong
            return xp.where(kept.counted, phi, 0.0)
        phi = self._inner(xp, at.cross_entropy, at.wrong)
        if self.focus:
            # its slope must not meet an infinite cross-entropy: 0 * inf
            far = at.odds > FAR
            if self._multiplies:
                phi = self._power(xp, xp.where(far, 1.0, at.wrong)) * phi
            else:
                phi = xp.where(far, 1.0, xp.exp(-self.focus * at.surprise)) * phi
        if self.poly:
            phi = phi + self.poly * at.wrong
        return phi

    @property
    def _multiplies(self) -> bool:
        return self.focus == int(self.focus) and self.focus <= MOST_MULTIPLIED

    def _power(self, xp: Namespace, wrong: Array) -> Array:
        """wrong ** focus, for numbers above 0 where the focus is not whole."""
        if not self._multiplies:
            return xp.exp(self.focus * xp.log(wrong))
        power = wrong
        for _ in range(int(self.focus) - 1):
            power = power * wrong
        return power

    def _inner(self, xp: Namespace, cross_entropy: Array, wrong: Array) -> Array:
        """The middle factor of phi."""
        if self.robustness == 0:
            return cross_entropy
        if self.robustness == 1:
            return wrong
        return -xp.expm1(-self.robustness * cross_entropy) / self.robustness

    def _clipped(self, xp: Namespace, at: Chances) -> _Clipped:
        """n less the clip, p plus the clip, -log(p + clip); 1/2 each where nothing is left of n."""
        wrong = at.wrong - self.clip
        counted = wrong > 0
        wrong = xp.where(counted, wrong, 0.5)
        right = xp.where(counted, at.right + self.clip, 0.5)
        near = wrong < 0.5
        cross_entropy = xp.where(near, -xp.log1p(-xp.where(near, wrong, 0.5)), -xp.log(right))
        return _Clipped(counted, wrong, right, cross_entropy)

    def derivatives(self, odds: Float64Array) -> Derivatives:
        """phi with its first two derivatives by the log odds, for NumPy float64 arrays."""
        n, p = _sigmoid(odds), _sigmoid(-odds)
        q, g = self.robustness, self.focus
        if self.clip:
            kept = self._clipped(numpy_namespace, chances(numpy_namespace, odds))
            wrong, right = kept.wrong, kept.right
            inner = self._inner(numpy_namespace, kept.cross_entropy, wrong)
            inner_1, inner_2 = right ** (q - 1), (1 - q) * right ** (q - 2)
            factor = wrong**g
            value = factor * inner + self.poly * wrong
            by_n = factor * (g * inner / wrong + inner_1) + self.poly
            by_n_twice = factor * (g * (g - 1) * inner / wrong**2 + 2 * g * inner_1 / wrong + inner_2)
            slope, bend = by_n * n * p, by_n_twice * (n * p) ** 2 + by_n * n * p * (p - n)
            return Derivatives(*(np.where(kept.counted, part, 0.0) for part in (value, slope, bend)))
        cross_entropy = np.logaddexp(0.0, odds)
        inner = self._inner(numpy_namespace, cross_entropy, n)
        # n e^(-q c) is n p^q; the log loss keeps its slope at p = 0
        inner_slope = n * np.exp(-q * cross_entropy) if q else n
        inner_bend = inner_slope * (p - q * n)
        if g:
            factor = np.exp(-g * np.logaddexp(0.0, -odds))
            # f' inner = g f p inner, and p c goes to 0 where c goes to infinity
            with np.errstate(invalid="ignore"):
                inner_p = np.where(p == 0, 0.0, p * inner)
            value = factor * inner
            slope = factor * (g * inner_p + inner_slope)
            bend = factor * (g * (g * p - n) * inner_p + 2 * g * p * inner_slope + inner_bend)
        else:
            value, slope, bend = inner, inner_slope, inner_bend
        if self.poly:
            value, slope = value + self.poly * n, slope + self.poly * n * p
            bend = bend + self.poly * n * p * (p - n)
        return Derivatives(value, slope, bend)

    @property
    def invertible(self) -> bool:
        """Whether the slope by the cross-entropy is positive everywhere, so that scores tell probabilities."""
        if self.robustness == 1:
            return False
        return self.poly >= 0 or (self.focus == 0 and self.poly > -1)

    def log_slope(self, xp: Namespace, odds: Array) -> Array:
        """log(dphi/dc), the slope by the cross-entropy c (not by the log odds), in any framework."""
        # beyond +-1e4 nothing changes but infinities would meet
        odds = xp.minimum(xp.maximum(odds, -1e4), 1e4)
        q, g = self.robustness, self.focus
        if q == 0 and g == 0 and self.poly == 0 and not self.clip:
            return 0.0 * odds
        log_n, log_p = -xp.softplus(-odds), -xp.softplus(odds)
        if self.clip:
            kept = self._clipped(xp, chances(xp, odds))
            by_n = xp.exp((q - 1) * xp.log(kept.right))
            if g:
                ratio = self._inner(xp, kept.cross_entropy, kept.wrong) / kept.wrong
                by_n = xp.exp(g * xp.log(kept.wrong)) * (g * ratio + by_n)
            # by the unclipped cross-entropy: dn/dc = p
            return xp.where(kept.counted, xp.log(by_n + self.poly) + log_p, -float("inf"))
        if g == 0 and self.poly == 0:
            return q * log_p
        # focus n^(focus-1) p inner + n^focus p^q, where inner / n is 1 once both vanish
        vanished = odds < -30.0
        ratio = xp.where(vanished, 1.0, self._inner(xp, -log_p, xp.exp(log_n)) / xp.exp(xp.where(vanished, 0.0, log_n)))
        log_first = g * log_n + q * log_p + xp.log1p(g * ratio * xp.exp((1 - q) * log_p))
        if self.poly == 0:
            return log_first
        # first + poly p, with the larger exponential taken out
        larger = xp.where(log_first > log_p, log_first, log_p)
        return larger + xp.log(xp.exp(log_first - larger) + self.poly * xp.exp(log_p - larger))
