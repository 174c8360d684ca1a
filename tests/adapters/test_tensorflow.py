"""TensorFlow: eager, tf.function, XLA and SavedModel give one number; unknown batch sizes are no obstacle."""

import numpy as np
import pytest
import tensorflow as tf

import counterpoise as cp
from cases import SIGMOID, SOFTMAX, batches, name_of
from counterpoise.tensorflow import loss

pytestmark = pytest.mark.slow

NAMES = (
    "softmax.cross_entropy",
    "softmax.ldam",
    "softmax.expected_cost",
    "smoothed",
    "by predicted",
    "everything by pair",
)
RECIPES = [*(recipe for recipe in SOFTMAX if recipe.name in NAMES), SIGMOID[0], SIGMOID[-1]]


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_function_of_unknown_batch_size(recipe, jit_compile):
    width = 4 if recipe.family == "softmax" else 3
    target = tf.TensorSpec((None,), tf.int64) if width == 4 else tf.TensorSpec((None, 3), tf.float64)

    @tf.function(input_signature=[tf.TensorSpec((None, width), tf.float64), target], jit_compile=jit_compile)
    def step(z, y):
        return loss(z, y, recipe)

    batch = batches(recipe)[0]
    for rows in (3, len(batch.logits)):
        z, y = batch.logits[:rows], batch.target[:rows]
        assert np.isclose(float(step(z, y)), cp.loss(z, y, recipe), rtol=1e-12)


def test_saved_model(tmp_path):
    recipe = SOFTMAX[-1]

    class Criterion(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 4)), tf.TensorSpec((None,), tf.int32)])
        def __call__(self, z, y):
            return loss(z, y, recipe)

    tf.saved_model.save(Criterion(), str(tmp_path / "criterion"))
    loaded = tf.saved_model.load(str(tmp_path / "criterion"))
    z, y = tf.Variable([[1.0, 2.0, -1.0, 0.5]]), tf.constant([2])
    with tf.GradientTape() as tape:
        value = loaded(z, y)
    gradient = tape.gradient(value, z)
    expected = cp.loss_and_gradient(z.numpy(), y.numpy(), recipe)
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-5, atol=1e-7)


def test_class_out_of_range_is_nan_where_it_cannot_be_seen():
    step = tf.function(lambda z, y: loss(z, y, cp.softmax.focal()))
    assert np.isnan(step(tf.zeros((1, 3)), tf.constant([3])))
    with pytest.raises(ValueError, match="class 3, but the recipe has 3 classes"):
        loss(tf.zeros((1, 3)), tf.constant([3]), cp.softmax.focal())


UNSEEN = {
    "ignored": {"target": [0, -1, 2, 1], "ignore_index": -1},
    "weight 0": {"target": [0, 1, 2, 1], "sample_weight": [1.0, 0.0, 2.0, 1.0]},
}
PRIOR = [9, 3, 1]
FUNCTIONS = {
    "weighted": lambda z, **given: cp.loss(z, recipe=cp.softmax.weighted(PRIOR), reduction="weighted_mean", **given),
    "focal": lambda z, **given: cp.loss(z, recipe=cp.softmax.focal(gamma=0.5), reduction="sum", **given),
    "expected_cost": lambda z, **given: cp.loss(z, recipe=cp.softmax.expected_cost(1 - np.eye(3)), **given),
    "rows": lambda z, **given: cp.loss(z, recipe=cp.softmax.ldam(PRIOR), reduction="none", **given),
    "f_beta": cp.rates.f_beta,
    "roc_auc": cp.rates.roc_auc,
    "average_precision": cp.rates.average_precision,
}


@pytest.mark.parametrize("unseen", UNSEEN.values(), ids=list(UNSEEN))
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_logits_that_do_not_count_reach_no_gradient(function, unseen):
    """As in the padding of a sequence, whose attention is a softmax of nothing."""
    whole = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    found = []
    for row in (whole[1], [np.nan] * 3, [np.inf, 0.0, np.nan], [-np.inf] * 3):
        logits = tf.Variable(whole)
        logits[1].assign(row)
        with tf.GradientTape() as tape:
            value = function(logits, **unseen)
        found.append((value.numpy(), tape.gradient(value, logits).numpy()))
    for value, slope in found:
        np.testing.assert_allclose(value, found[0][0], rtol=1e-6)
        np.testing.assert_allclose(slope, found[0][1], rtol=1e-6)
        assert (slope[1] == 0).all()


@pytest.mark.parametrize(
    "recipe", [cp.sigmoid.focal(), cp.sigmoid.asymmetric(), cp.sigmoid.weighted([5, 1])], ids=name_of
)
def test_elements_that_do_not_count_reach_no_gradient(recipe):
    logits = tf.Variable([[1.0, np.nan], [np.inf, 2.0]])
    with tf.GradientTape() as tape:
        value = loss(logits, [[1.0, -1.0], [-1.0, 0.0]], recipe, ignore_index=-1)
    np.testing.assert_allclose(value, cp.loss(np.array([1.0, 2.0]), [1, 0], recipe), rtol=1e-6)
    assert (tape.gradient(value, logits).numpy()[[0, 1], [1, 0]] == 0).all()
