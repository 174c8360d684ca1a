"""What a user assigns, edits in place or hands in changes the loss, or is refused; nothing is shown and ignored."""

import numpy as np
import pytest
import torch

import counterpoise as cp
from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe
from counterpoise.torch import GoalLoss, LinearLoss, Loss, RateLoss

pytestmark = pytest.mark.slow

GENERATOR = torch.Generator().manual_seed(5)
LOGITS = torch.randn(6, 4, generator=GENERATOR)
TARGET = torch.tensor([0, 1, 2, 3, 1, 2])
MULTILABEL, HITS = torch.randn(6, 3, generator=GENERATOR), (torch.rand(6, 3, generator=GENERATOR) < 0.4).float()
NEW = torch.tensor([5.0, 1.0, 0.5, 2.0])
cross_entropy = torch.nn.functional.cross_entropy
weighted = pytest.mark.parametrize("recipe", [cp.softmax.weighted([1, 2, 3, 4]), cp.softmax.cross_entropy()], ids=str)


def by_pytorch(weight=NEW):
    return cross_entropy(LOGITS, TARGET, weight.float())


EDITS = {
    "assigned": lambda criterion: setattr(criterion, "weight", NEW),
    "assigned in double precision": lambda criterion: setattr(criterion, "weight", NEW.double()),
    "assigned as a list": lambda criterion: setattr(criterion, "weight", NEW.tolist()),
    "assigned as an array": lambda criterion: setattr(criterion, "weight", NEW.numpy()),
    "registered": lambda criterion: criterion.register_buffer("weight", NEW),
    "by the recipe": lambda criterion: setattr(criterion, "recipe", SoftmaxRecipe(weight=NEW.tolist())),
}
IN_PLACE = {
    "copied into": lambda weight: weight.copy_(NEW),
    "each by its index": lambda weight: [weight.__setitem__(k, NEW[k]) for k in range(4)],
    "through data": lambda weight: weight.data.copy_(NEW),
    "through NumPy": lambda weight: np.copyto(weight.numpy(), NEW.numpy()),
    "memory exchanged": lambda weight: setattr(weight, "data", NEW.double()),
    "by an operation": lambda weight: weight.fill_(1.0).mul_(NEW),
}


@pytest.mark.parametrize("edit", EDITS)
@weighted
def test_class_weights_that_are_assigned_count(recipe, edit):
    criterion = Loss(recipe, reduction="weighted_mean")
    before = criterion(LOGITS, TARGET)
    EDITS[edit](criterion)
    torch.testing.assert_close(criterion(LOGITS, TARGET), by_pytorch())
    assert criterion(LOGITS, TARGET) != before
    np.testing.assert_array_equal(criterion.recipe.weight, NEW)
    torch.testing.assert_close(criterion.weight, NEW.double())


@pytest.mark.parametrize("called_before", [False, True])
@pytest.mark.parametrize("edit", IN_PLACE)
def test_class_weights_that_are_edited_in_place_count(edit, called_before):
    criterion = Loss(cp.softmax.weighted([1, 2, 3, 4]), reduction="weighted_mean")
    if called_before:
        criterion(LOGITS, TARGET)
    IN_PLACE[edit](criterion.weight)
    torch.testing.assert_close(criterion(LOGITS, TARGET), by_pytorch())
    np.testing.assert_array_equal(criterion.recipe.weight, NEW)
    assert criterion.recipe.prior is not None  # what was not edited stays


def test_every_edit_counts_not_only_the_first():
    criterion = Loss(cp.softmax.weighted([1, 2, 3, 4]), reduction="weighted_mean")
    for k in range(3):
        criterion.state_dict()["weight"][k] = 7.0 + k  # a state dict holds the buffer itself
        torch.testing.assert_close(criterion(LOGITS, TARGET), by_pytorch(criterion.weight))


