"""Rates against the outside world: scikit-learn where probabilities are 0 or 1, elsewhere Keras and textbooks."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np
import pytest
import torch
from sklearn import metrics

import counterpoise as cp
from counterpoise import rates

rng = np.random.default_rng(8)
BINARY_PEERS = [
    ("recall", {}, metrics.recall_score),
    ("precision", {}, metrics.precision_score),
    ("f_beta", {"beta": 2.0}, lambda t, d: metrics.fbeta_score(t, d, beta=2.0)),
    ("dice", {}, metrics.f1_score),
    ("jaccard", {}, metrics.jaccard_score),
    ("balanced_accuracy", {}, metrics.balanced_accuracy_score),
    ("mcc", {}, metrics.matthews_corrcoef),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "parameters", "peer"), BINARY_PEERS, ids=[name for name, *_ in BINARY_PEERS])
def test_hard_binary_rates_are_sklearns(name, parameters, peer, seed):
    draw = np.random.default_rng(seed)
    target, decided = draw.integers(2, size=60), draw.integers(2, size=60)
    logits = np.where(decided == 1, 100.0, -100.0)
    found = getattr(rates, name)(logits, target, **parameters)
    np.testing.assert_allclose(1 - found, peer(target, decided), atol=1e-12)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", "none"])
@pytest.mark.parametrize("name", ["recall", "precision", "f_beta", "jaccard"])
@pytest.mark.parametrize("multilabel", [False, True])
def test_hard_averages_are_sklearns(multilabel, name, average):
    if multilabel:
        target, decided = rng.integers(2, size=(60, 4)), rng.integers(2, size=(60, 4))
        logits = np.where(decided == 1, 100.0, -100.0)
    else:
        target, decided = rng.integers(4, size=60), rng.integers(4, size=60)
        logits = 100.0 * np.eye(4)[decided]
    peer = {"recall": "recall_score", "precision": "precision_score", "f_beta": "f1_score", "jaccard": "jaccard_score"}
    true = getattr(metrics, peer[name])(target, decided, average=None if average == "none" else average)
    found = getattr(rates, name)(logits, target, average=average, multilabel=multilabel)
    np.testing.assert_allclose(1 - found, true, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_hard_rates_of_all_classes_are_sklearns(seed):
    draw = np.random.default_rng(seed)
    target, decided = draw.integers(4, size=60), draw.integers(4, size=60)
    logits = 100.0 * np.eye(4)[decided]
    recalls = metrics.recall_score(target, decided, average=None)
    np.testing.assert_allclose(1 - rates.mcc(logits, target), metrics.matthews_corrcoef(target, decided), atol=1e-12)
    np.testing.assert_allclose(1 - rates.balanced_accuracy(logits, target), recalls.mean(), atol=1e-12)
    np.testing.assert_allclose(1 - rates.g_mean(logits, target), np.prod(recalls) ** 0.25, atol=1e-12)


def test_auc_of_far_scores_is_sklearns():
    target = rng.integers(2, size=80)
    logits = 100.0 * rng.integers(-3, 4, size=80)  # with ties, which count one half
    found = rates.roc_auc(logits, target, surrogate="sigmoid")
    np.testing.assert_allclose(1 - found, metrics.roc_auc_score(target, logits), atol=1e-12)


def test_partial_auc_of_far_scores_is_the_area_under_sklearns_curve():
    target = np.repeat([1, 0], [20, 50])
    logits = 100.0 * rng.permutation(70)
    fpr, tpr, _ = metrics.roc_curve(target, logits, drop_intermediate=False)
    within = fpr <= 0.2 + 1e-12
    area = np.trapezoid(tpr[within], fpr[within])
    found = rates.partial_auc(logits, target, high=0.2, surrogate="sigmoid")
    np.testing.assert_allclose(1 - found, area / 0.2, atol=1e-12)


def test_average_precision_of_far_scores_is_sklearns():
    target, logits = rng.integers(2, size=70), 100.0 * rng.permutation(70)
    found = rates.average_precision(logits, target)
    np.testing.assert_allclose(1 - found, metrics.average_precision_score(target, logits), atol=1e-12)


@pytest.mark.parametrize("surrogate", ["squared_hinge", "logistic"])
@pytest.mark.parametrize("margin", [0.3, 1.0, 4.0])
def test_surrogates_are_bounds(surrogate, margin):
    target, logits = rng.integers(2, size=50), rng.normal(size=50)
    assert rates.roc_auc(logits, target, surrogate=surrogate, margin=margin) >= 1 - metrics.roc_auc_score(
        target, logits
    )


def test_dice_is_kerass():
    masks = rng.integers(2, size=(3, 5, 4)).astype("float64")
    logits = rng.normal(size=(3, 5, 4))
    probability = 1 / (1 + np.exp(-logits))
    theirs = keras.losses.Dice(dtype="float64")(masks, probability)
    ours = rates.dice(logits.ravel(), masks.ravel())
    np.testing.assert_allclose(ours, float(theirs), rtol=1e-6)  # its epsilon of 1e-7


def test_tversky_is_kerass_with_alpha_and_beta_exchanged():
    # Keras documents alpha as the weight of false positives, as in the paper, but gives it to (1 - p) t, the misses
    masks, logits = rng.integers(2, size=(3, 5, 4)).astype("float64"), rng.normal(size=(3, 5, 4))
    probability = 1 / (1 + np.exp(-logits))
    theirs = keras.losses.Tversky(alpha=0.2, beta=0.8, dtype="float64")(masks, probability)
    ours = rates.tversky(logits.ravel(), masks.ravel(), alpha=0.8, beta=0.2)
    np.testing.assert_allclose(ours, float(theirs), rtol=1e-6)


def test_segmentation_dice_is_the_usual_formula():
    logits, masks = torch.randn(2, 3, 4, 5, dtype=torch.float64), torch.randint(3, (2, 4, 5))
    p, t = logits.softmax(1), torch.nn.functional.one_hot(masks, 3).movedim(-1, 1)
    overlap, size = (p * t).sum((0, 2, 3)), p.sum((0, 2, 3)) + t.sum((0, 2, 3))
    torch.testing.assert_close(rates.dice(logits, masks, class_axis=1), (1 - 2 * overlap / size).mean())


def test_recall_is_the_recipe_of_that_name():
    logits, target = rng.normal(size=(30, 3)), np.arange(30) % 3
    recipe = cp.softmax.recall(cp.count(target), classes=[0, 1, 2])
    np.testing.assert_allclose(cp.loss(logits, target, recipe), rates.recall(logits, target), rtol=1e-12)
