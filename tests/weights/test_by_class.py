"""Values that name their classes go by class at every door, whatever the order of their items."""

from collections import Counter, OrderedDict
from types import MappingProxyType

import numpy as np
import pandas as pd
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.decide import adjust_prior, undo_sampling, undo_weights
from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe
from counterpoise.weights import as_class_counts

LABELS = [1] + [0] * 90 + [1] * 9
"""The first label is the rare class, so the order of a Counter is not that of the classes."""

COLUMN = pd.Series(LABELS, name="y")
COUNTS = {
    "Counter": Counter(LABELS),
    "dict": dict(Counter(LABELS)),
    "OrderedDict": OrderedDict([(1, 10), (0, 90)]),
    "mapping proxy": MappingProxyType({1: 10, 0: 90}),
    "NumPy keys": {np.int64(1): 10, np.uint8(0): 90},
    "float keys": {1.0: 10, 0.0: 90},
    "boolean keys": {True: 10, False: 90},
    "keys as JSON has them": {"1": 10, "0": 90},
    "value_counts": COLUMN.value_counts(ascending=True),
    "value_counts of a category": COLUMN.astype("category").value_counts(ascending=True),
    "value_counts of Int64": COLUMN.astype("Int64").value_counts(ascending=True),
    "value_counts of a frame": COLUMN.to_frame().value_counts(ascending=True),
    "value_counts as a frame": COLUMN.value_counts(ascending=True).to_frame(),
    "value_counts as two columns": COLUMN.value_counts(ascending=True).reset_index(),
    "groupby": COLUMN.groupby(COLUMN).size().iloc[::-1],
    "Polars value_counts": pl.Series("y", LABELS).value_counts().sort("count"),
    "Polars group_by": pl.DataFrame({"y": LABELS}).group_by("y").len().sort("len"),
}
PLAIN = np.zeros((3, 2))
SCORES = np.zeros(3)
DOORS_OF_COUNTS = {
    "ClassCounts": lambda counts: as_class_counts(counts).n,
    "class_weights": cp.class_weights,
    "pos_weight": cp.pos_weight,
    "weighted": lambda counts: cp.softmax.weighted(counts).weight,
    "logit_scaled": lambda counts: cp.softmax.logit_scaled(counts).scale,
    "class_balanced": lambda counts: cp.softmax.class_balanced(counts).weight,
    "balanced_softmax": lambda counts: cp.softmax.balanced_softmax(counts).offset,
    "logit_adjusted": lambda counts: cp.recipe("softmax.logit_adjusted", counts).offset,
    "ldam": lambda counts: cp.softmax.ldam(counts).margin,
    "vector_scaling": lambda counts: cp.softmax.vector_scaling(counts).scale,
    "recall": lambda counts: cp.softmax.recall(counts).weight,
    "prior of a recipe": lambda counts: cp.softmax.cross_entropy(counts).prior,
    "sigmoid.weighted": lambda counts: cp.sigmoid.weighted(counts).pos_weight,
    "sigmoid.logit_adjusted": lambda counts: cp.sigmoid.logit_adjusted(counts).offset,
    "sigmoid.recall": lambda counts: cp.sigmoid.recall(counts).pos_weight,
    "initial_logits": cp.softmax.focal().initial_logits,
    "sigmoid initial_logits": cp.sigmoid.focal().initial_logits,
}


@pytest.mark.parametrize("door", DOORS_OF_COUNTS.values(), ids=DOORS_OF_COUNTS)
@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
def test_counts_go_by_class(counts, door):
    np.testing.assert_array_equal(door(counts), door(cp.count(LABELS)))


def by_prior(recipe, logits):
    return lambda prior: recipe.posterior(logits, prior=prior)


