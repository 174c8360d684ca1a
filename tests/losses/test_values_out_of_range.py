"""A value that cannot be is an error where it can be seen, and NaN where it cannot: never a number that looks fine."""

import numpy as np
import pytest

import counterpoise as cp
from frameworks import FRAMEWORKS

CROSS_ENTROPY, BINARY = cp.softmax.cross_entropy(), cp.sigmoid.binary_cross_entropy()
LOGITS, ROW = np.zeros((2, 3)), np.zeros(2)
BAD = [
    pytest.param(CROSS_ENTROPY, LOGITS, np.array([0, 3]), None, "class 3", id="class out of range"),
    pytest.param(CROSS_ENTROPY, LOGITS, np.full((2, 3), np.nan), None, "is nan", id="soft target NaN"),
    pytest.param(CROSS_ENTROPY, LOGITS, np.array([[1.0, 0, 0], [-5, 1, 1]]), None, "is -5", id="soft target negative"),
    pytest.param(BINARY, ROW, np.array([np.nan, 0]), None, "is nan", id="sigmoid target NaN"),
    pytest.param(BINARY, ROW, np.array([-1.0, 1]), None, "is -1", id="sigmoid target -1"),
    pytest.param(CROSS_ENTROPY, LOGITS, np.array([0, 1]), np.array([-1.0, 2]), "is -1", id="negative weight"),
    pytest.param(BINARY, ROW, np.array([0.0, 1]), np.array([np.nan, 2]), "is nan", id="weight NaN"),
    pytest.param(BINARY, ROW, np.array([0.0, 1]), np.array([np.inf, 2]), "is inf", id="weight infinite"),
]


@pytest.mark.parametrize("framework", [f for f in FRAMEWORKS if f.name != "tensorflow-xla"], ids=str)
@pytest.mark.parametrize(("recipe", "logits", "target", "weight", "message"), BAD)
def test_seen(framework, recipe, logits, target, weight, message):
    with pytest.raises(cp.UserError, match=message):
        framework.loss(recipe, logits, target, **({} if weight is None else {"sample_weight": weight}))


@pytest.mark.parametrize("traced", ["jax", "tensorflow", "tensorflow-xla"])
@pytest.mark.parametrize(("recipe", "logits", "target", "weight", "message"), BAD)
def test_unseen(traced, recipe, logits, target, weight, message):
    weight = np.ones(2) if weight is None else weight

    def loss(z, y, w):
        return cp.loss(z, y, recipe, sample_weight=w, reduction="weighted_mean")

    if traced == "jax":
        import jax

        value = jax.jit(loss)(*map(jax.numpy.asarray, (logits, target, weight)))
    else:
        import tensorflow as tf

        step = tf.function(loss, jit_compile=traced == "tensorflow-xla")
        value = step(*map(tf.constant, (logits, target, weight)))
    assert np.isnan(float(value)), message


@pytest.mark.parametrize("sizes", [(5, 1), (1, 5)], ids=str)
@pytest.mark.parametrize("recipe", [CROSS_ENTROPY, BINARY], ids=["softmax", "sigmoid"])
def test_unknown_batch_sizes_must_agree(recipe, sizes):
    import tensorflow as tf

    softmax = recipe is CROSS_ENTROPY
    specs = [tf.TensorSpec((None, 3) if softmax else (None,)), tf.TensorSpec((None,), tf.int64)]
    step = tf.function(lambda z, y: cp.loss(z, y, recipe), input_signature=specs)
    rows, targets = sizes
    # TensorFlow's own operation may run before ours that says it
    said = "target and sample_weight must fit the logits|should be equal to indices.shape"
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        step(tf.zeros((rows, 3) if softmax else (rows,)), tf.zeros(targets, tf.int64))


@pytest.mark.parametrize("framework", [f for f in FRAMEWORKS if f.name != "numpy"], ids=str)
def test_plus_infinity_is_nan_in_frameworks(framework):
    value = framework.loss(CROSS_ENTROPY, np.array([[np.inf, 0.0]]), np.array([0]))
    assert np.isnan(value)


def test_concrete_arrays_may_be_captured_by_a_trace():
    import jax

    target, weight = jax.numpy.array([0, 1]), jax.numpy.ones(2)
    value = jax.jit(lambda z: cp.loss(z, target, CROSS_ENTROPY, sample_weight=weight))(LOGITS)
    assert np.isclose(value, np.log(3))


@pytest.mark.parametrize("normalizer", [0, -1, np.float32(-1), np.nan, np.inf, "x", np.array([1.0, 2.0])], ids=str)
def test_normalizer_is_one_positive_number(normalizer):
    with pytest.raises(cp.UserError, match="normalizer"):
        cp.loss(LOGITS, [0, 1], CROSS_ENTROPY, normalizer=normalizer)


@pytest.mark.parametrize("framework", [f for f in FRAMEWORKS if f.name != "numpy"], ids=str)
@pytest.mark.parametrize("recipe", [CROSS_ENTROPY, cp.softmax.SoftmaxRecipe(smoothing=0.2)], ids=str)
def test_a_row_with_every_class_masked_is_nan_in_frameworks(framework, recipe):
    assert np.isnan(framework.loss(recipe, np.full((1, 3), -np.inf), np.array([0])))


def test_an_integer_target_of_several_classes_is_no_one_hot():
    with pytest.raises(cp.UserError, match=r"target\[0\] names 3 classes; a one-hot target names one"):
        cp.loss(LOGITS, np.ones((2, 3), int), CROSS_ENTROPY)


@pytest.mark.parametrize("recipe", [CROSS_ENTROPY, BINARY], ids=["softmax", "sigmoid"])
def test_ignore_index_is_a_number(recipe):
    with pytest.raises(cp.UserError, match="ignore_index is 'x'"):
        cp.loss(LOGITS if recipe is CROSS_ENTROPY else ROW, [0, 1], recipe, ignore_index="x")
