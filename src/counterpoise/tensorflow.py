"""The loss on TensorFlow tensors: eager, in `tf.function` (also with jit_compile=True), in a SavedModel.

`loss` is `counterpoise.loss`; this module asserts that TensorFlow is there. Inside `tf.function` a class out of range
gives NaN, since values cannot be looked at while tracing.

In `strategy.run` it is the loss of one replica's rows. TensorFlow adds up the gradients of replicas: for the loss of
the whole batch pass the number of rows of all of them, `normalizer=rows_of_all`. `counterpoise.keras.Loss` does so
by itself.

>>> import tensorflow as tf
>>> from counterpoise import softmax
>>> step = tf.function(lambda z, y: loss(z, y, softmax.focal()), jit_compile=True)
>>> round(float(step(tf.zeros((1, 2)), tf.constant([1]))), 4)
0.1733
"""

from counterpoise.losses import loss

try:
    import tensorflow  # noqa: F401
except ImportError as missing:
    raise ImportError("counterpoise.tensorflow needs TensorFlow: pip install 'counterpoise[tensorflow]'") from missing

__all__ = ["loss"]