def test_pos_weight_counts_as_in_pytorch():
    new = torch.tensor([2.0, 9.0, 0.5])
    criterion = Loss(cp.sigmoid.weighted(pos_weight=[1.0, 2.0, 3.0]))
    theirs = torch.nn.functional.binary_cross_entropy_with_logits
    criterion.pos_weight.copy_(new)
    torch.testing.assert_close(criterion(MULTILABEL, HITS), theirs(MULTILABEL, HITS, pos_weight=new))
    one = Loss(cp.sigmoid.weighted(pos_weight=3.0))
    one.pos_weight.fill_(4.0)
    torch.testing.assert_close(one(MULTILABEL, HITS), theirs(MULTILABEL, HITS, pos_weight=torch.tensor(4.0)))


@pytest.mark.parametrize(
    ("name", "value", "changed"),
    [
        ("smoothing", 0.2, SoftmaxRecipe(smoothing=0.2)),
        ("focus", 2.0, SoftmaxRecipe(focus=2.0)),
        ("offset", [0.0, 1.0, 2.0, 3.0], SoftmaxRecipe(offset=[0, 1, 2, 3])),
        ("scale", torch.tensor([1.0, 2.0, 3.0, 4.0]), SoftmaxRecipe(scale=[1, 2, 3, 4])),
        ("temperature", 3, SoftmaxRecipe(temperature=3.0)),
        ("weight", None, SoftmaxRecipe()),
    ],
)
def test_any_parameter_of_the_recipe_may_be_assigned(name, value, changed):
    criterion = Loss(SoftmaxRecipe())
    setattr(criterion, name, value)
    assert criterion.recipe == changed
    np.testing.assert_array_equal(getattr(criterion, name), getattr(changed, name))
    torch.testing.assert_close(criterion(LOGITS, TARGET), cp.loss(LOGITS, TARGET, changed))


def test_reduction_and_ignored_index_may_be_assigned():
    criterion = Loss(cp.softmax.cross_entropy())
    criterion.reduction, criterion.ignore_index = "sum", 2
    torch.testing.assert_close(
        criterion(LOGITS, TARGET), cross_entropy(LOGITS, TARGET, ignore_index=2, reduction="sum")
    )
    criterion.reduction, criterion.class_axis = "mean", 0
    torch.testing.assert_close(criterion(LOGITS.T, TARGET), cross_entropy(LOGITS, TARGET, ignore_index=2))


@pytest.mark.parametrize(
    ("make", "name", "value", "message"),
    [
        (lambda: Loss(cp.softmax.focal()), "label_smoothing", 0.1, r"no label_smoothing .* assign .*\.recipe"),
        (lambda: Loss(cp.softmax.focal()), "gamma", 3.0, r"no gamma .*\.recipe"),
        (lambda: Loss(cp.softmax.focal()), "pos_weight", torch.ones(4), r"no pos_weight .*\.recipe"),
        (lambda: Loss(cp.sigmoid.focal()), "weight", torch.ones(3), r"no weight .*\.recipe"),
        (lambda: Loss(cp.softmax.focal()), "class_weight", torch.ones(4), r"no class_weight .*\.recipe"),
        (lambda: Loss(cp.softmax.focal()), "size_average", False, r"no size_average .*\.recipe"),
        (lambda: Loss(cp.softmax.focal()), "reduction", "batchmean", "unknown reduction"),
        (lambda: Loss(cp.softmax.focal()), "ignore_index", 0.5, "class indices are integers"),
        (lambda: Loss(cp.softmax.focal()), "ignore_index", [0], "must be one number"),
        (lambda: Loss(cp.softmax.focal()), "class_axis", "last", "must be an integer"),
        (lambda: Loss(cp.softmax.focal()), "weight", -torch.ones(4), r"weight\[0\] is -1"),
        (lambda: Loss(cp.softmax.ldam([1, 2, 3])), "weight", torch.ones(4), "disagree on the number of classes"),
        (lambda: Loss(SoftmaxRecipe(weight_by="pair", cost=np.ones((4, 4)))), "weight", torch.ones(4), r"\.recipe"),
        (lambda: LinearLoss(cp.softmax.focal()), "label_smoothing", 0.1, r"no label_smoothing .*\.recipe"),
        (lambda: RateLoss("dice"), "weight", torch.ones(4), "dice has .*class_weight"),
        (lambda: RateLoss("dice"), "beta", 2.0, "no beta"),
        (lambda: RateLoss("dice"), "average", "mikro", "did you mean 'micro'"),
        (lambda: RateLoss("roc_auc"), "memory", 0.9, "has no counts to remember"),
        (lambda: GoalLoss("f1", [9, 1]), "goal", "f2", "make a new GoalLoss"),
        (lambda: GoalLoss("f1", [9, 1]), "pos_weight", torch.ones(1), "no pos_weight"),
        (lambda: GoalLoss("f1", [9, 1]), "reduction", "sum", "no reduction"),
        (lambda: GoalLoss("f1", [9, 1]), "robustness", 3.0, "robustness is 3"),
    ],
)
def test_what_cannot_be_assigned_is_refused(make, name, value, message):
    criterion = make()
    with pytest.raises(cp.UserError, match=message):
        setattr(criterion, name, value)
    assert name not in criterion.state_dict()


