"""What every learner keeps, whichever library trains it."""

import dataclasses
import json
import pickle
from dataclasses import replace
from functools import cache
from importlib import import_module

import numpy as np
import pytest

from absent import needs
from counterpoise.decide.measured import log_losses
from counterpoise.errors import UserError
from counterpoise.recipes import sigmoid, softmax
from counterpoise.table.features.schema import Column, Schema
from counterpoise.table.learners import LEARNERS, Job, Rows
from counterpoise.table.learners.catboost import class_weights
from counterpoise.table.learners.curve import posterior
from counterpoise.table.learners.epochs import HIDDEN
from counterpoise.table.learners.logistic import PATH
from counterpoise.table.learners.thinning import thinned
from counterpoise.weights import ClassCounts

needs("polars")

pytestmark = pytest.mark.slow

SCHEMA = Schema(
    (Column("size", "number"), Column("wind [m/s]", "number"), Column("kind", "category", ("elm", "fir", "oak", "yew")))
)
STEPS = {"logistic": 5, "mlp": 12, "keras": 12}
TREES = 25
NETWORKS = ("logistic", "mlp", "keras")

learners = pytest.mark.parametrize("name", list(LEARNERS))
networks = pytest.mark.parametrize("name", NETWORKS)
classes_ = pytest.mark.parametrize("classes", [2, 3])


@pytest.fixture(autouse=True)
def _installed(request):
    if "name" in request.fixturenames:
        for package in LEARNERS[request.getfixturevalue("name")].packages:
            import_module(package)


def rows_of(classes, count=500, seed=0):
    """Easy rows: the first number and the category tell the class; about one in eight is of a rare class."""
    rng = np.random.default_rng(seed)
    size, kind = rng.normal(size=count), rng.integers(0, 3, count)
    score = 2 * size + (kind == 1) + 0.5 * rng.logistic(size=count)
    codes = (score > np.quantile(score, 0.87)).astype(np.int64)
    if classes == 3:
        codes[score < np.quantile(score, 0.2)] = 2
    matrix = np.column_stack([size, rng.normal(size=count), kind])
    matrix[rng.random(count) < 0.05, 0] = np.nan
    matrix[rng.random(count) < 0.05, 2] = np.nan
    return Rows(matrix, codes)


def job_of(name, classes, *, weighted=False, rows=None, **changes):
    rows = rows_of(classes) if rows is None else rows
    counts = ClassCounts(np.bincount(rows_of(classes).codes))
    recipe = dict(LEARNERS[name].recipes(counts))["weighted" if weighted else "plain cross-entropy"]
    return Job(rows, SCHEMA, recipe, counts, rounds=STEPS.get(name, TREES), **changes)


@cache
def fitted(name, classes, weighted=False):
    job = job_of(name, classes, weighted=weighted)
    return job, LEARNERS[name].fit(job).model


@classes_
@learners
def test_is_better_than_the_constant(name, classes):
    job, model = fitted(name, classes)
    other = rows_of(classes, seed=1)
    logits = model.logits(other.matrix)
    assert logits.shape == ((500,) if classes == 2 else (500, 3))
    assert logits.dtype == np.float64
    own = log_losses(other.codes, posterior(job.recipe, logits)).mean()
    share = np.bincount(other.codes) / 500
    assert own < 0.75 * -(share * np.log(share)).sum()


@classes_
@learners
def test_probabilities_under_a_weighted_loss_add_up_to_the_classes_rows(name, classes):
    job, model = fitted(name, classes, weighted=True)
    probability = posterior(job.recipe, model.logits(job.rows.matrix))
    mean = probability.mean(axis=0)[1:] if classes == 3 else probability.mean()
    np.testing.assert_allclose(mean, job.counts.prior[1:], atol=0.05)


@classes_
@learners
def test_files_hold_the_model(name, classes):
    _, model = fitted(name, classes, weighted=True)
    files = model.files()
    assert files
    for content in files.values():
        with pytest.raises((pickle.UnpicklingError, ValueError, KeyError, IndexError, EOFError)):
            pickle.loads(content)
    again = LEARNERS[name].load(files, SCHEMA, 1 if classes == 2 else 3)
    matrix = rows_of(classes, seed=2).matrix
    np.testing.assert_allclose(again.logits(matrix), model.logits(matrix), rtol=1e-6, atol=1e-6)


