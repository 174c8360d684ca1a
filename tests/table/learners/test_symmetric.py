"""CatBoost's trees as plain arrays: CatBoost's own sums; and arrays that make no such trees are refused."""

import numpy as np
import pytest

from absent import needs
from counterpoise.errors import UserError
from counterpoise.recipes import sigmoid, softmax
from counterpoise.table.features.schema import Column, Schema
from counterpoise.table.learners import LEARNERS, Job, Rows
from counterpoise.table.learners import catboost as learner
from counterpoise.table.learners.symmetric import MODEL, Symmetric, load
from counterpoise.table.tensors import arrays_of, bytes_of
from counterpoise.weights import ClassCounts

pytestmark = pytest.mark.slow

MANY, FEW = tuple(f"m{place}" for place in range(40)), tuple("abcdef")
SCHEMA = Schema(
    (
        Column("size", "number"),
        Column("many", "category", MANY),
        Column("whole", "number"),
        Column("few", "category", FEW),
        Column("dull", "category", ("x", "y")),
    )
)


def rows_of(classes, count=1500, seed=0, missing=0.05):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 5))
    for place, size in ((1, 40), (3, 6), (4, 2)):
        x[:, place] = rng.integers(0, size, count)
    score = x[:, 0] + 2 * (x[:, 1] % 5 == 1) + (x[:, 3] % 3 == 1) + rng.logistic(size=count)
    x[rng.random(x.shape) < missing] = np.nan
    x[:, 2] = np.round(x[:, 2] * 10)  # what is never missing in training
    x[np.isnan(x[:, 2]), 2] = 0.0
    cuts = np.quantile(score, np.linspace(0.6, 0.9, classes - 1))
    return Rows(x, np.digitize(score, cuts))


def trained(monkeypatch, classes, rounds=60, missing=0.05):
    """CatBoost's own model, and its trees as arrays."""
    needs("catboost")
    kept, real = [], learner._as_arrays
    monkeypatch.setattr(learner, "_as_arrays", lambda model, job: kept.append(model) or real(model, job))
    rows = rows_of(classes, missing=missing)
    counts = ClassCounts(np.bincount(rows.codes).tolist())
    recipe = sigmoid.binary_cross_entropy(counts) if classes == 2 else softmax.cross_entropy(counts)
    return kept, LEARNERS["catboost"].fit(Job(rows, SCHEMA, recipe, counts, rounds=rounds)).model


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_sums_are_catboosts(monkeypatch, classes, missing):
    (model,), found = trained(monkeypatch, classes, missing=missing)
    other = rows_of(classes, count=2000, seed=7, missing=0.2).matrix
    other[:300, 2] = np.nan  # missing where training saw none
    other[300:600, 0] = np.random.default_rng(0).choice([1e300, -1e300, 1e-40, -1e-40, 0.0, -0.0], 300)
    for rounds in (None, 1, 7):
        expected = model.predict(learner._pool(other, SCHEMA), prediction_type="RawFormulaVal", ntree_end=rounds or 0)
        np.testing.assert_allclose(found.logits(other, rounds), expected, rtol=0, atol=1e-12)
    assert len(found.sets) > 3


def test_values_on_borders(monkeypatch):
    """A value counts as the float32 that CatBoost makes of it."""
    (model,), found = trained(monkeypatch, 2)
    borders = found.border[(found.column == 0) & (found.asked < 0)]
    other = np.repeat(rows_of(2, count=1).matrix, 3 * len(borders), axis=0)
    apart = np.concatenate([borders, np.nextafter(borders, 9), np.nextafter(borders.astype(np.float32), np.float32(9))])
    other[:, 0] = apart
    expected = model.predict(learner._pool(other, SCHEMA), prediction_type="RawFormulaVal")
    np.testing.assert_allclose(found.logits(other), expected, rtol=0, atol=1e-12)


def test_an_unknown_form_of_catboost_is_refused(monkeypatch):
    def odd(*given):
        found = real(*given)
        return Symmetric(**{name: value for name, value in vars(found).items() if name != "leaf"}, leaf=found.leaf + 1)

    real = learner.of_catboost
    monkeypatch.setattr(learner, "of_catboost", odd)
    with pytest.raises(UserError, match="keeps its trees in a form that is not known"):
        trained(monkeypatch, 2, rounds=3)


