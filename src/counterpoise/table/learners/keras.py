"""The network of `mlp`, trained by Keras on TensorFlow; predicting needs NumPy only."""

import os
from typing import Any

import numpy as np

from counterpoise.recipes import SoftmaxRecipe
from counterpoise.table.features.encoding import Encoding
from counterpoise.table.learners.epochs import HIDDEN, Epochs, batches, hyperparameters, initial_layers, mean_one
from counterpoise.table.learners.learner import Followed, Job, Learner
from counterpoise.table.learners.losses import for_networks
from counterpoise.table.learners.network import FILES, Layers, constant_fit, load


def fit(job: Job) -> Followed:
    """Train some epochs; with rows held out, until these have long stopped improving."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its notes would stand between the lines of the progress
    import keras

    from counterpoise.keras import Loss

    encoding = Encoding.learn(job.rows.matrix, job.schema)
    if encoding.width == 0:
        return constant_fit(job, encoding)
    rows, rng = len(job.rows.codes), np.random.default_rng(job.seed)
    planned = hyperparameters(job, encoding.width)
    encoded = encoding.apply(job.rows.matrix)
    several = isinstance(job.recipe, SoftmaxRecipe)
    target = job.rows.codes.astype(np.int32) if several else job.rows.codes.astype(np.float32)[:, None]
    weight = mean_one(job.rows.weight, rows)
    start = np.asarray(job.recipe.initial_logits(job.counts), np.float64)
    most = job.rounds or planned.epochs
    epochs = Epochs(job, encoding, most)

    class Shuffled(keras.utils.PyDataset):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.batches = batches(rows, planned.batch, rng)

        def __len__(self) -> int:
            return len(self.batches)

        def __getitem__(self, place: int) -> tuple[Any, ...]:
            chosen = self.batches[place]
            return encoded[chosen], target[chosen], weight[chosen]

        def on_epoch_end(self) -> None:
            self.batches = batches(rows, planned.batch, rng)

    class EachEpoch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            if epochs.add(_layers(self.model)):
                self.model.stop_training = True

    model = _model(initial_layers(encoding.width, start, rng), planned.dropout, job.seed)
    optimizer = keras.optimizers.AdamW(planned.rate, weight_decay=planned.decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer=optimizer, loss=Loss(job.recipe), jit_compile=False)
    model.fit(Shuffled(), epochs=most, callbacks=[EachEpoch()], shuffle=False, verbose=0)
    return epochs.followed()


def _model(layers: Layers, dropout: float, seed: int) -> Any:
    import keras

    model = keras.Sequential([keras.Input((layers[0][0].shape[0],))])
    for place, width in enumerate(HIDDEN):
        model.add(keras.layers.Dense(width, activation="relu"))
        model.add(keras.layers.Dropout(dropout, seed=seed + place))
    model.add(keras.layers.Dense(layers[-1][0].shape[1]))
    model.set_weights([part for layer in layers for part in layer])
    return model


def _layers(model: Any) -> Layers:
    parts = [np.array(part, np.float32) for part in model.get_weights()]
    return tuple(zip(parts[::2], parts[1::2], strict=True))


KERAS = Learner(
    name="keras",
    title="Neural network (Keras)",
    packages=("tensorflow", "keras", "safetensors"),
    files=FILES,
    recipes=for_networks,
    settings={"two layers": {}},
    fit=fit,
    load=load,
)
