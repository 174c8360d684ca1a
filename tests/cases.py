"""One table of recipes and one of batches, for every property that all losses must have."""

from dataclasses import dataclass
from functools import cache

import numpy as np

import counterpoise as cp
import reference
from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe

CLASSES = 4
COUNTS = cp.ClassCounts([198, 436, 710, 272])
COST = np.array([[0.0, 1, 2, 3], [4, 0, 1, 1], [2, 2, 0, 9], [1, 5, 1, 0]])
PAIRS = np.array([[0.3, 1, 2, 3], [4, 0.7, 1, 1], [2, 2, 0.5, 9], [1, 5, 1, 0.9]])
LABELS = cp.LabelCounts([30, 5, 90], total=100)

EVERYTHING = {
    "scale": [0.3, 1.2, 1.0, 0.7],
    "offset": [-3.0, -1.0, 0.0, 0.5],
    "margin": [0.5, 0.1, 0.2, 0.3],
    "weight": [0.5, 2.0, 1.0, 3.0],
    "focus": 1.5,
    "robustness": 0.3,
    "poly": 0.7,
    "smoothing": 0.1,
    "temperature": 3.0,
}


def _named(family, counts):
    for row in cp.recipes():
        if row.startswith(family):
            yield cp.recipe(row, counts, **({"cost": COST} if row.endswith("expected_cost") else {}))


SOFTMAX = [
    *_named("softmax", COUNTS),
    SoftmaxRecipe(name="focus below 1", focus=0.5, weight=[1, 2, 3, 4]),
    SoftmaxRecipe(name="smoothed", smoothing=0.1, weight=[1, 2, 3, 4]),
    SoftmaxRecipe(name="zero weight", weight=[0, 1, 2, 0]),
    SoftmaxRecipe(name="by predicted", weight=[1, 0, 2, 3], weight_by="predicted"),
    SoftmaxRecipe(name="by pair", weight_by="pair", cost=PAIRS),
    SoftmaxRecipe(name="cost added", cost=COST, weight=[1, 2, 1, 2]),
    SoftmaxRecipe(name="everything", **EVERYTHING),
    SoftmaxRecipe(name="everything by predicted", weight_by="predicted", **EVERYTHING),
    SoftmaxRecipe(name="everything by pair", weight_by="pair", cost=PAIRS, **EVERYTHING),
]

SIGMOID = [
    *_named("sigmoid", LABELS),
    SigmoidRecipe(name="focus below 1", pos_focus=0.5, neg_focus=0.3),
    SigmoidRecipe(name="zero weight", pos_weight=[0, 1, 2], neg_weight=[1, 0, 1]),
    SigmoidRecipe(
        name="everything",
        pos_weight=[2, 3, 0.5],
        neg_weight=[1, 0.5, 2],
        scale=[0.5, 2, 1.3],
        offset=[-1, 0, 2.5],
        pos_focus=0.7,
        neg_focus=2.5,
        clip=0.1,
        robustness=0.4,
        poly=0.6,
        smoothing=0.05,
        temperature=1.7,
    ),
]

RECIPES = [*SOFTMAX, *SIGMOID]


def name_of(recipe):
    """A test's id."""
    return recipe.name if "." in recipe.name else f"{recipe.family}: {recipe.name}"


KINDS = ("random", "extreme", "tiny", "shifted", "masked")


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of every kind, in float64."""

    name: str
    kinds: tuple[str, ...]
    logits: np.ndarray
    target: np.ndarray

    def __str__(self):
        return self.name


def _logits(rng, kind, width, rows=5):
    z = rng.normal(size=(rows, width)) * 3
    if kind == "extreme":
        z = rng.choice([-100.0, 0.0, 100.0], size=(rows, width)) + rng.choice([0, 0.01], size=(rows, width))
    if kind == "tiny":
        z = z * 1e-8
    if kind == "shifted":
        z = z + rng.choice([-90.0, 60.0], size=(rows, 1))
    if kind == "masked":
        z = np.where(np.arange(width) == rng.integers(width, size=(rows, 1)), -np.inf, z)
    return z


def _batches(family, kinds):
    rng = np.random.default_rng(7)
    width = CLASSES if family == "softmax" else len(LABELS)
    z = np.concatenate([_logits(rng, kind, width) for kind in kinds])
    hidden = np.isneginf(z)
    if family == "softmax":
        hard = rng.integers(CLASSES, size=len(z))
        hard = np.where(hidden[np.arange(len(z)), hard], (hard + 1) % CLASSES, hard)
        soft = rng.dirichlet(np.ones(CLASSES), size=len(z))
    else:
        hard = np.where(hidden, 0.0, rng.integers(2, size=z.shape))
        soft = rng.uniform(size=z.shape)
    return Batch("hard", kinds, z, hard), Batch("soft", kinds, z, np.where(hidden, 0.0, soft))


def batches(recipe):
    """Hard and soft targets for a recipe; without masked classes where smoothing would give them a share."""
    return _ALL[recipe.family, KINDS[:-1] if recipe.smoothing else KINDS]


_ALL = {(family, kinds): _batches(family, kinds) for family in ("softmax", "sigmoid") for kinds in (KINDS, KINDS[:-1])}

CASES = [(recipe, batch) for recipe in RECIPES for batch in batches(recipe)]


def case_id(value):
    """A test's id for a recipe or a batch."""
    return name_of(value) if isinstance(value, SoftmaxRecipe | SigmoidRecipe) else str(value)


def in_precision(batch, dtype):
    """Logits and target as arrays of this dtype hold them."""
    logits = batch.logits.astype(dtype)
    hard = batch.target.dtype.kind == "i"
    return logits, batch.target if hard else batch.target.astype(dtype)


@cache
def expected(recipe, batch, dtype):
    """The reference loss of each entry, for the values that `dtype` holds."""
    logits, target = in_precision(batch, dtype)
    function = reference.softmax_rows if recipe.family == "softmax" else reference.sigmoid_elements
    return function(
        recipe, logits.astype(np.float64), target.astype(np.float64) if target.dtype.kind == "f" else target
    )


@cache
def expected_derivative(recipe, batch, dtype, order=1):
    """The reference derivative by each logit, of the summed loss."""
    logits, target = in_precision(batch, dtype)
    logits = logits.astype(np.float64)
    if recipe.family == "softmax":
        return np.array(
            [reference.softmax_derivative(recipe, z, t, order) for z, t in zip(logits, target, strict=True)]
        )
    return np.array(
        [
            [
                0.0 if np.isinf(z) else reference.sigmoid_derivative(recipe, z, t, label, order)
                for label, (z, t) in enumerate(zip(zs, ts, strict=True))
            ]
            for zs, ts in zip(logits, target, strict=True)
        ]
    )