def test_tools_may_set_what_is_no_parameter_of_a_loss():
    for criterion in (Loss(cp.softmax.focal()), RateLoss("dice"), GoalLoss("f1", [9, 1])):
        criterion.qconfig, criterion.name = None, "criterion"
        assert criterion.name == "criterion"


def test_settings_of_a_rate_may_be_assigned():
    criterion = RateLoss("f_beta")
    criterion.beta, criterion.average, criterion.class_weight = 2.0, "macro", [1.0, 2.0, 3.0, 4.0]
    expected = cp.rates.f_beta(LOGITS, TARGET, beta=2.0, class_weight=[1, 2, 3, 4])
    torch.testing.assert_close(criterion(LOGITS, TARGET), expected)
    assert criterion.beta == 2.0
    criterion.ignore_index, criterion.class_weight = 1, None
    torch.testing.assert_close(criterion(LOGITS, TARGET), cp.rates.f_beta(LOGITS, TARGET, beta=2.0, ignore_index=1))


def test_settings_of_a_goal_may_be_assigned():
    changed, fresh = GoalLoss("f1", [9, 3]), GoalLoss("f1", [9, 3], robustness=0.0, warm_up=0.0)
    changed.robustness, changed.warm_up = 0.0, 0.0
    given = LOGITS[:, 0], TARGET.clamp(max=1)
    torch.testing.assert_close(changed(*given), fresh(*given))
    assert changed.robustness == 0.0


def test_class_weights_of_a_linear_loss():
    layer, features = torch.randn(4, 3, generator=GENERATOR), torch.randn(6, 3, generator=GENERATOR)
    criterion = LinearLoss(cp.softmax.weighted([1, 2, 3, 4]), reduction="weighted_mean")
    criterion.weight.copy_(NEW)
    torch.testing.assert_close(criterion(features, layer, None, TARGET), cross_entropy(features @ layer.T, TARGET, NEW))


def test_deleted_class_weights_weigh_nothing():
    criterion = Loss(cp.softmax.weighted([1, 2, 3, 4]))
    del criterion.weight
    torch.testing.assert_close(criterion(LOGITS, TARGET), cross_entropy(LOGITS, TARGET))
    assert not criterion.state_dict()


@pytest.mark.parametrize("reduction", ["sum", "mean", "weighted_mean", "none"])
@pytest.mark.parametrize(
    "make", [torch.nn.Parameter, lambda weight: (2 * weight).requires_grad_()], ids=["own", "made"]
)
def test_learnable_class_weights_are_learned(make, reduction):
    criterion = Loss(cp.softmax.focal(), reduction=reduction)
    criterion.weight = make(NEW.double())
    weight = criterion.weight
    assert torch.autograd.gradcheck(
        lambda w: torch.func.functional_call(criterion, {"weight": w}, (LOGITS.double(), TARGET)),
        weight.detach().clone().requires_grad_(),
    )
    criterion(LOGITS.double(), TARGET).sum().backward()
    assert weight.grad.abs().sum() > 0


