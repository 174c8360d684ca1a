"""Soft counts that fade: those of past batches, added to the present batch.

The mean over small batches of a ratio of counts is not the ratio of the mean counts: with one positive in a batch,
precision is nearly 0 or nearly 1. So the counts of past batches are kept, each step worth `decay` of the step after
it, and the rate is that of the running mean. The gradient is that of the rate at the running mean, through the counts
of the batch at hand at their full size: its mean over batches is the gradient of the rate of them all.
"""

from typing import NamedTuple

from counterpoise.arrays import Array
from counterpoise.errors import UserError
from counterpoise.rates.counts import Counts
from counterpoise.recipes.numbers import one_number


class Memory(NamedTuple):
    """What past batches left: decayed sums of tp, fp, fn and tn, (4, C), and of 1 per batch."""

    sums: Array
    batches: Array


def checked_decay(name: str, decay: float) -> float:
    """A decay between 0 and 1, both excluded."""
    return one_number(name, decay, above=0.0, below=1.0)


def remembered(counts: Counts, memory: Memory | None = None, *, decay: float = 0.99) -> tuple[Counts, Memory]:
    """The running mean of the counts of this batch and of those before it, for `of_counts`; and the memory after it.

    Nothing flows back to past batches. A pure function: in JAX the memory is state to hand on, elsewhere too.

    Parameters
    ----------
    counts
        Counts of the batch, from `soft_counts`.
    memory
        Result of the last call, or None before the first batch.
    decay
        Weight of a batch one step later, above 0 and below 1; default 0.99. About 1 / (1 - decay) batches are
        remembered.

    Returns
    -------
    tuple
        The remembered `Counts`, and the `Memory` for the next call.

    Raises
    ------
    UserError
        For a decay out of range, or a memory of another number of classes.

    Examples
    --------
    >>> import numpy as np
    >>> from counterpoise.rates import of_counts, soft_counts
    >>> memory = None
    >>> for logits, target in [([100.0, -100.0], [1, 0]), ([100.0, -100.0], [0, 1])]:
    ...     counts, memory = remembered(soft_counts(logits, target), memory, decay=0.5)
    >>> float(of_counts("recall", counts).round(4))
    0.6667
    """
    xp, worth = counts.xp, checked_decay("decay", decay)
    four = (counts.tp, counts.fp, counts.fn, counts.tn)
    batch = xp.concatenate([xp.with_axis(xp.stop_gradient(count)) for count in four])
    sums = xp.moveaxis(batch, -1, 0)
    finite = xp.sum(sums * 0) == 0
    batches = xp.sum(sums * 0) + 1
    old_sums, old_batches = xp.where(finite, 0.0 * sums, 0.0), xp.where(finite, 0.0 * batches, 0.0)
    if memory is not None:
        if len(xp.shape(memory.sums)) != 2 or xp.length(memory.sums, -1) != counts.classes:
            raise UserError(
                f"the memory is of {xp.shape(memory.sums)[-1]} classes, but the batch has {counts.classes}; "
                "reset it, or start with memory=None"
            )
        old_sums = xp.stop_gradient(xp.astype(memory.sums, sums.dtype))
        old_batches = xp.stop_gradient(xp.astype(memory.batches, sums.dtype))
        sums, batches = sums + worth * old_sums, batches + worth * old_batches
    mean = sums / batches
    # the value of the mean, the slope of the batch
    tp, fp, fn, tn = (mean[i] + (count - xp.stop_gradient(count)) for i, count in enumerate(four))
    # a batch with NaN has a NaN loss, but is not remembered
    kept = Memory(xp.where(finite, sums, old_sums), xp.where(finite, batches, old_batches))
    return Counts(xp, tp, fp, fn, tn, counts.exclusive, counts.dtype), kept
