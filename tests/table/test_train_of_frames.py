"""`counterpoise.train` on frames in memory: what a notebook types, and what it gets wrong."""

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from absent import needs
from counterpoise.errors import UserError

needs("lightgbm")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained_frame(imbalanced):
    frame = imbalanced(300)
    return frame, cp.train(frame, target="label", learners="lightgbm", budget=4)


def test_explain_names_every_column_and_adds_nothing_for_a_typical_cell(trained_frame, tmp_path):
    frame, result = trained_frame
    typical = result.model.facts["columns"]["size"]["typical"]
    some = frame.head(20).with_columns(
        pl.when(pl.int_range(pl.len()) > 2).then("size").otherwise(typical).alias("size")
    )
    moved = result.explain(some)
    assert moved.columns == ["size", "wind speed [m/s]", "kind", "wet", "day"]
    assert moved["size"][:3].to_list() == [0, 0, 0]
    assert moved["size"][3:].abs().max() > 0.1
    result.save(tmp_path / "m")
    np.testing.assert_allclose(cp.load(tmp_path / "m").explain(some).to_numpy(), moved.to_numpy(), atol=1e-12)


def test_explain_of_dates_categories_and_text():
    rng = np.random.default_rng(0)
    words = np.array(["red", "blue", "car", "sky", "very", "old"])
    said = [" ".join(rng.choice(words, 4)) + f" {k}" for k in range(200)]
    frame = pl.DataFrame({"said": said, "y": [int("red" in one) for one in said], "x": rng.normal(size=200)})
    moved = cp.train(frame, target="y", learners=["lightgbm"], budget=4).explain(frame.head(30))
    assert moved.columns == ["said", "x"]
    assert moved["said"].abs().mean() > moved["x"].abs().mean()


@pytest.mark.parametrize(("value", "column"), [(1, "int"), (True, "flag"), (0, "int"), (1.0, "int"), ("1.0", "int")])
def test_positive_as_the_cells_are(value, column):
    frame = pl.DataFrame({"x": range(60), "int": [0] * 40 + [1] * 20}).with_columns(flag=pl.col("int") == 1)
    found = cp.train(frame.select("x", column), target=column, positive=value, learners=["lightgbm"], budget=2)
    assert found.labels.positive == float(value)


def test_names_of_pandas_columns_may_be_numbers():
    import pandas

    frame = pandas.DataFrame({0: range(60), 1: [0] * 40 + [1] * 20, 2: np.ones(60)})
    assert cp.train(frame, target=1, weight=2, learners=["lightgbm"], budget=2).target == "1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": pl.Series([1])}, "target is a Series; name a column"),
        ({"target": "y", "group": ["g"]}, "group is a list; name a column"),
        ({"target": "y", "budget": "5m"}, "budget is '5m'; it is a number of seconds"),
        ({"target": "y", "seed": 1.5}, "seed is 1.5; it must be a whole number"),
        ({"target": "y", "weight": "nowhere"}, "weight column 'nowhere' holds nan in data row 3"),
        ({"target": "y", "time": "y"}, "time is 'y', which is the target"),
        ({"target": "y", "time": "late"}, "time 'late' is missing in 1 rows, first in data row 6"),
        ({"target": "y", "time": "word"}, "time 'word' holds String"),
    ],
)
def test_mistakes_are_told_before_anything_is_learned(options, message):
    frame = pl.DataFrame({"x": range(60), "y": [0] * 40 + [1] * 20, "g": 1, "word": "a"}).with_columns(
        nowhere=pl.Series([1.0, 1.0, np.nan] + [1.0] * 57), late=pl.Series([*range(5), None, *range(54)])
    )
    steps = []
    with pytest.raises(UserError, match=message):
        cp.train(frame, learners=["lightgbm"], progress=lambda step, _: steps.append(step), **options)
    assert steps == []


def test_rows_that_hang_together_are_promised_nothing(imbalanced):
    frame = imbalanced(500)
    alone = frame.with_columns(card=pl.int_range(pl.len()))
    several = frame.with_columns(card=pl.int_range(pl.len()) // 5)
    asked = {"target": "label", "goal": "recall where alerts <= 0.5", "learners": ["lightgbm"], "budget": 4}
    assert cp.train(alone, group="card", **asked).decision.promised
    found = cp.train(several, group="card", **asked)
    assert not found.decision.promised
    assert found.decision.reason.endswith("groups, so this cannot be promised")
    assert found.facts["promised"] is False
    assert "so this cannot be promised" in found._repr_html_()


def test_a_seed_of_numpy_is_as_good_as_another(tmp_path):
    asked = {"seed": np.int64(1), "budget": 2, "learners": ["lightgbm"]}
    found = cp.train(pl.DataFrame({"x": np.arange(200.0), "y": np.arange(200) % 5 == 0}), target="y", **asked)
    assert found.command.endswith("budget=2, seed=1)")
    found.save(tmp_path / "model")
    assert cp.load(tmp_path / "model").facts["seed"] == 1


@pytest.mark.parametrize(
    "label, said", [(lambda k: k % 7 == 0, "class False"), (lambda k: k % 3, "all training rows are in one group")]
)
def test_one_group_to_learn_from_is_refused(label, said):
    """With a time the only group of the training rows can be left alone by those that go on."""
    place = np.arange(300)
    card = ["a"] * 240 + [f"b{k}" for k in range(60)]
    frame = pl.DataFrame({"x": place % 17, "time": place, "card": card, "y": [label(k) for k in range(300)]})
    with pytest.raises(UserError, match=f"{said}.* train without --group"):
        cp.train(frame, target="y", time="time", group="card", learners=["lightgbm"])


def test_what_repeats_a_training_on_a_frame_is_the_call(trained_frame):
    _, result = trained_frame
    assert (
        result.command
        == "counterpoise.train(frame, target='label', goal='f1', learners=['lightgbm'], budget=4, seed=0)"
    )


def test_a_breakdown_of_defaults_is_told_once(tmp_path):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{k}": rng.normal(size=200) for k in range(4)}).with_columns(
        y=pl.Series(rng.random(200) < 0.1)
    )
    result = cp.train(frame, target="y", learners=["lightgbm"], budget=4)
    assert result.health  # noise: the defaults are worse than the class shares
    result.save(tmp_path / "m")
    assert (tmp_path / "m" / "report.html").read_text().count("defaults broke down here") == 1
