"""What must hold of counterpoise.torch where several processes hold a batch; run by test_processes.py in each of them.

Arguments: this process's place, the number of processes, and a file by which they meet.
"""

import copy
import pickle
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

import counterpoise as cp
from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe
from counterpoise.torch import Accumulator, GoalLoss, Loss, RateLoss

PLACE, COUNT = int(sys.argv[1]), int(sys.argv[2])
RNG = np.random.default_rng(0)
ROWS, COUNTS = 24, cp.ClassCounts([198, 436, 710, 272])
CLASSES = torch.tensor(RNG.integers(4, size=ROWS))
CLASSES[:6] = 2  # a shard without a rare class
BINARY = torch.tensor((RNG.random((ROWS, 1)) < 0.2).astype(float))
BINARY[:6] = 0
LABELS = torch.tensor(RNG.integers(2, size=(ROWS, 5)).astype(float))
IGNORED = torch.where(torch.arange(ROWS) % 3 == 0, -100, CLASSES)
SOFT = torch.tensor(RNG.dirichlet(np.ones(4), ROWS))
WEIGHT = torch.tensor(np.where(np.arange(ROWS) < 6, 0, RNG.exponential(size=ROWS)))
weighted, focal = cp.softmax.weighted(COUNTS), cp.softmax.focal(COUNTS, weight="inverse")
costs = cp.softmax.expected_cost(np.arange(16.0).reshape(4, 4))
LOSSES = [  # how many outputs, target, recipe, options
    (4, CLASSES, weighted, {}),
    (4, CLASSES, focal, {"reduction": "sum"}),
    (4, CLASSES, weighted, {"reduction": "weighted_mean"}),
    (4, CLASSES, focal, {"reduction": "nonzero_mean"}),
    (4, IGNORED, cp.softmax.poly1(), {"ignore_index": -100}),
    (4, IGNORED, cp.softmax.ldam(COUNTS), {"reduction": "weighted_mean", "ignore_index": -100}),
    (4, CLASSES, costs, {"reduction": "weighted_mean"}),
    (4, SOFT, SoftmaxRecipe(weight=weighted.weight, smoothing=0.1), {"reduction": "weighted_mean"}),
    (4, CLASSES, SoftmaxRecipe(weight=weighted.weight, weight_by="predicted"), {"reduction": "weighted_mean"}),
    (5, LABELS, cp.sigmoid.asymmetric(), {"reduction": "weighted_mean"}),
    (5, LABELS, SigmoidRecipe(pos_weight=[6.0, 3, 1, 2, 5]), {"reduction": "nonzero_mean", "ignore_index": 1}),
    (1, BINARY, cp.sigmoid.weighted([60, 3]), {"reduction": "weighted_mean"}),
]
SHARDS = {
    2: ((0, 6, 24), (0, 12, 24), (0, 0, 24), (0, 24, 24)),
    4: ((0, 6, 7, 20, 24), (0, 6, 12, 18, 24), (0, 0, 6, 6, 24)),
}[COUNT]


def model_of(outputs, dtype=torch.float64):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, outputs)).to(dtype)


FEATURES = torch.tensor(RNG.normal(size=(ROWS, 3)))


def gradients(model):
    return torch.cat([parameter.grad.reshape(-1) for parameter in model.parameters()])


def mean_over_processes(numbers):
    numbers = numbers.detach().clone().to(torch.float64)
    distributed.all_reduce(numbers)
    return numbers / COUNT


def of_one_process(outputs, target, criterion, weight, dtype=torch.float64):
    model = model_of(outputs, dtype)
    value = criterion(model(FEATURES.to(dtype)), target, weight)
    value.backward()
    return value.detach().to(torch.float64), gradients(model).to(torch.float64)


def of_processes(outputs, target, criterion, weight, ends, dtype=torch.float64):
    rows, model = slice(ends[PLACE], ends[PLACE + 1]), model_of(outputs, dtype)
    value = criterion(model(FEATURES[rows].to(dtype)), target[rows], None if weight is None else weight[rows])
    value.backward()
    return mean_over_processes(value), mean_over_processes(gradients(model))


def close(found, true, tolerance):
    for one, other in zip(found, true, strict=True):
        scale = float(other.abs().max()) or 1.0
        assert float((one - other).abs().max()) <= tolerance * scale, (one, other)


@pytest.mark.parametrize("ends", SHARDS)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("place", range(len(LOSSES)))
def test_loss_and_gradient_are_those_of_the_whole_batch(place, weight, ends):
    outputs, target, recipe, options = LOSSES[place]
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-6)):
        of_dtype = None if weight is None else weight.to(dtype)
        aim = target.to(dtype) if target.is_floating_point() else target
        true = of_one_process(outputs, aim, Loss(recipe, **options), of_dtype, dtype)
        close(of_processes(outputs, aim, Loss(recipe, group=True, **options), of_dtype, ends, dtype), true, tolerance)


