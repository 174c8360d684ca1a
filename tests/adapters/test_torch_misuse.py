"""Tensors that the kernels cannot take are computed otherwise or refused; nothing crashes."""

import pytest
import torch

import counterpoise as cp
from counterpoise.torch import Loss

FOCAL = cp.softmax.focal()
HITS = cp.sigmoid.focal()


def tensors(recipe=FOCAL):
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    return logits, torch.tensor([0, 1, 2, 3, 1, 2]) if recipe is FOCAL else (logits > 0).float()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda z, y: (z.to(torch.complex64), y), "complex", id="complex logits"),
        pytest.param(lambda z, y: (z.long(), y), "int64", id="whole logits"),
        pytest.param(lambda z, y: (z, y[:5]), r"found \(5,\)", id="too few targets"),
        pytest.param(lambda z, y: (z, y[:, None].expand(6, 3)), r"found \(6, 3\)", id="targets of another shape"),
        pytest.param(lambda z, y: (z, y.float()), "must be integers", id="floating targets"),
        pytest.param(lambda z, y: (z, y - 1), "holds class -1", id="class below range"),
        pytest.param(lambda z, y: (z, y + 2**40), "holds class 10995", id="class far out of range"),
        pytest.param(lambda z, y: (z[0, 0], y[0]), "logits", id="no axis"),
    ],
)
def test_torch_arguments_that_do_not_fit(change, message, overwrite):
    logits, target = change(*tensors())
    if logits.is_floating_point():
        logits = logits.clone().requires_grad_()
    with pytest.raises(cp.UserError, match=f"{message}|overwrit"):
        Loss(FOCAL, overwrite_logits=overwrite)(logits, target)


@pytest.mark.parametrize("recipe", [FOCAL, HITS], ids=["softmax", "sigmoid"])
@pytest.mark.parametrize("elsewhere", ["logits", "target", "sample_weight"])
def test_tensors_of_different_devices_are_an_error(elsewhere, recipe):
    logits, target = tensors(recipe)
    given = {"logits": logits, "target": target, "sample_weight": torch.ones(6)}
    given[elsewhere] = given[elsewhere].to("meta")
    with pytest.raises((cp.UserError, RuntimeError)):
        float(cp.loss(given["logits"], given["target"], recipe, given["sample_weight"]))


def test_tensors_without_memory_give_one_without_memory():
    logits, target = (tensor.to("meta") for tensor in tensors())
    assert cp.loss(logits, target, FOCAL).device.type == "meta"


@pytest.mark.parametrize("family", ["softmax", "sigmoid"])
def test_sparse_logits_are_an_error(family):
    recipe = FOCAL if family == "softmax" else HITS
    logits, target = tensors(recipe)
    with pytest.raises(cp.UserError, match="to_dense"):
        cp.loss(logits.to_sparse(), target, recipe)


def test_subclass_of_a_tensor():
    class Named(torch.Tensor):
        pass

    logits, target = tensors()
    found = cp.loss(logits.as_subclass(Named), target, FOCAL)
    assert torch.isclose(torch.as_tensor(found).as_subclass(torch.Tensor), cp.loss(logits, target, FOCAL))


def test_parameter_as_logits():
    logits, target = tensors()
    parameter = torch.nn.Parameter(logits)
    cp.loss(parameter, target, FOCAL).backward()
    assert parameter.grad.shape == logits.shape


@pytest.mark.parametrize("framework", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"class_axis": 2}, "class_axis", id="axis too large"),
        pytest.param({"class_axis": -3}, "class_axis", id="axis too small"),
        pytest.param({"class_axis": 0}, "axis", id="another axis"),
        pytest.param({"ignore_index": 0.5}, "class indices are integers", id="ignore half a class"),
        pytest.param({"sample_weight": [1.0] * 5}, "sample_weight has shape", id="too few weights"),
        pytest.param({"sample_weight": [-1.0] * 6}, "-1", id="negative weight"),
        pytest.param({"sample_weight": [float("inf")] * 6}, "inf", id="infinite weight"),
        pytest.param({"sample_weight": [float("nan")] * 6}, "nan", id="weight is NaN"),
        pytest.param({"normalizer": -2.0}, "normalizer", id="negative normalizer"),
        pytest.param({"reduction": "avg"}, "unknown reduction", id="reduction"),
    ],
)
def test_options_that_make_no_sense(options, message, framework):
    logits, target = tensors()
    if framework == "numpy":
        logits, target = logits.numpy(), target.numpy()
    elif "sample_weight" in options:
        options = {"sample_weight": torch.tensor(options["sample_weight"])}
    with pytest.raises(cp.UserError, match=message):
        cp.loss(logits, target, FOCAL, **options)


@pytest.mark.parametrize("kernel_sees", ["numpy", "torch"])
def test_ignored_class_index_beyond_int64(kernel_sees):
    logits, target = tensors()
    given = (logits, target) if kernel_sees == "torch" else (logits.numpy(), target.numpy())
    try:
        found = cp.loss(*given, FOCAL, ignore_index=2**70)
    except (cp.UserError, OverflowError):
        return
    assert float(found) == pytest.approx(float(cp.loss(*given, FOCAL)))
