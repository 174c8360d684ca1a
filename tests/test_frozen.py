"""Records stay as they were made: what is compiled of them is kept by identity."""

import copy
import pickle

import numpy as np
import pytest

import counterpoise as cp

MADE = [
    (cp.softmax.weighted([90, 10]), "weight"),
    (cp.softmax.expected_cost([[0, 1], [5, 0]]), "cost"),
    (cp.sigmoid.weighted([6, 3]), "pos_weight"),
    (cp.ClassCounts([90, 10]), "n"),
    (cp.LabelCounts([10, 50], total=100), "positives"),
]
WAYS = [copy.copy, copy.deepcopy, lambda record: pickle.loads(pickle.dumps(record)), lambda record: record]


@pytest.mark.parametrize(("record", "name"), MADE)
@pytest.mark.parametrize("way", WAYS, ids=["copy", "deepcopy", "pickle", "itself"])
def test_arrays_are_read_only(record, name, way):
    found = way(record)
    assert found == record
    assert repr(found) == repr(record)
    array = getattr(found, name)
    if np.ndim(array):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 100
