"""What must hold of counterpoise.keras.Loss on the backend that KERAS_BACKEND names; run by test_keras.py."""

import sys
from pathlib import Path

import keras
import numpy as np

import counterpoise as cp
from counterpoise.keras import GoalLoss, Loss, RateLoss, RecipeSchedule

RNG = np.random.default_rng(0)
COUNTS = cp.ClassCounts([198, 436, 710, 272])


def close(a, b, tolerance=2e-6):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


def linear(width, classes):
    inputs = keras.Input((width,))
    return keras.Model(inputs, keras.layers.Dense(classes)(inputs))


def compiled(model, loss):
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss)
    return model


def fit_and_evaluate_agree():
    x, y = RNG.normal(size=(70, 3)).astype("float32"), RNG.integers(4, size=70)
    for recipe in (
        cp.softmax.weighted(COUNTS),
        cp.softmax.focal(COUNTS, weight="inverse"),
        cp.softmax.ldam(COUNTS),
    ):
        model = linear(3, 4)
        model.compile(optimizer=keras.optimizers.SGD(0.0), loss=Loss(recipe))
        trained = model.fit(x, y, batch_size=32, verbose=0).history["loss"][-1]
        evaluated = model.evaluate(x, y, batch_size=32, verbose=0)
        ours = cp.loss(model.predict(x, verbose=0), y, recipe)
        close(trained, evaluated)
        close(evaluated, ours)


def targets_of_every_shape_agree():
    logits = RNG.normal(size=(6, 4)).astype("float32")
    y = RNG.integers(4, size=6)
    loss = Loss(cp.softmax.vector_scaling(COUNTS, weight="inverse"))
    one_hot = np.eye(4, dtype="float32")[y]
    values = [loss(t, logits) for t in (y, y[:, None], y.astype("float32"), y[:, None].astype("float32"), one_hot)]
    for value in values:
        close(keras.ops.convert_to_numpy(value), cp.loss(logits, y, loss.recipe))


def sequences_and_images():
    recipe = cp.softmax.logit_adjusted(COUNTS)
    for shape in ((2, 5), (2, 3, 4)):
        logits = RNG.normal(size=(*shape, 4)).astype("float32")
        y = RNG.integers(4, size=shape)
        one_hot = np.eye(4, dtype="float32")[y]
        weight = RNG.uniform(size=2).astype("float32")
        for target in (y, one_hot):
            value = Loss(recipe)(target, logits, sample_weight=weight)
            close(keras.ops.convert_to_numpy(value), cp.loss(logits, y, recipe, sample_weight=weight))


def classes_on_axis_1():
    logits = RNG.normal(size=(2, 4, 3, 5)).astype("float32")
    y = RNG.integers(4, size=(2, 3, 5))
    value = Loss(cp.softmax.focal(), class_axis=1)(y, logits)
    close(keras.ops.convert_to_numpy(value), cp.loss(logits, y, cp.softmax.focal(), class_axis=1))


def labels_that_are_no_class_are_refused():
    logits = np.zeros((2, 3), "float32")
    try:
        value = float(keras.ops.convert_to_numpy(Loss(cp.softmax.focal())(np.array([1.7, 0.0], "float32"), logits)))
        raise AssertionError(f"class 1.7 was taken: {value}")
    except cp.UserError as error:
        assert "target holds class" in str(error), error


def mask_counts_only_what_is_kept():
    tokens = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    inputs = keras.Input((4,), dtype="int32")
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(inputs)
    model = compiled(keras.Model(inputs, keras.layers.Dense(4)(embedded)), Loss(cp.softmax.focal()))
    y = RNG.integers(4, size=(2, 4))
    logits = model.predict(tokens, verbose=0)
    kept = tokens != 0
    close(model.evaluate(tokens, y, verbose=0), cp.loss(logits[kept], y[kept], cp.softmax.focal()))


def two_outputs_with_recipes_of_their_own():
    inputs = keras.Input((3,))
    model = keras.Model(
        inputs,
        {
            "kind": keras.layers.Dense(4, name="kind")(inputs),
            "fraud": keras.layers.Dense(1, name="fraud")(inputs),
        },
    )
    recipes = {"kind": cp.softmax.balanced_softmax(COUNTS), "fraud": cp.sigmoid.weighted([90, 10])}
    compiled(model, {name: Loss(recipe) for name, recipe in recipes.items()})
    x = RNG.normal(size=(64, 3)).astype("float32")
    y = {"kind": RNG.integers(4, size=64), "fraud": RNG.integers(2, size=64).astype("float32")}
    model.fit(x, y, epochs=1, verbose=0)
    logits = model.predict(x, verbose=0)
    expected = sum(cp.loss(logits[name], y[name], recipes[name]) for name in recipes)
    close(model.evaluate(x, y, verbose=0, return_dict=True)["loss"], expected, 1e-5)


