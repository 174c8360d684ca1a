"""The common part of the modules of a recipe: the recipe, its class weights as a tensor, assigning and loading.

PyTorch's own losses have the same tensor under the same names: `weight`, `pos_weight`. The loss is always computed with
it, also after it was assigned, edited in place, loaded or passed by `torch.func.functional_call`.
"""

import dataclasses
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Self

import torch

from counterpoise.arrays import value_text
from counterpoise.arrays.on_torch import has_numbers
from counterpoise.errors import ClassWeightWarning, UserError
from counterpoise.losses.arguments import CLASS_WEIGHT, check_recipe, checked_class_axis, checked_ignore_index
from counterpoise.losses.pytorch.kernel import with_class_weight
from counterpoise.losses.pytorch.plan import is_plain
from counterpoise.losses.pytorch.processes import Processes, processes_of
from counterpoise.losses.reduction import check_reduction
from counterpoise.recipes import Recipe, SigmoidRecipe, SoftmaxRecipe, recipe_table
from counterpoise.recipes.named import from_json

_NEVER_REFUSED = {"name"}
"""What tools set on every module."""


def text_of_bytes(state: torch.Tensor) -> str:
    """Text that a state dict holds as the numbers of its bytes, also where the whole was cast or averaged.

    Raises
    ------
    UserError
        Where the numbers are none of bytes.

    Examples
    --------
    >>> text_of_bytes(torch.tensor(list(b"f1")).half())
    'f1'
    """
    try:
        return bytes(round(number) for number in state.tolist()).decode()
    except (ValueError, OverflowError):
        raise UserError(f"{value_text(state)} is not text; it was changed after it was saved") from None


@cache
def loss_parameters() -> frozenset[str]:
    """Names that users may assign to change a loss: those of recipes and of PyTorch's losses.

    Examples
    --------
    >>> "label_smoothing" in loss_parameters(), "training" in loss_parameters()
    (True, False)
    """
    fields = (field.name for recipe in (SoftmaxRecipe, SigmoidRecipe) for field in dataclasses.fields(recipe))
    named = (name for row in recipe_table() for name in row.parameters)
    others = ("counts", "class_weight", "label_smoothing", "size_average", "reduce", "normalizer", "sample_weight")
    return frozenset({*fields, *named, *others}) - _NEVER_REFUSED


def refuse_unknown_parameter(module: torch.nn.Module, name: str, instead: str) -> None:
    """Raise an error if an assigned name is a parameter of some loss, but not of this module's."""
    if name in loss_parameters() or name in ("recipe", "reduction"):
        raise UserError(f"{type(module).__name__} has no {name} to assign; {instead}")


def _instead(recipe: Recipe) -> str:
    """What to do about a parameter that a recipe of this family does not have."""
    known = ", ".join(name for name in recipe.__dataclass_fields__ if name != "name")
    return f"a {recipe.family} recipe has {known}: assign one of them, or .recipe"


def _has_tensor(recipe: Recipe) -> bool:
    """Whether PyTorch's own loss would hold the class weights as a tensor: one for each class, or one `pos_weight`."""
    if isinstance(recipe, SoftmaxRecipe):
        return recipe.weight.ndim > 0 and recipe.weight_by != "pair"
    alone = recipe.neg_weight.ndim == 0 and recipe.neg_weight == 1
    return recipe.pos_weight.ndim > 0 or bool(alone and recipe.pos_weight != 1)


def _checked_reduction(reduction: Any, recipe: Recipe) -> Any:  # noqa: ARG001
    check_reduction(reduction, None)
    return reduction


def _checked_ignored(ignore_index: Any, recipe: Recipe) -> int | float | None:
    return checked_ignore_index(ignore_index, whole=isinstance(recipe, SoftmaxRecipe))


def _checked_axis(class_axis: Any, recipe: Recipe) -> int:  # noqa: ARG001
    return checked_class_axis(class_axis)


def _checked_group(group: Any, recipe: Recipe) -> Processes | None:  # noqa: ARG001
    return processes_of(group)


_CHECKED: dict[str, Callable[[Any, Recipe], Any]] = {
    "reduction": _checked_reduction,
    "ignore_index": _checked_ignored,
    "class_axis": _checked_axis,
    "group": _checked_group,
}


def follow(module: torch.nn.Module, name: str, logits: torch.Tensor) -> torch.Tensor | None:
    """A buffer on the device of the logits, where it stays from then on."""
    buffer = module._buffers[name]
    if buffer is None or buffer.device == logits.device:
        return buffer
    if not torch.compiler.is_compiling() and has_numbers(buffer) and not has_numbers(logits):
        return buffer  # shapes alone leave no trace
    moved = module._buffers[name] = buffer.to(logits.device)
    return moved


