"""State dicts are exchanged with PyTorch's own losses, survive casts and averages, and those of 0.1.0 are read."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch

import counterpoise as cp
from counterpoise.errors import ClassWeightWarning
from counterpoise.torch import GoalLoss, LinearLoss, Loss, RateLoss

pytestmark = pytest.mark.slow

COUNTS = [198, 436, 710, 272]
GENERATOR = torch.Generator().manual_seed(7)
LOGITS, TARGET = torch.randn(6, 4, generator=GENERATOR), torch.tensor([0, 1, 2, 3, 1, 2])
WEIGHT = torch.tensor([4.0, 3.0, 2.0, 1.0])
UNWEIGHTED = [
    cp.softmax.cross_entropy(),
    cp.softmax.focal(),
    cp.softmax.logit_adjusted(COUNTS),
    cp.softmax.ldam(COUNTS),
    cp.softmax.poly1(),
    cp.sigmoid.binary_cross_entropy(),
    cp.sigmoid.focal(),
    cp.sigmoid.asymmetric(),
]


class Model(torch.nn.Module):
    """A layer with a criterion beside it."""

    def __init__(self, criterion):
        super().__init__()
        self.criterion, self.layer = criterion, torch.nn.Linear(4, 4)


def in_and_out(state):
    """A state dict, saved and loaded."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("recipe", UNWEIGHTED, ids=str)
def test_an_unweighted_criterion_adds_nothing_and_loads_strictly_both_ways(recipe):
    theirs = torch.nn.CrossEntropyLoss() if recipe.family == "softmax" else torch.nn.BCEWithLogitsLoss()
    for criterion in (Loss(recipe), LinearLoss(recipe)):
        assert not criterion.state_dict()
        Model(criterion).load_state_dict(Model(theirs).state_dict())
        Model(theirs).load_state_dict(Model(criterion).state_dict())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (cp.softmax.weighted(COUNTS), torch.nn.CrossEntropyLoss(WEIGHT)),
        (cp.softmax.ldam(COUNTS, weight="inverse"), torch.nn.CrossEntropyLoss(WEIGHT)),
        (cp.sigmoid.weighted(pos_weight=[1.0, 2, 3]), torch.nn.BCEWithLogitsLoss(pos_weight=WEIGHT[:3])),
        (cp.sigmoid.weighted([90, 10]), torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(4.0))),
    ],
    ids=["cross-entropy", "ldam", "labels", "one label"],
)
def test_class_weights_are_exchanged_strictly(ours, theirs):
    name = "weight" if ours.family == "softmax" else "pos_weight"
    criterion = Loss(ours)
    Model(criterion).load_state_dict(in_and_out(Model(theirs).state_dict()))
    np.testing.assert_array_equal(getattr(criterion.recipe, name), getattr(theirs, name))
    assert criterion.recipe.changed(**{name: getattr(ours, name)}) == ours  # nothing else has changed
    again = copy.deepcopy(theirs)
    Model(again).load_state_dict(Model(Loss(ours)).state_dict())
    np.testing.assert_array_equal(getattr(again, name), np.float32(getattr(ours, name)))


def test_loaded_class_weights_count():
    criterion = Loss(cp.softmax.weighted(COUNTS), reduction="weighted_mean")
    criterion(LOGITS, TARGET)
    criterion.load_state_dict(torch.nn.CrossEntropyLoss(WEIGHT).state_dict(), strict=False)
    torch.testing.assert_close(criterion(LOGITS, TARGET), torch.nn.functional.cross_entropy(LOGITS, TARGET, WEIGHT))


