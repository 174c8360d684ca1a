"""What must hold of counterpoise.keras under tf.distribute's MirroredStrategy; run by test_replicas.py.

One strategy for all checks: TensorFlow gives all strategies of a process the same collective keys.
"""

import keras
import numpy as np
import tensorflow as tf

import counterpoise as cp
import counterpoise.tensorflow
from counterpoise.keras import GoalLoss, KeepBest, Loss, RateLoss
from counterpoise.recipes import SoftmaxRecipe

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 3
)
STRATEGY = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1", "CPU:2"])
RNG = np.random.default_rng(0)
COUNTS = cp.ClassCounts([198, 436, 710, 272])
CLASSES = np.array([0, 1, 2, 3, 2, 2, 1, 2, 0, 1])
IGNORED = np.array([0, 1, 9, 9, 2, 9, 1, 9, 0, 9])
BINARY = np.array([0, 0, 1, 0, 1, 0, 0, 1, 0, 0], "float32")[:, None]
LABELS = RNG.integers(2, size=(10, 5)).astype("float32")
WEIGHT = np.array([1, 0, 2, 3, 0.5, 4, 1, 0.25, 2, 1], "float32")
GOAL = "recall where precision >= 0.5"

weighted, focal = cp.softmax.weighted(COUNTS), cp.softmax.focal(COUNTS, weight="inverse")
costs = cp.softmax.expected_cost(np.arange(16.0).reshape(4, 4))
CASES = [  # how many outputs, target, loss
    (4, CLASSES, Loss(weighted)),
    (4, CLASSES, Loss(focal, "sum")),
    (4, CLASSES, Loss(weighted, "weighted_mean")),
    (4, CLASSES, Loss(focal, "nonzero_mean")),
    (4, IGNORED, Loss(cp.softmax.poly1(), ignore_index=9)),
    (4, IGNORED, Loss(cp.softmax.ldam(COUNTS), "nonzero_mean", ignore_index=9)),
    (4, CLASSES, Loss(costs, "weighted_mean")),
    (4, np.eye(4, dtype="float32")[CLASSES], Loss(SoftmaxRecipe(weight=weighted.weight, smoothing=0.1))),
    (5, LABELS, Loss(cp.sigmoid.asymmetric(), "weighted_mean", ignore_index=1)),
    (1, BINARY, Loss(cp.sigmoid.weighted([6, 3]), dtype="float64")),
    (4, CLASSES, RateLoss("f_beta", beta=2.0)),
    (4, CLASSES, RateLoss("g_mean", "none")),
    (1, BINARY, RateLoss("mcc")),
    (5, LABELS, RateLoss("jaccard", "micro", multilabel=True)),
    (4, CLASSES, RateLoss("recall", 2)),
    (1, BINARY, RateLoss("roc_auc", surrogate="logistic")),
    (1, BINARY, RateLoss("partial_auc", high=0.5)),
    (4, CLASSES, RateLoss("average_precision", temperature=0.3)),
]
SHARES = [(slice(0, 4), slice(4, 7), slice(7, 10)), (slice(0, 1), slice(1, 1), slice(1, 10))]


def close(a, b, tolerance=2e-5):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


def handed_out(array, shares):
    return STRATEGY.experimental_distribute_values_from_function(
        lambda context: tf.constant(array[shares[context.replica_id_in_sync_group]])
    )


def step(loss, target, logits, weight):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(target, logits, sample_weight=weight)
    return value, tape.gradient(value, logits)


def on_three(loss, target, logits, weight, shares):
    """Values and gradients of the replicas."""
    given = [handed_out(array, shares) for array in (target, logits, weight)]
    found = STRATEGY.run(lambda *batch: step(loss, *batch), args=given)
    return [STRATEGY.experimental_local_results(each) for each in found]


def every_loss_is_that_of_one_replica():
    for width, target, loss in CASES:
        logits = RNG.normal(size=(10, width)).astype("float32")
        right, slope = step(loss, tf.constant(target), tf.constant(logits), tf.constant(WEIGHT))
        for shares in SHARES:
            values, slopes = on_three(loss, target, logits, WEIGHT, shares)
            for value in values:
                close(3 * value, right)  # the same number on each
            close(np.concatenate(slopes), slope)


def rows_stay_rows_in_a_loop():
    logits = RNG.normal(size=(10, 4)).astype("float32")
    loss = Loss(focal, "none")
    right, slope = step(loss, tf.constant(CLASSES), tf.constant(logits), tf.constant(WEIGHT))
    values, slopes = on_three(loss, CLASSES, logits, WEIGHT, SHARES[1])
    close(np.concatenate(values), right)
    close(np.concatenate(slopes), slope)


