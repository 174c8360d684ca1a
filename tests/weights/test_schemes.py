"""Class weights: every scheme and normalisation against its formula, and what weights must always do."""

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

import counterpoise as cp

N = np.array([198.0, 436.0, 710.0, 272.0])
COUNTS = cp.ClassCounts([198, 436, 710, 272], classes=["A", "B", "C", "D"])

SCHEMES = {
    "inverse": 1 / N,
    "inverse_sqrt": N**-0.5,
    "power": N**-0.5,
    "effective_number": (1 - 0.999) / (1 - 0.999**N),
    "median_frequency": 354 / N,  # the median of 198, 272, 436, 710
    "log": np.log(1616 / N),
}
NORMALIZATIONS = {
    "none": lambda w: w,
    "sum": lambda w: w / w.sum(),
    "classes": lambda w: w / w.mean(),
    "samples": lambda w: w * 1616 / (w * N).sum(),
    "max": lambda w: w / w.max(),
    "min": lambda w: w / w.min(),
}


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_formula(scheme, normalize):
    expected = NORMALIZATIONS[normalize](SCHEMES[scheme])
    np.testing.assert_allclose(cp.class_weights(COUNTS, scheme, normalize), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("normalize", "expected"),
    [
        ("samples", [2.0404, 0.9266, 0.5690, 1.4853]),
        ("classes", [1.6254, 0.7381, 0.4533, 1.1832]),
        ("max", [1.0, 198 / 436, 198 / 710, 198 / 272]),
        ("min", [710 / 198, 710 / 436, 1.0, 710 / 272]),
    ],
)
def test_the_case_asked_about(normalize, expected):
    np.testing.assert_allclose(cp.class_weights([198, 436, 710, 272], normalize=normalize), expected, atol=5e-5)


def rows_of_the_documentation():
    """Question 7's tables: the numbers of each row by its first cell."""
    text = (Path(__file__).parents[2] / "docs" / "questions.md").read_text(encoding="utf-8")
    lines = text.split("\n## 7. ")[1].split("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {row[0]: [float(cell) for cell in row[2:]] for row in cells if row[2][0].isdigit()}


def test_tables_of_the_documentation():
    rows = rows_of_the_documentation()
    made = {scheme: cp.class_weights(COUNTS, scheme) for scheme in SCHEMES if scheme != "power"}
    made |= {normalize: cp.class_weights(COUNTS, normalize=normalize) for normalize in NORMALIZATIONS}
    made["power, alpha=0.25"] = cp.class_weights(COUNTS, "power", alpha=0.25)
    assert set(rows) == set(made)
    for name, weights in made.items():
        np.testing.assert_allclose(rows[name], weights, atol=5e-5, err_msg=name)


def test_samples_is_scikit_learns_balanced():
    labels = np.repeat(range(4), N.astype(int))
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(cp.class_weights(cp.count(labels), normalize="samples"), expected, rtol=1e-14)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0, 2.0])
def test_power(alpha):
    found = cp.class_weights(COUNTS, "power", normalize="none", alpha=alpha)
    np.testing.assert_allclose(found, N**-alpha, rtol=1e-14)


def test_effective_number_keeps_its_digits_near_one():
    """1 - beta^n with beta = 1 - 1e-12: to first order (1 - beta)/(1 - beta^n) is 1/n + (1 - beta)(n - 1)/(2n)."""
    found = cp.class_weights([10, 1000], "effective_number", normalize="none", beta=1 - 1e-12)
    np.testing.assert_allclose(found, [0.1, 0.001], rtol=1e-9)


def test_mapping_for_keras_and_scikit_learn():
    mapping = cp.class_weights(COUNTS, as_mapping=True)
    assert list(mapping) == ["A", "B", "C", "D"]
    assert all(type(weight) is float for weight in mapping.values())
    np.testing.assert_allclose(list(mapping.values()), cp.class_weights(COUNTS))


@pytest.mark.parametrize("counts", [Counter("AABBB"), {"A": 2, "B": 3}], ids=["Counter", "dict"])
def test_counts_as_a_mapping_are_not_taken_by_their_keys(counts):
    """A mapping's keys are its classes; to count the keys as numbers would be silently wrong."""
    assert cp.class_weights(counts, as_mapping=True) == cp.class_weights(
        cp.ClassCounts([2, 3], classes=["A", "B"]), as_mapping=True
    )


@pytest.mark.parametrize("counts", [Counter([0, 0, 1]), {0: 2, 1: 1}], ids=["Counter", "dict"])
def test_counts_as_a_mapping_of_integers(counts):
    np.testing.assert_allclose(cp.class_weights(counts), cp.class_weights([2, 1]))