RATES = [
    (4, CLASSES, {"rate": "f_beta", "beta": 2.0}),
    (4, CLASSES, {"rate": "g_mean"}),
    (1, BINARY, {"rate": "mcc"}),
    (5, LABELS, {"rate": "jaccard", "average": "micro", "multilabel": True}),
    (1, BINARY, {"rate": "roc_auc", "surrogate": "logistic"}),
    (4, CLASSES, {"rate": "average_precision", "temperature": 0.3}),
]


@pytest.mark.parametrize("ends", SHARDS)
@pytest.mark.parametrize("place", range(len(RATES)))
def test_rates_are_those_of_the_whole_batch(place, ends):
    outputs, target, settings = RATES[place]
    true = of_one_process(outputs, target, RateLoss(**settings), WEIGHT)
    close(of_processes(outputs, target, RateLoss(group=True, **settings), WEIGHT, ends), true, 1e-10)


@pytest.mark.parametrize("ends", SHARDS)
def test_a_memory_is_that_of_all_processes(ends):
    alone, together = (RateLoss("dice", memory=0.9, group=group) for group in (None, True))
    for _ in range(3):
        true = of_one_process(4, CLASSES, alone, None)
        close(of_processes(4, CLASSES, together, None, ends), true, 1e-10)
    torch.testing.assert_close(together.memory_sums, alone.memory_sums, rtol=1e-10, atol=0)


@pytest.mark.parametrize("ends", SHARDS)
@pytest.mark.parametrize("goal", ["recall where precision >= 0.5", "f1"])
def test_a_goal_is_that_of_all_processes(goal, ends):
    alone, together = (GoalLoss(goal, [900, 100], warm_up=0.01, group=group) for group in (None, True))
    for weight in (None, WEIGHT, None, None):
        true = of_one_process(1, BINARY, alone, weight)
        close(of_processes(1, BINARY, together, weight, ends), true, 1e-6)
    for name, state in together.named_buffers():
        torch.testing.assert_close(state, getattr(alone, name), rtol=1e-6, atol=0)
        found = [torch.empty_like(state) for _ in range(COUNT)]
        distributed.all_gather(found, state)
        assert all(torch.equal(one, state) for one in found), name


def test_the_plain_way_is_far_off():
    ends = SHARDS[0]
    _, true = of_one_process(4, CLASSES, Loss(weighted, "weighted_mean"), None)
    _, plain = of_processes(4, CLASSES, Loss(weighted, "weighted_mean"), None, ends)
    off = float((plain - true).norm() / true.norm())
    print(f"the gradient of each process's own mean is {100 * off:.1f} % off")
    assert off > 0.01


def test_unreduced_losses_are_the_rows_own():
    rows = slice(SHARDS[0][PLACE], SHARDS[0][PLACE + 1])
    logits = model_of(4)(FEATURES)
    whole = Loss(focal, "none")(logits, CLASSES)
    torch.testing.assert_close(Loss(focal, "none", group=True)(logits[rows], CLASSES[rows]), whole[rows])


def test_class_weights_that_are_learned():
    ends = SHARDS[0]
    for group in (None, True):
        criterion = Loss(weighted, "weighted_mean", group=group)
        criterion.weight = torch.nn.Parameter(torch.tensor(weighted.weight))
        if group is None:
            true = of_one_process(4, CLASSES, criterion, None)
            slope = criterion.weight.grad
        else:
            close(of_processes(4, CLASSES, criterion, None, ends), true, 1e-10)
            torch.testing.assert_close(mean_over_processes(criterion.weight.grad), slope, rtol=1e-10, atol=1e-14)


def test_a_group_a_copy_and_what_is_saved():
    own = distributed.new_group(list(range(COUNT)))
    rows = slice(SHARDS[1][PLACE], SHARDS[1][PLACE + 1])
    logits = model_of(4)(FEATURES)
    true = Loss(weighted, "weighted_mean")(logits, CLASSES)
    for criterion in (Loss(weighted, "weighted_mean", group=own), Loss(weighted, "weighted_mean", group=True)):
        for one in (criterion, copy.deepcopy(criterion)):
            torch.testing.assert_close(mean_over_processes(one(logits[rows], CLASSES[rows])), true.detach())
    again = pickle.loads(pickle.dumps(Loss(weighted, "weighted_mean", group=True)))
    torch.testing.assert_close(mean_over_processes(again(logits[rows], CLASSES[rows])), true.detach())
    with pytest.raises(cp.UserError, match="belongs to its process and cannot be saved"):
        pickle.dumps(Loss(weighted, group=own))


