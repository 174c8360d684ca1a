"""Equal to the frameworks' own losses, and to published formulas written out here: values, and gradients too."""

import jax
import keras
import numpy as np
import optax
import pytest
import tensorflow as tf
import torch
from sklearn._loss import HalfMultinomialLoss
from sklearn.metrics import log_loss
from torch.nn import functional

import counterpoise as cp
from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe

rng = np.random.default_rng(14)
N, C, L = 7, 4, 3
LOGITS, TARGET, SOFT = rng.normal(size=(N, C)) * 2, rng.integers(C, size=N), rng.dirichlet(np.ones(C), size=N)
SCORES, HITS, SHARES = rng.normal(size=(N, L)) * 2, rng.integers(2, size=(N, L)).astype(float), rng.uniform(size=(N, L))
WEIGHT = np.array([4.0, 2.0, 0.5, 3.0])
LABEL_WEIGHT = np.array([5.0, 0.7, 2.0])
SAMPLE = np.array([1.0, 0.0, 2.0, 0.5, 3.0, 0.0, 1.5])
COUNTS = np.array([198, 436, 710, 272])
ONE_HOT = np.eye(C)[TARGET]
PLAIN, BINARY = cp.softmax.cross_entropy(), cp.sigmoid.binary_cross_entropy()
FROM_TORCH = {"none": "none", "sum": "sum", "weighted_mean": "mean"}


def same(found, peer):
    np.testing.assert_allclose(found, np.asarray(peer), rtol=1e-12, atol=1e-14)


def near(found, peer):
    """As equal as a peer can be that computes in float32: TensorFlow 1's losses, and Keras."""
    np.testing.assert_allclose(found, np.asarray(peer), rtol=2e-6, atol=1e-7)


def torch_pair(loss, logits):
    """Value and gradient of the summed loss in PyTorch."""
    z = torch.tensor(logits, requires_grad=True)
    value = loss(z)
    value.sum().backward()
    return value.detach().numpy(), z.grad.numpy()


def tensorflow_pair(loss, logits):
    """Value and gradient of the summed loss in TensorFlow."""
    z = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = loss(z)
    return value.numpy(), tape.gradient(value, z).numpy()


def jax_pair(loss, logits):
    """Value and gradient of the summed loss in JAX."""
    with jax.enable_x64(True):
        z = jax.numpy.asarray(logits)
        return np.asarray(loss(z)), np.asarray(jax.grad(lambda x: loss(x).sum())(z))


# PyTorch


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("target", "reduction"),
    [
        *((TARGET, reduction) for reduction in FROM_TORCH),
        (SOFT, "none"),
        (SOFT, "sum"),  # its mean of soft targets is by rows: test_mean_of_soft_targets_is_pytorchs
    ],
    ids=["none", "sum", "mean", "soft none", "soft sum"],
)
def test_cross_entropy_is_pytorchs(target, reduction, weight, smoothing):
    value, slope = torch_pair(
        lambda z: functional.cross_entropy(
            z,
            torch.tensor(target),
            weight=None if weight is None else torch.tensor(weight),
            label_smoothing=smoothing,
            reduction=FROM_TORCH[reduction],
        ),
        LOGITS,
    )
    recipe = SoftmaxRecipe(weight=1.0 if weight is None else weight, smoothing=smoothing)
    found, gradient = cp.loss_and_gradient(LOGITS, target, recipe, reduction=reduction)
    same(found, value)
    same(gradient, slope)
    same(cp.loss(torch.tensor(LOGITS), torch.tensor(target), recipe, reduction=reduction), value)


def test_mean_of_soft_targets_is_pytorchs():
    peer = functional.cross_entropy(torch.tensor(LOGITS), torch.tensor(SOFT), weight=torch.tensor(WEIGHT))
    same(cp.loss(LOGITS, SOFT, SoftmaxRecipe(weight=WEIGHT)), peer)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("ignore", [-100, 2])
def test_ignore_index_is_pytorchs(ignore, smoothing):
    target = np.where(np.arange(N) % 3 == 0, ignore, TARGET)
    value, slope = torch_pair(
        lambda z: functional.cross_entropy(
            z, torch.tensor(target), torch.tensor(WEIGHT), ignore_index=ignore, label_smoothing=smoothing
        ),
        LOGITS,
    )
    recipe = SoftmaxRecipe(weight=WEIGHT, smoothing=smoothing)
    found = cp.loss_and_gradient(LOGITS, target, recipe, reduction="weighted_mean", ignore_index=ignore)
    same(found[0], value)
    same(found[1], slope)


