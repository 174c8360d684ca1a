"""Recipes as LightGBM objectives."""

import numpy as np
import pytest

from counterpoise.errors import UserError
from counterpoise.lightgbm import Objective, bake_start, slopes
from counterpoise.recipes import sigmoid, softmax

lightgbm = pytest.importorskip("lightgbm")
QUIET = {"verbosity": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True}


def rows(classes, n=400):
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(n, 3))
    return matrix, np.digitize(matrix[:, 0] + rng.normal(size=n), np.linspace(-0.5, 1.2, classes - 1))


def test_plain_binary_gives_the_built_in_trees():
    matrix, label = rows(2)
    built_in = lightgbm.train(
        {**QUIET, "objective": "binary", "boost_from_average": False}, lightgbm.Dataset(matrix, label), 20
    )
    ours = lightgbm.train(
        {**QUIET, "objective": Objective(sigmoid.binary_cross_entropy())}, lightgbm.Dataset(matrix, label), 20
    )
    np.testing.assert_allclose(ours.predict(matrix), built_in.predict(matrix, raw_score=True), rtol=1e-5, atol=1e-6)


def test_plain_multiclass_gives_the_built_in_trees():
    matrix, label = rows(3)
    settings = {**QUIET, "num_class": 3, "boost_from_average": False}
    built_in = lightgbm.train({**settings, "objective": "multiclass"}, lightgbm.Dataset(matrix, label), 10)
    start = np.tile(np.log(np.bincount(label) / len(label)), (len(label), 1))
    ours = lightgbm.train(
        {**settings, "objective": Objective(softmax.cross_entropy())},
        lightgbm.Dataset(matrix, label, init_score=start),
        10,
    )
    zero = lightgbm.train(
        {**settings, "objective": "multiclass"}, lightgbm.Dataset(matrix, label, init_score=start), 10
    )
    assert built_in.num_trees() == ours.num_trees() == 30
    np.testing.assert_allclose(ours.predict(matrix), zero.predict(matrix, raw_score=True), rtol=1e-4, atol=1e-5)


def test_sample_weights_count():
    matrix, label = rows(2)
    times = np.random.default_rng(0).integers(1, 4, len(label))
    settings = {**QUIET, "objective": Objective(sigmoid.focal()), "max_bin": 15, "min_data_in_leaf": 1}
    settings["min_data_in_bin"] = 1
    weighted = Objective(sigmoid.focal())(np.zeros(len(label)), _Data(label, times))
    plain = Objective(sigmoid.focal())(np.zeros(len(label)), _Data(label, None))
    np.testing.assert_allclose(weighted[0], plain[0] * times)
    np.testing.assert_allclose(weighted[1], plain[1] * times)
    assert lightgbm.train(settings, lightgbm.Dataset(matrix, label, weight=times), 3).num_trees() == 3


class _Data:
    def __init__(self, label, weight):
        self.label, self.weight = label, weight

    def get_label(self):
        return self.label

    def get_weight(self):
        return self.weight


@pytest.mark.parametrize("recipe", [sigmoid.focal(gamma=2.0), sigmoid.poly1(epsilon=-0.5), sigmoid.generalized()])
def test_curvature_stays_positive(recipe):
    logits = np.linspace(-40, 40, 101)
    for label in (0, 1):
        gradient, curvature = Objective(recipe)(logits, _Data(np.full(101, label), None))
        assert np.all(curvature > 0)
        assert np.all(np.isfinite(gradient))


def test_soft_labels_stay_soft():
    gradient, _ = slopes(sigmoid.binary_cross_entropy(), [0.0, 0.0], [0.7, 0.2])
    np.testing.assert_allclose(gradient, [-0.2, 0.3])


@pytest.mark.parametrize("recipe, logits", [(sigmoid.focal(), np.zeros(2)), (softmax.focal(), np.zeros((2, 3)))])
@pytest.mark.parametrize("label", [1.9, np.nan, -1, 7])
def test_labels_that_are_none_are_refused(recipe, logits, label):
    with pytest.raises(UserError, match=r"row 1|target\[1\]") as error:
        slopes(recipe, logits, [1, label])
    assert f"{label:g}" in str(error.value).lower()


def test_softmax_takes_no_soft_label():
    with pytest.raises(UserError, match=r"label 0.7 in row 1 is no class; .* whole numbers from 0 to 2"):
        slopes(softmax.cross_entropy(), np.zeros((2, 3)), [1, 0.7])


def test_a_softmax_of_one_class():
    gradient, curvature = slopes(softmax.cross_entropy(), np.zeros((2, 1)), [0, 0])
    assert gradient.tolist() == curvature.tolist() == [[0.0], [0.0]]
    with pytest.raises(UserError, match="num_class"):
        slopes(softmax.cross_entropy(), np.zeros(2), [0, 0])


@pytest.mark.parametrize("least", [0.0, 1e9], ids=["trees", "single leaves"])
def test_the_start_is_baked_into_the_model(least):
    matrix, label = rows(3)
    start = np.array([0.5, -1.0, 2.0])
    settings = {**QUIET, "num_class": 3, "min_gain_to_split": least, "objective": Objective(softmax.focal())}
    data = lightgbm.Dataset(matrix, label, init_score=np.tile(start, (len(label), 1)))
    booster = lightgbm.train(settings, data, 3)
    before = booster.predict(matrix)
    bake_start(booster, start)
    again = lightgbm.Booster(model_str=booster.model_to_string())
    np.testing.assert_allclose(again.predict(matrix), before + start, rtol=1e-12, atol=1e-12)