def learns(module: torch.nn.Module) -> bool:
    """Whether this batch updates the state of a criterion: in training, where gradients are recorded, once.

    A checkpoint computes a batch a second time, in the backward pass, under its own hooks. A reentrant one has no
    hooks, but records no gradients the first time.
    """
    if not module.training or not torch.is_grad_enabled():
        return False
    if torch.compiler.is_compiling():
        return True
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(False)
    if torch._C._current_graph_task_id() != -1 and hooks is not None:
        return False
    if torch._C._are_functorch_transforms_active():
        raise UserError(
            f"{type(module).__name__} would learn from a batch inside a transformation of torch.func, which is "
            "not possible; "
            "call .eval() on it before"
        )
    return True


class _Seen:
    """Class weights in host memory as they were when they were last looked at, and the recipe with them."""

    __slots__ = ("address", "content", "numbers", "recipe", "weight")

    def __init__(self, weight: torch.Tensor, recipe: Recipe) -> None:
        self.weight, self.recipe = weight, recipe
        self.address = weight.data_ptr()
        self.numbers = weight.detach().numpy()
        self.content = self.numbers.tobytes()

    def still(self, weight: torch.Tensor | None) -> bool:
        """Whether nothing has changed; an edit through `.data` leaves no trace but in the numbers."""
        if weight is None or weight is not self.weight or weight.requires_grad:
            return False
        return self.numbers.tobytes() == self.content and weight.data_ptr() == self.address


