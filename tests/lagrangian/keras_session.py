"""What must hold of counterpoise.keras's training for goals and schedules on KERAS_BACKEND; run by test_adapters.py."""

import sys
from pathlib import Path

import keras
import numpy as np

import counterpoise as cp
from counterpoise.keras import GoalLoss, KeepBest, Loss, RecipeSchedule
from counterpoise.lagrangian import Lagrangian, goal_loss
from counterpoise.recipes import SigmoidRecipe

GOAL, COUNTS = "recall where precision >= 0.5", cp.ClassCounts([70, 30])
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(200, 2)).astype(np.float32)
TARGET = (FEATURES[:, 0] + RNG.normal(size=200) > 0.8).astype(np.float32)


def model_with(loss, rate=0.1):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(rate), loss=loss)
    return model


def counted(loss):
    return keras.ops.convert_to_numpy(loss.state.counted)


def value_is_the_definitions():
    loss, lagrangian = GoalLoss(GOAL, COUNTS), Lagrangian(GOAL, COUNTS)
    expected, _ = goal_loss(FEATURES[:, :1], TARGET, lagrangian.initial_state(), lagrangian)
    value = loss(keras.ops.convert_to_tensor(TARGET), keras.ops.convert_to_tensor(FEATURES[:, :1]))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(value), expected, rtol=1e-5)


def fit_learns_and_evaluate_does_not():
    loss = GoalLoss(GOAL, COUNTS)
    model = model_with(loss)
    model.evaluate(FEATURES, TARGET, verbose=0)
    assert counted(loss).sum() == 0
    model.fit(FEATURES[:100], TARGET[:100], batch_size=100, verbose=0, validation_data=(FEATURES, TARGET))
    assert counted(loss)[[1, 3]].sum() == 100
    model.fit(FEATURES, TARGET, batch_size=50, epochs=20, verbose=0)
    assert loss.progress().confusion.recall > 0.3


def state_is_saved_with_the_model(folder):
    loss = GoalLoss(GOAL, COUNTS)
    model = model_with(loss)
    model.fit(FEATURES, TARGET, verbose=0)
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    assert loaded.loss.get_config() == loss.get_config()
    assert counted(loaded.loss).sum() > 0


def best_epoch_is_kept():
    loss = GoalLoss(GOAL, COUNTS)
    model = model_with(loss, rate=5.0)
    keep = KeepBest(loss, (FEATURES, TARGET))
    model.fit(FEATURES, TARGET, epochs=6, verbose=0, callbacks=[keep])
    reached = loss.judge(model.predict(FEATURES, verbose=0), TARGET)
    assert (reached.value, reached.shortfall) == (keep.best.value, keep.best.shortfall)


def strict_bounds_are_kept_after_two_epochs():
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        target = (rng.random(4000) < 0.03).astype(np.float32)
        features = (rng.normal(size=(4000, 2)) + 2.5 * target[:, None]).astype(np.float32)
        for text in ("recall where precision >= 0.95", "precision where recall >= 0.9"):
            loss = GoalLoss(text, cp.count(target.astype(int)))
            model = model_with(loss, rate=1.0)
            keep = KeepBest(loss, (features, target))
            model.fit(features, target, batch_size=200, epochs=2, verbose=0, callbacks=[keep])
            reached = loss.judge(model.predict(features, verbose=0), target)
            assert reached.feasible, (text, seed, reached.confusion, keep.best.confusion, keep.threshold)
            assert abs(reached.value - keep.best.value) < 1e-9


def state_of_another_goal_is_refused():
    state = GoalLoss("f1", COUNTS).get_config()["state"]
    try:
        GoalLoss(GOAL, COUNTS, state=state)
    except cp.UserError as problem:
        assert "learned for goal 'f1'" in str(problem)
    else:
        raise AssertionError("no error")


def recipe_follows_the_schedule():
    """With weights that silence the loss from epoch 1, only epoch 0 changes the model."""
    silent = SigmoidRecipe(pos_weight=0.0)
    schedule = cp.deferred(cp.sigmoid.binary_cross_entropy(), silent, at=1)
    loss = Loss(schedule(0))
    model = model_with(loss)
    after = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
            after.append(model.get_weights()[0].copy())

    positives = FEATURES[TARGET == 1]
    model.fit(
        positives, np.ones(len(positives)), epochs=3, verbose=0, callbacks=[RecipeSchedule(loss, schedule), Look()]
    )
    assert loss.recipe is silent
    np.testing.assert_array_equal(after[0], after[2])
    assert (after[0] != model_with(loss).get_weights()[0]).any()


def settings_are_fixed_and_the_state_is_not():
    loss = GoalLoss(GOAL, COUNTS)
    for name in ("state", "lagrangian", "goal", "robustness", "counts", "dtype", "reduction"):
        try:
            setattr(loss, name, None)
        except cp.UserError as problem:
            assert f"{name} of a GoalLoss cannot be assigned" in str(problem)
        else:
            raise AssertionError(name)
    loss.state.epochs.assign(3.0)
    assert GoalLoss.from_config(loss.get_config()).get_config() == loss.get_config()
    assert loss.get_config()["state"]["epochs"] == 3


def time_steps_that_are_masked_are_no_rows():
    tokens = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [1, 4, 2, 1]])
    target = np.where(tokens == 0, -1, tokens % 2)[..., None].astype(np.float32)
    inputs = keras.Input((4,), dtype="int32")
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(inputs)
    loss = GoalLoss(GOAL, COUNTS)
    model = keras.Model(inputs, keras.layers.Dense(1)(embedded))
    model.compile(keras.optimizers.SGD(0.0), loss=loss)
    logits, kept, lagrangian = model.predict(tokens, verbose=0), tokens != 0, Lagrangian(GOAL, COUNTS)
    value, state = goal_loss(logits[kept], target[kept], lagrangian.initial_state(), lagrangian)
    np.testing.assert_allclose(model.evaluate(tokens, target, verbose=0), value, rtol=1e-5)
    model.fit(tokens, target, verbose=0)
    for part, right in zip(loss.state, state, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(part), right, rtol=1e-5)


def double_precision_is_kept():
    loss, lagrangian = GoalLoss(GOAL, COUNTS, dtype="float64"), Lagrangian(GOAL, COUNTS)
    model = model_with(loss)  # whose batches have no known size
    logits = model.predict(FEATURES, verbose=0).astype(np.float64)
    expected, _ = goal_loss(logits, TARGET, lagrangian.initial_state(), lagrangian)
    np.testing.assert_allclose(model.evaluate(FEATURES, TARGET, batch_size=200, verbose=0), expected, rtol=1e-5)
    assert keras.backend.standardize_dtype(loss(TARGET, logits).dtype) == "float64"


if __name__ == "__main__":
    recipe_follows_the_schedule()
    if keras.backend.backend() == "jax":
        try:
            GoalLoss(GOAL, COUNTS)
        except cp.UserError as problem:
            assert "counterpoise.jax.goal_loss" in str(problem)
        else:
            raise AssertionError("no error")
    else:
        value_is_the_definitions()
        fit_learns_and_evaluate_does_not()
        state_is_saved_with_the_model(Path(sys.argv[1]))
        best_epoch_is_kept()
        strict_bounds_are_kept_after_two_epochs()
        state_of_another_goal_is_refused()
        settings_are_fixed_and_the_state_is_not()
        time_steps_that_are_masked_are_no_rows()
        double_precision_is_kept()
    print("all checks passed")