def test_pixels_are_pytorchs():
    logits, target = rng.normal(size=(2, C, 3, 5)), rng.integers(C, size=(2, 3, 5))
    peer = functional.cross_entropy(torch.tensor(logits), torch.tensor(target), torch.tensor(WEIGHT))
    same(cp.loss(logits, target, SoftmaxRecipe(weight=WEIGHT), reduction="weighted_mean", class_axis=1), peer)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weight", [None, SAMPLE[:, None], rng.uniform(size=(N, L))], ids=["plain", "row", "element"])
@pytest.mark.parametrize("target", [HITS, SHARES], ids=["hard", "soft"])
def test_binary_cross_entropy_is_pytorchs(target, weight, reduction):
    value, slope = torch_pair(
        lambda z: functional.binary_cross_entropy_with_logits(
            z,
            torch.tensor(target),
            weight=None if weight is None else torch.tensor(weight),
            pos_weight=torch.tensor(LABEL_WEIGHT),
            reduction=reduction,
        ),
        SCORES,
    )
    recipe = SigmoidRecipe(pos_weight=LABEL_WEIGHT)
    found, gradient = cp.loss_and_gradient(SCORES, target, recipe, weight, reduction)
    same(found, value)
    same(gradient, slope)


# TensorFlow


@pytest.mark.parametrize("target", [TARGET, ONE_HOT, SOFT], ids=["sparse", "dense", "soft"])
def test_softmax_is_tensorflows(target):
    peer = (
        tf.nn.sparse_softmax_cross_entropy_with_logits if target is TARGET else tf.nn.softmax_cross_entropy_with_logits
    )
    value, slope = tensorflow_pair(lambda z: peer(labels=target, logits=z), LOGITS)
    same(cp.loss(tf.constant(LOGITS), target, PLAIN, reduction="none"), value)
    found, gradient = cp.loss_and_gradient(LOGITS, target, PLAIN, reduction="none")
    same(found, value)
    same(gradient, slope)


@pytest.mark.parametrize("target", [HITS, SHARES], ids=["hard", "soft"])
def test_sigmoid_is_tensorflows(target):
    value, slope = tensorflow_pair(lambda z: tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=z), SCORES)
    found, gradient = cp.loss_and_gradient(SCORES, target, BINARY, reduction="none")
    same(found, value)
    same(gradient, slope)


@pytest.mark.parametrize("target", [HITS, SHARES], ids=["hard", "soft"])
@pytest.mark.parametrize("pos_weight", [17.129, LABEL_WEIGHT], ids=["scalar", "vector"])
def test_weighted_sigmoid_is_tensorflows(pos_weight, target):
    value, slope = tensorflow_pair(
        lambda z: tf.nn.weighted_cross_entropy_with_logits(target, z, pos_weight=tf.constant(pos_weight, tf.float64)),
        SCORES,
    )
    found, gradient = cp.loss_and_gradient(SCORES, target, cp.sigmoid.weighted(pos_weight=pos_weight), reduction="none")
    same(found, value)
    same(gradient, slope)


def test_weighted_sigmoid_at_zero_is_right_where_tensorflows_is_not():
    """The slope is 5 (0.5 - 1) for label 1 and 0.5 for label 0; TensorFlow 2.21 gives 0 and 1."""
    recipe = cp.sigmoid.weighted(pos_weight=5.0)
    _, slope = tensorflow_pair(lambda z: cp.loss(z, [1.0, 0.0], recipe, reduction="sum"), np.zeros(2))
    same(slope, [-2.5, 0.5])
    same(cp.loss_and_gradient(np.zeros(2), [1.0, 0.0], recipe, reduction="sum")[1], [-2.5, 0.5])
    _, slope = torch_pair(lambda z: cp.loss(z, [1.0, 0.0], recipe, reduction="sum"), np.zeros(2))
    same(slope, [-2.5, 0.5])
    _, slope = jax_pair(lambda z: cp.loss(z, [1.0, 0.0], recipe, reduction="sum"), np.zeros(2))
    same(slope, [-2.5, 0.5])