@pytest.mark.parametrize("strict", [False, True])
def test_class_weights_are_loaded_where_there_were_none_and_it_is_said(strict):
    criterion = Loss(cp.softmax.cross_entropy(), reduction="weighted_mean")
    with pytest.warns(
        ClassWeightWarning, match=r"holds class weights, criterion\.weight, which the recipe did not have"
    ):
        Model(criterion).load_state_dict(Model(torch.nn.CrossEntropyLoss(WEIGHT)).state_dict(), strict=strict)
    torch.testing.assert_close(criterion(LOGITS, TARGET), torch.nn.functional.cross_entropy(LOGITS, TARGET, WEIGHT))
    assert list(criterion.state_dict()) == ["weight"]


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({"weight": torch.tensor([1.0, 2.0])}, "size mismatch for criterion.weight"),
        ({"weight": -WEIGHT}, r"criterion\.weight: weight\[0\] is -4"),
        ({"weight": WEIGHT * float("inf")}, r"criterion\.weight: weight\[0\] is inf"),
        ({"weight": WEIGHT, "pos_weight": WEIGHT}, r"holds criterion\.pos_weight, .* assign .*\.recipe, or drop"),
        ({"weight": WEIGHT, "_extra_state": torch.tensor([1.5, 300.0])}, "is not text"),
        ({"weight": WEIGHT, "_extra_state": torch.tensor(list(b"{}"))}, "recipe family"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_a_state_that_cannot_be_is_refused_and_changes_nothing(saved, message, strict):
    criterion = Loss(cp.softmax.weighted(COUNTS))
    before = criterion(LOGITS, TARGET)
    with pytest.raises(RuntimeError, match=message):
        Model(criterion).load_state_dict(
            {f"criterion.{name}": value for name, value in saved.items()} | Model(torch.nn.Identity()).state_dict(),
            strict=strict,
        )
    assert torch.equal(criterion(LOGITS, TARGET), before)
    assert torch.equal(criterion.weight, Loss(cp.softmax.weighted(COUNTS)).weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Loss(cp.softmax.weighted(COUNTS)),
        lambda: LinearLoss(cp.softmax.ldam(COUNTS, weight="inverse")),
        lambda: Loss(cp.sigmoid.weighted(pos_weight=[1 / 3, 70_000.0])),  # which half precision has not
        lambda: GoalLoss("recall where precision >= 0.5", [70, 30]),
        lambda: RateLoss("dice", memory=0.9),
    ],
    ids=["weighted", "linear", "labels", "goal", "memory"],
)
def test_a_state_dict_cast_as_a_whole_loads(make, dtype):
    criterion = make()
    model = Model(criterion)
    state = {name: value.to(dtype) for name, value in model.state_dict().items()}
    model.load_state_dict(in_and_out(state))
    if isinstance(criterion, (Loss, LinearLoss)):
        assert criterion.recipe == make().recipe  # to the last digit: it was merely rounded


@pytest.mark.parametrize("make", [lambda: Loss(cp.softmax.weighted(COUNTS)), lambda: GoalLoss("f1", [9, 1])])
def test_checkpoints_are_averaged(make):
    states = [make().state_dict() for _ in range(3)]
    mean = {name: sum(state[name].float() for state in states) / 3 for name in states[0]}
    criterion = make()
    criterion.load_state_dict(mean)
    if isinstance(criterion, Loss):
        np.testing.assert_allclose(criterion.recipe.weight, make().recipe.weight, rtol=1e-6)


def test_a_state_that_overflowed_is_refused():
    goal = GoalLoss("recall where precision >= 0.5", [70, 30])
    state = {**goal.state_dict(), "counted": torch.full((4,), 1e5).half()}
    with pytest.raises(RuntimeError, match="counted holds NaN or infinity"):
        goal.load_state_dict(state)
    rate = RateLoss("dice", memory=0.9)
    rate(LOGITS, TARGET)
    with pytest.raises(RuntimeError, match="memory_sums holds NaN or infinity"):
        rate.load_state_dict({name: value * float("nan") for name, value in rate.state_dict().items()})