def goals_learn_the_same_on_each():
    with STRATEGY.scope():
        inside = GoalLoss(GOAL, [6, 3], warm_up=0.5)
    losses = [inside, GoalLoss(GOAL, [6, 3], warm_up=0.5), GoalLoss(GOAL, [6, 3], warm_up=0.5)]
    for shares in SHARES * 2:
        logits = RNG.normal(size=(10, 1)).astype("float32")
        right, slope = step(losses[2], tf.constant(BINARY), tf.constant(logits), tf.constant(WEIGHT))
        for loss in losses[:2]:
            values, slopes = on_three(loss, BINARY, logits, WEIGHT, shares)
            close(sum(values), right)
            close(np.concatenate(slopes), slope)
            for part, expected in zip(loss.state, losses[2].state, strict=True):
                for held in STRATEGY.experimental_local_results(part.value):
                    close(held, expected)
    assert losses[2].state.epochs.numpy() > 1 and losses[2].state.log_multiplier.numpy() != 0


def linear(width, loss, **options):
    """A model of one output for each loss, with the same initial weights wherever it is made."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(width, name=name)(inputs) for name in loss}
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.5), loss=loss, **options)
    return model


def trained_alike(trained):
    """Check that `trained` gives the same numbers on three replicas and on one."""
    with STRATEGY.scope():
        there = trained()
    for found, right in zip(there, trained(), strict=True):
        close(found, right)


def fit_and_evaluate_are_those_of_one_replica():
    """Batches of 6 and 4 rows: shares of 2, 2 and 2, then of 2, 2 and 0."""
    features = RNG.normal(size=(10, 3)).astype("float32")

    def trained():
        losses = {
            "weighted": Loss(cp.sigmoid.weighted([6, 3]), "weighted_mean"),
            "goal": GoalLoss(GOAL, [6, 3], warm_up=1.0),
        }
        model = linear(1, losses, loss_weights={"weighted": 0.5, "goal": 2.0})
        data = (features, dict.fromkeys(losses, BINARY))
        history = model.fit(*data, sample_weight=WEIGHT, batch_size=6, epochs=3, shuffle=False, verbose=0).history
        shown = model.evaluate(features[:6], dict.fromkeys(losses, BINARY[:6]), verbose=0, return_dict=True)
        assert len(history) == len(shown) == 3
        state = [part.numpy() for part in losses["goal"].state]
        return [*history.values(), *shown.values(), *model.get_weights(), *state]

    trained_alike(trained)


def rows_are_shown_as_their_mean_and_stepped_by_their_sum():
    features = RNG.normal(size=(10, 3)).astype("float32")

    def trained():
        model = linear(4, {"rows": Loss(focal, None)})
        history = model.fit(features, CLASSES, batch_size=6, shuffle=False, verbose=0).history
        return [*history.values(), *model.get_weights()]

    trained_alike(trained)


def refused(action, words):
    try:
        value = action()
    except cp.UserError as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"no error, but {value}")


def train_on_batch_is_right_or_refused():
    """Keras hands each replica the whole batch: no matter for a mean, but to a sum it would be three batches."""
    features = RNG.normal(size=(10, 3)).astype("float32")

    def trained():
        model = linear(1, {"mean": Loss(cp.sigmoid.weighted([6, 3]), "weighted_mean")})
        steps = [model.train_on_batch(features, BINARY, WEIGHT), model.test_on_batch(features, BINARY, WEIGHT)]
        return [*steps, *model.get_weights()]

    trained_alike(trained)
    for loss in (
        Loss(cp.sigmoid.focal(), "sum"),
        Loss(cp.sigmoid.focal(), "none"),
        GoalLoss(GOAL, [6, 3]),
        RateLoss("average_precision"),
    ):
        with STRATEGY.scope():
            model = linear(1, {"copies": loss})
        refused(lambda model=model: model.test_on_batch(features, BINARY), "each was given the same target")


def schedule_and_best_epoch_work_in_a_scope():
    features, target = RNG.normal(size=(12, 3)).astype("float32"), np.array([0, 0, 1] * 4, "float32")
    with STRATEGY.scope():
        loss = GoalLoss("f1", [8, 4])
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.5), loss=loss)
    keep = KeepBest(loss, (features, target))
    model.fit(features, target, batch_size=6, epochs=2, verbose=0, callbacks=[keep])
    close(loss.judge(model.predict(features, verbose=0), target).value, keep.best.value)


def a_loss_by_hand_takes_the_number_of_all_rows():
    """As the documentation says for counterpoise.loss in strategy.run: the normalizer is that of the whole batch."""
    logits = RNG.normal(size=(10, 4)).astype("float32")
    right = cp.loss(logits, CLASSES, weighted, sample_weight=WEIGHT)

    def part(target, logits, weight):
        return counterpoise.tensorflow.loss(logits, target, weighted, weight, normalizer=10)

    given = [handed_out(array, SHARES[0]) for array in (CLASSES, logits, WEIGHT)]
    close(STRATEGY.reduce("SUM", STRATEGY.run(part, args=given), axis=None), right)


if __name__ == "__main__":
    every_loss_is_that_of_one_replica()
    rows_stay_rows_in_a_loop()
    goals_learn_the_same_on_each()
    fit_and_evaluate_are_those_of_one_replica()
    rows_are_shown_as_their_mean_and_stepped_by_their_sum()
    train_on_batch_is_right_or_refused()
    schedule_and_best_epoch_work_in_a_scope()
    a_loss_by_hand_takes_the_number_of_all_rows()
    print("all checks passed")
