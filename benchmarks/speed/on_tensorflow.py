"""Sides that run in TensorFlow: value and gradient in a tf.function."""

from collections.abc import Callable
from typing import Any

from benchmarks.speed.measure import THREADS, Side, Step
from benchmarks.speed.problem import Problem


def _step(problem: Problem, loss: Callable[[Any, Any], Any], *, xla: bool, one_hot: bool = False) -> Step:
    """Value and gradient of loss(target, logits)."""
    import tensorflow as tf

    _limit_threads(tf)
    logits, target = tf.constant(problem.logits), tf.constant(problem.target)
    if one_hot:
        target = tf.one_hot(target, problem.classes)

    @tf.function(jit_compile=xla or None)
    def both(z: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = loss(y, z)
        return value, tape.gradient(value, z)

    def call() -> Any:
        value, _ = both(logits, target)
        return value.numpy()  # waits for the result

    return Step(call)


def _limit_threads(tf: Any) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(THREADS)
        tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    except RuntimeError:  # TensorFlow has run already in this process: for the other side, or in the tests
        return


def _ours(problem: Problem) -> Step:
    import counterpoise.tensorflow

    recipe = problem.recipe
    return _step(problem, lambda y, z: counterpoise.tensorflow.loss(z, y, recipe), xla=True)


def _plain_cross_entropy(problem: Problem) -> Step:
    import tensorflow as tf

    return _step(
        problem,
        lambda y, z: tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)),
        xla=False,
    )


def _plain_bce(problem: Problem) -> Step:
    import tensorflow as tf

    return _step(
        problem,
        lambda y, z: tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=z)),
        xla=False,
    )


def _keras_categorical_focal(problem: Problem) -> Step:
    import keras

    focal = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, from_logits=True)
    return _step(problem, focal, xla=True, one_hot=True)


def _keras_binary_focal(problem: Problem) -> Step:
    import keras

    focal = keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True, alpha=0.25, gamma=2.0, from_logits=True)
    return _step(problem, focal, xla=True)


OURS = Side("counterpoise, XLA", _ours)
PLAIN_CROSS_ENTROPY = Side("TensorFlow plain cross-entropy, no XLA", _plain_cross_entropy)
PLAIN_BCE = Side("TensorFlow plain sigmoid cross-entropy, no XLA", _plain_bce)
KERAS_CATEGORICAL_FOCAL = Side("Keras CategoricalFocalCrossentropy, XLA", _keras_categorical_focal)
KERAS_BINARY_FOCAL = Side("Keras BinaryFocalCrossentropy, XLA", _keras_binary_focal)
