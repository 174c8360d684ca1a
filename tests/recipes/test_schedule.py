"""A recipe as a function of the epoch."""

import pytest
import torch

import counterpoise as cp
from counterpoise.torch import Loss

COUNTS = [90, 10]


def test_torch_takes_the_recipe_of_the_epoch():
    schedule = cp.deferred(cp.softmax.cross_entropy(), cp.softmax.weighted(COUNTS), at=2)
    criterion = Loss(schedule(0))
    logits, target = torch.tensor([[0.3, -0.2], [0.1, 0.4]]), torch.tensor([0, 1])
    values = []
    for epoch in range(4):
        criterion.recipe = schedule(epoch)
        values.append(criterion(logits, target).item())
    assert values[0] == values[1] != values[2] == values[3]
    assert values[3] == pytest.approx(float(cp.loss(logits, target, cp.softmax.weighted(COUNTS))))


@pytest.mark.parametrize(
    ("before", "after", "at", "says"),
    [
        (cp.softmax.cross_entropy(), cp.sigmoid.focal(), 3, "one family"),
        ("focal", cp.sigmoid.focal(), 3, "one family"),
        (cp.sigmoid.binary_cross_entropy(), cp.sigmoid.focal(), 0, "counted from 0"),
        (cp.sigmoid.binary_cross_entropy(), cp.sigmoid.focal(), 2.5, "counted from 0"),
    ],
)
def test_bad_schedules(before, after, at, says):
    with pytest.raises(cp.UserError, match=says):
        cp.deferred(before, after, at=at)
