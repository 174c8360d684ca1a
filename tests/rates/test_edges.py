"""Where rates usually break: nothing to measure, absent classes, masked and far logits, big batches, bad input."""

import itertools

import numpy as np
import pytest

import counterpoise as cp
from counterpoise import rates
from frameworks import FRAMEWORKS
from rate_cases import COUNTED, RANKED, RATES, rate_id

every_rate = pytest.mark.parametrize("case", RATES, ids=rate_id)
NUMPY, TORCH, TENSORFLOW, XLA, JAX = FRAMEWORKS
every_framework = pytest.mark.parametrize("framework", [TORCH, TENSORFLOW], ids=str)
rng = np.random.default_rng(2)


def loss(case, logits, target, **options):
    name, parameters = case
    return getattr(rates, name)(logits, target, **parameters, **options)


def together(logits, target, cases=RATES, **options):
    return sum(loss(case, logits, target, **options) for case in cases)


NOTHING = {
    "empty batch": (np.zeros((0, 3)), np.zeros(0, int), {}),
    "all weights 0": (rng.normal(size=(5, 3)), np.arange(5) % 3, {"sample_weight": np.zeros(5)}),
    "all ignored": (rng.normal(size=(5, 3)), np.full(5, -1), {"ignore_index": -1}),
    "empty binary": (np.zeros(0), np.zeros(0), {}),
}


@pytest.mark.parametrize("batch", NOTHING)
@every_framework
def test_nothing_to_measure_is_zero(framework, batch):
    logits, target, options = NOTHING[batch]
    value, gradient = framework.value_and_gradient(lambda z: together(z, target, **options), logits)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(logits))


def test_nothing_to_measure_is_zero_when_compiled():
    logits, target, options = NOTHING["all weights 0"]
    value, gradient = JAX.value_and_gradient(lambda z: together(z, target, **options), logits)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(logits))


@every_framework
def test_no_positive_is_zero_but_for_balanced_accuracy(framework):
    logits, target = rng.normal(size=6), np.zeros(6)
    cases = [case for case in RATES if case[0] != "balanced_accuracy"]
    value, gradient = framework.value_and_gradient(lambda z: together(z, target, cases), logits)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_balanced_accuracy_without_positives_is_that_of_the_negatives():
    logits = np.array([0.0, 100.0, -100.0, -100.0])
    assert rates.balanced_accuracy(logits, np.zeros(4)) == 1.5 / 4
    assert rates.balanced_accuracy(logits, np.ones(4)) == 2.5 / 4


@every_rate
def test_an_absent_class_enters_no_mean(case):
    logits, target = rng.normal(size=(12, 3)), np.eye(3)[np.arange(12) % 2]
    each = loss(case, logits, target, average="none", multilabel=True)
    if case[0] != "balanced_accuracy":
        assert each[2] == 0
        np.testing.assert_allclose(loss(case, logits, target, multilabel=True), each[:2].mean(), rtol=1e-12)
    assert np.isfinite(loss(case, logits, target))


FAR = {
    "right": (100.0 * np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 2, 0])),
    "wrong": (100.0 * np.eye(3)[[1, 2, 0, 1]], np.array([0, 1, 2, 0])),
    "all one class": (np.tile([100.0, 0, -100], (4, 1)), np.array([0, 1, 2, 0])),
    "mixed": (rng.choice([-100.0, 0, 100, 60], size=(8, 3)), np.arange(8) % 3),
    "beyond": (rng.choice([-1000.0, 0, 1000, 60], size=(8, 3)), np.arange(8) % 3),
}


@pytest.mark.parametrize(
    ("framework", "batch", "dtype"),
    [*itertools.product([TORCH], FAR, ["float32", "float64"]), (TENSORFLOW, "mixed", "float32")],
    ids=str,
)
def test_far_logits_have_right_values_and_finite_gradients(framework, batch, dtype):
    logits, target = FAR[batch]
    for case in RATES:
        for multilabel in (False, True):
            y = np.eye(3)[target] if multilabel else target
            value, gradient = framework.value_and_gradient(
                lambda z, case=case, y=y, m=multilabel: loss(case, z, y, multilabel=m), logits.astype(dtype)
            )
            reference = loss(case, logits, y, multilabel=multilabel)
            np.testing.assert_allclose(value, reference, rtol=1e-5, atol=1e-6)
            assert np.isfinite(gradient).all(), case


def test_far_logits_when_compiled():
    logits, target = FAR["mixed"]
    logits = logits.astype(np.float32)
    value, gradient = JAX.value_and_gradient(lambda z: together(z, target), logits)
    np.testing.assert_allclose(value, together(logits.astype(np.float64), target), rtol=1e-5)
    true = TORCH.value_and_gradient(lambda z: together(z, target), logits.astype(np.float64))[1]
    np.testing.assert_allclose(gradient, true, rtol=0, atol=1e-5 * np.abs(true).max())


def test_small_losses_keep_their_digits():
    logits, target = np.array([20.0, 25.0, -20.0, -30.0]), np.array([1, 1, 0, 0])
    missed = (1 / (1 + np.exp(20)) + 1 / (1 + np.exp(25))) / 2
    np.testing.assert_allclose(rates.recall(logits, target), missed, rtol=1e-14)
    np.testing.assert_allclose(rates.recall(logits.astype(np.float32), target), missed, rtol=1e-6)