KEYED = {
    "dict": lambda first, second: {1: second, 0: first},
    "NumPy keys": lambda first, second: {np.int32(1): second, np.int32(0): first},
    "boolean keys": lambda first, second: {True: second, False: first},
    "keys as JSON has them": lambda first, second: {"1": second, "0": first},
    "Series": lambda first, second: pd.Series([second, first], index=[1, 0]),
    "Series of a category": lambda first, second: pd.Series([second, first], index=pd.CategoricalIndex([1, 0])),
    "Polars proportions": lambda first, second: pl.DataFrame({"y": [1, 0], "proportion": [second, first]}),
}
DOORS_OF_VALUES = {
    "weight=": lambda values: cp.softmax.weighted(weight=values).weight,
    "weight= with counts": lambda values: cp.softmax.focal([90, 10], weight=values).weight,
    "weight= with named counts": lambda values: cp.softmax.focal({"no": 90, "yes": 10}, weight=values).weight,
    "logit_scaled": lambda values: cp.softmax.logit_scaled(weight=values).scale,
    "ldam": lambda values: cp.softmax.ldam([90, 10], weight=values).weight,
    "scale": lambda values: SoftmaxRecipe(scale=values).scale,
    "offset": lambda values: SoftmaxRecipe(offset=values).offset,
    "margin": lambda values: SoftmaxRecipe(margin=values).margin,
    "prior": lambda values: SoftmaxRecipe(prior=values).prior,
    "from_dict": lambda values: cp.recipe({"family": "softmax", "weight": values}).weight,
    "pos_weight of labels": lambda values: SigmoidRecipe(pos_weight=values).pos_weight,
    "posterior": by_prior(cp.softmax.cross_entropy([90, 10]), PLAIN),
    "posterior of labels": by_prior(SigmoidRecipe(prior=[0.3, 0.2]), PLAIN),
    "adjust_prior": lambda values: adjust_prior(PLAIN + 0.5, values, to=[0.5, 0.5]),
    "adjust_prior to": lambda values: adjust_prior(SCORES + 0.5, [0.5, 0.5], to=values),
    "adjust_prior of labels": lambda values: adjust_prior(PLAIN + 0.5, values, to=0.5, multilabel=True),
    "undo_weights": lambda values: undo_weights(SCORES + 0.5, values),
    "undo_sampling": lambda values: undo_sampling(PLAIN + 0.5, values),
    "rates": lambda values: cp.rates.recall(np.eye(3)[:, :2], [0, 1, 1], class_weight=values),
}


@pytest.mark.parametrize("door", DOORS_OF_VALUES.values(), ids=DOORS_OF_VALUES)
@pytest.mark.parametrize("made", KEYED.values(), ids=KEYED)
def test_values_go_by_class(made, door):
    np.testing.assert_array_equal(door(made(0.1, 0.9)), door([0.1, 0.9]))


@pytest.mark.parametrize("made", KEYED.values(), ids=KEYED)
def test_a_share_of_positives_may_be_given_by_class(made):
    posterior = by_prior(cp.sigmoid.binary_cross_entropy([90, 10]), SCORES)
    np.testing.assert_allclose(posterior(made(0.1, 0.9)), posterior(0.9))
    np.testing.assert_allclose(posterior(cp.ClassCounts([10, 90])), posterior(0.9))
    with pytest.raises(cp.UserError, match="prior has the keys 0 and 1, which may be the two classes or two labels"):
        SigmoidRecipe(prior=made(0.1, 0.9))


def test_more_than_two_classes_and_a_class_without_a_count():
    shuffled = {2: 5, 0: 70, 3: 0, 1: 25}
    np.testing.assert_array_equal(cp.ClassCounts(shuffled).n, [70, 25, 5, 0])
    np.testing.assert_array_equal(cp.ClassCounts(Counter([0, 2, 2]), classes=4).n, [1, 0, 2, 0])
    np.testing.assert_array_equal(cp.ClassCounts({"b": 2, "a": 1}, classes=["b", "c", "a"]).n, [2, 0, 1])
    weight = {place: float(place + 1) for place in reversed(range(12))}
    np.testing.assert_array_equal(cp.softmax.weighted(weight=weight).weight, np.arange(1.0, 13.0))


def test_a_matrix_of_costs_goes_by_both_of_its_classes():
    cost = np.array([[0.0, 1, 2], [3, 0, 4], [5, 6, 0]])
    table = pd.DataFrame(cost).loc[[2, 0, 1], [1, 2, 0]]
    nested = {true: dict(reversed(list(enumerate(row)))) for true, row in reversed(list(enumerate(cost)))}
    for given in (table, nested):
        np.testing.assert_array_equal(cp.softmax.expected_cost(given).cost, cost)
    named = table.rename(index=dict(enumerate("abc")), columns=dict(enumerate("abc")))
    counts = cp.ClassCounts([1, 2, 3], classes=["a", "b", "c"])
    np.testing.assert_array_equal(cp.softmax.expected_cost(named, counts=counts).cost, cost)