def multilabel_and_sample_weight():
    recipe = cp.sigmoid.asymmetric()
    x = RNG.normal(size=(40, 3)).astype("float32")
    y = RNG.integers(2, size=(40, 5)).astype("float32")
    weight = RNG.uniform(size=40).astype("float32")
    model = compiled(linear(3, 5), Loss(recipe))
    model.fit(x, y, sample_weight=weight, verbose=0)
    logits = model.predict(x, verbose=0)
    expected = cp.loss(logits, y, recipe, sample_weight=weight)
    close(model.evaluate(x, y, sample_weight=weight, batch_size=40, verbose=0), expected)


def saves_and_loads(directory):
    x, y = RNG.normal(size=(16, 3)).astype("float32"), RNG.integers(4, size=16)
    recipe = cp.softmax.vector_scaling(COUNTS, weight="inverse")
    model = compiled(linear(3, 4), Loss(recipe, reduction="weighted_mean", ignore_index=-1))
    model.save(directory / "model.keras")
    loaded = keras.models.load_model(directory / "model.keras")
    assert loaded.loss.recipe == recipe
    assert loaded.loss.reduction == "weighted_mean"
    assert loaded.loss.ignore_index == -1
    if keras.backend.backend() != "jax":
        compiled(linear(3, 1), GoalLoss("f1", [9, 1])).save(directory / "goal.keras")
    close(loaded.evaluate(x, y, batch_size=16, verbose=0), model.evaluate(x, y, batch_size=16, verbose=0))


def training_lowers_the_loss():
    x = RNG.normal(size=(200, 3)).astype("float32")
    y = (x[:, 0] > 1.2).astype("int32")
    recipe = cp.softmax.logit_adjusted(cp.count(y))
    model = compiled(linear(3, 2), Loss(recipe))
    history = model.fit(x, y, epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]


def rates_are_those_of_the_function():
    logits, y = RNG.normal(size=(9, 3)).astype("float32"), RNG.integers(3, size=9)
    weight = RNG.uniform(size=9).astype("float32")
    for target in (y, y[:, None], y.astype("float32")):
        value = RateLoss("f_beta", beta=2.0)(target, logits, sample_weight=weight)
        close(keras.ops.convert_to_numpy(value), cp.rates.f_beta(logits, y, sample_weight=weight, beta=2.0))
    images, masks = RNG.normal(size=(2, 3, 4, 5)).astype("float32"), RNG.integers(3, size=(2, 4, 5))
    value = RateLoss("dice", class_axis=1)(masks, images, sample_weight=weight[:2])
    close(keras.ops.convert_to_numpy(value), cp.rates.dice(images, masks, class_axis=1, sample_weight=weight[:2]))
    hits = RNG.integers(2, size=(9, 3)).astype("float32")
    value = RateLoss("jaccard", multilabel=True, class_weight=[1, 2, 3])(hits, logits)
    true = cp.rates.jaccard(logits, hits, multilabel=True, class_weight=[1, 2, 3])
    close(keras.ops.convert_to_numpy(value), true)


def rates_leave_out_what_the_mask_does():
    tokens = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    inputs = keras.Input((4,), dtype="int32")
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(inputs)
    model = compiled(keras.Model(inputs, keras.layers.Dense(4)(embedded)), RateLoss("f_beta"))
    y, kept = RNG.integers(4, size=(2, 4)), tokens != 0
    logits = model.predict(tokens, verbose=0)
    close(model.evaluate(tokens, y, verbose=0), cp.rates.f_beta(logits[kept], y[kept]))


def rates_train_and_are_saved(directory):
    x = RNG.normal(size=(200, 3)).astype("float32")
    y = (x[:, 0] > 1.2).astype("float32")
    for loss in (RateLoss("f_beta", beta=2.0), RateLoss("roc_auc", margin=2.0)):
        model = compiled(linear(3, 1), loss)
        history = model.fit(x, y, epochs=8, batch_size=200, verbose=0).history["loss"]
        assert history[-1] < history[0], history
        model.save(directory / "rates.keras")
        loaded = keras.models.load_model(directory / "rates.keras")
        assert loaded.loss.get_config() == loss.get_config()
        close(loaded.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0))


def refused(action, words):
    try:
        value = action()
    except cp.UserError as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"no error, but {value}")


def what_is_assigned_is_refused():
    """A compiled model would go on with what was traced, and show the other."""
    loss, rate = Loss(cp.softmax.focal(), "sum"), RateLoss("f_beta", beta=2.0)
    for criterion, name, value in (
        (loss, "recipe", cp.softmax.poly1()),
        (loss, "reduction", "mean"),
        (loss, "ignore_index", -1),
        (loss, "class_axis", 1),
        (loss, "dtype", "float64"),
        (loss, "weight", [1.0, 2.0]),  # no setting of a Loss, which would be shown all the same
        (rate, "beta", 1.0),
        (rate, "average", "micro"),
        (rate, "reduction", "sum"),
    ):
        before = criterion.get_config()
        refused(lambda c=criterion, n=name, v=value: setattr(c, n, v), f"{name} of a {type(criterion).__name__} cannot")
        assert criterion.get_config() == before

    class Extended(Loss):
        def __init__(self, recipe, extra):
            super().__init__(recipe)
            self.extra = extra

    extended = Extended(cp.softmax.focal(), 3)
    assert extended.extra == 3
    refused(lambda: setattr(extended, "recipe", cp.softmax.poly1()), "RecipeSchedule")


