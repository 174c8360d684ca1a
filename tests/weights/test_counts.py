"""Counting labels of every kind, and adding counts up."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pytest
import tensorflow as tf
import torch
from hypothesis import given
from hypothesis import strategies as st

import counterpoise as cp

WORDS, NUMBERS, TRUTHS = ["b", "a", "b"], [1, 0, 1, 2], [True, False, True]


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        np.array,
        pd.Series,
        pl.Series,
        torch.tensor,
        tf.constant,
        jnp.array,
        lambda v: np.array(v, np.uint8),
        lambda v: np.array(v, np.float32),
        lambda v: torch.tensor(v, dtype=torch.int16),
        lambda v: pd.Series(v, dtype="Int64"),
        lambda v: pd.Index(v),
        lambda v: pd.DataFrame({"y": v})["y"],
        lambda v: pl.DataFrame({"y": v})["y"],
    ],
)
def test_integers(make):
    counts = cp.count(make(NUMBERS))
    assert counts == cp.ClassCounts([1, 2, 1])
    assert all(type(name) is int for name in counts.classes)


@pytest.mark.parametrize(
    "make",
    [
        list,
        np.array,
        lambda v: np.array(v, dtype=object),
        pd.Series,
        lambda v: pd.Series(v, dtype="category"),
        lambda v: pd.Series(v, dtype="string"),
        pl.Series,
        lambda v: pl.Series(v, dtype=pl.Categorical),
    ],
    ids=["list", "numpy", "object", "pandas", "category", "string", "polars", "polars category"],
)
def test_strings(make):
    counts = cp.count(make(WORDS))
    assert counts == cp.ClassCounts([1, 2], classes=["a", "b"])
    assert all(type(name) is str for name in counts.classes)


@pytest.mark.parametrize("make", [list, np.array, pd.Series, pl.Series, torch.tensor, tf.constant, jnp.array])
def test_booleans(make):
    assert cp.count(make(TRUTHS)) == cp.ClassCounts([1, 2], classes=[False, True])


def test_tensor_that_needs_a_gradient():
    assert cp.count(torch.tensor([0.0, 1.0, 1.0], requires_grad=True)).n.tolist() == [1, 2]


def test_column_of_a_view():
    table = np.arange(12).reshape(6, 2) % 4
    assert cp.count(table[::2, 0]).n.tolist() == cp.count([0, 0, 0]).n.tolist()


def test_numbers_without_a_gap_keep_their_names():
    assert cp.count([4, 3, 4]) == cp.ClassCounts([1, 2], classes=[3, 4])
    assert cp.count([1, -1, 1]) == cp.ClassCounts([1, 2], classes=[-1, 1])


@pytest.mark.parametrize(
    ("labels", "mark"),
    [
        ([0, 1, 2, 255, 1], 255),
        ([0, 1, -100, 1], -100),
        ([0, 1, -1, 1], -1),
        ([0, 1, 3], 3),
        ([7, 3, 7], 7),
        ([0, 255], 255),
        (["0", "1", "99"], "99"),
        (pd.Series([0.0, 1.0, 9.0]), 9),
        (torch.tensor([0, -100, 1]), -100),
        (np.array([[0], [1], [255]], np.uint8)[:, 0], 255),
    ],
    ids=str,
)
def test_a_number_that_may_be_a_mark_is_no_class_unasked(labels, mark):
    """Weights of three classes, one of them 255, would sit on the wrong logits without a word."""
    with pytest.raises(cp.UserError, match=rf"labels hold {mark!r}, but .* pass ignore_index={mark!r}; if .* classes="):
        cp.count(labels)
    kept = [one for one in np.asarray(labels).tolist() if one != mark]
    assert cp.count(labels, ignore_index=mark) == cp.count(kept)
    names = sorted({*kept, mark})
    assert cp.count(labels, classes=names).classes == tuple(names)


def test_a_number_of_classes_stands_for_their_indices():
    assert cp.count([0, 3, 255], classes=4, ignore_index=255) == cp.ClassCounts([1, 0, 0, 1])
    with pytest.raises(cp.UserError, match=r"labels hold class 255, which is not among .* pass ignore_index=255"):
        cp.count([0, 3, 255], classes=4)


def test_missing_and_masked_labels_are_left_out_only_when_asked():
    for labels in ([0, 1, np.nan], ["a", None, "b"], pd.Series([1, None, 0], dtype="Int64")):
        assert cp.count(labels, ignore_index=np.nan).n.tolist() == [1, 1]
    masked = np.ma.masked_equal([0, 1, 9, 1], 9)
    with pytest.raises(cp.UserError, match="labels are masked at 2; leave masked labels out"):
        cp.count(masked)
    assert cp.count(masked.compressed()).n.tolist() == [1, 2]


def test_entries_of_a_multilabel_target_are_left_out():
    assert cp.count([[0, 1], [-1, 1], [1, -1]], ignore_index=-1) == cp.LabelCounts([1, 2], total=[2, 2])
    with pytest.raises(cp.UserError, match="row 1, label 0 holds -1; if that marks entries to leave out"):
        cp.count([[0, 1], [-1, 1]])


@pytest.mark.parametrize("mark", ["void", [255], object()], ids=["text", "list", "object"])
def test_a_mark_that_no_label_can_be(mark):
    with pytest.raises(cp.UserError, match=r"ignore_index is .*; pass one label, of the kind that labels hold"):
        cp.count([0, 1], ignore_index=mark)


def test_numbers_as_text_have_two_orders():
    assert cp.count(["1", "0", "1"]) == cp.ClassCounts([1, 2], classes=["0", "1"])
    with pytest.raises(cp.UserError, match=r"order as text \('10', '9'\) is not that of the numbers"):
        cp.count(["9", "10"])


def test_listed_classes_keep_their_order_and_may_be_absent():
    counts = cp.count(["b", "a", "b"], classes=["b", "a", "c"])
    assert counts.classes == ("b", "a", "c") and counts.n.tolist() == [2, 1, 0]


@pytest.mark.parametrize("make", [list, np.array, torch.tensor, tf.constant, jnp.array])
def test_multilabel(make):
    counts = cp.count(make([[1, 0], [1, 1], [0, 0]]))
    assert counts == cp.LabelCounts([2, 1], total=3)
    np.testing.assert_array_equal(counts.negatives, [1, 2])
    np.testing.assert_allclose(counts.prior, [2 / 3, 1 / 3])


def test_measures():
    counts = cp.ClassCounts([198, 436, 710, 272], classes=["A", "B", "C", "D"])
    assert counts.total == 1616 and len(counts) == 4
    assert counts.imbalance_ratio == 710 / 198
    np.testing.assert_allclose(counts.prior, np.array([198, 436, 710, 272]) / 1616)
    assert cp.ClassCounts([0, 5, 10]).imbalance_ratio == 2  # of the classes that have any


def test_merge_by_class():
    merged = cp.ClassCounts([1, 2], classes=["a", "b"]) + cp.ClassCounts([3, 4], classes=["b", "c"])
    assert merged == cp.ClassCounts([1, 5, 4], classes=["a", "b", "c"])


def test_merge_keeps_a_chosen_order():
    order = ["low", "high", "middle"]
    merged = cp.ClassCounts([1, 2, 3], classes=order) + cp.ClassCounts([1, 1, 1], classes=order)
    assert merged == cp.ClassCounts([2, 3, 4], classes=order)


def test_merge_labels():
    merged = cp.LabelCounts([1, 2], total=10) + cp.LabelCounts([3, 4], total=20)
    assert merged == cp.LabelCounts([4, 6], total=30)
    with pytest.raises(cp.UserError, match="different labels"):
        merged + cp.LabelCounts([1], total=2)


parts = st.lists(st.integers(0, 5), min_size=1, max_size=30)


@given(parts, parts)
def test_counting_parts_is_counting_the_whole(left, right):
    assert cp.count(left, classes=range(6)) + cp.count(right, classes=range(6)) == cp.count(
        left + right, classes=range(6)
    )
    left, right = ([f"class {one}" for one in part] for part in (left, right))
    merged, whole = cp.count(left) + cp.count(right), cp.count(left + right)
    assert merged == whole and merged.total == len(left) + len(right)


def test_parts_have_no_gap_that_the_whole_may_not_have():
    with pytest.raises(cp.UserError, match="counts of the parts hold 255, but none from 3 to 254"):
        cp.count([0, 1, 2]) + cp.count([255])
    chosen = cp.ClassCounts([1, 2], classes=[3, 7])
    assert chosen + chosen == cp.ClassCounts([2, 4], classes=[3, 7])


@given(st.lists(st.text(max_size=3), min_size=1), st.lists(st.text(max_size=3), min_size=1))
def test_merging_is_commutative(left, right):
    assert cp.count(left) + cp.count(right) == cp.count(right) + cp.count(left)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", None, "b"], r"labels\[1\] is None: a missing label; drop or fill these rows first"),
        ([1.0, np.nan], r"labels\[1\] is nan: a missing label"),
        (pd.Series([1, None, 2], dtype="Int64"), r"labels\[1\] is .*: a missing label"),
        (pd.Series(["a", None], dtype="string"), r"labels\[1\] is .*: a missing label"),
        (pd.Series(["a", None], dtype="category"), r"labels\[1\] is nan: a missing label"),
        (pl.Series([1, None, 2]), r"labels\[1\] is nan: a missing label"),
        (pl.Series(["a", None]), r"labels\[1\] is None: a missing label"),
        ([0.5, 1.0], r"labels\[0\] is 0.5: no class; labels are integers, strings or booleans"),
        ([1.0, np.inf], r"labels\[1\] is inf: no class"),
        (["a", 1], "labels mix text and numbers"),
        ([], "counts are empty; at least one class is needed"),
        (3, r"one or two dimensions, \(N,\) or \(N, L\); found shape \(\)"),
        (np.zeros((2, 2, 2)), r"found shape \(2, 2, 2\)"),
        ([[1, 0], [1]], "rows of different lengths"),
        ([[1, 0], [2, 1]], "multilabel targets must be 0 or 1; row 1, label 0 holds 2"),
        ([[1, np.nan]], "row 0, label 1 holds nan"),
        ([["a", "b"]], "multilabel targets .* must be 0 or 1"),
    ],
    ids=str,
)
def test_labels_that_cannot_be_counted(labels, message):
    with pytest.raises(cp.UserError, match=message):
        cp.count(labels)


def test_class_that_is_not_listed():
    with pytest.raises(cp.UserError, match=r"labels hold class 'c', which is not among classes 'a', 'b'; if it marks"):
        cp.count(["a", "c"], classes=["a", "b"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cp.ClassCounts([3, -1]), r"counts\[1\] is -1; a count is a whole number of samples, 0 or more"),
        (lambda: cp.ClassCounts([3, 1.5]), r"counts\[1\] is 1.5"),
        (lambda: cp.ClassCounts([3, np.nan]), r"counts\[1\] is nan"),
        (lambda: cp.ClassCounts([[3, 1]]), r"counts\[0\] is \[3, 1\]; a count is a whole number"),
        (lambda: cp.ClassCounts(["a", "b"]), r"counts\[0\] is 'a'; a count is a whole number"),
        (lambda: cp.ClassCounts(5), "counts"),
        (lambda: cp.ClassCounts([]), "counts are empty"),
        (lambda: cp.ClassCounts([1, 2], classes=["a"]), "2 numbers but classes has 1 names"),
        (lambda: cp.ClassCounts([1, 2], classes=["a", "a"]), "classes names 'a' twice"),
        (lambda: cp.ClassCounts([0, 0]).prior, "all counts are 0"),
        (lambda: cp.ClassCounts([0, 0]).imbalance_ratio, "all counts are 0"),
        (lambda: cp.LabelCounts([5], total=3), "label 0 has 5 positives among 3 samples"),
        (lambda: cp.LabelCounts([-1], total=3), r"positives\[0\] is -1"),
        (lambda: cp.LabelCounts([1, 2], total=[3, 3, 3]), "total"),
        (lambda: cp.LabelCounts([0], total=0).prior, "has no sample"),
    ],
)
def test_counts_that_cannot_be(make, message):
    with pytest.raises(cp.UserError, match=message):
        make()


def test_counts_are_read_only():
    counts = cp.ClassCounts([1, 2])
    with pytest.raises(ValueError, match="read-only"):
        counts.n[0] = 5
    with pytest.raises((AttributeError, TypeError)):
        counts.n = np.array([1])


def test_equal_counts_are_one_key():
    assert len({cp.ClassCounts([1, 2]), cp.ClassCounts(np.array([1, 2])), cp.ClassCounts([2, 1])}) == 2
    assert len({cp.LabelCounts([1], total=2), cp.LabelCounts([1], total=2), cp.LabelCounts([1], total=3)}) == 2


def test_tensorflow_strings_are_text():
    import tensorflow as tf

    assert cp.count(tf.constant(["dog", "cat", "dog"])) == cp.ClassCounts([1, 2], classes=["cat", "dog"])


@pytest.mark.parametrize(
    "given",
    [
        np.unique(np.repeat([3, 5, 6], [90, 7, 10]), return_counts=True),
        pl.Series("a", ["x"] * 9 + ["y"]).value_counts(name="n"),
        [("rare", 10), ("common", 90)],
        pd.Series(["x"] * 9 + ["y"]).groupby(["x"] * 9 + ["y"]).size().reset_index(name="how many"),
    ],
    ids=["np.unique", "Polars, another name", "pairs", "pandas, another name"],
)
def test_classes_with_their_numbers_are_named_as_such(given):
    with pytest.raises(cp.UserError, match=r"pass counterpoise\.ClassCounts\(numbers, classes=names\)"):
        cp.count(given)