@pytest.mark.parametrize("family", ["softmax", "sigmoid"])
def test_stacked_modules_each_have_their_own_class_weights(family):
    if family == "softmax":
        criteria = [Loss(cp.softmax.focal([1, 2, 3, 4], weight=w)) for w in ([5, 2, 3, 1], [4, 3, 2, 1], [9, 1, 1, 1])]
        given = LOGITS, TARGET
    else:
        criteria = [Loss(cp.sigmoid.weighted(pos_weight=w)) for w in ([1, 2, 3], [3, 2, 1], [9, 1, 1])]
        given = MULTILABEL, HITS
    stacked = torch.func.stack_module_state(criteria)

    def loss(state, logits):
        return torch.func.functional_call(criteria[0], state, (logits, given[1]))

    values = torch.func.vmap(loss, in_dims=(0, None))(stacked, given[0])
    torch.testing.assert_close(values, torch.stack([criterion(*given) for criterion in criteria]))
    slopes = torch.func.vmap(torch.func.grad(loss, argnums=1), in_dims=(0, None))(stacked, given[0])
    for criterion, slope in zip(criteria, slopes, strict=True):
        torch.testing.assert_close(slope, torch.func.grad(lambda z, c=criterion: c(z, given[1]))(given[0]))
    own = criteria[0](*given)
    torch.testing.assert_close(own, values[0])  # and nothing of it stays behind


def test_class_weights_of_the_meta_device_are_the_recipes():
    criterion = Loss(cp.softmax.weighted([1, 2, 3, 4])).to("meta")
    torch.testing.assert_close(criterion(LOGITS, TARGET), cp.loss(LOGITS, TARGET, criterion.recipe))
    assert criterion(LOGITS.to("meta"), TARGET.to("meta")).is_meta


def test_edited_class_weights_count_in_a_compiled_graph():
    torch.compiler.reset()
    criterion = Loss(cp.softmax.weighted([1, 2, 3, 4]), reduction="weighted_mean")
    compiled = torch.compile(criterion, backend="aot_eager", fullgraph=True)
    compiled(LOGITS, TARGET)
    for weight in (NEW, NEW.flip(0)):
        criterion.weight.copy_(weight)
        torch.testing.assert_close(compiled(LOGITS, TARGET), by_pytorch(weight))
    criterion.weight.fill_(-1.0)
    with pytest.raises(cp.UserError, match=r"weight\[0\] is -1"):
        compiled(LOGITS, TARGET)


@pytest.mark.parametrize("call", [0, 1])
def test_class_weights_that_cannot_be_are_an_error_when_they_count(call):
    criterion = Loss(cp.softmax.weighted([1, 2, 3, 4]))
    for _ in range(call):
        criterion(LOGITS, TARGET)
    criterion.weight[2] = float("nan")
    with pytest.raises(cp.UserError, match=r"weight\[2\] is nan"):
        criterion(LOGITS, TARGET)


def test_a_sigmoid_recipe_has_its_own_names():
    assert set(SigmoidRecipe().to_dict()) == {"family"}
    with pytest.raises(AttributeError):
        _ = Loss(cp.sigmoid.focal()).weight


def test_class_weights_may_be_learned_after_the_first_call():
    logits, target = torch.zeros(2, 2, requires_grad=True), torch.tensor([0, 1])
    criterion = Loss(cp.softmax.weighted([90, 10]))
    criterion(logits, target)
    criterion.weight.requires_grad_()
    criterion(logits, target).backward()
    torch.testing.assert_close(criterion.weight.grad, torch.full((2,), 0.5 * np.log(2.0), dtype=torch.float64))


@pytest.mark.parametrize(("name", "value"), [("class_axis", 1), ("class_axis", 0)])
def test_a_setting_that_a_linear_loss_does_not_have_is_refused(name, value):
    criterion = LinearLoss(cp.softmax.focal())
    with pytest.raises(cp.UserError, match=f"LinearLoss has no {name} to assign"):
        setattr(criterion, name, value)