def a_schedule_needs_the_model_s_own_loss():
    def always(epoch):  # noqa: ARG001
        return cp.softmax.focal()

    for held in (Loss(cp.softmax.focal()), {"dense_out": Loss(cp.softmax.focal())}):
        inputs = keras.Input((3,))
        model = compiled(keras.Model(inputs, {"dense_out": keras.layers.Dense(4, name="dense_out")(inputs)}), held)
        for loss in [held] if isinstance(held, Loss) else held.values():
            follow = RecipeSchedule(loss, always)
            follow.set_model(model)
            follow.on_train_begin()
        follow = RecipeSchedule(Loss(cp.softmax.focal()), always)
        follow.set_model(model)
        refused(follow.on_train_begin, "pass the model's own, as in")


def dtype_is_the_one_that_was_asked_for():
    logits, y = RNG.normal(size=(9, 4)), RNG.integers(4, size=9)
    recipe = cp.softmax.focal()
    for asked, given, found in (
        (None, "float32", "float32"),
        (None, "float16", "float32"),
        ("float32", "float64", "float32"),
        ("float64", "float32", "float64"),
        (keras.DTypePolicy("float64"), "float16", "float64"),
    ):
        for loss in (Loss(recipe, dtype=asked), RateLoss("recall", dtype=asked)):
            assert type(loss).from_config(loss.get_config()).get_config() == loss.get_config()
            assert loss.dtype in (None, found)
            if found == "float64" and keras.backend.backend() == "jax":
                refused(lambda loss=loss: loss(y, logits.astype("float32")), "jax_enable_x64")
                continue
            value = loss(y, logits.astype(given))
            assert keras.backend.standardize_dtype(value.dtype) == found
    for half in ("float16", "mixed_bfloat16"):
        refused(lambda half=half: Loss(recipe, dtype=half), "computed in 'float32' or 'float64'")


def mask_of_rows_counts():
    """`Masking` makes a mask (N,) of features (N, F)."""
    x = np.array([[0, 0], [1, 2], [0, 0], [3, 1], [1, 1]], "float32")
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Masking()(inputs)))
    y, weight, kept = np.array([-1, 1, 7, 0, 2]), np.array([9, 1, np.nan, 3, 0], "float32"), x[:, 0] != 0
    logits = model.predict(x, verbose=0)[kept]
    for loss in (Loss(cp.softmax.focal()), Loss(cp.softmax.focal(), "weighted_mean"), Loss(cp.softmax.focal(), "sum")):
        found = compiled(model, loss).evaluate(x, y, verbose=0)
        close(found, cp.loss(logits, y[kept], loss.recipe, reduction=loss.reduction))
    rate = compiled(model, RateLoss("f_beta")).evaluate(x, y, sample_weight=weight, verbose=0)
    close(rate, cp.rates.f_beta(logits, y[kept], sample_weight=weight[kept]))
    misfit = keras.ops.convert_to_tensor(np.zeros((5, 3), "float32"))
    misfit._keras_mask = keras.ops.ones((5, 2))
    refused(lambda: Loss(cp.softmax.focal())(np.zeros(5, "int32"), misfit), "Keras's mask has shape (5, 2)")


def class_weight_is_a_sample_weight():
    x, y = RNG.normal(size=(12, 3)).astype("float32"), RNG.integers(4, size=12)
    weight = {0: 0.5, 1: 2.0, 2: 1.0, 3: 0.0}
    for loss in (Loss(cp.softmax.focal(COUNTS, weight="inverse"), "weighted_mean"), RateLoss("f_beta")):
        model = linear(3, 4)
        model.compile(keras.optimizers.SGD(0.0), loss=loss)
        logits = model.predict(x, verbose=0)
        found = model.fit(x, y, class_weight=weight, batch_size=12, verbose=0).history["loss"][0]
        by_row = np.array([weight[label] for label in y], "float32")
        if isinstance(loss, Loss):
            close(found, cp.loss(logits, y, loss.recipe, by_row, "weighted_mean"))
        else:
            close(found, cp.rates.f_beta(logits, y, sample_weight=by_row))


if __name__ == "__main__":
    fit_and_evaluate_agree()
    targets_of_every_shape_agree()
    sequences_and_images()
    classes_on_axis_1()
    labels_that_are_no_class_are_refused()
    mask_counts_only_what_is_kept()
    two_outputs_with_recipes_of_their_own()
    multilabel_and_sample_weight()
    saves_and_loads(Path(sys.argv[1]))
    training_lowers_the_loss()
    rates_are_those_of_the_function()
    rates_leave_out_what_the_mask_does()
    rates_train_and_are_saved(Path(sys.argv[1]))
    what_is_assigned_is_refused()
    a_schedule_needs_the_model_s_own_loss()
    dtype_is_the_one_that_was_asked_for()
    mask_of_rows_counts()
    class_weight_is_a_sample_weight()
    print("all checks passed")
