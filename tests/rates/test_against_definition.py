"""Every rate, average, family and framework against the definition in plain NumPy (rate_cases.py)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoise import rates
from frameworks import FRAMEWORKS
from rate_cases import COUNTED, RATES, expected, rate_id

every_rate = pytest.mark.parametrize("case", RATES, ids=rate_id)
NUMPY, TORCH, TENSORFLOW, XLA, JAX = FRAMEWORKS
every_framework = pytest.mark.parametrize("framework", [NUMPY, TORCH, TENSORFLOW], ids=str)
rng = np.random.default_rng(5)

BINARY = rng.normal(size=12) * 2, np.repeat([1.0, 0.0, 0.0], 4)
CLASSES = rng.normal(size=(12, 4)) * 2, np.arange(12) % 4
LABELS = rng.normal(size=(12, 3)) * 2, (rng.uniform(size=(12, 3)) < 0.4).astype(float)
BATCHES = {"binary": (BINARY, {}), "classes": (CLASSES, {}), "labels": (LABELS, {"multilabel": True})}
AVERAGES = ("macro", "micro", "weighted", "none", 0)


def loss(case, logits, target, **options):
    name, parameters = case
    return getattr(rates, name)(logits, target, **parameters, **options)


def one_hot(target, logits):
    return np.eye(logits.shape[1])[target] if target.dtype.kind == "i" else target


def by_definition(case, logits, target, **options):
    z = logits if logits.ndim > 1 else logits[:, None]
    return expected(case, z, one_hot(target, z), **options)


def slopes(function, logits, step=1e-6):
    """The gradient by central differences."""
    gradient = np.empty_like(logits)
    for place in np.ndindex(logits.shape):
        ends = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[place] += sign * step
            ends.append(function(moved))
        gradient[place] = (ends[0] - ends[1]) / (2 * step)
    return gradient


@every_rate
@pytest.mark.parametrize("batch", BATCHES)
@every_framework
def test_value_and_gradient(framework, batch, case):
    (logits, target), options = BATCHES[batch]
    value, gradient = framework.value_and_gradient(lambda z: loss(case, z, target, **options), logits)
    np.testing.assert_allclose(value, by_definition(case, logits, target, **options), rtol=1e-10)
    if gradient is not None:
        true = slopes(lambda z: by_definition(case, z, target, **options), logits)
        np.testing.assert_allclose(gradient, true, rtol=1e-6, atol=1e-9)


def together(logits, target, **options):
    """All rates at once, each with a factor of its own, so that a framework compiles one program."""
    return sum((1 + k / 7) * loss(case, logits, target, **options) for k, case in enumerate(RATES))


@pytest.mark.parametrize(
    ("framework", "batch", "dtype"),
    [(JAX, "binary", "float64"), (JAX, "labels", "float32"), (XLA, "classes", "float64")],
    ids=str,
)
def test_value_and_gradient_when_compiled(framework, batch, dtype):
    (logits, target), options = BATCHES[batch]
    logits = logits.astype(dtype)
    found = framework.value_and_gradient(lambda z: together(z, target, **options), logits)
    true = TORCH.value_and_gradient(lambda z: together(z, target, **options), logits.astype(np.float64))
    for one, other in zip(found, true, strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(one, other, rtol=0, atol=np.finfo(dtype).eps * 50 * np.abs(other).max())


@every_rate
@pytest.mark.parametrize("batch", ["classes", "labels"])
@pytest.mark.parametrize("average", AVERAGES)
def test_averages(average, batch, case):
    (logits, target), options = BATCHES[batch]
    value = loss(case, logits, target, average=average, **options)
    np.testing.assert_allclose(value, by_definition(case, logits, target, average=average, **options), rtol=1e-10)


@every_rate
@every_framework
def test_float32_is_as_close_as_float32_can_be(framework, case):
    logits, target = rng.normal(size=(200, 3)).astype(np.float32) * 4, rng.integers(3, size=200)
    value, gradient = framework.value_and_gradient(lambda z: loss(case, z, target), logits)
    reference = TORCH.value_and_gradient(lambda z: loss(case, z, target), logits.astype(np.float64))
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, reference[0], rtol=2e-6, atol=2e-7)
    if gradient is not None:
        assert gradient.dtype == np.float32
        np.testing.assert_allclose(gradient, reference[1], rtol=0, atol=3e-6 * np.abs(reference[1]).max())


@every_rate
def test_segmentation_is_its_pixels(case):
    images, masks = rng.normal(size=(2, 3, 2, 4)), rng.integers(3, size=(2, 2, 4))
    pixels = np.moveaxis(images, 1, -1).reshape(-1, 3)
    value = loss(case, images, masks, class_axis=1)
    np.testing.assert_allclose(value, loss(case, pixels, masks.ravel()), rtol=1e-12)
    by_image = loss(case, images, masks, class_axis=1, sample_weight=[1.0, 3.0])
    np.testing.assert_allclose(
        by_image, loss(case, pixels, masks.ravel(), sample_weight=np.repeat([1.0, 3.0], 8)), rtol=1e-12
    )
    one_class = loss(case, images[:, :1], masks == 1, class_axis=1)
    np.testing.assert_allclose(one_class, loss(case, images[:, 0].ravel(), (masks == 1).ravel()), rtol=1e-12)


@every_rate
def test_one_score_per_row_in_every_shape(case):
    logits, target = BINARY
    value = loss(case, logits, target)
    for z, t in ((logits[:, None], target), (logits[:, None], target[:, None]), (logits, target.astype(bool))):
        np.testing.assert_allclose(loss(case, z, t), value, rtol=1e-12)
    np.testing.assert_allclose(loss(case, logits, target, average=1), value, rtol=1e-12)
    np.testing.assert_allclose(loss(case, logits, target, average=0), loss(case, -logits, 1 - target), rtol=1e-12)


@every_rate
def test_two_exclusive_classes_are_one_score(case):
    logits, target = BINARY
    two = np.stack([np.zeros_like(logits), logits], axis=1)
    found = loss(case, two, target.astype(int), average=1)
    np.testing.assert_allclose(found, loss(case, logits, target), rtol=1e-12)


@pytest.mark.parametrize("case", RATES[:-2], ids=rate_id)  # in the precision at a rank a tied row counts as half
def test_a_weight_of_two_is_the_row_twice(case):
    logits, target = BINARY
    weight = 1.0 + (np.arange(len(logits)) % 2)
    twice = np.repeat(np.arange(len(logits)), weight.astype(int))
    found = loss(case, logits, target, sample_weight=weight)
    np.testing.assert_allclose(found, loss(case, logits[twice], target[twice]), rtol=1e-10)


@every_rate
def test_ignored_rows_are_as_if_they_were_not_there(case):
    logits, target = CLASSES
    hidden = np.where(np.arange(len(target)) < 3, -100, target)
    found = loss(case, logits, hidden, ignore_index=-100)
    np.testing.assert_allclose(found, loss(case, logits[3:], target[3:]), rtol=1e-12)


@every_rate
def test_class_weights_weigh_the_mean(case):
    (logits, target), options = BATCHES["labels"]
    each = loss(case, logits, target, average="none", **options)
    found = loss(case, logits, target, class_weight=[1.0, 2.0, 5.0], **options)
    np.testing.assert_allclose(found, each @ [1, 2, 5] / 8, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    case=st.sampled_from(RATES),
    rows=st.integers(0, 9),
    classes=st.integers(1, 4),
    multilabel=st.booleans(),
    soft=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape(case, rows, classes, multilabel, soft, seed):
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(rows, classes)) * 3
    if multilabel or classes == 1:
        target = draw.uniform(size=logits.shape) if soft else draw.integers(2, size=logits.shape).astype(float)
    elif soft:
        target = draw.dirichlet(np.ones(classes), size=rows)
    else:
        target = draw.integers(classes, size=rows)
    value = loss(case, logits, target, multilabel=multilabel)
    assert np.isfinite(value)
    if np.any(one_hot(target, logits)):
        true = by_definition(case, logits, target, multilabel=multilabel)
        np.testing.assert_allclose(value, true, rtol=1e-8, atol=1e-12)
    else:
        assert case[0] == "balanced_accuracy" or value == 0


@pytest.mark.parametrize("case", COUNTED, ids=rate_id)
def test_counts_of_parts_add_up(case):
    logits, target = CLASSES
    parts = [rates.soft_counts(logits[i::3], target[i::3]) for i in range(3)]
    whole = rates.soft_counts(logits, target)
    for name in ("tp", "fp", "fn", "tn"):
        np.testing.assert_allclose(sum(getattr(part, name) for part in parts), getattr(whole, name), rtol=1e-12)
    name, parameters = case
    np.testing.assert_allclose(rates.of_counts(name, whole, **parameters), loss(case, logits, target), rtol=1e-12)
