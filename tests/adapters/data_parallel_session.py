"""What must hold of counterpoise.keras under Keras's DataParallel on four devices of JAX; run by test_replicas.py."""

import keras
import numpy as np

import counterpoise as cp
from counterpoise.keras import Loss, RateLoss

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(16, 3)).astype("float32")
TARGET = RNG.integers(3, size=16)
WEIGHT = RNG.integers(3, size=16).astype("float32")


def trained():
    """What three batches show and leave."""
    keras.utils.set_random_seed(0)
    losses = {
        "sum": Loss(cp.softmax.ldam([9, 5, 2]), "sum"),
        "weighted_mean": Loss(cp.softmax.focal([9, 5, 2], weight="inverse"), "weighted_mean", ignore_index=0),
        "f_beta": RateLoss("f_beta", beta=2.0),
        "auc": RateLoss("roc_auc"),
    }
    inputs = keras.Input((3,))
    model = keras.Model(inputs, {name: keras.layers.Dense(3, name=name)(inputs) for name in losses})
    model.compile(keras.optimizers.SGD(0.1), loss=losses)
    given = (FEATURES, dict.fromkeys(losses, TARGET))
    history = model.fit(*given, sample_weight=WEIGHT, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    shown = model.evaluate(*given, sample_weight=WEIGHT, batch_size=8, verbose=0, return_dict=True)
    return [*history.values(), *shown.values(), *(np.asarray(weight) for weight in model.get_weights())]


if __name__ == "__main__":
    here = trained()
    distribution = keras.distribution.DataParallel()
    assert len(keras.distribution.list_devices()) == 4
    keras.distribution.set_distribution(distribution)
    for found, right in zip(trained(), here, strict=True):
        np.testing.assert_allclose(found, right, rtol=2e-5, atol=2e-6)
    print("all checks passed")
