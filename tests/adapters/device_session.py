"""Steps of training on a device that is pretended: what each copies from device to device, and what it waits for.

In a process of its own, since a process has one such device, and keeps it.
"""

import json
from collections import Counter

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

import counterpoise as cp
from counterpoise.torch import GoalLoss, LinearLoss, Loss, RateLoss

DEVICE = "pretended"
WAITING = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2", "unique_dim"}
COUNTS = [1, 2, 3, 4]
RECIPES = {
    "weighted": cp.softmax.weighted(COUNTS, weight="inverse"),
    "ldam": cp.softmax.ldam(COUNTS, weight="inverse"),
    "logit adjusted": cp.softmax.logit_adjusted(COUNTS),
    "cdt": cp.softmax.cdt(COUNTS),
    "vector scaling": cp.softmax.vector_scaling(COUNTS),
    "focal": cp.softmax.focal(COUNTS, weight="inverse"),
    "cost": cp.softmax.expected_cost([[0, 1, 2, 3], [1, 0, 1, 2], [2, 1, 0, 1], [3, 2, 1, 0]]),
}


class Traffic(TorchDispatchMode):
    """Counts what crosses between devices, and what a device would be waited for."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        given = {one.device.type for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)}
        made = {one.device.type for one in tree_leaves(result) if isinstance(one, torch.Tensor)}
        # a scalar of the host that goes into an operation of the device is handed over without a copy
        if name in WAITING or (name in ("_to_copy", "copy_", "_copy_from") and len(given | made) > 1):
            self.found[name] += 1
        return result


def batch(device):
    logits = torch.empty(6, 4, device=device, requires_grad=True)
    return logits, torch.empty(6, dtype=torch.int64, device=device)


def of_loss(recipe, **options):
    def made(device):
        criterion = Loss(recipe, **options).to(device)
        return lambda: criterion(*batch(device)).backward()

    return made


def left_in_host_memory(device):
    criterion = Loss(RECIPES["ldam"])
    criterion._buffers["weight"] = torch.empty(
        4, dtype=torch.float64
    )  # not a list's constant, which nothing here can move
    return lambda: criterion(*batch(device)).backward()


def of_rows(device):
    criterion = Loss(RECIPES["ldam"], "none").to(device)
    return lambda: criterion(*batch(device)).sum().backward()


def of_weights_and_normalizer(device):
    criterion = Loss(RECIPES["ldam"], "weighted_mean", ignore_index=2).to(device)
    weight, by = torch.empty(6, device=device), torch.empty((), device=device)
    plain = Loss(RECIPES["weighted"]).to(device)

    def step():
        criterion(*batch(device), sample_weight=weight).backward()
        plain(*batch(device), normalizer=by).backward()
        plain(*batch(device), normalizer=3).backward()

    return step


def of_soft_targets(device):
    criterion = Loss(RECIPES["weighted"]).to(device)
    return lambda: criterion(batch(device)[0], torch.empty(6, 4, device=device)).backward()


def of_labels(recipe):
    def made(device):
        criterion = Loss(recipe, ignore_index=-1).to(device)
        return lambda: criterion(batch(device)[0], torch.empty(6, 4, device=device)).backward()

    return made


def of_function(function):
    return lambda device: lambda: function(*batch(device)).sum().backward()


def of_rate(*names, **options):
    def made(device):
        criteria = [RateLoss(name, **options).to(device) for name in names]
        return lambda: [criterion(*batch(device)).backward() for criterion in criteria]

    return made


def of_ranking(name):
    def made(device):
        criterion = RateLoss(name).to(device)
        return lambda: criterion(
            torch.empty(6, device=device, requires_grad=True), torch.empty(6, dtype=torch.bool, device=device)
        ).backward()

    return made


def of_goal(goal, weighted=False):
    def made(device):
        criterion = GoalLoss(goal, [6, 6], warm_up=0.5)
        for name, buffer in criterion.named_buffers():  # .to() would move constants, which nothing here can
            criterion._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=device)
        options = {"sample_weight": torch.empty(6, device=device)} if weighted else {}
        return lambda: criterion(
            torch.empty(6, device=device, requires_grad=True),
            torch.empty(6, dtype=torch.int64, device=device),
            **options,
        ).backward()

    return made


def of_linear(recipe, **options):
    def made(device):
        criterion = LinearLoss(recipe, **options).to(device)
        weight = torch.empty(4, 3, device=device, requires_grad=True)
        bias = torch.empty(4, device=device, requires_grad=True)
        # forward alone: the backward pass computes the same again, from a thread that cannot pretend
        return lambda: criterion(torch.empty(6, 3, device=device, requires_grad=True), weight, bias, batch(device)[1])

    return made


STEPS = {
    **{f"loss {name}": of_loss(recipe) for name, recipe in RECIPES.items()},
    "loss left in host memory": left_in_host_memory,
    "loss of rows": of_rows,
    "loss with weights and normalizer": of_weights_and_normalizer,
    "loss of soft targets": of_soft_targets,
    "loss of labels": of_labels(cp.sigmoid.weighted(pos_weight=[1.0, 2.0, 3.0, 4.0])),
    "loss of labels, adjusted": of_labels(cp.sigmoid.logit_adjusted(cp.LabelCounts([1, 2, 3, 4], [9, 8, 7, 6]))),
    "loss of labels, asymmetric": of_labels(cp.sigmoid.asymmetric()),
    "cp.loss": of_function(lambda z, y: cp.loss(z, y, RECIPES["ldam"], ignore_index=1)),
    "posterior": of_function(lambda z, _: RECIPES["ldam"].posterior(z)),
    "posterior elsewhere": of_function(lambda z, _: RECIPES["logit adjusted"].posterior(z)),
    "rates": of_rate("recall", "f_beta", "focal_tversky", "mcc", "g_mean"),
    "rate of weighted classes": of_rate("f_beta", class_weight=[1.0, 2.0, 3.0, 4.0], ignore_index=1),
    "rate with a memory": of_rate("f_beta", "recall", memory=0.9),
    "roc_auc": of_ranking("roc_auc"),
    "average_precision": of_ranking("average_precision"),
    "goal": of_goal("recall where precision >= 0.5"),
    "goal f1": of_goal("f1"),
    "goal cost": of_goal("cost fn=500 fp=10", weighted=True),
    "linear": of_linear(RECIPES["ldam"], reduction="weighted_mean"),
    "linear focal": of_linear(RECIPES["focal"]),
}


def watched(step):
    traffic = Traffic()
    with traffic:
        step()
        step()
    return dict(traffic.found)


def known_traffic():
    """Copies and waits that the count must show."""
    there = torch.empty(3, device=DEVICE)
    return {
        "made on the device": lambda: torch.full((), 2.0, device=DEVICE),
        "a list": lambda: torch.tensor([1.0, 2.0], device=DEVICE),
        "moved": lambda: torch.ones(3).to(DEVICE),
        "fetched": lambda: there.cpu(),
        "copied into": lambda: there.copy_(torch.ones(3)),
    }


def main():
    _setup_privateuseone_for_python_backend(DEVICE)
    found = {}
    with FakeTensorMode():
        torch._C._set_only_lift_cpu_tensors(True)  # a list becomes a tensor of the host, and is then moved
        found["known"] = {name: watched(step) for name, step in known_traffic().items()}
        for name, made in STEPS.items():
            step = made(DEVICE)
            step()  # the first may take per-class tensors to the device
            found[name] = watched(step)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
