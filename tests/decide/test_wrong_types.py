"""Whatever is passed where something else is meant gets a `UserError`, or works."""

import numpy as np
import pytest

from absent import needs
from counterpoise import decide
from counterpoise.errors import UserError
from counterpoise.goals import Cost

needs("scipy")

RNG = np.random.default_rng(0)
TARGET = RNG.random(200) < 0.4
SCORE = np.clip(RNG.normal(0.3 + 0.4 * TARGET, 0.2), 0.01, 0.99)
CLASSES = RNG.integers(0, 3, 200)
SHARES = RNG.dirichlet(np.ones(3), 200)
DECISION = decide.choose_threshold(TARGET, SCORE, "f1")
BAND = decide.choose_review_band(TARGET, SCORE, "f1 with review <= 10%")
CALIBRATOR = decide.calibrate(TARGET, SCORE, "platt")
SETS = decide.calibrate_sets(CLASSES, SHARES)
ONE = decide.for_class("recall of b where alerts of b <= 0.5", ["a", "b", "c"], CLASSES, SHARES)

ROWS = {"target": TARGET, "probability": SCORE}
MANY = {"target": CLASSES, "probability": SHARES}
WEIGHT = {"sample_weight": np.ones(200)}
CALLS = {
    decide.choose_threshold: {**ROWS, "goal": "recall where precision >= 0.5", "confidence": 0.95, **WEIGHT},
    decide.choose_review_band: {**ROWS, "goal": "f1 with review <= 10%", "confidence": 0.95, **WEIGHT},
    decide.choose_class_thresholds: {**MANY, "prior": [0.3, 0.3, 0.4], "goal": "macro_f1", **WEIGHT},
    decide.for_class: {"goal": "recall of b where alerts of b <= 0.5", "classes": ["a", "b", "c"], **MANY},
    decide.calibrate_sets: {**MANY, "confidence": 0.9},
    decide.calibrate: {**ROWS, "method": "auto", **WEIGHT, "seed": 0},
    decide.calibration_error: {**MANY, "kind": "ece", "positive": 1, "bins": 5, **WEIGHT},
    decide.brier_score: {**MANY, "positive": 1, **WEIGHT},
    decide.reliability_curve: {**MANY, "positive": 1, "bins": 5},
    decide.measure_binary: {**ROWS, "threshold": 0.5, "goal": "f1", "seed": 0},
    decide.measure_multiclass: {**MANY, "threshold": [0.3, 0.3, 0.4], "goal": "macro_f1", "seed": 0},
    decide.decide_by_cost: {"probability": SCORE, "costs": Cost(fn=5, fp=1)},
    decide.adjust_prior: {"probability": SCORE, "prior": 0.4, "to": 0.1},
    decide.estimate_prior: {"probability": SCORE, "prior": 0.4},
    decide.undo_weights: {"probability": SCORE, "weights": 3.0},
    decide.undo_sampling: {"probability": SCORE, "rates": [0.5, 1.0]},
    decide.top_k: {"probability": SCORE, "k": 3},
    decide.within_budget: {"probability": SCORE, "goal": "recall where alerts <= 10%"},
    decide.rows_needed: {"share": 0.6, "bound": 0.5, "confidence": 0.95},
    DECISION.apply: {"probability": SCORE},
    BAND.apply: {"probability": SCORE},
    CALIBRATOR.__call__: {"probability": SCORE},
    SETS.sets: {"probability": SHARES},
    ONE.classes: {"probability": SHARES, "decided": np.ones(200, bool)},
}


def wrong_values():
    yield from (None, "text", b"bytes", 0.5, -1, float("nan"), float("inf"), 10**400, 1j, True, object(), print)
    yield from ({}, {"a": 1}, {1, 2}, [], [[]], [[0.5], [0.5, 0.5]], ["a"] * 200, [None] * 200, iter([0.5]))
    yield from (SCORE[:, None], SCORE[None], np.zeros((200, 3, 2)), SCORE[:-1], SCORE > 2, SCORE + np.nan)
    yield from (np.ma.masked_array(SCORE, SCORE > 0.5), np.array(["2026-01-01"] * 200, "datetime64[D]"))
    yield np.array([{}] * 200)
    import pandas
    import polars
    import torch

    yield from (pandas.DataFrame({"a": SCORE}), pandas.Series(["a", "b"] * 100, dtype="category"))
    yield from (pandas.Series([1, None] * 100, dtype="Int64"), pandas.DataFrame({"a": ["x"] * 200}))
    yield from (polars.DataFrame({"a": SCORE}), polars.Series(["a", "b"] * 100, dtype=polars.Categorical))
    yield from (torch.tensor(SCORE[:, None], requires_grad=True), torch.tensor(SCORE, dtype=torch.complex64))


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__qualname__)
def test_wrong_types_are_a_user_error_or_work(call):
    for argument in CALLS[call]:
        refused = 0
        for value in wrong_values():
            try:
                answer(call, {**CALLS[call], argument: value})
            except UserError:
                refused += 1
            except Exception as error:
                raise AssertionError(f"{argument}={str(value)[:80]} gives {type(error).__name__}: {error}") from error
        assert refused >= 10, argument


@pytest.mark.parametrize(
    "call", [one for one in CALLS if "probability" in CALLS[one]], ids=lambda call: call.__qualname__
)
def test_a_tensor_that_requires_its_gradient_is_an_array(call):
    import torch

    tensor = torch.tensor(CALLS[call]["probability"], requires_grad=True)
    assert repr(answer(call, {**CALLS[call], "probability": tensor})) == repr(answer(call, CALLS[call]))


def test_half_precision_tensors_are_numbers():
    import torch

    half = torch.tensor([0.25, 0.75], dtype=torch.bfloat16)
    assert decide.top_k(half, 1).tolist() == [False, True]


@pytest.mark.parametrize("argument", ["target", "probability", "sample_weight"])
def test_masked_values_are_refused_and_unmasked_ones_are_not(argument):
    given = CALLS[decide.choose_threshold]
    whole = np.ma.masked_array(given[argument], np.zeros(200, bool))
    decide.choose_threshold(**{**given, argument: whole})
    whole[[7, 9]] = np.ma.masked
    with pytest.raises(UserError, match=f"{argument} is masked in row 7; leave masked rows out"):
        decide.choose_threshold(**{**given, argument: whole})


@pytest.mark.parametrize("kind", ["datetime64[ns]", "timedelta64[ns]"])
def test_times_are_no_weights(kind):
    times = np.arange(1, 201).astype(kind)
    with pytest.raises(UserError, match="sample_weight must be numbers, but holds"):
        decide.choose_threshold(TARGET, SCORE, "f1", sample_weight=times)


def test_text_labels_say_how_to_encode_them():
    import pandas

    text = np.where(TARGET, "fraud", "fine")
    for labels in (text, text.tolist(), text.astype(object), pandas.Series(text, dtype="category")):
        with pytest.raises(UserError, match=r"encode it: np.asarray\(target\) == 'fraud' if that is the class to find"):
            decide.choose_threshold(labels, SCORE, "f1")
    decide.choose_threshold(np.asarray(text) == "fraud", SCORE, "f1")


def answer(call, given):
    return call(**given)
