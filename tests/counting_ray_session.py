"""Counting the labels of a Ray data set, where its blocks are; run by test_counting.py.

It is a process of its own: Ray forks, which JAX, once imported, warns of.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import ray

import counterpoise as cp

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning"),
]  # says Ray of itself


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def test_labels_of_all_blocks_are_counted():
    numbers = ray.data.range(3_000).map_batches(lambda rows: {"y": rows["id"] % 3, "x": rows["id"]})
    assert cp.count(numbers, "y") == cp.ClassCounts([1000, 1000, 1000])
    words = [pd.DataFrame({"y": ["no", "yes", "no"]}), pd.DataFrame({"y": ["no", None, "NA"]})]
    assert cp.count(ray.data.from_pandas(words), ignore_index=np.nan) == cp.ClassCounts([3, 1], classes=["no", "yes"])


def test_what_is_wrong_is_said_here_and_not_by_a_worker():
    rows = ray.data.from_pandas([pd.DataFrame({"y": [0, 1]}), pd.DataFrame({"y": [1.0, np.nan]})])
    with pytest.raises(cp.UserError, match="the data set: column 'y' is missing in 1 of 4 rows"):
        cp.count(rows)
    with pytest.raises(cp.UserError, match="the data set has no column 'z'; its columns: 'y'"):
        cp.count(rows, "z")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-p", "no:cacheprovider", "--rootdir", str(Path(__file__).parent)]))
