"""What must hold of counterpoise.keras under MultiWorkerMirroredStrategy; test_replicas.py runs it in two processes.

Keras 3.15's own fit fails there for any loss, so the training step is run by hand.
"""

import json
import os
import sys

PLACE, PORTS = int(sys.argv[1]), sys.argv[2:]
os.environ["TF_CONFIG"] = json.dumps(
    {"cluster": {"worker": [f"localhost:{port}" for port in PORTS]}, "task": {"type": "worker", "index": PLACE}}
)

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()  # before any operation

import counterpoise as cp  # noqa: E402
from counterpoise.keras import GoalLoss, Loss, RateLoss  # noqa: E402

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(10, 3)).astype("float32")
TARGET = np.array([0, 0, 1, 0, 1, 0, 0, 1, 0, 0], "float32")[:, None]
WEIGHT = np.array([1, 0, 2, 3, 0.5, 4, 1, 0.25, 2, 1], "float32")
SHARES = [(slice(0, 7), slice(7, 10)), (slice(0, 10), slice(10, 10))]
LOSSES = [
    lambda: Loss(cp.sigmoid.focal(), "sum"),
    lambda: Loss(cp.sigmoid.weighted([6, 3]), "weighted_mean", ignore_index=1),
    lambda: RateLoss("f_beta", beta=2.0),
    lambda: RateLoss("average_precision"),
    lambda: GoalLoss("recall where precision >= 0.5", [6, 3], warm_up=0.5),
]


def close(a, b):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-5, atol=2e-5)


def model_with(loss):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), loss=loss)
    return model


def trained(make, replicated):
    """What two steps show and leave; the second leaves one worker without rows."""
    loss = make()
    model = model_with(loss)
    step = tf.function(model.train_step)
    for shares in SHARES:
        rows = shares[PLACE] if replicated else slice(None)
        batch = tuple(tf.constant(array[rows]) for array in (FEATURES, TARGET, WEIGHT))
        if replicated:
            STRATEGY.run(step, args=(batch,))
        else:
            step(batch)
    state = [part.numpy() for part in loss.state] if isinstance(loss, GoalLoss) else []
    return [model.get_metrics_result()["loss"].numpy(), *model.get_weights(), *state]


if __name__ == "__main__":
    for make in LOSSES:
        with STRATEGY.scope():
            there = trained(make, True)
        for found, right in zip(there, trained(make, False), strict=True):
            close(found, right)
    print("all checks passed")