counts_lists = st.lists(st.integers(1, 10**9), min_size=2, max_size=20)


@given(counts_lists)
def test_inverse_weights_make_every_class_count_alike(n):
    total = cp.class_weights(n, "inverse", "none") * n
    np.testing.assert_allclose(total, total[0])


@given(counts_lists, st.sampled_from(list(SCHEMES)), st.sampled_from(["sum", "classes", "samples", "max", "min"]))
def test_normalisations_reach_what_they_promise(n, scheme, normalize):
    weights = cp.class_weights(n, scheme, normalize)
    reached = {
        "sum": weights.sum(),
        "classes": weights.mean(),
        "samples": (weights * n).sum() / sum(n),
        "max": weights.max(),
        "min": weights.min(),
    }
    np.testing.assert_allclose(reached[normalize], 1)


@given(counts_lists, st.sampled_from(list(SCHEMES)))
def test_rarer_classes_never_weigh_less(n, scheme):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights = cp.class_weights(n, scheme)
    by_count = weights[np.argsort(n, kind="stable")]
    assert (np.diff(by_count) <= 1e-12 * by_count[0]).all()


@given(counts_lists, st.permutations(range(20)))
def test_order_of_classes_does_not_matter(n, order):
    order = [place for place in order if place < len(n)]
    permuted = cp.class_weights([n[place] for place in order])
    np.testing.assert_allclose(permuted, cp.class_weights(n)[order])


def test_upside_down_exponent_warns():
    with pytest.warns(cp.ClassWeightWarning, match="class frequencies, not inverse frequencies"):
        cp.class_weights(COUNTS, "power", alpha=-1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: cp.class_weights(COUNTS, "invers"),
            "unknown scheme 'invers'; did you mean 'inverse'.*known: inverse, ",
        ),
        (
            lambda: cp.class_weights(COUNTS, normalize="sample"),
            "unknown normalize 'sample'; did you mean 'samples'",
        ),
        (lambda: cp.class_weights([3, 0]), "class 1 has no sample, so no weight can be made from its count"),
        (lambda: cp.class_weights([3, -2]), r"counts\[1\] is -2"),
        (lambda: cp.class_weights([3, np.nan]), r"counts\[1\] is nan"),
        (lambda: cp.class_weights([]), "counts are empty"),
        (lambda: cp.class_weights(None), "counts must be ClassCounts or a list of numbers per class; found None"),
        (lambda: cp.class_weights("198"), "counts must be ClassCounts or a list .*; found '198'"),
        (lambda: cp.class_weights(["a", "b"]), r"counts\[0\] is 'a'; a count is a whole number"),
        (lambda: cp.class_weights(cp.LabelCounts([1], total=2)), "counts of a multilabel target"),
        (lambda: cp.class_weights([3, 1], "inverse", alpha=2), "scheme 'inverse' does not take alpha"),
        (lambda: cp.class_weights([3, 1], "effective_number", beta=1), "beta is 1.0; .* needs 0 <= beta < 1"),
        (lambda: cp.class_weights([3, 1], "power", alpha=np.inf), "alpha is inf"),
        (lambda: cp.class_weights([3], "log"), "all weights of scheme 'log' are 0 here"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(cp.UserError, match=message):
        make()


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param([500_000, 31_000], 500 / 31, id="list"),
        pytest.param(cp.ClassCounts([900, 100], classes=["no", "yes"]), 9.0, id="counts"),
        pytest.param(cp.count([False] * 3 + [True]), 3.0, id="booleans"),
        pytest.param(cp.LabelCounts([10, 50], total=100), [9.0, 1.0], id="labels"),
        pytest.param(np.array([[1, 0], [0, 0], [0, 1], [0, 1]]), [3.0, 1.0], id="targets"),
        pytest.param(torch.tensor([[1, 0], [0, 0], [0, 1], [0, 1]]), [3.0, 1.0], id="torch"),
    ],
)
def test_pos_weight_is_negatives_per_positive(counts, expected):
    np.testing.assert_allclose(cp.pos_weight(counts), expected)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([1, 2, 3], "pos_weight is for two classes but counts have 3"),
        ([5, 0], "class 1 has no sample, so negatives per positive is infinite"),
        ([[0, 1], [0, 0]], "label 0 has no positive sample"),
        ([[0, 2], [1, 0]], "row 0, label 1 holds 2"),
        (None, "counts must be ClassCounts or a list"),
    ],
    ids=str,
)
def test_pos_weight_refuses(counts, message):
    with pytest.raises(cp.UserError, match=message):
        cp.pos_weight(counts)