class Criterion(torch.nn.Module):
    """A recipe with its reduction, as a module.

    Parameters
    ----------
    recipe
        The loss.
    reduction, ignore_index
        As in `counterpoise.loss`.
    """

    _settings: tuple[str, ...] = ("reduction", "ignore_index")
    __jit_unused_properties__ = ["recipe"]  # noqa: RUF012  (TorchScript's name; it must be a list)

    def __init__(self, recipe: Recipe, reduction: str, ignore_index: float | None) -> None:
        super().__init__()
        self._seen: _Seen | None = None
        check_recipe(recipe)
        self._recipe = recipe
        self._hold(torch.device("cpu"))
        self.reduction, self.ignore_index = reduction, ignore_index

    @property
    def recipe(self) -> Recipe:
        """The loss; another one can be assigned, for instance in a later epoch."""
        weight = self._weight()
        if weight is not None and has_numbers(weight) and not torch.compiler.is_compiling():
            self._recipe = with_class_weight(self._recipe, weight.detach().cpu())
        return self._recipe

    @recipe.setter
    def recipe(self, recipe: Recipe) -> None:
        check_recipe(recipe)
        weight = self._weight()
        self._forget_weight()
        self._recipe = recipe
        self._hold(torch.device("cpu") if weight is None else weight.device)

    def _weight_name(self) -> str:
        return CLASS_WEIGHT[self._recipe.family]

    def _weight(self) -> torch.Tensor | None:
        """The class weights as a tensor, if there is one for each class."""
        name = CLASS_WEIGHT[self._recipe.family]
        found = self._buffers.get(name)
        return self._parameters.get(name) if found is None else found

    def _forget_weight(self) -> None:
        self._seen = None
        for name in CLASS_WEIGHT.values():
            self._buffers.pop(name, None)
            self._parameters.pop(name, None)

    def _hold(self, device: torch.device) -> None:
        """Make the tensor of the recipe's class weights, if there is one."""
        if not _has_tensor(self._recipe):
            return
        name = self._weight_name()
        # some accelerators have no double precision
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._buffers[name] = torch.tensor(getattr(self._recipe, name).tolist(), dtype=dtype, device=device)

    def _current(self, logits: torch.Tensor) -> tuple[Recipe, torch.Tensor | None]:
        """The recipe, and the class weights where these are more than numbers in host memory."""
        name = CLASS_WEIGHT[self._recipe.family]
        weight = self._buffers.get(name)
        if weight is None:
            learned = self._parameters.get(name)
            return self._recipe, None if learned is None else learned.to(logits.device)
        if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
            return self._recipe, follow(self, name, logits)
        if not logits.is_cpu and has_numbers(logits):
            return self._recipe, follow(self, name, logits)
        seen = self._seen
        if seen is not None and seen.still(weight):
            return seen.recipe, None
        if is_plain(weight):
            self._seen = _Seen(weight, with_class_weight(self._recipe, weight))
            return self._seen.recipe, None
        if not has_numbers(weight) and has_numbers(logits):
            return self._recipe, None
        return self._recipe, follow(self, name, logits)

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign a value that changes the loss; anything else is refused, never ignored."""
        recipe = self.__dict__.get("_recipe")
        if recipe is None or (name not in _CHECKED and name not in loss_parameters()):
            super().__setattr__(name, value)
        elif name == CLASS_WEIGHT[recipe.family] and isinstance(value, torch.Tensor):
            self._take_weight(name, value)
        elif name in recipe.__dataclass_fields__:
            default = recipe.__dataclass_fields__[name].default
            value = value.detach().cpu().tolist() if isinstance(value, torch.Tensor) else value
            self.recipe = self.recipe.changed(**{name: default if value is None else value})
        elif name in self._settings:
            super().__setattr__(name, _CHECKED[name](value, recipe))
        elif name in _CHECKED:
            raise UserError(f"{type(self).__name__} has no {name} to assign; it has {', '.join(self._settings)}")
        else:
            refuse_unknown_parameter(self, name, _instead(recipe))

    def _take_weight(self, name: str, weight: torch.Tensor) -> None:
        """Class weights as a tensor: numbers in host memory become a part of the recipe, others stay a tensor."""
        if getattr(self._recipe, "weight_by", "true") == "pair":
            raise UserError('with weight_by="pair" the weights are those of cost; assign .recipe with another cost')
        if is_plain(weight) and not isinstance(weight, torch.nn.Parameter):
            self.recipe = self.recipe.changed(**{name: weight.detach().to(torch.float64).numpy()})
            return
        if weight.ndim > 1 or (weight.ndim == 1 and self._recipe.classes not in (None, len(weight))):
            raise UserError(
                f"{name} has shape {tuple(weight.shape)}, but the recipe has {self._recipe.classes or 'no'} classes; "
                "assign one weight per class, or .recipe"
            )
        self._forget_weight()
        held: dict[str, Any] = self._parameters if isinstance(weight, torch.nn.Parameter) else self._buffers
        held[name] = weight

    def __getattr__(self, name: str) -> Any:
        """A parameter of the recipe that is no tensor, read-only."""
        recipe = self.__dict__.get("_recipe")
        if recipe is not None and name in recipe.__dataclass_fields__ and name not in _NEVER_REFUSED:
            weight = self._weight() if name == CLASS_WEIGHT[recipe.family] else None
            return getattr(self.recipe, name) if weight is None else weight
        return super().__getattr__(name)

    def __delattr__(self, name: str) -> None:
        """Without class weights all classes weigh the same."""
        if name == self._weight_name():
            self.recipe = self.recipe.changed(**{name: 1.0})
        else:
            super().__delattr__(name)

    def register_buffer(self, name: str, tensor: torch.Tensor | None, persistent: bool = True) -> None:
        """As `torch.nn.Module.register_buffer`; a parameter of the loss is assigned."""
        if name in loss_parameters():
            setattr(self, name, tensor)
        else:
            super().register_buffer(name, tensor, persistent)

    def register_parameter(self, name: str, param: torch.nn.Parameter | None) -> None:
        """As `torch.nn.Module.register_parameter`; a parameter of the loss is assigned."""
        if name in loss_parameters():
            setattr(self, name, param)
        else:
            super().register_parameter(name, param)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        weight = self._weight()
        if weight is None or isinstance(weight, torch.nn.Parameter) or weight.requires_grad:
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]
        # .half() and the like would round the weights; only the device is taken over
        self._recipe = self.recipe
        self._seen = None
        self._hold(fn(torch.zeros(())).device)
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        errors: list[str] = others[-1]
        try:
            self._take_over(state_dict, prefix)
            super()._load_from_state_dict(state_dict, prefix, *others)
            self._recipe = self.recipe
        except UserError as error:
            errors.append(f"{prefix}{self._weight_name()}: {error}")
            self.recipe = self._recipe

    def _take_over(self, state_dict: dict[str, Any], prefix: str) -> None:
        """Prepare the loading: of 0.1.0 the whole recipe, of others the class weights, also where there were none."""
        whole = state_dict.pop(f"{prefix}_extra_state", None)
        if whole is not None:
            self.recipe = from_json(text_of_bytes(whole))
        name = self._weight_name()
        for other in loss_parameters() - {name}:
            found = state_dict.pop(prefix + other, None)
            if found is not None and whole is None:
                raise UserError(f"the state dict holds {prefix}{other}, but {_instead(self._recipe)}, or drop that key")
        saved, own = state_dict.get(prefix + name), getattr(self._recipe, name)
        if not isinstance(saved, torch.Tensor):
            return
        numbers = saved.detach().to("cpu", torch.float64)
        exact = torch.tensor(own.tolist(), dtype=torch.float64)
        if saved.shape == exact.shape and torch.equal(numbers, exact.to(saved.dtype).to(torch.float64)):
            state_dict[prefix + name] = exact  # it was cast on the way, and has merely been rounded
        elif self._weight() is None:
            self.recipe = self._recipe.changed(**{name: numbers.numpy()})
            warnings.warn(
                f"the state dict holds class weights, {prefix}{name}, which the recipe did not have; they are used. "
                "For a loss without them assign .recipe",
                ClassWeightWarning,
                stacklevel=2,
            )
        if self._weight() is None:
            del state_dict[prefix + name]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_seen": None}

    def extra_repr(self) -> str:
        """The recipe and the reduction, for `print`."""
        return f"{self.recipe!r}, reduction={self.reduction!r}"
