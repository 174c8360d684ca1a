"""Boosters that start from the counts of all rows, as where several workers hold them; and what an objective keeps."""

import copy
import pickle

import numpy as np
import pytest

import counterpoise as cp
from counterpoise import lightgbm, xgboost
from counterpoise.catboost import Metric
from counterpoise.catboost import Objective as CatBoostObjective

LABELS = np.repeat([0, 1], [90, 10])
COUNTS = cp.ClassCounts([90, 10])
RECIPES = [cp.sigmoid.focal(), cp.softmax.weighted([90, 10])]
HOSTS = [lightgbm.Objective, xgboost.Objective, CatBoostObjective]


@pytest.mark.parametrize("recipe", RECIPES, ids=["sigmoid", "softmax"])
@pytest.mark.parametrize("host", HOSTS, ids=["lightgbm", "xgboost", "catboost"])
def test_counts_are_as_good_as_the_labels(host, recipe):
    objective = host(recipe)
    np.testing.assert_allclose(objective.initial_logits(COUNTS), objective.initial_logits(LABELS), rtol=1e-6)
    np.testing.assert_allclose(objective.start(COUNTS, rows=7), objective.start(LABELS, rows=7), rtol=1e-6)
    with pytest.raises(cp.UserError, match="rows is missing"):
        objective.start(COUNTS)
    with pytest.raises(cp.UserError, match="weight goes with labels"):
        objective.initial_logits(COUNTS, np.ones(100))
    with pytest.raises(cp.UserError, match="two classes need samples"):
        objective.initial_logits(cp.ClassCounts([90, 0]))


def test_a_shard_of_one_class_is_normal_once_the_counts_are_known():
    objective, logits = lightgbm.Objective(cp.sigmoid.focal()), np.zeros(3)
    with pytest.raises(cp.UserError, match="all 3 labels are 0, so there is nothing to learn"):
        objective(np.zeros(3), logits)
    objective.start(COUNTS, rows=3)
    for one in (
        objective,
        copy.deepcopy(objective),
        pickle.loads(pickle.dumps(objective)),
    ):  # LightGBM trains by a copy
        gradient, curvature = one(np.zeros(3), logits)
        assert (gradient > 0).all() and (curvature > 0).all()


def test_labels_that_change_in_place_are_seen():
    objective, labels, logits = lightgbm.Objective(cp.sigmoid.focal()), np.array([0.0, 1, 0, 1]), np.zeros(4)
    objective(labels, logits)
    labels[:] = 1 - labels
    np.testing.assert_array_equal(objective(labels, logits), lightgbm.Objective(cp.sigmoid.focal())(labels, logits))


def test_soft_labels_keep_their_digits_after_single_precision():
    recipe, labels = cp.sigmoid.binary_cross_entropy(), np.array([0.1, 0.9])
    objective = lightgbm.Objective(recipe)
    objective(labels, np.zeros(2, np.float32))
    np.testing.assert_array_equal(objective(labels, np.zeros(2)), lightgbm.Objective(recipe)(labels, np.zeros(2)))


@pytest.mark.parametrize("metric", [lightgbm.Objective(cp.sigmoid.focal()).metric])
def test_validation_rows_of_no_weight_have_no_loss(metric):
    assert metric(np.array([0, 1.0]), np.zeros(2), np.zeros(2))[1] == 0
    assert Metric(cp.sigmoid.focal()).evaluate([np.zeros(2)], np.array([0, 1]), np.zeros(2))[0] == 0


@pytest.mark.parametrize(
    "recipe", [cp.softmax.focal(), cp.softmax.expected_cost([[0, 1, 2], [1, 0, 1], [3, 1, 0]])], ids=["focal", "cost"]
)
def test_the_floor_holds_for_several_classes_after_scaling(recipe):
    for scale in (1.0, 100.0):
        _, hessian = CatBoostObjective(recipe, floor=1.0, scale=scale).calc_ders_multi([0.0, 0.0, 9.0], 2, 1.0)
        assert np.abs(np.diag(hessian)).min() == pytest.approx(1.0)


@pytest.mark.parametrize("target", [-1, 1.5, 3])
def test_what_is_no_class_is_refused_for_one_row(target):
    with pytest.raises(cp.UserError, match="a class is a whole number from 0 to 2"):
        CatBoostObjective(cp.softmax.focal()).calc_ders_multi([0.0, 1.0, 2.0], target, 1.0)
