"""Parts by time and by group do what they are named for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoise.errors import UserError
from counterpoise.table.rows.split import folds_of, split_rows

codes = st.lists(st.sampled_from([0, 0, 0, 1]), min_size=30, max_size=80).map(np.array)


@given(codes, st.randoms(use_true_random=False), st.sampled_from([0.0, 0.2]))
def test_later_rows_judge(labels, random, kept):
    time = np.array([random.randrange(40) for _ in labels])
    try:
        parts = split_rows(labels, seed=0, time=time, calibration=kept)
    except UserError:
        assert len(np.unique(time)) < 20
        return
    assert sorted([*parts.train, *parts.calibration, *parts.test]) == list(range(len(labels)))
    assert time[parts.train].max() < min([*time[parts.calibration], *time[parts.test]])
    if kept:
        assert time[parts.calibration].max() < time[parts.test].min()


@given(codes, st.integers(8, 30), st.integers(0, 5))
def test_groups_stay_together(labels, groups, seed):
    group = np.random.default_rng(seed).integers(0, groups, len(labels))
    fold = folds_of(labels, 3, seed=seed, group=group)
    for one in np.unique(group):
        assert len(np.unique(fold[group == one])) == 1
    if len(np.unique(group)) >= 20:
        parts = split_rows(labels, seed=seed, group=group)
        named = [set(group[part]) for part in (parts.train, parts.calibration, parts.test)]
        assert not (named[0] & named[1] or named[0] & named[2] or named[1] & named[2])


def test_groups_share_the_rare_class_out():
    labels, group = np.repeat([0, 1], [900, 100]), np.r_[np.arange(900) % 90, 90 + np.arange(100) % 50]
    fold = folds_of(labels, 5, seed=0, group=group)
    assert np.bincount(fold[labels == 1]).tolist() == [20] * 5
    assert np.ptp(np.bincount(fold)) <= 40


def test_time_folds_are_stretches_with_all_classes():
    time = np.arange(100)[::-1]
    labels = (np.arange(100) % 10 == 0).astype(int)
    fold = folds_of(labels, 5, seed=0, time=time)
    assert np.bincount(fold[labels == 1]).tolist() == [2] * 5
    assert (np.diff(fold[labels == 0]) <= 0).all()


@pytest.mark.parametrize("options", [{"time": np.zeros(10)}, {"group": np.zeros(10, int)}])
def test_too_few_moments_or_groups(options):
    with pytest.raises(UserError, match="has too few"):
        split_rows([0, 1] * 5, seed=0, **options)
