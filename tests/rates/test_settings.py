"""Settings of a rate are plain numbers, whoever brings them."""

import json

import numpy as np
import pytest

from counterpoise.rates.settings import RateSettings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"rate": "f_beta", "parameters": {"beta": np.float32(2)}}, {"beta": 2.0}),
        ({"rate": "recall", "average": np.int64(1)}, {"average": 1}),
        ({"rate": "recall", "ignore_index": np.int16(255)}, {"ignore_index": 255}),
        ({"rate": "dice", "memory": np.float64(0.9)}, {"memory": 0.9}),
        ({"rate": "g_mean", "class_axis": np.int64(1)}, {"class_axis": 1}),
    ],
)
def test_numbers_of_numpy_are_stored(given, expected):
    settings = RateSettings(**given)
    assert json.loads(settings.to_json()).items() >= expected.items()
    assert RateSettings.from_json(settings.to_json()) == settings