@learners
def test_files_of_another_model_are_refused(name):
    files = fitted(name, 3)[1].files()
    with pytest.raises(UserError, match=r"does not fit|it must"):
        LEARNERS[name].load(files, SCHEMA, 2)
    with pytest.raises(UserError, match=r"does not fit|it must"):
        LEARNERS[name].load(files, Schema(SCHEMA.columns[:1]), 3)


@classes_
@learners
def test_missing_cells_and_new_categories_have_finite_logits(name, classes):
    _, model = fitted(name, classes)
    strange = np.array([[np.nan, np.nan, np.nan], [0.3, np.nan, 3.0], [1e300, -1e300, 2.0]])
    assert np.isfinite(model.logits(strange)).all()


@classes_
@learners
def test_same_seed_same_files(name, classes):
    job, model = fitted(name, classes)
    assert LEARNERS[name].fit(job).model.files() == model.files()


@learners
def test_leaves_the_random_numbers_of_others_alone(name):
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    LEARNERS[name].fit(replace(job_of(name, 2), rounds=1))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@learners
def test_a_row_of_weight_two_counts_as_two(name):
    rows = rows_of(2)
    twice = np.where(rows.codes == 1, 2, 1)
    repeated = rows.at(np.repeat(np.arange(500), twice))
    counts = ClassCounts(np.bincount(repeated.codes))
    means = []
    for given in (dataclasses.replace(rows, weight=twice.astype(np.float64)), repeated, rows):
        job = replace(job_of(name, 2, rows=given), counts=counts)
        means.append(posterior(job.recipe, LEARNERS[name].fit(job).model.logits(rows.matrix)).mean())
    weighted, doubled, once = means
    assert abs(weighted - doubled) < 0.4 * abs(once - doubled)


@learners
def test_the_curve_is_the_log_loss_of_the_rows_held_out(name):
    other = rows_of(2, seed=3)
    held_out = dataclasses.replace(other, weight=np.linspace(0.5, 1.5, 500))
    job = job_of(name, 2, weighted=True, held_out=held_out)
    done = LEARNERS[name].fit(job)
    assert len(done.curve) == job.rounds
    for step in (2, job.rounds):
        each = log_losses(held_out.codes, posterior(job.recipe, done.model.logits(held_out.matrix, step)))
        assert done.curve[step - 1] == pytest.approx(np.average(each, weights=held_out.weight), abs=1e-5)


@learners
def test_stops_when_rows_held_out_have_long_stopped_improving(name):
    rng = np.random.default_rng(0)
    noise = Rows(rng.normal(size=(150, 3)) * [1, 1, 0], rng.permutation(np.repeat([0, 1], [110, 40])))
    other = Rows(rng.normal(size=(150, 3)) * [1, 1, 0], rng.permutation(np.repeat([0, 1], [110, 40])))
    job = replace(job_of(name, 2, rows=noise, held_out=other), rounds=None)
    curve = LEARNERS[name].fit(job).curve
    assert len(curve) < 200
    assert int(np.argmin(curve)) < 60


@learners
def test_says_how_far_it_is_and_can_be_stopped(name):
    shares = []
    job = job_of(name, 2)
    LEARNERS[name].fit(dataclasses.replace(job, each_step=shares.append))
    assert shares == sorted(shares)
    assert len(shares) > 1
    assert shares[-1] == pytest.approx(1.0)

    def stop(share):
        if share > 0.1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LEARNERS[name].fit(dataclasses.replace(job, each_step=stop))


@networks
def test_a_network_with_nothing_to_see_gives_the_constant(name):
    rows = rows_of(2)
    rows = Rows(np.full_like(rows.matrix, np.nan), rows.codes)
    job = replace(job_of(name, 2, rows=rows), rounds=1)
    probability = posterior(job.recipe, LEARNERS[name].fit(job).model.logits(rows.matrix))
    np.testing.assert_allclose(probability, job.counts.prior[1], atol=0.06)


@networks
def test_a_network_that_was_read_back_knows_no_earlier_step(name):
    model = LEARNERS[name].load(fitted(name, 2)[1].files(), SCHEMA, 1)
    with pytest.raises(UserError, match="holds 1 step"):
        model.logits(rows_of(2).matrix, 3)


