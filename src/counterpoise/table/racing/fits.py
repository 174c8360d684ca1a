"""Where contestants learn: in this process, one fit after another, or on the machines of a cluster."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from counterpoise.recipes import Recipe
from counterpoise.table.cluster import Cluster
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners import Job, Learner, Rows
from counterpoise.table.racing.trials import Arrays
from counterpoise.weights import ClassCounts


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What all fits of a race share: the rows and the fold of each, the class counts, the features and the seed."""

    rows: Rows
    fold: NDArray[np.int64]
    counts: ClassCounts
    schema: Schema
    seed: int


@dataclass(frozen=True, slots=True)
class Fit:
    """One fit: a learner, the name of its settings, the loss, and the fold that is held out."""

    learner: Learner
    setting: str
    recipe: Recipe
    fold: int


def learned(ground: Ground, fit: Fit, each_step: Callable[[float], None] = lambda _: None) -> Arrays:
    """The curve, the seconds and the files of one fit."""
    begun, here = monotonic(), ground.fold == fit.fold
    job = Job(
        rows=ground.rows.at(~here),
        schema=ground.schema,
        recipe=fit.recipe,
        counts=ground.counts,
        settings=fit.learner.settings[fit.setting],
        held_out=ground.rows.at(here),
        seed=ground.seed,
        each_step=each_step,
    )
    followed = fit.learner.fit(job)
    files = {f"file {name}": np.frombuffer(data, np.uint8) for name, data in followed.model.files().items()}
    return {"curve": followed.curve, "seconds": np.array(monotonic() - begun), **files}


class Fits:
    """Fits in this process."""

    def start(self, ground: Ground, fits: Iterable[tuple[str, Fit]]) -> None:
        """Say which fits, by name, will be asked for soon."""

    def result(self, ground: Ground, name: str, fit: Fit, each_step: Callable[[float], None]) -> Arrays:  # noqa: ARG002
        """One fit."""
        return learned(ground, fit, each_step)

    def end(self, ground: Ground) -> None:
        """Say that no more fits of this race will be asked for."""


HERE = Fits()


class FitsOnCluster(Fits):
    """Fits on the machines of a cluster, as many at once as it has room for."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._grounds: dict[int, tuple[Ground, object]] = {}  # the ground itself, lest its id be used again
        self._started: dict[tuple[int, str], object] = {}

    def start(self, ground: Ground, fits: Iterable[tuple[str, Fit]]) -> None:
        """Begin the fits that are not under way."""
        if id(ground) not in self._grounds:
            self._grounds[id(ground)] = ground, self._cluster.share(ground)
        for name, fit in fits:
            if (id(ground), name) not in self._started:
                self._started[id(ground), name] = self._cluster.start(learned, self._grounds[id(ground)][1], fit)

    def result(self, ground: Ground, name: str, fit: Fit, each_step: Callable[[float], None]) -> Arrays:  # noqa: ARG002
        """One fit, when it is done."""
        self.start(ground, [(name, fit)])
        found: Arrays = self._cluster.result(self._started.pop((id(ground), name)))
        return found

    def end(self, ground: Ground) -> None:
        """Forget the ground, and what was started on it for nobody."""
        self._grounds.pop(id(ground), None)
        for key in [one for one in self._started if one[0] == id(ground)]:
            self._cluster.forget(self._started.pop(key))
