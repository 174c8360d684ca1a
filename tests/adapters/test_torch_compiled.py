"""Under torch.compile on the processor the loss is one node of an unbroken graph, with the kernel's own numbers."""

import pytest
import torch
from torch import library

import counterpoise as cp
from cases import RECIPES, SIGMOID, SOFTMAX, name_of
from counterpoise.torch import Loss

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Your compiler for AOTAutograd"),  # of its own "aot_eager"
]

SOME = [
    *(recipe for recipe in RECIPES if recipe.name in ("softmax.focal", "everything by pair", "sigmoid.asymmetric")),
]
some_recipes = pytest.mark.parametrize("recipe", SOME, ids=name_of)


@pytest.fixture(autouse=True)
def _nothing_compiled_before():
    torch.compiler.reset()


def example(recipe, rows=6, dtype=torch.float32):
    generator = torch.Generator().manual_seed(rows)
    softmax = recipe.family == "softmax"
    logits = torch.randn(rows, 4 if softmax else 3, generator=generator).to(dtype)
    if softmax:
        return logits, torch.randint(4, (rows,), generator=generator)
    return logits, (torch.rand(rows, 3, generator=generator) < 0.4).float()


class Graphs:
    """A backend that runs graphs as they are and keeps them."""

    def __init__(self):
        self.forward, self.backward = [], []
        from torch._dynamo.backends.common import aot_autograd

        self.backend = aot_autograd(fw_compiler=self._keeper(self.forward), bw_compiler=self._keeper(self.backward))

    def _keeper(self, kept):
        def keep(graph, _):
            kept.append(graph)
            return graph.forward

        return keep

    def compile(self, function, **options):
        return torch.compile(function, fullgraph=True, backend=self.backend, **options)


def operations(graph):
    return [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]


def backpropagated(function, logits, *arguments):
    z = logits.clone().requires_grad_()
    value = function(z, *arguments)
    value.sum().backward()
    return value.detach(), z.grad


@some_recipes
def test_forward_and_backward_are_one_node_each(recipe):
    graphs = Graphs()
    backpropagated(graphs.compile(Loss(recipe)), *example(recipe))
    assert [name for name in operations(graphs.forward[0]) if "counterpoise" in name] == ["counterpoise.loss.default"]
    assert "counterpoise.loss_gradient.default" in operations(graphs.backward[0])


@pytest.mark.parametrize("reduction", ["none", "sum", "weighted_mean"])
@some_recipes
def test_numbers_are_those_of_the_eager_kernel(recipe, reduction):
    criterion, given = Loss(recipe, reduction=reduction), example(recipe)
    eager = backpropagated(criterion, *given)
    compiled = backpropagated(Graphs().compile(criterion), *given)
    assert torch.equal(compiled[0], eager[0])
    torch.testing.assert_close(compiled[1], eager[1], rtol=1e-6, atol=1e-8)


def test_weights_normalizer_and_ignored_rows():
    logits, target = example(SOFTMAX[4])
    criterion = Loss(SOFTMAX[4], ignore_index=2)
    given = (logits, target, torch.linspace(0, 2, 6), 3.0)
    for compiled, eager in zip(
        backpropagated(Graphs().compile(criterion), *given), backpropagated(criterion, *given), strict=True
    ):
        torch.testing.assert_close(compiled, eager, rtol=1e-6, atol=1e-8)


def test_masked_logits():
    logits, target = example(SOFTMAX[0])
    logits = logits.masked_fill(torch.arange(4) == ((target + 1) % 4)[:, None], float("-inf"))
    eager = backpropagated(Loss(SOFTMAX[0]), logits, target)
    compiled = backpropagated(Graphs().compile(Loss(SOFTMAX[0])), logits, target)
    torch.testing.assert_close(compiled, eager)


@some_recipes
def test_batches_of_any_size_share_a_graph(recipe):
    graphs = Graphs()
    criterion = Loss(recipe)
    compiled = graphs.compile(criterion, dynamic=True)
    for rows in (6, 9, 17):
        given = example(recipe, rows)
        torch.testing.assert_close(backpropagated(compiled, *given), backpropagated(criterion, *given))
    assert len(graphs.forward) == 1


def test_segmentation_keeps_the_layout_of_the_logits():
    logits = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(2)).contiguous(
        memory_format=torch.channels_last
    )
    target = torch.randint(4, (2, 3, 5), generator=torch.Generator().manual_seed(2))
    criterion = Loss(SOFTMAX[0], class_axis=1)
    eager = backpropagated(criterion, logits, target)
    compiled = backpropagated(Graphs().compile(criterion), logits, target)
    torch.testing.assert_close(compiled, eager)
    assert compiled[1].stride() == eager[1].stride()


def test_logits_cut_out_of_a_larger_tensor():
    wide, target = torch.randn(6, 9, generator=torch.Generator().manual_seed(2)), example(SOFTMAX[0])[1]
    criterion = Loss(SOFTMAX[0])

    def cut(z, y):
        return criterion(z[:, 1:9:2], y)

    torch.testing.assert_close(backpropagated(Graphs().compile(cut), wide, target), backpropagated(cut, wide, target))


def test_bfloat16_layer_before_the_loss():
    layer, target = torch.nn.Linear(5, 4).bfloat16(), torch.tensor([0, 1, 2])
    criterion = Loss(cp.softmax.focal())

    def step(x):
        return criterion(layer(x), target)

    x = torch.ones(3, 5, dtype=torch.bfloat16)
    torch.testing.assert_close(backpropagated(Graphs().compile(step), x), backpropagated(step, x))


def test_class_out_of_range_is_the_same_error():
    logits, target = example(SOFTMAX[0])
    with pytest.raises(cp.UserError, match="holds class 9"):
        Graphs().compile(Loss(SOFTMAX[0]))(logits, target.clone().fill_(9))


def test_inductor_compiles_it():
    logits, target = example(SIGMOID[1])
    criterion = Loss(SIGMOID[1])
    compiled = torch.compile(lambda z, y: criterion(z * 2, y) * 3, fullgraph=True)
    eager = backpropagated(lambda z, y: criterion(z * 2, y) * 3, logits, target)
    torch.testing.assert_close(backpropagated(compiled, logits, target), eager)


@some_recipes
def test_operations_are_well_formed(recipe):
    logits, target = example(recipe, dtype=torch.float64)
    arguments = (logits.requires_grad_(), target, None, None, None, recipe.to_json(), "mean", "", -1)
    library.opcheck(torch.ops.counterpoise.loss.default, arguments)
