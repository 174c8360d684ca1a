"""Sides that run on NumPy arrays: the kernel alone, and scikit-learn's."""

from typing import Any

import numpy as np

import counterpoise as cp
from benchmarks.speed.measure import THREADS, Side, Step
from benchmarks.speed.problem import Problem


def _kernel(problem: Problem) -> Step:
    """Loss and gradient into memory that is already there: no allocation, hardly any Python."""
    gradient = np.ones_like(problem.logits)
    logits, target, recipe = problem.logits, problem.target, problem.recipe
    return Step(lambda: cp.loss_and_gradient(logits, target, recipe, out=gradient)[0])


def _scikit_learn(loss: Any, problem: Problem) -> Step:
    logits, target = problem.logits, problem.target.astype(np.float32)
    values, gradient = np.ones_like(target), np.ones_like(logits)

    def call() -> Any:
        loss.loss_gradient(target, logits, loss_out=values, gradient_out=gradient, n_threads=THREADS)
        return values.mean()

    return Step(call)


def _multinomial(problem: Problem) -> Step:
    from sklearn._loss import HalfMultinomialLoss

    return _scikit_learn(HalfMultinomialLoss(n_classes=problem.classes), problem)


def _binomial(problem: Problem) -> Step:
    from sklearn._loss import HalfBinomialLoss

    return _scikit_learn(HalfBinomialLoss(), problem)


KERNEL = Side("counterpoise kernel", _kernel)
SKLEARN_MULTINOMIAL = Side("scikit-learn HalfMultinomialLoss", _multinomial)
SKLEARN_BINOMIAL = Side("scikit-learn HalfBinomialLoss", _binomial)
