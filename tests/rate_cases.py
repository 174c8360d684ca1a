"""One table of rates and one of batches, and the rates written out over hard or soft counts in plain NumPy, float64."""

import itertools

import numpy as np

from counterpoise import rates

COUNTED = [
    ("recall", {}),
    ("precision", {}),
    ("f_beta", {}),
    ("f_beta", {"beta": 2.0}),
    ("tversky", {}),
    ("tversky", {"alpha": 1.5, "beta": 0.5}),
    ("focal_tversky", {}),
    ("dice", {}),
    ("jaccard", {}),
    ("balanced_accuracy", {}),
    ("g_mean", {}),
    ("mcc", {}),
]
RANKED = [
    ("roc_auc", {}),
    ("roc_auc", {"margin": 0.5}),
    ("roc_auc", {"surrogate": "logistic", "margin": 2.0}),
    ("roc_auc", {"surrogate": "sigmoid"}),
    ("partial_auc", {"high": 0.5}),
    ("partial_auc", {"low": 0.15, "high": 0.45, "surrogate": "sigmoid"}),
    ("average_precision", {}),
    ("average_precision", {"temperature": 0.2}),
]
RATES = COUNTED + RANKED
assert {name for name, _ in RATES} == set(rates.names)


def rate_id(case):
    """A test's id."""
    name, parameters = case
    return name + "".join(f"-{key}={value}" for key, value in parameters.items())


def sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def probabilities(logits, multilabel):
    """(rows, C) and the log odds, for logits (rows, C)."""
    z = np.asarray(logits, np.float64)
    if multilabel or z.shape[1] == 1:
        return sigmoid(z), z
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    rest = e @ (1 - np.eye(z.shape[1]))
    with np.errstate(divide="ignore"):
        return p, np.log(e) - np.log(rest)


def counted_loss(name, parameters, tp, fp, fn, tn):
    """The loss from the four counts of one class, by the textbook formula of the rate."""
    recall, precision = tp / (tp + fn) if tp + fn else np.nan, tp / (tp + fp) if tp + fp else 0.0
    sides = [right / whole for right, whole in ((tp, tp + fn), (tn, tn + fp)) if whole]  # of a side without rows none
    if name == "recall":
        return 1 - recall
    if name == "precision":
        return 1 - precision
    if name in ("f_beta", "dice"):
        square = parameters.get("beta", 1.0) ** 2
        both = square * precision + recall
        return 1 - (1 + square) * precision * recall / both if both else 1.0
    if name in ("tversky", "focal_tversky"):
        alpha, beta = parameters.get("alpha", 0.3), parameters.get("beta", 0.7)
        index = tp / (tp + alpha * fp + beta * fn)
        return (1 - index) ** (0.75 if name == "focal_tversky" else 1)
    if name == "jaccard":
        return 1 - tp / (tp + fp + fn)
    if name == "balanced_accuracy":
        return 1 - np.mean(sides)
    if name == "g_mean":
        return 1 - np.prod(sides) ** (1 / len(sides))
    spread = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return 1 - (tp * tn - fp * fn) / np.sqrt(spread) if spread else 1.0


def ranked_loss(name, parameters, score, positive, negative):
    """The loss over all pairs, one by one."""
    if name == "average_precision":
        temperature, total = parameters.get("temperature", 1.0), 0.0
        for i, own in enumerate(score):
            above = sigmoid((score - own) / temperature)
            above[i] = 1
            total += positive[i] * (above @ negative) / max(above @ (positive + negative), 1e-300)
        return total / positive.sum()
    width = parameters.get("margin", 1.0)
    surrogate = parameters.get("surrogate", "squared_hinge")
    pair = {
        "squared_hinge": lambda d: max(0, 1 - d / width) ** 2,
        "logistic": lambda d: np.logaddexp(0, -d / width) / np.log(2),
        "sigmoid": lambda d: sigmoid(-d / width),
    }[surrogate]
    if name == "partial_auc":
        low, high = parameters.get("low", 0.0), parameters["high"]
        order = np.argsort(-score, kind="stable")
        reached = np.concatenate([[0], np.cumsum(negative[order]) / negative.sum()])
        within = np.empty_like(negative)
        within[order] = np.diff(np.clip(reached, low, high))
        negative = within
    pairs = itertools.product(range(len(score)), repeat=2)
    total = sum(positive[i] * negative[j] * pair(score[i] - score[j]) for i, j in pairs if positive[i] * negative[j])
    return total / (positive.sum() * negative.sum())


def expected(case, logits, target, average="macro", multilabel=False, sample_weight=None):
    """The loss of one-hot, soft or multilabel targets (rows, C), by the definition."""
    name, parameters = case
    p, odds = probabilities(logits, multilabel)
    t = np.asarray(target, np.float64).reshape(p.shape)
    w = np.ones(len(p)) if sample_weight is None else sample_weight
    positive, negative = t * w[:, None], (1 - t) * w[:, None]
    classes = p.shape[1]
    exclusive = classes > 1 and not multilabel
    counts = [positive * p, negative * p, positive * (1 - p), negative * (1 - p)]
    tp, fp, fn, tn = (count.sum(axis=0) for count in counts)
    if exclusive and average == "macro" and name in ("balanced_accuracy", "g_mean", "mcc"):
        return whole(name, tp, fp, fn)
    if average == "micro":
        tp, fp, fn, tn = (np.array([count.sum()]) for count in (tp, fp, fn, tn))
        odds, positive, negative = (array.reshape(-1, 1) for array in (odds, positive, negative))
    losses = np.zeros(len(tp))
    defined = tp + fn > 0
    if name == "balanced_accuracy":
        defined = tp + fp + fn + tn > 0
    if name in ("roc_auc", "partial_auc"):
        defined &= fp + tn > 0
    for k in np.flatnonzero(defined):
        if any(name == ranked for ranked, _ in RANKED):
            losses[k] = ranked_loss(name, parameters, odds[:, k], positive[:, k], negative[:, k])
        else:
            losses[k] = counted_loss(name, parameters, tp[k], fp[k], fn[k], tn[k])
    if average == "none":
        return losses
    if isinstance(average, int):
        return losses[average]
    weight = defined * (tp + fn) if average == "weighted" else defined.astype(float)
    return weight @ losses / weight.sum() if weight.any() else 0.0


def whole(name, tp, fp, fn):
    """The losses of exclusive classes as a whole."""
    true, said, total = tp + fn, tp + fp, (tp + fn).sum()
    recalls = (tp / np.where(true, true, 1))[true > 0]
    if name == "balanced_accuracy":
        return 1 - recalls.mean()
    if name == "g_mean":
        return 1 - np.exp(np.log(recalls).mean())
    spread = (total**2 - said @ said) * (total**2 - true @ true)
    # of one class alone there is no correlation
    return 1 - (tp.sum() * total - said @ true) / np.sqrt(spread) if spread else 1.0
