"""A network of two hidden layers, trained by PyTorch; predicting needs NumPy only."""

from typing import Any

import numpy as np

from counterpoise.recipes import SoftmaxRecipe
from counterpoise.table.features.encoding import Encoding
from counterpoise.table.learners.epochs import Epochs, batches, hyperparameters, initial_layers, mean_one
from counterpoise.table.learners.learner import Followed, Job, Learner
from counterpoise.table.learners.losses import for_networks
from counterpoise.table.learners.network import FILES, constant_fit, load


def fit(job: Job) -> Followed:
    """Train some epochs; with rows held out, until these have long stopped improving."""
    import torch

    from counterpoise.torch import Loss

    encoding = Encoding.learn(job.rows.matrix, job.schema)
    if encoding.width == 0:
        return constant_fit(job, encoding)
    rows, rng = len(job.rows.codes), np.random.default_rng(job.seed)
    planned = hyperparameters(job, encoding.width)
    encoded = torch.from_numpy(encoding.apply(job.rows.matrix))
    several = isinstance(job.recipe, SoftmaxRecipe)
    target = torch.from_numpy(job.rows.codes if several else job.rows.codes.astype(np.float32)[:, None])
    weight = torch.from_numpy(mean_one(job.rows.weight, rows))
    criterion = Loss(job.recipe)
    start = np.asarray(job.recipe.initial_logits(job.counts), np.float64)
    initial = initial_layers(encoding.width, start, rng)
    weights, biases = ([torch.tensor(layer[part], requires_grad=True) for layer in initial] for part in (0, 1))
    layers = list(zip(weights, biases, strict=True))
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=planned.rate, weight_decay=planned.decay, fused=True)
    most = job.rounds or planned.epochs
    epochs = Epochs(job, encoding, most)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        for _ in range(most):
            for chosen in batches(rows, planned.batch, rng):
                place = torch.from_numpy(chosen)
                hidden = encoded[place]
                for w, b in layers[:-1]:
                    hidden = torch.nn.functional.dropout(torch.relu(torch.addmm(b, hidden, w)), planned.dropout)
                logits = torch.addmm(layers[-1][1], hidden, layers[-1][0])
                optimizer.zero_grad()
                criterion(logits, target[place], weight[place]).backward()
                optimizer.step()
            if epochs.add(tuple((w.detach().numpy().copy(), b.detach().numpy().copy()) for w, b in layers)):
                break
    return epochs.followed()


MLP = Learner(
    name="mlp",
    title="Neural network (PyTorch)",
    packages=("torch", "safetensors"),
    files=FILES,
    recipes=for_networks,
    settings={"two layers": {}},
    fit=fit,
    load=load,
)
