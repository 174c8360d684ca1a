"""Derivatives of every kind, in any nesting with torch.compile, are those of the definition: never a silent zero."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.autograd.functional import jacobian

import counterpoise as cp
from cases import RECIPES, name_of
from counterpoise.losses.arguments import Call
from counterpoise.losses.definition import composed
from counterpoise.torch import GoalLoss, LinearLoss, Loss, RateLoss

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node"),  # says torch.func.linearize
]

GENERATOR = torch.Generator().manual_seed(11)
LOGITS = torch.randn(6, 4, generator=GENERATOR, dtype=torch.float64)
DIRECTION = torch.randn(6, 4, generator=GENERATOR, dtype=torch.float64)
TARGET = torch.tensor([0, 1, 2, 3, 1, 2])
PLAIN = cp.softmax.cross_entropy()
SOME = [recipe for recipe in RECIPES if recipe.name in ("softmax.weighted", "softmax.ldam", "everything by pair")]
func = torch.func


@pytest.fixture(autouse=True)
def _nothing_compiled_before():
    torch.compiler.reset()


def by_dual_numbers(loss, logits):
    """Forward mode, from outside of whatever `loss` is."""
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(loss(forward_ad.make_dual(logits, DIRECTION))).tangent
    assert tangent is not None
    return tangent


def backward_twice(loss, logits):
    z = logits.clone().requires_grad_()
    slope = torch.autograd.grad(loss(z), z, create_graph=True)[0]
    return torch.autograd.grad((slope * DIRECTION).sum(), z)[0]


DERIVATIVES = {
    "jvp": lambda loss, z: func.jvp(loss, (z,), (DIRECTION,))[1],
    "jacfwd": lambda loss, z: func.jacfwd(loss)(z),
    "jacrev": lambda loss, z: func.jacrev(loss)(z),
    "grad": lambda loss, z: func.grad(loss)(z),
    "vjp": lambda loss, z: func.vjp(loss, z)[1](torch.ones((), dtype=z.dtype))[0],
    "hessian": lambda loss, z: func.hessian(loss)(z),
    "grad of grad": lambda loss, z: func.grad(lambda q: (func.grad(loss)(q) * DIRECTION).sum())(z),
    "jvp of grad": lambda loss, z: func.jvp(func.grad(loss), (z,), (DIRECTION,))[1],
    "grad of jvp": lambda loss, z: func.grad(lambda q: func.jvp(loss, (q,), (DIRECTION,))[1])(z),
    "vmap of grad": lambda loss, z: func.vmap(func.grad(loss))(torch.stack([z, 2 * z])),
    "vmap of jvp": lambda loss, z: func.vmap(lambda q: func.jvp(loss, (q,), (DIRECTION,))[1])(torch.stack([z, 2 * z])),
}
OUTSIDE = {
    **DERIVATIVES,
    # inside a compiled function PyTorch 2.13 fails with it, also on (1.0 * z * z).sum()
    "jacfwd of jacfwd": lambda loss, z: func.jacfwd(func.jacfwd(loss))(z),
    "linearize": lambda loss, z: func.linearize(loss, z)[1](DIRECTION),
    "dual numbers": by_dual_numbers,
    "backward twice": backward_twice,
    "vectorized": lambda loss, z: jacobian(lambda q: torch.stack([loss(q), 2 * loss(q)]), z, vectorize=True),
}


def definition(recipe):
    return lambda z: composed(Call(z, TARGET, recipe))


def pytorchs(z):
    return torch.nn.functional.cross_entropy(z, TARGET)


@pytest.mark.parametrize("kind", OUTSIDE)
def test_plain_cross_entropy_has_pytorchs_derivatives(kind):
    expected = OUTSIDE[kind](pytorchs, LOGITS)
    torch.testing.assert_close(OUTSIDE[kind](lambda z: Loss(PLAIN)(z, TARGET), LOGITS), expected)


@pytest.mark.parametrize("kind", DERIVATIVES)
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_inside_a_compiled_function(backend, kind):
    criterion = Loss(SOME[0])
    compiled = torch.compile(lambda z: DERIVATIVES[kind](lambda q: criterion(q, TARGET), z), backend=backend)
    torch.testing.assert_close(compiled(LOGITS), DERIVATIVES[kind](definition(SOME[0]), LOGITS))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("recipe", SOME, ids=name_of)
def test_outside_of_a_compiled_loss(recipe, backend):
    criterion = Loss(recipe)
    compiled = torch.compile(lambda z: criterion(z, TARGET), backend=backend)
    for kind in ("jvp", "hessian", "vmap of grad", "grad of jvp", "dual numbers"):
        torch.testing.assert_close(OUTSIDE[kind](compiled, LOGITS), OUTSIDE[kind](definition(recipe), LOGITS))


@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")
def test_of_a_compiled_graph_autograd_says_what_it_cannot():
    compiled = torch.compile(lambda z: Loss(PLAIN)(z, TARGET), backend="aot_eager")
    with pytest.raises(RuntimeError, match="does not currently support double backward"):
        backward_twice(compiled, LOGITS)
    with pytest.raises(NotImplementedError, match="forward mode AD"):
        by_dual_numbers(compiled, LOGITS.clone().requires_grad_())


def test_inside_what_inductor_compiles():
    criterion = Loss(SOME[1])
    compiled = torch.compile(lambda z: func.jvp(lambda q: criterion(q, TARGET), (z,), (DIRECTION,))[1])
    torch.testing.assert_close(compiled(LOGITS), DERIVATIVES["jvp"](definition(SOME[1]), LOGITS))


@pytest.mark.parametrize("kind", OUTSIDE)
@pytest.mark.parametrize("recipe", SOME[:2], ids=name_of)
def test_of_the_operation_itself(recipe, kind):
    """What a graph with it gives, whoever runs the graph."""
    if recipe.name == "softmax.weighted" and kind not in ("jvp", "hessian", "dual numbers", "vectorized"):
        pytest.skip("one recipe is enough")

    def operation(z):
        return torch.ops.counterpoise.loss(z, TARGET, None, None, None, recipe.to_json(), "mean", "", -1)

    torch.testing.assert_close(OUTSIDE[kind](operation, LOGITS), OUTSIDE[kind](definition(recipe), LOGITS))


@pytest.mark.parametrize("reduction", ["none", "weighted_mean"])
@pytest.mark.parametrize("recipe", [SOME[2], cp.sigmoid.asymmetric()], ids=name_of)
def test_the_operations_gradient_for_each_reduction(recipe, reduction):
    target = TARGET if recipe.family == "softmax" else (LOGITS > 0).double()
    weight = torch.linspace(0, 2, 6, dtype=torch.float64)
    weight = weight if recipe.family == "softmax" else weight[:, None].expand(6, 4).contiguous()

    def operation(z):
        return torch.ops.counterpoise.loss(z, target, weight, None, None, recipe.to_json(), reduction, "", -1)

    assert torch.autograd.gradcheck(operation, LOGITS.clone().requires_grad_(), check_batched_grad=True)
    assert torch.autograd.gradgradcheck(operation, LOGITS.clone().requires_grad_())


def criteria():
    features = torch.randn(6, 3, generator=GENERATOR, dtype=torch.float64)
    layer = torch.randn(4, 3, generator=GENERATOR, dtype=torch.float64)
    binary = TARGET % 2
    linear, goal = LinearLoss(SOME[0], "weighted_mean"), GoalLoss("recall where precision >= 0.5", [3, 3]).eval()
    return {
        "linear loss": (lambda z: linear(z[:, :3] + features, layer, None, TARGET), linear),
        "rate": (lambda z: RateLoss("f_beta")(z, TARGET), None),
        "squared hinge": (lambda z: RateLoss("roc_auc")(z[:, 0], binary), None),
        "logistic": (lambda z: RateLoss("roc_auc", surrogate="logistic")(z[:, 0], binary), None),
        "average precision": (lambda z: RateLoss("average_precision")(z[:, 0], binary), None),
        "goal": (lambda z: goal(z[:, 0], binary), goal),
    }


@pytest.mark.parametrize("kind", ["jvp", "grad", "vmap of grad", "hessian", "dual numbers", "jvp of grad"])
@pytest.mark.parametrize("name", criteria())
def test_of_the_other_criteria(name, kind):
    loss, _ = criteria()[name]
    slope = torch.autograd.grad(loss(z := LOGITS.clone().requires_grad_()), z, create_graph=True)[0]
    found = OUTSIDE[kind](loss, LOGITS)
    if kind in ("jvp", "dual numbers"):
        expected = (slope * DIRECTION).sum()
    elif kind == "grad":
        expected = slope
    elif kind == "vmap of grad":
        found, expected = found[0], slope
    else:
        rows = [torch.autograd.grad(part, z, retain_graph=True)[0] for part in slope.flatten()]
        expected = torch.stack(rows).reshape(6, 4, 6, 4)
        expected = expected if kind == "hessian" else (expected * DIRECTION).sum((-1, -2))
    torch.testing.assert_close(found, expected.detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("make", [lambda: RateLoss("dice", memory=0.9), lambda: GoalLoss("f1", [3, 3])])
def test_what_learns_cannot_do_so_inside_torch_func_and_says_so(make):
    criterion = make()
    given = LOGITS[:, 0].float(), TARGET % 2
    criterion(*given)
    before = {name: value.clone() for name, value in criterion.state_dict().items()}
    with pytest.raises(cp.UserError, match=r"inside a transformation of torch\.func.*call \.eval\(\)"):
        func.grad(lambda z: criterion(z, given[1]))(given[0])
    torch.testing.assert_close(dict(criterion.state_dict()), before)
    assert func.grad(lambda z: criterion.eval()(z, given[1]))(given[0]).abs().sum() > 0


@pytest.mark.parametrize("family", ["softmax", "sigmoid"])
@pytest.mark.parametrize("reduction", ["sum", "mean", "weighted_mean"])
def test_slope_by_a_sample_weight_of_zero_is_the_loss(reduction, family):
    """Learning to reweight examples (Ren et al. 2018) starts from weights of zero."""
    recipe = cp.softmax.focal() if family == "softmax" else cp.sigmoid.focal()
    target = TARGET if family == "softmax" else (LOGITS > 0).double()
    weight = torch.tensor([0.0, 1.0, 0.0, 2.0, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(cp.loss(LOGITS, target, recipe, weight, reduction), weight)[0]
    each = cp.loss(LOGITS, target, recipe, reduction="none").reshape(6, -1).sum(1)
    by = {"sum": 1.0, "mean": 6.0 if family == "softmax" else 24.0}.get(reduction)
    if by is not None:
        torch.testing.assert_close(slope, each / by)
        return
    entries = torch.ones(6)
    if family == "sigmoid":
        entries = torch.where(target == 1, float(recipe.pos_weight), float(recipe.neg_weight)).sum(1)
    total = (entries * weight).sum()
    torch.testing.assert_close(slope, (each - entries * (each * weight).sum() / total) / total)


def test_slope_by_the_shares_of_a_soft_target():
    recipe = cp.softmax.weighted([1, 2, 3, 4])
    shares = torch.nn.functional.one_hot(TARGET, 4).double().requires_grad_()
    slope = torch.autograd.grad(cp.loss(LOGITS, shares, recipe, reduction="sum"), shares)[0]
    torch.testing.assert_close(slope, -torch.tensor(recipe.weight) * LOGITS.log_softmax(-1))