@pytest.mark.parametrize("name", ["mlp", "keras"])
def test_the_file_of_a_network_is_what_its_framework_computes(name):
    """The layers in the file, evaluated by PyTorch."""
    import torch
    from safetensors.numpy import load

    _, model = fitted(name, 3)
    tensors = {key: torch.from_numpy(value) for key, value in load(model.files()["network.safetensors"]).items()}
    matrix = rows_of(3, seed=4).matrix
    hidden = torch.from_numpy(model.encoding.apply(matrix))
    for place in range(len(HIDDEN)):
        hidden = torch.relu(hidden @ tensors[f"0.{place}.weight"] + tensors[f"0.{place}.bias"])
    logits = hidden @ tensors[f"0.{len(HIDDEN)}.weight"] + tensors[f"0.{len(HIDDEN)}.bias"]
    np.testing.assert_allclose(model.logits(matrix), logits.numpy(), rtol=1e-5, atol=1e-5)


def test_a_place_of_the_path_is_scikit_learns_logistic_regression():
    import sklearn.linear_model as linear

    for place in (1, STEPS["logistic"]):
        job = replace(job_of("logistic", 2), rounds=place)
        model = LEARNERS["logistic"].fit(job).model
        encoded = model.encoding.apply(job.rows.matrix).astype(np.float64)
        other = linear.LogisticRegression(C=PATH[place - 1], tol=1e-8, max_iter=1000).fit(encoded, job.rows.codes)
        np.testing.assert_allclose(model.logits(job.rows.matrix), other.decision_function(encoded), atol=2e-3)


def test_thinned_rows_give_nearly_the_same_model(monkeypatch):
    needs("sklearn")
    rows = rows_of(2, count=6000)
    job = job_of("logistic", 2, rows=rows)
    whole = LEARNERS["logistic"].fit(job).model.logits(rows.matrix)
    monkeypatch.setattr("counterpoise.table.learners.logistic.MOST_CELLS", 2500 * 8)
    few = LEARNERS["logistic"].fit(job).model.logits(rows.matrix)
    assert 0 < np.abs(few - whole).mean() < 0.25


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost"])
def test_a_booster_of_thinned_rows_is_about_as_good(name, monkeypatch):
    rows, new = rows_of(3, count=6000), rows_of(3, count=2000, seed=1)
    job = job_of(name, 3, rows=rows)
    whole = LEARNERS[name].fit(job).model.logits(new.matrix)
    monkeypatch.setattr("counterpoise.table.learners.thinning.MOST_CELLS", 0)
    monkeypatch.setattr("counterpoise.table.learners.thinning.FEWEST_ROWS", 2500)
    few = LEARNERS[name].fit(job).model.logits(new.matrix)
    assert not np.array_equal(few, whole)
    losses = [log_losses(new.codes, posterior(job.recipe, logits)).mean() for logits in (few, whole)]
    assert losses[0] < 1.1 * losses[1]


def test_thinning_keeps_the_rare_class_and_the_weight():
    rows = Rows(np.zeros((1000, 1)), np.repeat([0, 1, 2], [900, 90, 10]), np.full(1000, 2.0))
    few = thinned(rows, 150, seed=0)
    assert np.bincount(few.codes).tolist() == [70, 70, 10]
    np.testing.assert_allclose(np.bincount(few.codes, weights=few.weight), [1800, 180, 20])


def test_catboost_takes_weighted_cross_entropy_only():
    counts = ClassCounts([90, 10, 5])
    np.testing.assert_array_equal(class_weights(softmax.weighted(counts, weight=[1, 2, 3]), 3), [1, 2, 3])
    np.testing.assert_array_equal(class_weights(sigmoid.binary_cross_entropy(), 2), [1, 1])
    others = (softmax.logit_adjusted(counts), softmax.focal(gamma=1.0), softmax.ldam(counts), sigmoid.focal())
    assert all(class_weights(recipe, 3) is None for recipe in others)
    needs("catboost")
    with pytest.raises(UserError, match="CatBoost does not run"):
        LEARNERS["catboost"].fit(replace(job_of("catboost", 2), recipe=sigmoid.focal()))


def test_the_first_recipe_is_plain_and_every_one_has_a_posterior():
    for counts in (ClassCounts([90, 10]), ClassCounts([80, 15, 5])):
        for learner in LEARNERS.values():
            labels, recipes = zip(*learner.recipes(counts), strict=True)
            assert labels[0] == "plain cross-entropy"
            assert len(set(labels)) == len(labels)
            start = np.zeros(()) if len(counts) == 2 else np.zeros(3)
            assert all(np.isfinite(recipe.posterior(np.atleast_1d(start))).all() for recipe in recipes)


def test_the_encoding_lies_beside_the_layers_as_json():
    needs("sklearn")
    files = fitted("logistic", 2)[1].files()
    assert set(files) == {"network.safetensors", "encoding.json"}
    assert json.loads(files["encoding.json"])["names"][0] == "size"