@every_framework
def test_a_masked_class_is_as_if_it_were_not_there(framework):
    logits, target = rng.normal(size=(8, 2)), np.arange(8) % 2
    hidden = np.concatenate([logits, np.full((8, 1), -np.inf)], axis=1)
    cases = [case for case in COUNTED if case[0] != "mcc"]
    value, gradient = framework.value_and_gradient(lambda z: together(z, target, cases), hidden)
    true, slopes = framework.value_and_gradient(lambda z: together(z, target, cases), logits)
    np.testing.assert_allclose(value, true, rtol=1e-12)
    np.testing.assert_allclose(gradient, np.concatenate([slopes, np.zeros((8, 1))], axis=1), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("framework", [TORCH, TENSORFLOW], ids=str)
def test_a_masked_score_is_not_ranked(framework):
    logits, target = rng.normal(size=8), np.arange(8) % 2
    hidden, more = np.append(logits, [-np.inf, -np.inf]), np.append(target, [0, 1])
    value, gradient = framework.value_and_gradient(lambda z: together(z, more, RANKED), hidden)
    true, slopes = framework.value_and_gradient(lambda z: together(z, target, RANKED), logits)
    np.testing.assert_allclose(value, true, rtol=1e-12)
    np.testing.assert_allclose(gradient, np.append(slopes, [0, 0]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("framework", [NUMPY, TORCH, JAX], ids=str)
def test_many_rows_in_float32(framework):
    logits = rng.normal(size=(200_000, 1)).astype(np.float32)
    target = (rng.uniform(size=(200_000, 1)) < 0.01).astype(np.float32)
    for name in ("recall", "precision", "mcc", "roc_auc"):
        found = framework.numpy(getattr(rates, name)(framework.array(logits), framework.array(target)))
        true = getattr(rates, name)(logits.astype(np.float64), target.astype(np.float64))
        np.testing.assert_allclose(found, true, rtol=3e-6)


def test_memory_of_average_precision_is_a_block():
    logits, target = rng.normal(size=30_000), np.arange(30_000) % 100 == 0
    value = rates.average_precision(logits, target)  # 300 x 30,000 pairs in blocks, not 30,000 x 30,000
    assert 0.9 < value < 1


@pytest.mark.parametrize("framework", [TORCH, TENSORFLOW], ids=str)
def test_half_precision_is_computed_in_float32(framework):
    logits, target = framework.array(rng.normal(size=(6, 3)).astype(np.float32)), np.arange(6) % 3
    value = rates.f_beta(framework.cast(logits, "bfloat16"), target)
    assert "float32" in str(value.dtype)


BAD = [
    ({"average": "makro"}, "did you mean 'macro'"),
    ({"average": 3}, "average is class 3, but the classes are 0 to 2"),
    ({"average": True}, "average is True"),
    ({"beta": 0.0}, "beta is 0"),
    ({"betta": 1.0}, "did you mean 'beta'"),
    ({"class_weight": [1, 2]}, "there are 3 classes"),
    ({"class_weight": [1, 2, 3], "average": "micro"}, "class_weight is for average"),
    ({"class_weight": [0, 0, 0]}, "class_weight is 0 for every class"),
    ({"sample_weight": [1, 2, -1]}, "weights are finite and at least 0"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_arguments(options, message):
    with pytest.raises(cp.UserError, match=message):
        rates.f_beta(np.zeros((3, 3)), [0, 1, 2], **options)


def test_bad_targets():
    with pytest.raises(cp.UserError, match="multilabel=True"):
        rates.dice(np.zeros((2, 3)), np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    with pytest.raises(cp.UserError, match="target holds class 3"):
        rates.dice(np.zeros((2, 3)), [0, 3])
    with pytest.raises(cp.UserError, match="have no class"):
        rates.dice(np.zeros((2, 0)), np.zeros((2, 0)))
    with pytest.raises(cp.UserError, match="low must be the smaller"):
        rates.partial_auc(np.zeros(2), [0, 1], low=0.2, high=0.1)
    with pytest.raises(cp.UserError, match="did you mean 'sigmoid'"):
        rates.roc_auc(np.zeros(2), [0, 1], surrogate="sigmoids")
    with pytest.raises(cp.UserError, match="has no counts"):
        rates.of_counts("roc_auc", rates.soft_counts(np.zeros(2), [0, 1]))
    with pytest.raises(cp.UserError, match="one number of all of them"):
        rates.mcc(np.zeros((3, 3)), [0, 1, 2], class_weight=[1, 2, 3])


@pytest.mark.parametrize("framework", [XLA, JAX], ids=str)
def test_a_class_out_of_range_is_nan_where_it_cannot_be_seen(framework):
    if framework is JAX:
        value = framework.jax.jit(lambda z, y: rates.recall(z, y))(np.zeros((2, 3), np.float32), np.array([0, 3]))
    else:
        run = framework.tf.function(lambda z, y: rates.recall(z, y), jit_compile=True)
        value = run(np.zeros((2, 3), np.float32), np.array([0, 3]))
    assert np.isnan(value)


def test_second_derivatives():
    torch = TORCH.torch
    z = torch.randn(7, dtype=torch.float64).requires_grad_()
    y = torch.tensor([1.0, 0, 0, 1, 0, 0, 0], dtype=torch.float64)
    for case in RATES:
        assert torch.autograd.gradgradcheck(lambda x, case=case: loss(case, x, y), z), case