V1 = tf.compat.v1.losses
FROM_V1 = [
    (V1.Reduction.NONE, "none", None),
    (V1.Reduction.SUM, "sum", None),
    (V1.Reduction.MEAN, "mean", "weights"),
    (V1.Reduction.SUM_OVER_BATCH_SIZE, "mean", None),
    (V1.Reduction.SUM_OVER_NONZERO_WEIGHTS, "nonzero_mean", None),
    (V1.Reduction.SUM_BY_NONZERO_WEIGHTS, "nonzero_mean", None),
]
every_v1_reduction = pytest.mark.parametrize(
    ("theirs", "reduction", "normalizer"), FROM_V1, ids=[r[0] for r in FROM_V1]
)
every_v1_weight = pytest.mark.parametrize(
    "weight", [SAMPLE, WEIGHT[TARGET], np.ones(N)], ids=["sample", "by label", "ones"]
)


@every_v1_reduction
@every_v1_weight
def test_sparse_softmax_is_tensorflow_1s(weight, theirs, reduction, normalizer):
    by = weight.sum() if normalizer else None
    peer = V1.sparse_softmax_cross_entropy(TARGET, LOGITS, weights=weight, reduction=theirs)
    near(cp.loss(LOGITS, TARGET, PLAIN, weight, reduction, by), peer)


@every_v1_reduction
@every_v1_weight
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_softmax_is_tensorflow_1s(smoothing, weight, theirs, reduction, normalizer):
    by = weight.sum() if normalizer else None
    peer = V1.softmax_cross_entropy(ONE_HOT, LOGITS, weights=weight, label_smoothing=smoothing, reduction=theirs)
    near(cp.loss(LOGITS, TARGET, SoftmaxRecipe(smoothing=smoothing), weight, reduction, by), peer)


@every_v1_reduction
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(
    "weight", [SAMPLE[:, None], rng.integers(3, size=(N, L)).astype(float)], ids=["row", "element"]
)
def test_sigmoid_is_tensorflow_1s(weight, smoothing, theirs, reduction, normalizer):
    by = np.broadcast_to(weight, (N, L)).sum() if normalizer else None
    peer = V1.sigmoid_cross_entropy(HITS, SCORES, weights=weight, label_smoothing=smoothing, reduction=theirs)
    near(cp.loss(SCORES, HITS, SigmoidRecipe(smoothing=smoothing), weight, reduction, by), peer)


# Keras


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_softmax_focal_is_keras(gamma):
    """Its alpha is one weight per class; its sum over classes is of the true class only, for hard targets."""
    alpha = WEIGHT.astype(np.float32)
    peer = keras.losses.CategoricalFocalCrossentropy(alpha=list(WEIGHT), gamma=gamma, from_logits=True, reduction=None)
    recipe = cp.softmax.focal(gamma=gamma, weight=alpha)
    near(cp.loss(LOGITS, TARGET, recipe, reduction="none"), peer(ONE_HOT, LOGITS.astype(np.float32)))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_sigmoid_focal_is_keras(alpha, gamma):
    peer = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=alpha is not None, alpha=alpha or 0.25, gamma=gamma, from_logits=True, reduction=None
    )
    recipe = cp.sigmoid.focal(gamma=gamma, alpha=alpha)
    found = cp.loss(SCORES, HITS, recipe, reduction="none").mean(axis=1)  # Keras takes the mean over the last axis
    near(found, peer(HITS.astype(np.float32), SCORES.astype(np.float32)))


def test_label_smoothing_is_keras():
    peer = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    near(cp.loss(LOGITS, TARGET, SoftmaxRecipe(smoothing=0.1)), peer(ONE_HOT, LOGITS.astype(np.float32)))
    peer = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)
    near(cp.loss(SCORES, HITS, SigmoidRecipe(smoothing=0.1)), peer(HITS.astype(np.float32), SCORES.astype(np.float32)))


def test_soft_targets_of_a_focal_differ_from_keras():
    """They mix the probabilities before the focus; ours mixes the losses, which has a posterior."""
    peer = keras.losses.BinaryFocalCrossentropy(gamma=2.0, from_logits=True)
    theirs = float(peer(np.array([[0.3]], np.float32), np.array([[2.0]], np.float32)))
    ours = float(cp.loss(np.array([2.0]), np.array([0.3]), cp.sigmoid.focal(gamma=2.0)))
    p = 1 / (1 + np.exp(-2.0))
    assert ours == pytest.approx(-0.3 * (1 - p) ** 2 * np.log(p) - 0.7 * p**2 * np.log(1 - p))
    mixed = 0.3 * p + 0.7 * (1 - p)
    assert theirs == pytest.approx((1 - mixed) ** 2 * (-0.3 * np.log(p) - 0.7 * np.log(1 - p)), rel=1e-5)
    assert abs(theirs - ours) > 0.5


