"""A memory takes notice of each training batch once: not without gradients, not twice in a checkpoint."""

import pytest
import torch
from torch.autograd.graph import save_on_cpu
from torch.utils.checkpoint import checkpoint

from counterpoise.torch import GoalLoss, RateLoss

pytestmark = pytest.mark.slow

LOGITS = torch.linspace(-2, 2, 12, requires_grad=True)
TARGET = torch.arange(12) % 2
CRITERIA = {"rate": lambda: RateLoss("dice", memory=0.9), "goal": lambda: GoalLoss("f1", [6, 6])}
every_criterion = pytest.mark.parametrize("made", CRITERIA)


def noticed(criterion):
    """How many batches; of twelve rows."""
    if isinstance(criterion, GoalLoss):
        return round(float(criterion.counted[[1, 3]].sum()) / 12, 1)
    return 0 if criterion.memory_batches is None else float(criterion.memory_batches)


@pytest.mark.parametrize("reentrant", [False, True])
@every_criterion
def test_a_batch_inside_a_checkpoint_is_noticed_once(made, reentrant):
    criterion = CRITERIA[made]()
    value = checkpoint(lambda z: criterion(z * 2, TARGET), LOGITS, use_reentrant=reentrant)
    value.backward()
    assert noticed(criterion) == 1
    torch.testing.assert_close(value, CRITERIA[made]()(LOGITS * 2, TARGET), check_dtype=False)


@every_criterion
def test_hooks_that_move_saved_tensors_are_no_checkpoint(made):
    criterion = CRITERIA[made]()
    with save_on_cpu():
        criterion(LOGITS, TARGET).backward()
    assert noticed(criterion) == 1


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
@every_criterion
def test_without_gradients_nothing_is_noticed(made, without):
    criterion = CRITERIA[made]()
    criterion(LOGITS, TARGET)
    with without():
        criterion(LOGITS * 1, TARGET)
    assert noticed(criterion) == 1
    criterion.eval()(LOGITS, TARGET)
    assert noticed(criterion) == 1


def test_without_gradients_the_loss_is_that_of_the_batch_alone():
    criterion = CRITERIA["rate"]()
    criterion(-LOGITS, TARGET)
    with torch.no_grad():
        found = criterion(LOGITS, TARGET)
    torch.testing.assert_close(found, RateLoss("dice")(LOGITS, TARGET).detach())


@every_criterion
def test_tensors_without_numbers_leave_no_trace(made):
    from torch._subclasses.fake_tensor import FakeTensorMode

    criterion = CRITERIA[made]()
    criterion(LOGITS, TARGET)
    before = {name: value.clone() for name, value in criterion.state_dict().items()}
    assert criterion(LOGITS.to("meta"), TARGET.to("meta")).is_meta
    mode = FakeTensorMode()
    given = mode.from_tensor(LOGITS), mode.from_tensor(TARGET)
    with mode:
        assert criterion(*given).shape == ()
    torch.testing.assert_close(dict(criterion.state_dict()), before)
    fresh = CRITERIA[made]()
    assert fresh(LOGITS.to("meta"), TARGET.to("meta")).is_meta
    torch.testing.assert_close(fresh(LOGITS, TARGET), CRITERIA[made]()(LOGITS, TARGET))
