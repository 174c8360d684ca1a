"""What a trained model does with frames: the same as the saved one, and explanations that add sense."""

from dataclasses import replace

import numpy as np
import pandas
import polars as pl
import pytest

import counterpoise as cp
from absent import needs
from counterpoise.errors import UserError
from counterpoise.table.model.one import Member, posterior

needs("lightgbm")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(imbalanced):
    return cp.train(imbalanced(), target="label", learners=["lightgbm", "logistic"])


def test_saved_and_loaded_it_says_the_same(result, imbalanced, tmp_path):
    result.save(tmp_path / "model")
    model = cp.load(tmp_path / "model")
    frame = imbalanced(50, seed=1)
    np.testing.assert_allclose(model.predict_proba(frame), result.predict_proba(frame), rtol=1e-6)
    assert (model.predict(frame) == result.predict(frame)).all()
    assert model.decision.threshold == result.decision.threshold
    assert set(model.predict(frame)) <= {"no", "yes"}


def test_pandas_and_polars_say_the_same(result, imbalanced):
    frame = imbalanced(50, seed=1)
    theirs = pandas.DataFrame(frame.to_dict(as_series=False))
    np.testing.assert_allclose(result.predict_proba(theirs), result.predict_proba(frame))


def test_what_matters_moves_the_rows(result, imbalanced):
    moved = result.model.explain(imbalanced(100, seed=1))
    assert moved.height == 100
    size = {name: float(moved[name].abs().mean()) for name in moved.columns}
    assert max(size, key=size.__getitem__) == "size"


def test_a_missing_column_is_named(result, imbalanced):
    with pytest.raises(UserError, match="kind"):
        result.predict(imbalanced(50).drop("kind"))


def test_a_notebook_shows_its_heart(result):
    assert "<script>alert" not in result._repr_html_()
    assert "label" in result._repr_html_()


def test_the_figures_are_of_a_model_without_the_test_rows(result, imbalanced):
    assert len(result.split.calibration) == 0
    assert any("the saved model was trained on all rows" in note for note in result.notes)
    saved = result.predict_proba(imbalanced())[result.split.test, 1]
    assert np.abs(saved - result.judged.probability).max() > 1e-6


def test_what_stands_in_the_test_rows_decides_nothing(result, imbalanced):
    spoilt = (
        imbalanced()
        .with_row_index("row")
        .with_columns(
            pl.when(pl.col("row").is_in(result.split.test.tolist())).then(99.0).otherwise("size").alias("size")
        )
    )
    again = cp.train(spoilt.drop("row"), target="label", learners=["lightgbm", "logistic"])
    assert (again.split.test == result.split.test).all()
    assert again.decision.threshold == result.decision.threshold
    for one, other in zip(again.verdict.entries, result.verdict.entries, strict=True):
        assert (one.label, one.log_loss, one.scores.tolist()) == (other.label, other.log_loss, other.scores.tolist())
    assert not np.allclose(again.judged.probability, result.judged.probability)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"target": "nothing"}, "nothing"),
        ({"learners": ["lightbgm"]}, "lightgbm"),
        ({"learners": []}, "learner is empty"),
        ({"seed": -1}, "seed is -1"),
        ({"budget": 0}, "budget"),
        ({"weight": "size"}, "a weight is a number above 0"),
        ({"group": "label"}, "different columns"),
        ({"time": "nothing"}, "nothing"),
        ({"goal": "recal"}, "recall"),
    ],
)
def test_mistakes(imbalanced, options, said):
    with pytest.raises(UserError, match=said):
        cp.train(imbalanced(), **{"target": "label"} | options)


def test_time_group_weight_and_slice(imbalanced):
    frame = imbalanced().with_columns(
        shop=pl.Series(np.arange(400) % 40), count=pl.Series(np.arange(400) % 3 + 1), half=pl.Series(np.arange(400) % 2)
    )
    options = {"time": "day", "weight": "count", "slice": "half", "learners": ["lightgbm"]}
    result = cp.train(frame, target="label", **options)
    days = frame["day"].to_numpy()
    assert days[result.split.train].max() < days[result.split.test].min()
    assert "count" not in [column.name for column in result.schema.columns]
    assert result.slices
    grouped = cp.train(frame, target="label", group="shop", learners=["logistic"])
    shops = frame["shop"].to_numpy()
    assert not set(shops[grouped.split.train]) & set(shops[grouped.split.test])


def test_a_run_is_logged(result, tmp_path):
    import mlflow

    run = result.track(str(tmp_path / "runs"))
    found = mlflow.tracking.MlflowClient(str(tmp_path / "runs")).get_run(run)
    assert found.data.metrics["test_f1"] == pytest.approx(result.judged.metrics["f1"].value)
    assert found.data.params["target"] == "label"


class Fixed:
    """A learner that says what it was told."""

    def __init__(self, said):
        self.said = said

    def logits(self, matrix):
        return self.said[: len(matrix)]


@pytest.mark.parametrize("rows", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    "recipe, classes",
    [
        (lambda: cp.sigmoid.binary_cross_entropy(), None),
        (lambda: cp.sigmoid.weighted(pos_weight=7.0), None),
        (lambda: cp.sigmoid.focal(gamma=2.0), None),
        (lambda: cp.softmax.weighted([100, 30, 9]), 3),
    ],
)
def test_members_of_one_loss_say_the_same_together_as_each_alone(recipe, classes, rows):
    rng = np.random.default_rng(0)
    shape, shared = (rows,) if classes is None else (rows, classes), recipe()
    said = [rng.normal(size=shape, scale=4.0), rng.normal(size=shape).astype(np.float32), rng.normal(size=shape)]
    alone = [Member(str(k), "fixed", recipe(), share, Fixed(said[k])) for k, share in enumerate((0.5, 0.3, 0.2))]
    together = [replace(one, recipe=shared) for one in alone]
    matrix = np.zeros((rows, 1))
    expected = posterior(tuple(alone), matrix)
    np.testing.assert_array_equal(posterior(tuple(together), matrix), expected)
    by_hand = sum(one.share * one.recipe.posterior(one.fitted.said).astype(np.float64) for one in alone)
    np.testing.assert_array_equal(expected, by_hand)