# optax


@pytest.mark.parametrize(
    ("peer", "recipe"),
    [
        (lambda z: optax.softmax_cross_entropy_with_integer_labels(z, TARGET), PLAIN),
        (lambda z: optax.softmax_cross_entropy(z, ONE_HOT), PLAIN),
        (lambda z: optax.losses.poly_loss_cross_entropy(z, ONE_HOT, epsilon=2.0), cp.softmax.poly1(epsilon=2.0)),
        (lambda z: optax.losses.poly_loss_cross_entropy(z, ONE_HOT, epsilon=-0.5), cp.softmax.poly1(epsilon=-0.5)),
    ],
    ids=["integer labels", "one-hot", "poly", "negative poly"],
)
def test_softmax_is_optaxs(peer, recipe):
    value, slope = jax_pair(peer, LOGITS)
    found, gradient = cp.loss_and_gradient(LOGITS, TARGET, recipe, reduction="none")
    same(found, value)
    same(gradient, slope)


@pytest.mark.parametrize(
    ("peer", "recipe"),
    [
        (lambda z: optax.sigmoid_binary_cross_entropy(z, HITS), BINARY),
        (lambda z: optax.sigmoid_focal_loss(z, HITS, gamma=2.0), cp.sigmoid.focal(gamma=2.0)),
        (lambda z: optax.sigmoid_focal_loss(z, HITS, alpha=0.3, gamma=1.5), cp.sigmoid.focal(gamma=1.5, alpha=0.3)),
    ],
    ids=["binary", "focal", "focal alpha"],
)
def test_sigmoid_is_optaxs(peer, recipe):
    value, slope = jax_pair(peer, SCORES)
    found, gradient = cp.loss_and_gradient(SCORES, HITS, recipe, reduction="none")
    np.testing.assert_allclose(found, value, rtol=1e-11)
    np.testing.assert_allclose(gradient, slope, rtol=1e-11, atol=1e-14)


# scikit-learn


def test_multinomial_is_scikit_learns():
    peer = HalfMultinomialLoss(n_classes=C)
    weight = SAMPLE + 0.1
    value, gradient = peer.loss_gradient(TARGET.astype(float), LOGITS, sample_weight=weight)
    found, slope = cp.loss_and_gradient(LOGITS, TARGET, PLAIN, weight, "none")
    same(found, value)
    same(slope, gradient)
    _, _, curvature = cp.loss_and_gradient(LOGITS, TARGET, PLAIN, weight, "none", curvature=True)
    _, theirs = peer.gradient_hessian(TARGET.astype(float), LOGITS, sample_weight=weight)
    same(curvature, theirs)


def test_log_loss_is_scikit_learns():
    probability = PLAIN.posterior(LOGITS)
    same(cp.loss(LOGITS, TARGET, PLAIN), log_loss(TARGET, probability, labels=range(C)))
    weight = SAMPLE + 0.1
    peer = log_loss(TARGET, probability, sample_weight=weight, labels=range(C))
    same(cp.loss(LOGITS, TARGET, PLAIN, weight, "weighted_mean"), peer)


# published formulas


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


def at_true(values):
    return np.take_along_axis(values, TARGET[:, None], -1)[:, 0]


@pytest.mark.parametrize(("positive", "negative", "clip"), [(0.0, 4.0, 0.05), (1.0, 4.0, 0.05), (1.0, 2.0, 0.0)])
def test_asymmetric_is_ridniks(positive, negative, clip):
    """Equations 3, 6 and 7: L+ = (1 - p)^g+ log p, L- = p_m^g- log(1 - p_m), p_m = max(p - m, 0)."""
    p = 1 / (1 + np.exp(-SCORES))
    shifted = np.maximum(p - clip, 0)
    expected = -(HITS * (1 - p) ** positive * np.log(p) + (1 - HITS) * shifted**negative * np.log(1 - shifted))
    recipe = cp.sigmoid.asymmetric(gamma_positive=positive, gamma_negative=negative, clip=clip)
    np.testing.assert_allclose(cp.loss(SCORES, HITS, recipe, reduction="none"), expected, rtol=1e-10)