def small():
    """Two trees of two outputs: a border on 0 and a set of `few`; and a leaf alone."""
    sets = (np.array([True] + [False, True] * 3),)
    leaf = np.arange(10.0).reshape(5, 2)
    return Symmetric(
        np.array([2, 0]),
        np.array([0, 3]),
        np.array([0.5, 0.0]),
        np.array([True, False]),
        np.array([-1, 0]),
        sets,
        leaf,
        np.array([0.25, -0.25]),
        5,
    )


def test_a_small_one():
    rows = np.zeros((4, 5))
    rows[:, 0], rows[:, 3] = [0.5, 0.6, np.nan, 0.0], [1.0, 1.0, np.nan, 0.0]
    expected = np.array([[8.25, 9.75], [10.25, 11.75], [10.25, 11.75], [12.25, 13.75]])
    assert small().logits(rows).tolist() == expected.tolist()
    again = load(small().files(), SCHEMA, 2)
    assert again.logits(rows).tolist() == expected.tolist()
    assert again.files() == small().files()


def edit(name, change):
    def edited(arrays):
        arrays[name] = arrays[name].copy()
        change(arrays[name])

    return edited


def with_value(place, value):
    return lambda array: array.__setitem__(place, value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.pop("leaf"), "does not hold depth, column"),
        (lambda arrays: arrays.update(more=np.zeros(1)), "does not hold depth, column"),
        (lambda arrays: arrays.update(border=arrays["border"].astype(np.float32)), "border is float32"),
        (lambda arrays: arrays.update(leaf=arrays["leaf"].ravel()), "leaf is float64 of 1 dimensions"),
        (lambda arrays: arrays.update(leaf=arrays["leaf"][:4]), "leaf has 4 values; trees of this depth have 5"),
        (lambda arrays: arrays.update(leaf=arrays["leaf"][:, :1]), "does not fit the columns and classes"),
        (lambda arrays: arrays.update(start=np.zeros(3)), "does not fit the columns and classes"),
        (lambda arrays: arrays.update(depth=np.zeros(0, np.int64)), "depth is not from 0 to 6"),
        (edit("depth", with_value(0, 7)), "depth is not from 0 to 6"),
        (edit("depth", with_value(0, -1)), "depth is not from 0 to 6"),
        (edit("depth", with_value(1, 2**62)), "depth is not from 0 to 6"),
        (edit("depth", with_value(1, 1)), "column has 2 values; trees of this depth have 3"),
        (edit("column", with_value(0, -1)), "column is out of range"),
        (edit("column", with_value(0, 5)), "column is out of range"),
        (edit("column", with_value(0, 3)), "a split does not fit its column"),
        (edit("column", with_value(1, 0)), "a split does not fit its column"),
        (edit("column", with_value(1, 1)), "a split does not fit its column"),
        (edit("asked", with_value(1, 1)), "asked is out of range"),
        (edit("asked", with_value(1, -2)), "asked is out of range"),
        (edit("asked", with_value(1, -1)), "a split does not fit its column"),
        (edit("asked", with_value(0, 0)), "a split does not fit its column"),
        (edit("border", with_value(0, np.nan)), "border is out of range"),
        (edit("border", with_value(0, np.inf)), "border is out of range"),
        (edit("missing", with_value(0, 2)), "missing is out of range"),
        (edit("leaf", with_value((0, 0), np.nan)), "leaf is out of range"),
        (edit("leaf", with_value((0, 0), 1e200)), "leaf is out of range"),
        (edit("start", with_value(0, np.inf)), "start is out of range"),
        (edit("codes_of_sets", with_value(0, 0)), "codes_of_sets do not divide sets"),
        (edit("codes_of_sets", with_value(0, 9)), "codes_of_sets do not divide sets"),
        (edit("codes_of_sets", with_value(0, 2**62)), "codes_of_sets do not divide sets"),
        (edit("codes_of_sets", with_value(0, 8)), "a split does not fit its column"),
        (lambda arrays: arrays.update(sets=np.zeros(0, np.uint8)), "codes_of_sets do not divide sets"),
        (lambda arrays: arrays.update(sets=np.zeros(0, np.uint8), codes_of_sets=np.zeros(0, np.int64)), "asked is out"),
    ],
)
def test_arrays_that_make_no_trees(change, words):
    arrays = arrays_of(small().files()[MODEL], MODEL)
    change(arrays)
    with pytest.raises(UserError, match=rf"^trees\.safetensors.*{words}"):
        load({MODEL: bytes_of(arrays)}, SCHEMA, 2)


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"\xff" * 8 + b"{}", bytes(8)])
def test_what_is_no_safetensors(data):
    with pytest.raises(UserError, match=r"trees\.safetensors"):
        load({MODEL: data}, SCHEMA, 2)
