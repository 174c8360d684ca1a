"""Everything compiles to one graph with the same numbers and slopes: of any batch size, of no row, without numbers."""

import numpy as np
import pytest
import torch

import counterpoise as cp
from counterpoise.torch import GoalLoss, LinearLoss, Loss, RateLoss

pytestmark = pytest.mark.slow

GENERATOR = torch.Generator().manual_seed(13)
LAYER, BIAS = torch.randn(4, 3, generator=GENERATOR), torch.randn(4, generator=GENERATOR)
RECIPE = cp.softmax.ldam([1, 2, 3, 4], weight="inverse")
PRIOR = [0.25, 0.25, 0.25, 0.25]


@pytest.fixture(autouse=True)
def _nothing_compiled_before():
    torch.compiler.reset()


def batch(rows):
    generator = torch.Generator().manual_seed(rows)
    return torch.randn(rows, 4, generator=generator), torch.randint(4, (rows,), generator=generator)


FUNCTIONS = {
    "loss": lambda z, y: cp.loss(z, y, RECIPE),
    "loss with options": lambda z, y: cp.loss(z, y, RECIPE, (y > 1).float(), "weighted_mean", ignore_index=2),
    "loss of rows": lambda z, y: cp.loss(z, y, RECIPE, reduction="none").sum(),
    "number as normalizer": lambda z, y: cp.loss(z, y, RECIPE, normalizer=3.0),
    "tensor as normalizer": lambda z, y: cp.loss(z, y, RECIPE, normalizer=(y > 0).sum()),
    "sigmoid": lambda z, _: cp.loss(z, (z.detach() > 0).float(), cp_focal),
    "linear": lambda z, y: cp.linear_loss(z[:, :3], LAYER, BIAS, y, RECIPE, reduction="weighted_mean"),
    "posterior": lambda z, y: (RECIPE.posterior(z) * (y > 1)[:, None]).sum(),
    "posterior elsewhere": lambda z, y: (cp_adjusted.posterior(z, prior=PRIOR) * (y > 1)[:, None]).sum(),
    "posterior of labels": lambda z, y: (cp_focal.posterior(z) * (y > 1)[:, None]).sum(),
    "f_beta": lambda z, y: cp.rates.f_beta(z, y, beta=2.0, class_weight=[1.0, 2.0, 3.0, 4.0]),
    "roc_auc": lambda z, y: cp.rates.roc_auc(z[:, 0], y > 1),
    "average_precision": lambda z, y: cp.rates.average_precision(z[:, 0], y > 1),
}
cp_focal, cp_adjusted = cp.sigmoid.focal([90, 10]), cp.softmax.logit_adjusted([1, 2, 3, 4])
CRITERIA = {
    "loss": lambda: Loss(RECIPE),
    "linear": lambda: LinearLoss(RECIPE),
    "rate": lambda: RateLoss("f_beta", class_weight=[1.0, 2.0, 3.0, 4.0]),
    "memory": lambda: RateLoss("dice", memory=0.9),
    "goal": lambda: GoalLoss("recall where precision >= 0.5", [6, 6], warm_up=0.5),
}


def value_and_slope(function, logits, *others):
    z = logits.clone().requires_grad_()
    value = function(z, *others)
    value.backward()
    return value.detach(), z.grad


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dynamic", [False, True])
def test_a_function_is_one_graph(name, dynamic):
    function = FUNCTIONS[name]
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    for rows in (6, 9) if dynamic else (6,):
        torch.testing.assert_close(
            value_and_slope(compiled, *batch(rows)), value_and_slope(function, *batch(rows)), rtol=1e-5, atol=1e-6
        )


def test_every_rate_is_one_graph():
    logits, target = batch(6)
    for name in cp.rates.names:
        torch.compiler.reset()
        rate = getattr(cp.rates, name)
        found = torch.compile(lambda z, rate=rate: rate(z, target), backend="eager", fullgraph=True)(logits)
        torch.testing.assert_close(found, rate(logits, target))


@pytest.mark.parametrize("made", CRITERIA)
@pytest.mark.parametrize("dynamic", [False, True])
def test_a_criterion_is_one_graph_and_learns(made, dynamic):
    plain, criterion = CRITERIA[made](), CRITERIA[made]()
    compiled = torch.compile(criterion, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    for rows in (6, 6, 9) if dynamic else (6, 6):
        logits, target = batch(rows)
        given = (logits, target)
        if made == "linear":
            given = (logits[:, :3].clone(), LAYER, BIAS, target)
        elif made == "goal":
            given = (logits[:, 0].clone(), target % 2)
        torch.testing.assert_close(
            value_and_slope(compiled, *given), value_and_slope(plain, *given), rtol=1e-5, atol=1e-6
        )
    torch.testing.assert_close(dict(criterion.state_dict()), dict(plain.state_dict()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["loss", "tensor as normalizer", "sigmoid", "linear", "posterior", "f_beta"])
def test_of_no_row_and_without_numbers(name):
    function = FUNCTIONS[name]
    if name == "tensor as normalizer":
        function = lambda z, y: cp.loss(z, y, RECIPE, normalizer=z.new_full((), 3.0))  # noqa: E731
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    logits, target = batch(6)
    found, slope = value_and_slope(compiled, logits[:0], target[:0])
    assert found == 0 and slope.shape == (0, 4)
    if name == "linear":
        return  # its layer has numbers
    on_meta = compiled(logits.to("meta"), target.to("meta"))
    assert on_meta.is_meta and on_meta.shape == ()


def test_a_recipe_that_dies_is_not_taken_for_the_next_one():
    """The compiler goes by identity, and a new recipe may get the address of an old one."""
    compiled = torch.compile(cp.loss, backend="eager", fullgraph=True)
    logits, target = batch(6)
    for first in range(1, 7):
        recipe = cp.softmax.vector_scaling([first, 2, 3, 4])
        torch.testing.assert_close(compiled(logits, target, recipe), cp.loss(logits, target, recipe))
        del recipe


@pytest.mark.parametrize("array", [np.array, torch.tensor], ids=["NumPy", "tensor"])
def test_a_prior_that_may_change_is_not_a_constant(array):
    compiled = torch.compile(lambda z, prior: cp_adjusted.posterior(z, prior=prior), backend="eager")
    logits, _ = batch(6)
    for prior in (PRIOR, [0.1, 0.2, 0.3, 0.4]):
        torch.testing.assert_close(compiled(logits, array(prior)), cp_adjusted.posterior(logits, prior=prior))


def test_a_normalizer_may_change_from_step_to_step():
    compiled = torch.compile(lambda z, y, n: cp.loss(z, y, RECIPE, normalizer=n), backend="aot_eager", fullgraph=True)
    logits, target = batch(6)
    for number in (3, 4, 5, 6, 7.0, 8.0, torch.tensor(9), torch.tensor(2.5)):
        torch.testing.assert_close(compiled(logits, target, number), cp.loss(logits, target, RECIPE, normalizer=number))
    for number in (0, torch.tensor(0)):
        with pytest.raises(Exception, match="normalizer is 0"):
            compiled(logits, target, number)
