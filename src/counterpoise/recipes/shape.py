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
from numpy.typing import NDArray

from counterpoise.arrays import Array, Namespace

Float64Array = NDArray[np.float64]

FAR = 100.0
"""Log odds beyond which n = 1 in every precision, so that powers of n need no slope there."""


class Derivatives(NamedTuple):
    """A function of the log odds with its first two derivatives."""

    value: Float64Array
    slope: Float64Array
    bend: Float64Array


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
        Exponent of n, >= 0: how much easy samples are played down (Lin et al. 2017).
    robustness
        q in [0, 1]: 0 is the log loss, 1 is 1 - p (Zhang & Sabuncu 2018).
    poly
        Coefficient of the extra term n, >= -1 (Leng et al. 2022).
    clip
        Probability that is taken off n, in [0, 1) (Ridnik et al. 2021); samples with n below it cost nothing.
    """

    focus: float = 0.0
    robustness: float = 0.0
    poly: float = 0.0
    clip: float = 0.0

    def value(self, xp: Namespace, odds: Array) -> Array:
        """phi at log odds of any shape, in any framework, differentiable and free of NaN from -inf to +inf."""
        if self.clip:
            return self._clipped_value(xp, odds)
        cross_entropy = xp.softplus(odds)
        phi = cross_entropy if self.robustness == 0 else -xp.expm1(-self.robustness * cross_entropy) / self.robustness
        if self.focus:
            # its slope must not meet an infinite cross-entropy: 0 * inf
            far = odds > FAR
            near = xp.where(far, FAR, odds)
            phi = xp.where(far, 1.0, xp.exp(-self.focus * xp.softplus(-near))) * phi
        if self.poly:
            phi = phi + self.poly * xp.exp(-xp.softplus(-odds))
        return phi

    def _clipped_value(self, xp: Namespace, odds: Array) -> Array:
        wrong = xp.exp(-xp.softplus(-odds)) - self.clip
        counted = wrong > 0
        wrong = xp.where(counted, wrong, 0.5)
        right = xp.exp(-xp.softplus(odds)) + self.clip
        near = wrong < 0.5
        cross_entropy = xp.where(near, -xp.log1p(-xp.where(near, wrong, 0.5)), -xp.log(right))
        phi = cross_entropy if self.robustness == 0 else -xp.expm1(-self.robustness * cross_entropy) / self.robustness
        if self.focus:
            phi = xp.exp(self.focus * xp.log(wrong)) * phi
        if self.poly:
            phi = phi + self.poly * wrong
        return xp.where(counted, phi, 0.0)

    def derivatives(self, odds: Float64Array) -> Derivatives:
        """phi with its first two derivatives by the log odds, for NumPy float64 arrays."""
        if self.clip:
            return self._clipped_derivatives(odds)
        n, p = _sigmoid(odds), _sigmoid(-odds)
        cross_entropy = np.logaddexp(0.0, odds)
        q = self.robustness
        inner = cross_entropy if q == 0 else -np.expm1(-q * cross_entropy) / q
        # e^(-q c) is p^q; the log loss keeps its slope at p = 0
        power = np.ones_like(p) if q == 0 else np.exp(-q * cross_entropy)
        inner_slope = n * power
        inner_bend = inner_slope * (p - q * n)
        g = self.focus
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

    def _clipped_derivatives(self, odds: Float64Array) -> Derivatives:
        n, p = _sigmoid(odds), _sigmoid(-odds)
        counted = n > self.clip
        wrong = np.where(counted, n - self.clip, 0.5)
        right = np.where(counted, p + self.clip, 0.5)
        cross_entropy = np.where(wrong < 0.5, -np.log1p(-np.minimum(wrong, 0.5)), -np.log(right))
        q, g = self.robustness, self.focus
        inner = cross_entropy if q == 0 else -np.expm1(-q * cross_entropy) / q
        inner_1, inner_2 = right ** (q - 1), (1 - q) * right ** (q - 2)
        factor = wrong**g if g else np.ones_like(wrong)
        value = factor * inner + self.poly * wrong
        by_n = factor * (g * inner / wrong + inner_1) + self.poly
        by_n_twice = factor * (g * (g - 1) * inner / wrong**2 + 2 * g * inner_1 / wrong + inner_2)
        return Derivatives(
            np.where(counted, value, 0.0),
            np.where(counted, by_n * n * p, 0.0),
            np.where(counted, by_n_twice * (n * p) ** 2 + by_n * n * p * (p - n), 0.0),
        )

    @property
    def invertible(self) -> bool:
        """Whether the slope by the cross-entropy is positive everywhere, so that scores tell probabilities."""
        if self.robustness == 1:
            return False
        return self.poly >= 0 or (self.focus == 0 and self.poly > -1)

    def log_slope(self, xp: Namespace, odds: Array) -> Array:
        """log(dphi/dc), the slope by the cross-entropy c (not by the log odds), in any framework."""
        if self.clip:
            return self._clipped_log_slope(xp, odds)
        # beyond +-1e4 nothing changes but infinities would meet
        odds = xp.minimum(xp.maximum(odds, -1e4), 1e4)
        cross_entropy = xp.softplus(odds)
        log_n, log_p = -xp.softplus(-odds), -cross_entropy
        q = self.robustness
        if self.focus == 0 and self.poly == 0:
            return q * log_p
        inner = cross_entropy if q == 0 else -xp.expm1(-q * cross_entropy) / q
        # focus n^(focus-1) p inner + n^focus p^q, where inner / n is 1 once both vanish
        vanished = odds < -30.0
        ratio = xp.where(vanished, 1.0, inner / xp.exp(xp.where(vanished, 0.0, log_n)))
        log_first = self.focus * log_n + q * log_p + xp.log1p(self.focus * ratio * xp.exp((1 - q) * log_p))
        if self.poly == 0:
            return log_first
        # first + poly p, with the larger exponential taken out
        larger = xp.where(log_first > log_p, log_first, log_p)
        total = xp.exp(log_first - larger) + self.poly * xp.exp(log_p - larger)
        return larger + xp.log(total)

    def _clipped_log_slope(self, xp: Namespace, odds: Array) -> Array:
        odds = xp.minimum(xp.maximum(odds, -1e4), 1e4)
        n, p = xp.exp(-xp.softplus(-odds)), xp.exp(-xp.softplus(odds))
        counted = n > self.clip
        wrong = xp.where(counted, n - self.clip, 0.5)
        right = xp.where(counted, p + self.clip, 0.5)
        near = wrong < 0.5
        cross_entropy = xp.where(near, -xp.log1p(-xp.where(near, wrong, 0.5)), -xp.log(right))
        q, g = self.robustness, self.focus
        inner = cross_entropy if q == 0 else -xp.expm1(-q * cross_entropy) / q
        by_n = xp.exp((q - 1) * xp.log(right))
        if g:
            by_n = xp.exp(g * xp.log(wrong)) * (g * inner / wrong + by_n)
        by_n = by_n + self.poly
        # by the unclipped cross-entropy: dn/dc = p
        return xp.where(counted, xp.log(by_n) - xp.softplus(odds), -float("inf"))