@pytest.mark.parametrize("recipe", [cp.softmax.weighted(COUNTS), cp.softmax.logit_adjusted(COUNTS)], ids=str)
def test_the_state_of_version_0_1_0_is_loaded_as_a_whole(recipe):
    state = {"_extra_state": torch.tensor(list(recipe.to_json().encode()), dtype=torch.uint8)}
    for name in ("weight", "offset"):  # the buffers of 0.1.0
        if getattr(recipe, name).ndim:
            state[name] = torch.tensor(getattr(recipe, name))
    criterion = Loss(cp.softmax.cross_entropy())
    Model(criterion).load_state_dict(
        {f"criterion.{name}": value for name, value in state.items()} | Model(torch.nn.Identity()).state_dict()
    )
    assert criterion.recipe == recipe
    half = Loss(cp.softmax.cross_entropy())
    half.load_state_dict({name: value.half() for name, value in state.items()})
    assert half.recipe == recipe


@pytest.mark.parametrize("use_buffers", [False, True])
def test_an_averaged_model_follows_the_class_weights(use_buffers):
    model = Model(Loss(cp.softmax.weighted([1, 1, 1, 1]), reduction="weighted_mean"))
    averaged = torch.optim.swa_utils.AveragedModel(model, use_buffers=use_buffers)
    model.criterion.weight = WEIGHT
    averaged.update_parameters(model)
    torch.testing.assert_close(
        averaged.module.criterion(LOGITS, TARGET), torch.nn.functional.cross_entropy(LOGITS, TARGET, WEIGHT)
    )


CRITERIA = {
    "weighted": lambda: Loss(cp.softmax.weighted(COUNTS), reduction="weighted_mean", ignore_index=3),
    "assigned": lambda: assigned(Loss(cp.softmax.focal())),
    "sigmoid": lambda: Loss(cp.sigmoid.asymmetric()),
    "linear": lambda: LinearLoss(cp.softmax.weighted(COUNTS)),
    "rate": lambda: RateLoss("f_beta", beta=2.0, memory=0.9, class_weight=[1, 2, 3, 4]),
    "goal": lambda: GoalLoss("recall where precision >= 0.5", [70, 30]),
}


def assigned(criterion):
    criterion.weight = WEIGHT
    return criterion


def called(criterion):
    """Its loss of a batch, twice, so that a memory counts."""
    if isinstance(criterion, LinearLoss):
        layer = torch.linspace(-1, 1, 16).reshape(4, 4)
        return [criterion(LOGITS, layer, None, TARGET) for _ in range(2)]
    if isinstance(criterion, GoalLoss):
        return [criterion(LOGITS[:, 0], TARGET.clamp(max=1)) for _ in range(2)]
    if isinstance(criterion, Loss) and criterion.recipe.family == "sigmoid":
        return [criterion(LOGITS, (LOGITS > 0).float()) for _ in range(2)]
    return [criterion(LOGITS, TARGET) for _ in range(2)]


@pytest.mark.parametrize(
    "moved",
    [
        copy.deepcopy,
        lambda criterion: pickle.loads(pickle.dumps(criterion)),
        lambda criterion: criterion.half(),
        lambda criterion: criterion.bfloat16().double(),
        lambda criterion: criterion.to(dtype=torch.float16).float(),
        lambda criterion: criterion.to("meta").to_empty(device="cpu"),
        lambda criterion: criterion.to_empty(device="cpu"),
    ],
    ids=["deepcopy", "pickle", "half", "bfloat16, double", "to", "meta and back", "to_empty"],
)
@pytest.mark.parametrize("made", CRITERIA)
def test_a_moved_criterion_gives_the_same_number(made, moved):
    criterion, expected = CRITERIA[made](), called(CRITERIA[made]())
    torch.testing.assert_close(called(moved(criterion)), expected, rtol=0, atol=0)
    after = moved(copy.deepcopy(criterion))
    assert {buffer.dtype for buffer in after.buffers()} <= {buffer.dtype for buffer in criterion.buffers()}


def test_what_was_called_can_be_copied_and_saved():
    for make in CRITERIA.values():
        criterion = make()
        called(criterion)
        for twin in (copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))):
            assert repr(twin) == repr(criterion)
            torch.testing.assert_close(twin.state_dict(), criterion.state_dict())
