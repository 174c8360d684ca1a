"""The data of a benchmark row: logits, a target with rare classes, and the recipe made from its counts."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

import counterpoise as cp
from counterpoise.recipes import Recipe, SoftmaxRecipe

Array = NDArray[Any]

# one loss that sets several parameters at once; it has no name of its own in the library
COMBINED = "softmax.combined"

# parameters of the named losses that have no default, or none that a peer shares
_PARAMETERS: dict[str, dict[str, Any]] = {"sigmoid.focal": {"gamma": 2.0, "alpha": 0.25}}


@dataclass(frozen=True)
class Problem:
    """Logits of a shape and the loss that is asked of them.

    Parameters
    ----------
    loss
        The name of a recipe, or `COMBINED`.
    shape
        Of the logits.
    dtype
        Of the logits: "float32" or "bfloat16".
    class_axis
        As in `counterpoise.loss`.
    overwrite
        Whether the gradient may take the memory of the logits.
    """

    loss: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    class_axis: int = -1
    overwrite: bool = False

    @property
    def softmax(self) -> bool:
        """Whether the classes exclude each other."""
        return self.loss.startswith("softmax.")

    @property
    def classes(self) -> int:
        """Classes of a softmax loss, labels of a sigmoid loss."""
        if self.softmax:
            return self.shape[self.class_axis]
        return self.shape[-1] if len(self.shape) > 1 else 1

    @property
    def rows(self) -> tuple[int, ...]:
        """The shape of the target."""
        if not self.softmax:
            return self.shape
        axis = self.class_axis % len(self.shape)
        return self.shape[:axis] + self.shape[axis + 1 :]

    @cached_property
    def prior(self) -> Array:
        """How frequent the classes are: the k-th has a k-th of the first; of two, and of labels, 10 % and less."""
        if not self.softmax:
            return np.geomspace(0.1, 0.01, self.classes)
        share = np.array([0.9, 0.1]) if self.classes == 2 else 1 / np.arange(1.0, self.classes + 1)
        return np.asarray(share / share.sum())

    @cached_property
    def counts(self) -> Any:
        """Counts of ten million training samples."""
        n = np.maximum(1, np.round(self.prior * 1e7)).astype(int)
        if self.softmax:
            return cp.ClassCounts(n)
        if self.classes == 1:
            return cp.ClassCounts([10**7 - n[0], n[0]])
        return cp.LabelCounts(n, total=10**7)

    @cached_property
    def recipe(self) -> Recipe:
        """The loss."""
        if self.loss == COMBINED:
            weight = cp.class_weights(self.counts, "inverse_sqrt")
            return SoftmaxRecipe(name=COMBINED, weight=weight, offset=np.log(self.counts.prior), focus=2.0)
        parameters = dict(_PARAMETERS.get(self.loss, {}))
        if self.loss == "softmax.expected_cost":
            cost = np.random.default_rng(2).integers(1, 10, size=(self.classes, self.classes)).astype(float)
            np.fill_diagonal(cost, 0.0)
            parameters["cost"] = cost
        return cp.recipe(self.loss, self.counts, **parameters)

    @cached_property
    def logits(self) -> Array:
        """Normal scores, float32."""
        scores = np.random.default_rng(0).standard_normal(self.shape, dtype=np.float32)
        # a high temperature (LDAM's) is made for cosines: each loss shall see the same spread
        return scores * np.float32(2.0 / max(1.0, self.recipe.temperature))

    @cached_property
    def target(self) -> Array:
        """Class indices, int64, or 0 and 1, float32."""
        rng = np.random.default_rng(1)
        if self.softmax:
            return rng.choice(self.classes, size=self.rows, p=self.prior)
        return (rng.random(self.rows, dtype=np.float32) < self.prior).astype(np.float32)

    @property
    def traffic(self) -> int:
        """Bytes that any loss must move: logits and target read, gradient written."""
        item = 2 if self.dtype == "bfloat16" else 4
        return 2 * item * int(np.prod(self.shape)) + (8 if self.softmax else 4) * int(np.prod(self.rows))


@dataclass(frozen=True)
class Layer(Problem):
    """A last linear layer and its loss; the shape is (rows, hidden, classes)."""

    @property
    def rows(self) -> tuple[int, ...]:
        """The shape of the target."""
        return self.shape[:1]

    @cached_property
    def features(self) -> Array:
        """What the layer is given, float32."""
        return np.random.default_rng(0).standard_normal(self.shape[:2], dtype=np.float32)

    @cached_property
    def weight(self) -> Array:
        """The layer's weight (classes, hidden), float32."""
        _, hidden, classes = self.shape
        weight = np.random.default_rng(3).standard_normal((classes, hidden), dtype=np.float32)
        weight /= np.float32(np.sqrt(hidden))
        return weight


@dataclass(frozen=True)
class Table(Problem):
    """Rows and columns for gradient boosting, a tenth of the rows positive."""

    rounds: int = 100

    @property
    def classes(self) -> int:
        """One label."""
        return 1

    @property
    def rows(self) -> tuple[int, ...]:
        """The shape of the target."""
        return self.shape[:1]

    @cached_property
    def features(self) -> Array:
        """Columns of which the first few tell something, float32."""
        return np.random.default_rng(0).standard_normal(self.shape, dtype=np.float32)

    @cached_property
    def target(self) -> Array:
        """0 and 1, float32."""
        signal = self.features[:, 0] + self.features[:, 1] * self.features[:, 2]
        noise = np.random.default_rng(1).standard_normal(self.shape[0], dtype=np.float32)
        score = signal + noise
        return np.asarray(score > np.quantile(score, 1 - self.prior[0]), np.float32)

    @cached_property
    def scores(self) -> Array:
        """Predictions as in the middle of training, for an objective on its own, float32."""
        return np.random.default_rng(2).standard_normal(self.shape[0], dtype=np.float32)