def test_an_error_of_one_process_is_one_of_all():
    target = CLASSES.clone()
    criteria = (Loss(focal, group=True), RateLoss("dice", group=True))
    for criterion in criteria:
        shape = (3, 4) if PLACE else (3, 5)
        says = "batch of 1 other process" if PLACE else "5"
        with pytest.raises(cp.UserError, match=says):
            criterion(torch.zeros(shape), target[:3] if PLACE else target[:3].float())


def test_losses_that_differ_are_an_error():
    recipe = cp.softmax.weighted([10, 20, 30, 40 + PLACE])
    with pytest.raises(cp.UserError, match="the processes of group have different losses"):
        Loss(recipe, "weighted_mean", group=True)(torch.zeros(3, 4), CLASSES[:3])
    with pytest.raises(cp.UserError, match="the processes of group have different losses"):
        RateLoss("f_beta", beta=1.0 + PLACE, group=True)(torch.zeros(3, 4), CLASSES[:3])


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_step_of_a_wrapped_model(parallel):
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    ends, criterion = SHARDS[0], Loss(weighted, "weighted_mean", group=True)
    model, true = model_of(4), model_of(4)
    Loss(weighted, "weighted_mean")(true(FEATURES), CLASSES).backward()
    if parallel == "ddp":
        model = DistributedDataParallel(model)
    else:
        fully_shard(model)
    rows = slice(ends[PLACE], ends[PLACE + 1])
    criterion(model(FEATURES[rows]), CLASSES[rows]).backward()
    for own, one in zip(model.parameters(), true.parameters(), strict=True):
        grad = own.grad.full_tensor() if hasattr(own.grad, "full_tensor") else own.grad
        torch.testing.assert_close(grad, one.grad, rtol=1e-10, atol=1e-14)


@pytest.mark.filterwarnings("ignore:.*returned a view")  # FSDP2's own, of the layers that are divided twice
@pytest.mark.skipif(COUNT != 4, reason="a mesh of 2 x 2")
@pytest.mark.parametrize("ends", [(0, 6, 24), (0, 0, 24)])
def test_a_step_on_a_mesh_of_data_and_tensor_parallel_processes(ends):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    model, true = model_of(4), model_of(4)
    expected = Loss(weighted, "weighted_mean")(true(FEATURES), CLASSES)
    expected.backward()
    parallelize_module(model, mesh["tp"], {"0": ColwiseParallel(), "2": RowwiseParallel()})
    fully_shard(model, mesh=mesh["dp"])
    criterion = Loss(weighted, "weighted_mean", group=mesh["dp"])
    place = mesh["dp"].get_local_rank()
    rows = slice(ends[place], ends[place + 1])
    value = criterion(model(FEATURES[rows]), CLASSES[rows])
    value.backward()
    torch.testing.assert_close(mean_over_processes(value), expected.detach(), rtol=1e-10, atol=0)
    for own, one in zip(model.parameters(), true.parameters(), strict=True):
        torch.testing.assert_close(own.grad.full_tensor(), one.grad, rtol=1e-10, atol=1e-14)
    with pytest.raises(cp.UserError, match=r'a device mesh of 2 dimensions; pass the one over which .* mesh\["dp"\]'):
        Loss(weighted, group=mesh)


@pytest.mark.parametrize("ends", SHARDS)
@pytest.mark.parametrize("parts", [1, 3, 7])
@pytest.mark.parametrize("reduction", ["mean", "weighted_mean", "nonzero_mean"])
def test_micro_batches_of_all_processes(reduction, parts, ends):
    from torch.nn.parallel import DistributedDataParallel

    true = of_one_process(4, IGNORED, Loss(weighted, reduction, ignore_index=-100), WEIGHT)
    model = DistributedDataParallel(model_of(4))
    accumulator = Accumulator(Loss(weighted, reduction, ignore_index=-100, group=True), model.parameters())
    own = np.arange(ends[PLACE], ends[PLACE + 1])
    pieces = (
        np.array_split(own, parts) if parts == 1 else np.split(own, np.sort(RNG.integers(len(own) + 1, size=parts - 1)))
    )
    for place, rows in enumerate(pieces):
        model.require_backward_grad_sync = place == parts - 1  # as no_sync() does
        accumulator.backward(model(FEATURES[rows]), IGNORED[rows], WEIGHT[rows])
    value = accumulator.finish()
    close((value, gradients(model)), true, 1e-10)


if __name__ == "__main__":
    distributed.init_process_group(
        "gloo", init_method=Path(sys.argv[3]).as_uri(), rank=PLACE, world_size=COUNT, timeout=timedelta(seconds=60)
    )
    code = pytest.main([__file__, "-q", "-s", "-x", "-p", "no:cacheprovider", "--rootdir", str(Path(__file__).parent)])
    distributed.destroy_process_group()
    print("all checks passed" if code == 0 else "failed")
    sys.exit(code)
