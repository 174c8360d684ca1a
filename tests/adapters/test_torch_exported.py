"""Programs that PyTorch writes down: scripted, traced, exported, ONNX; for other batch sizes than the example too."""

import io
import warnings

import numpy as np
import pytest
import torch

import counterpoise as cp
from cases import RECIPES, name_of
from counterpoise.torch import GoalLoss, LinearLoss, Loss, RateLoss

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript-based ONNX"),
    pytest.mark.filterwarnings("ignore:The feature will be removed"),  # by that export itself
    pytest.mark.filterwarnings("ignore:No complete tensor found"),
]

GENERATOR = torch.Generator().manual_seed(9)
SOME = [
    *(recipe for recipe in RECIPES if recipe.name in ("softmax.weighted", "softmax.ldam", "sigmoid.asymmetric")),
    *(recipe for recipe in RECIPES if recipe.name in ("everything by pair", "everything by predicted")),
]
CRITERIA = {
    "weighted": lambda: Loss(cp.softmax.weighted([1, 2, 3, 4], weight=[4.0, 3.0, 2.0, 1.0])),
    "linear": lambda: LinearLoss(cp.softmax.ldam([1, 2, 3, 4])),
    "labels": lambda: Loss(cp.sigmoid.focal()),
    "rate": lambda: RateLoss("f_beta", beta=2.0, class_weight=[1, 2, 3, 4]),
    "ranked": lambda: RateLoss("roc_auc", surrogate="logistic"),
    "memory": lambda: remembering(),
    "goal": lambda: GoalLoss("recall where precision >= 0.5", [3, 3]).eval(),
}
every_criterion = pytest.mark.parametrize("made", CRITERIA)


def remembering():
    criterion = RateLoss("dice", memory=0.9)
    criterion(*batch("memory", 4))
    return criterion


def batch(made, rows):
    """Logits, or features of a linear loss, and a target."""
    generator = torch.Generator().manual_seed(rows)
    logits = torch.randn(rows, 3 if made == "linear" else 4, generator=generator)
    target = torch.randint(4, (rows,), generator=generator)
    if made == "labels":
        return logits, (torch.rand(rows, 4, generator=generator) < 0.4).float()
    if made in ("goal", "ranked"):
        return logits[:, 0].clone(), torch.arange(rows) % 2
    return logits, target


class Called(torch.nn.Module):
    """A module with a criterion in its forward pass."""

    def __init__(self, criterion):
        super().__init__()
        self.criterion = criterion
        self.layer = torch.nn.Linear(3, 4) if isinstance(criterion, LinearLoss) else torch.nn.Identity()

    def forward(self, logits, target):
        if isinstance(self.criterion, LinearLoss):
            return self.criterion(logits, self.layer.weight, self.layer.bias, target)
        return self.criterion(self.layer(logits), target)


class Held(torch.nn.Module):
    """A module with a criterion beside it, called only where there is a target."""

    def __init__(self, criterion):
        super().__init__()
        self.criterion, self.layer = criterion, torch.nn.Linear(4, 4)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layer(features)


