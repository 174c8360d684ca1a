"""Keras: class counts, a loss made from them, honest probabilities, a threshold that fits the goal."""

import keras
import numpy as np

import counterpoise as cp
from counterpoise.keras import Loss

rng = np.random.default_rng(0)
x = rng.normal(size=(6000, 4)).astype("float32")
y = (x[:, 0] + rng.normal(size=6000) > 3.0).astype("int32")

counts = cp.count(y[:4000])
recipe = cp.softmax.logit_adjusted(counts)

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(2)])
model.compile(optimizer=keras.optimizers.Adam(0.01), loss=Loss(recipe))
model.fit(x[:4000], y[:4000], epochs=6, batch_size=128, verbose=0)

logits = model.predict(x[4000:], verbose=0)
probability = recipe.posterior(logits)[:, 1]
naive = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
print(f"positives {y[4000:].mean():.3f}, posterior says {probability.mean():.3f}, softmax said {naive.mean():.3f}")
assert abs(probability.mean() - y[4000:].mean()) < 0.01