def test_labels_go_by_name_or_in_the_order_of_columns():
    targets = pd.DataFrame({"dog": [1, 0, 1, 0], "cat": [0, 0, 1, 0]})
    counts = cp.LabelCounts(targets.sum(), len(targets))
    assert counts == cp.LabelCounts([2, 1], total=4, labels=["dog", "cat"])
    np.testing.assert_array_equal(cp.sigmoid.weighted(counts, pos_weight={"cat": 3.0, "dog": 1.0}).pos_weight, [1, 3])
    assert cp.LabelCounts({1: 5, 0: 10}, total={1: 50, 0: 100}) == cp.LabelCounts([10, 5], total=[100, 50])


def test_a_table_of_targets_is_no_table_of_counts():
    targets = pd.DataFrame({"spam": [1, 0, 0, 0]})
    np.testing.assert_array_equal(cp.pos_weight(targets), [3.0])
    np.testing.assert_array_equal(cp.pos_weight(targets.assign(ham=1 - targets["spam"])), [3.0, 1 / 3])


NAMED = cp.ClassCounts([90, 10], classes=["no", "yes"])
REFUSED = [
    (
        lambda: cp.ClassCounts({"low": 5, "high": 3}),
        "'low', 'high', in an order that may have no meaning; pass ClassCounts",
    ),
    (lambda: cp.ClassCounts({0: 5, 1: 3, 255: 9}), "counts hold 255, but none from 2 to 254 .* leave out its entry"),
    (lambda: cp.ClassCounts(Counter([0, -100])), "counts hold -100, but class indices start at 0"),
    (lambda: cp.ClassCounts({0: 5, np.nan: 3}), "counts has an entry for missing labels"),
    (lambda: cp.ClassCounts(pd.Series([1, 2], index=[0, 0])), "counts names class 0 twice"),
    (lambda: cp.ClassCounts({0: 5, "a": 3}), "counts mix text and numbers: 0, 'a'"),
    (lambda: cp.ClassCounts({str(k): 1 for k in range(11)}), "hold numbers as text, whose order as text"),
    (lambda: cp.ClassCounts({0: 5, 9: 1}, classes=3), "counts names 9; the classes are 0, 1, 2"),
    (
        lambda: cp.softmax.weighted(weight={"no": 1, "yes": 9}),
        "weight has the keys 'no', 'yes', whose order is not known",
    ),
    (lambda: cp.softmax.weighted(weight=pd.Series([1.0, 9.0], index=[10, 11])), "weight has the keys 10, 11"),
    (
        lambda: cp.softmax.weighted(NAMED, weight={"no": 1, "maybe": 9}),
        "weight names 'maybe' and has no entry for .*'yes'",
    ),
    (lambda: cp.softmax.weighted({1: 90, 2: 10}, weight={0: 1, 1: 9}), "weight names 0 and has no entry for class 2"),
    (lambda: cp.softmax.weighted([5, 3, 2], weight={0: 1, 1: 9}), "weight has no entry for class 2"),
    (lambda: cp.softmax.weighted(weight={}), "weight has no entries"),
    (lambda: cp.sigmoid.weighted([90, 10], pos_weight={0: 1.0, 1: 9.0}), "pos_weight has keys, but .* need one number"),
    (lambda: SoftmaxRecipe(margin={0: 1, 2: 9}), "margin has the keys 0, 2"),
    (lambda: adjust_prior([0.5], NAMED, to={"no": 0.5, "yes": 0.5}), "to names 'no' and has no entry for class 0"),
    (lambda: undo_weights([0.5], pd.Series([1, 2, 3])), "weights names 2"),
    (lambda: undo_weights(PLAIN, pd.Series([1, 2]), multilabel=True), "weights is a mapping of classes, but labels"),
    (lambda: cp.pos_weight(pl.DataFrame({"y": [0, 7], "count": [1, 1]})), "counts hold 7, but none from 1 to 6"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_cannot_be_put_in_order_is_refused(make, message):
    with pytest.raises(cp.UserError, match=message):
        make()


def test_counted_names_are_sorted_as_labels_are():
    words = ["spam", "ham", "ham"]
    for counted in (Counter(words), pd.Series(words).value_counts(), pl.Series(words).value_counts()):
        assert cp.ClassCounts(counted) == cp.count(words)