class CallsWithTarget(Held):
    def forward(self, features: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
        logits = self.layer(features)
        if target is not None:
            return self.criterion(logits, target)
        return logits


def agrees(program, module, made):
    for rows in (6, 9, 2):
        given = batch(made, rows)
        torch.testing.assert_close(
            torch.as_tensor(program(*given)), module(*given).detach(), rtol=1e-5, atol=1e-6, check_dtype=False
        )


@every_criterion
def test_a_module_that_holds_it_can_be_scripted_and_saved(made):
    module, file = Held(CRITERIA[made]()), io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    file.seek(0)
    features = torch.ones(2, 4)
    assert torch.equal(torch.jit.load(file)(features), module(features))


@pytest.mark.parametrize("made", ["weighted", "rate", "goal"])
def test_a_scripted_module_that_calls_it_says_so_when_it_does(made):
    scripted = torch.jit.script(CallsWithTarget(CRITERIA[made]()))
    assert scripted(torch.ones(2, 4)).shape == (2, 4)
    with pytest.raises(torch.jit.Error, match="TorchScript cannot call this loss; trace or export the module"):
        scripted(torch.ones(2, 4), torch.tensor([0, 1]))


@every_criterion
def test_traced(made):
    module = Called(CRITERIA[made]()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error", torch.jit.TracerWarning)
        program = torch.jit.trace(module, batch(made, 6))
    agrees(program, module, made)


@pytest.mark.parametrize("strict", [False, True])
@every_criterion
def test_exported(made, strict):
    module = Called(CRITERIA[made]()).eval()
    rows = torch.export.Dim("rows", min=2, max=1000)
    program = torch.export.export(module, batch(made, 6), dynamic_shapes=({0: rows}, {0: rows}), strict=strict)
    assert not [node for node in program.graph.nodes if "counterpoise" in str(node.target)]
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    agrees(torch.export.load(file).module(), module, made)


@every_criterion
def test_as_onnx(made):
    import onnxruntime as runtime

    module, file = Called(CRITERIA[made]()).eval(), io.BytesIO()
    names = ["logits", "target"]
    torch.onnx.export(
        module,
        batch(made, 6),
        file,
        dynamo=False,
        input_names=names,
        dynamic_axes={name: {0: "rows"} for name in names},
    )
    session = runtime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    agrees(lambda *given: session.run(None, dict(zip(names, map(np.asarray, given), strict=True)))[0], module, made)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
@pytest.mark.parametrize("recipe", SOME, ids=name_of)
def test_every_part_of_a_recipe_is_traced(recipe, reduction):
    made = "weighted" if recipe.family == "softmax" else "labels"
    criterion = Loss(recipe, reduction)
    narrow = slice(None) if made == "weighted" else slice(3)

    def loss(logits, target):
        return criterion(logits[:, narrow], target[..., narrow] if made == "labels" else target)

    agrees(torch.jit.trace(loss, batch(made, 6)), loss, made)


def test_a_traced_program_follows_class_weights_as_pytorchs_do():
    module = Called(CRITERIA["weighted"]())
    program = torch.jit.trace(module, batch("weighted", 6))
    program.criterion.weight.copy_(torch.tensor([1.0, 1.0, 5.0, 1.0]))
    module.criterion.weight = [1.0, 1.0, 5.0, 1.0]
    agrees(program, module, "weighted")


@pytest.mark.parametrize("write_down", [lambda m, a: torch.jit.trace(m, a), lambda m, a: torch.export.export(m, a)])
def test_a_memory_that_is_still_empty_cannot_be_a_part_of_a_program(write_down):
    module = Called(RateLoss("dice", memory=0.9))
    with pytest.raises(cp.UserError, match=r"seen no batch yet.*call it once before"):
        write_down(module, batch("memory", 6))
    assert not module.state_dict()
    module(*batch("memory", 6))
    assert torch.equal(module.criterion.memory_batches, torch.tensor(1.0, dtype=torch.float64))


@pytest.mark.parametrize("recipe", [*SOME[:3], cp.softmax.focal()], ids=name_of)
def test_posteriors_are_traced_exported_and_written_as_onnx(recipe):
    import onnxruntime as runtime

    class Posterior(torch.nn.Module):
        def forward(self, logits):
            return recipe.posterior(logits)

    width, module, file = recipe.classes or 4, Posterior(), io.BytesIO()
    example, other = (torch.randn(rows, width, generator=GENERATOR) for rows in (6, 9))
    rows = torch.export.Dim("rows", min=2, max=1000)
    torch.onnx.export(module, (example,), file, dynamo=False, input_names=["z"], dynamic_axes={"z": {0: "rows"}})
    session = runtime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for program in (
        torch.jit.trace(module, (example,)),
        torch.export.export(module, (example,), dynamic_shapes=({0: rows},)).module(),
        lambda logits: torch.tensor(session.run(None, {"z": logits.numpy()})[0]),
    ):
        torch.testing.assert_close(program(other), module(other), rtol=1e-5, atol=1e-6)
