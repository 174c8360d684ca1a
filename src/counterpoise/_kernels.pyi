# What native/binding.cpp offers. Addresses and strides are plain integers: losses/kernel.py and its neighbours check
# them before.
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

class Type(IntEnum):
    nothing = 0
    float16 = 1
    bfloat16 = 2
    float32 = 3
    float64 = 4
    int32 = 5
    int64 = 6

class Reduction(IntEnum):
    none = 0
    sum = 1
    mean = 2
    weighted_mean = 3
    nonzero_mean = 4

class Options:
    def __init__(
        self,
        *,
        logits: Type,
        target: Type,
        sample_weight: Type,
        gradient: Type,
        loss: Type,
        reduction: Reduction,
        fresh: bool,
        curvature_factor: float,
        per_gradient: float,
        floor: float,
    ) -> None: ...

class Softmax:
    def __init__(
        self,
        *,
        weight: Sequence[float],
        scale: Sequence[float],
        offset: Sequence[float],
        margin: Sequence[float],
        pair: Sequence[float],
        focus: float,
        robustness: float,
        poly: float,
        smoothing: float,
        weight_by: int,
        adds_expected_cost: bool,
    ) -> None: ...
    def call(
        self,
        *,
        outer: int,
        inner: int,
        logits: tuple[int, int, int],
        target: tuple[int, int, int],
        gradient: tuple[int, int, int],
        hard: bool,
        ignore_index: int | None,
        options: Options,
    ) -> SoftmaxCall: ...

class Sigmoid:
    def __init__(
        self,
        *,
        pos_weight: Sequence[float],
        neg_weight: Sequence[float],
        scale: Sequence[float],
        offset: Sequence[float],
        pos_focus: float,
        neg_focus: float,
        clip: float,
        robustness: float,
        poly: float,
        smoothing: float,
    ) -> None: ...
    def call(self, *, size: int, run: int, ignore_index: float | None, options: Options) -> SigmoidCall: ...

class SoftmaxCall:
    def __call__(
        self,
        logits: int,
        target: int,
        sample_weight: int,
        gradient: int,
        curvature: int,
        loss: int,
        normalizer: float,
        threads: int,
        region: int,
        /,
    ) -> tuple[float, float, int]: ...
    def divisor(self, logits: int, target: int, sample_weight: int, threads: int, region: int, /) -> float: ...

class SigmoidCall(SoftmaxCall): ...

class Forest:
    def __init__(self, *parameters: Any) -> None: ...
    def add_up(self, *arguments: int) -> None: ...

def instruction_sets() -> list[str]: ...
def instruction_set() -> str: ...
def use_instruction_set(name: str) -> None: ...
def elementary(function: int, single: bool, source: int, destination: int, size: int) -> None: ...
def xla_call(softmax: bool) -> Any: ...
def xla_settings(softmax: bool) -> list[str]: ...

XLA_SETTINGS_VERSION: int