def test_ldam_is_caos():
    """Equations 11 and 13 and the paper's scale: the margin C / n^(1/4) with the largest 0.5, logits times 30."""
    margin = 0.5 * COUNTS**-0.25 / (COUNTS**-0.25).max()
    cosines = LOGITS / 10
    moved = cosines - margin[TARGET][:, None] * ONE_HOT
    expected = -at_true(np.log(softmax(30 * moved)))
    np.testing.assert_allclose(
        cp.loss(cosines, TARGET, cp.softmax.ldam(COUNTS), reduction="none"), expected, rtol=1e-10
    )


def test_class_balanced_is_cuis():
    """Equation 8, with the weights normalised to sum to the number of classes, as the paper does."""
    weight = (1 - 0.999) / (1 - 0.999**COUNTS)
    weight = weight / weight.sum() * C
    expected = -weight[TARGET] * at_true(np.log(softmax(LOGITS)))
    found = cp.loss(LOGITS, TARGET, cp.softmax.class_balanced(COUNTS, beta=0.999), reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        pytest.param(
            cp.softmax.balanced_softmax(COUNTS),
            lambda z: -np.log(at_true(COUNTS * np.exp(z)) / (COUNTS * np.exp(z)).sum(-1)),
            id="Ren, equation 3",
        ),
        pytest.param(
            cp.softmax.logit_adjusted(COUNTS, tau=1.5),
            lambda z: -at_true(np.log(softmax(z + 1.5 * np.log(COUNTS / 1616)))),
            id="Menon, equation 10",
        ),
        pytest.param(
            cp.softmax.cdt(COUNTS, gamma=0.3),
            lambda z: -at_true(np.log(softmax(z / (710 / COUNTS) ** 0.3))),
            id="Ye, equation 4",
        ),
        pytest.param(
            cp.softmax.vector_scaling(COUNTS, gamma=0.2, tau=1.5, weight=WEIGHT),
            lambda z: (
                -WEIGHT[TARGET] * at_true(np.log(softmax((COUNTS / 710) ** 0.2 * z + 1.5 * np.log(COUNTS / 1616))))
            ),
            id="Kini, equation 2",
        ),
        pytest.param(
            cp.softmax.focal(gamma=1.5, weight=WEIGHT),
            lambda z: -WEIGHT[TARGET] * (1 - at_true(softmax(z))) ** 1.5 * np.log(at_true(softmax(z))),
            id="Lin, equation 5",
        ),
        pytest.param(
            cp.softmax.generalized(q=0.7), lambda z: (1 - at_true(softmax(z)) ** 0.7) / 0.7, id="Zhang, equation 6"
        ),
        pytest.param(
            cp.softmax.recall(COUNTS, classes=[0]),
            lambda z: (TARGET == 0) * 1616 / 198 * (1 - at_true(softmax(z))),
            id="1 - soft recall",
        ),
        pytest.param(
            cp.softmax.expected_cost(np.outer(WEIGHT, [0, 1, 2, 3])),
            lambda z: (softmax(z) * np.outer(WEIGHT, [0, 1, 2, 3])[TARGET]).sum(-1),
            id="Elkan, equation 1",
        ),
    ],
)
def test_published_formula(recipe, expected):
    np.testing.assert_allclose(cp.loss(LOGITS, TARGET, recipe, reduction="none"), expected(LOGITS), rtol=1e-10)


def test_mean_recall_loss_is_one_minus_soft_recall():
    target = np.repeat(range(4), [3, 6, 10, 5])
    logits = rng.normal(size=(24, 4))
    recipe = cp.softmax.recall(cp.count(target), classes=[0, 3])
    p = softmax(logits)
    recalls = [p[target == k, k].mean() for k in (0, 3)]
    assert cp.loss(logits, target, recipe) == pytest.approx(1 - np.mean(recalls))


@pytest.mark.parametrize("weight_by", ["true", "predicted"])
def test_weight_by(weight_by):
    plain = cp.loss(LOGITS, TARGET, PLAIN, reduction="none")
    by = TARGET if weight_by == "true" else LOGITS.argmax(-1)
    recipe = SoftmaxRecipe(weight=WEIGHT, weight_by=weight_by)
    same(cp.loss(LOGITS, TARGET, recipe, reduction="none"), WEIGHT[by] * plain)


def test_weight_by_pair():
    cost = rng.uniform(size=(C, C))
    plain = cp.loss(LOGITS, TARGET, PLAIN, reduction="none")
    recipe = SoftmaxRecipe(weight_by="pair", cost=cost)
    same(cp.loss(LOGITS, TARGET, recipe, reduction="none"), cost[TARGET, LOGITS.argmax(-1)] * plain)
