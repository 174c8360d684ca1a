"""A recipe as a Keras 3 loss, on TensorFlow, JAX or PyTorch."""

from typing import Any

from counterpoise.errors import UserError
from counterpoise.losses.arguments import (
    Arguments,
    arguments_of,
    check_recipe,
    checked_class_axis,
    checked_ignore_index,
)
from counterpoise.losses.definition import reduced, with_mask
from counterpoise.losses.reduction import check_reduction
from counterpoise.rates.average import Average
from counterpoise.rates.settings import RateSettings
from counterpoise.recipes import Recipe, Schedule, SoftmaxRecipe, from_dict

try:
    import keras
except ImportError as missing:
    raise ImportError(
        "counterpoise.keras needs Keras 3: pip install 'counterpoise[tensorflow]', or keras with JAX or PyTorch"
    ) from missing

from counterpoise.lagrangian.on_keras import GoalLoss, KeepBest
from counterpoise.losses.on_keras import KerasLoss, replicas

__all__ = ["GoalLoss", "KeepBest", "Loss", "RateLoss", "RecipeSchedule"]

KERAS_NAMES: dict[str | None, str] = {"sum_over_batch_size": "mean", None: "none"}


def _as_classes(target: Any, logits: Any, class_axis: int) -> Any:
    """Class indices as integers again: Keras's data pipelines hand them over as floats."""
    classes, shape = logits.shape[class_axis], tuple(target.shape)
    in_a_column = shape[-1:] == (1,) and classes != 1 and shape != tuple(logits.shape)
    sparse = len(shape) < len(logits.shape) or in_a_column
    if sparse and keras.backend.is_float_dtype(keras.backend.standardize_dtype(target.dtype)):
        # what is not a class becomes one out of range: an error, or NaN where values cannot be seen
        whole = keras.ops.equal(target, keras.ops.floor(target))
        return keras.ops.cast(keras.ops.where(whole, target, classes), "int32")
    return target


@keras.saving.register_keras_serializable(package="counterpoise")
class Loss(KerasLoss):
    """A recipe in place of `keras.losses.CategoricalCrossentropy` or `BinaryCrossentropy` on logits.

    For `model.compile(loss=Loss(recipe))`. The model's last layer gives logits (no activation). Targets are integers,
    (N,) or (N, 1), or one-hot or soft, (N, C); likewise (N, T) and (N, T, C), (N, H, W) and (N, H, W, C).
    The loss is the same in `fit` and in `evaluate`.

    Parameters
    ----------
    recipe
        The loss.
    reduction
        As in `counterpoise.loss`; Keras's "sum_over_batch_size" is "mean", its None is "none".
    ignore_index, class_axis
        As in `counterpoise.loss`.
    name
        Keras's name of the loss.
    dtype
        "float32" or "float64", to which the logits are cast; None (default): the dtype of the logits, at least float32.

    Raises
    ------
    UserError
        For an unknown reduction, and where a setting is assigned; when called, as `counterpoise.loss`.

    Notes
    -----
    Under `tf.distribute` each replica gives 1/R of the loss of the whole batch, as Keras's own losses do: add up what
    the replicas give.

    Examples
    --------
    >>> from counterpoise import softmax
    >>> Loss(softmax.focal(gamma=1.0)).get_config()["recipe"]
    {'family': 'softmax', 'focus': 1.0, 'name': 'softmax.focal'}
    """

    def __init__(
        self,
        recipe: Recipe | dict[str, Any],
        reduction: str | None = "mean",
        ignore_index: float | None = None,
        class_axis: int = -1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        self.recipe = from_dict(recipe) if isinstance(recipe, dict) else recipe
        check_recipe(self.recipe)
        self.reduction = KERAS_NAMES.get(reduction, str(reduction))
        check_reduction(self.reduction, None)
        whole = isinstance(self.recipe, SoftmaxRecipe)
        self.ignore_index = checked_ignore_index(ignore_index, whole=whole)
        self.class_axis = checked_class_axis(class_axis)
        self._fix()

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of a batch."""
        held_by = replicas()
        if self.reduction in ("none", "sum"):
            held_by.refuse_copies(y_true, f"reduction={self.reduction!r}")
        arguments = self._arguments(y_true, y_pred, sample_weight)
        return reduced(arguments, self.recipe, self.reduction, class_axis=self.class_axis, replicas=held_by)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The unreduced loss of a batch."""
        return reduced(self._arguments(y_true, y_pred, None), self.recipe, "none", class_axis=self.class_axis)

    def _arguments(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Arguments:
        given = self._given(y_true, y_pred, sample_weight, self.class_axis)
        exclusive, target = isinstance(self.recipe, SoftmaxRecipe), given.target
        if exclusive:
            target = _as_classes(target, given.logits, self.class_axis)
        settings = (self.recipe, given.weight, self.ignore_index, self.class_axis)
        arguments = arguments_of(given.logits, target, *settings)
        return arguments if given.kept is None else with_mask(arguments, given.kept, labels=not exclusive)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` and a saved model need."""
        return {
            "recipe": self.recipe.to_dict(),
            "reduction": self.reduction,
            "ignore_index": self.ignore_index,
            "class_axis": self.class_axis,
            **super().get_config(),
        }

    def _change(self, recipe: Recipe) -> None:
        """Take another recipe, for whoever has the steps traced again that hold this one."""
        object.__setattr__(self, "recipe", recipe)


@keras.saving.register_keras_serializable(package="counterpoise")
class RateLoss(KerasLoss):
    """A rate of `counterpoise.rates` as a Keras loss, of each batch alone.

    For `model.compile(loss=RateLoss("f_beta", beta=2.0))`, on logits. Keras averages the losses of batches for its
    history, which is not the rate of the whole; a loss of Keras is not told whether it trains, so there is no memory:
    use large batches, or `counterpoise.rates.remembered` in a `train_step` of your own.

    Parameters
    ----------
    rate
        One of `counterpoise.rates.names`.
    average, class_axis, ignore_index, multilabel, class_weight
        As in `counterpoise.rates.recall`.
    name, dtype
        As in `Loss`.
    parameters
        Parameters of the rate, such as beta.

    Raises
    ------
    UserError
        For an unknown rate, average or parameter; when called, as `counterpoise.rates.recall`.

    Examples
    --------
    >>> RateLoss("f_beta", beta=2.0).get_config()["beta"]
    2.0
    """

    def __init__(
        self,
        rate: str,
        average: Average = "macro",
        class_axis: int = -1,
        ignore_index: float | None = None,
        *,
        multilabel: bool = False,
        class_weight: Any = None,
        name: str | None = None,
        dtype: Any = None,
        **parameters: Any,
    ) -> None:
        super().__init__(name or rate, dtype)
        self._settings = RateSettings(
            rate=rate,
            average=average,
            class_axis=class_axis,
            ignore_index=ignore_index,
            multilabel=multilabel,
            class_weight=class_weight,
            parameters=parameters,
        )
        self._fix()

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of a batch."""
        held_by = replicas()
        if self._settings.rate == "average_precision":  # the only rate that copies of all rows change
            held_by.refuse_copies(y_true, "the rate 'average_precision'")
        return self._settings.loss(*self._arguments(y_true, y_pred, sample_weight), replicas=held_by)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of a batch."""
        return self._settings.loss(*self._arguments(y_true, y_pred, None))

    def _arguments(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        axis = self._settings.class_axis
        logits, target, weight, kept = self._given(y_true, y_pred, sample_weight, axis)
        if len(logits.shape) > 1 and logits.shape[axis] != 1 and not self._settings.multilabel:
            target = _as_classes(target, logits, axis)
        if kept is None:
            return logits, target, weight
        if weight is None:
            return logits, target, keras.ops.cast(kept, logits.dtype)
        missing = len(kept.shape) - len(weight.shape)
        weight = keras.ops.cast(weight, logits.dtype)[(..., *(None,) * missing)]
        return logits, target, keras.ops.where(kept, weight, keras.ops.zeros_like(weight))

    def get_config(self) -> dict[str, Any]:
        """What `from_config` and a saved model need."""
        settings = self._settings.to_dict()
        del settings["memory"]
        return {**settings, **super().get_config()}


class RecipeSchedule(keras.callbacks.Callback):  # type: ignore[misc]
    """Gives a loss, at the start of each epoch, the recipe of that epoch.

    Parameters
    ----------
    loss
        The model's `Loss`.
    schedule
        Function that returns the recipe for an epoch, counted from 0; such as `counterpoise.deferred`.

    Raises
    ------
    UserError
        Where the model was compiled with another `Loss`.

    Examples
    --------
    >>> from counterpoise import deferred, softmax
    >>> loss = Loss(softmax.cross_entropy())
    >>> schedule = deferred(softmax.cross_entropy(), softmax.balanced_softmax([90, 10]), at=3)
    >>> RecipeSchedule(loss, schedule).on_epoch_begin(0)  # model.fit(..., callbacks=[RecipeSchedule(loss, schedule)])
    """

    def __init__(self, loss: Loss, schedule: Schedule) -> None:
        super().__init__()
        self.loss, self.schedule = loss, schedule

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Refuse a loss that the model does not have: to change its recipe would change nothing."""
        held = [one for one in keras.tree.flatten(self.model.loss) if isinstance(one, Loss)]
        if held and not any(one is self.loss for one in held):
            raise UserError(
                "the loss of this RecipeSchedule is not the one that the model was compiled with; pass the model's "
                "own, as in RecipeSchedule(model.loss, schedule)"
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Change the recipe, and have the steps that were traced with the last one traced again."""
        recipe = self.schedule(epoch)
        check_recipe(recipe)
        if recipe.to_dict() == self.loss.recipe.to_dict():
            return
        self.loss._change(recipe)
        if self.model is not None:
            self.model.make_train_function(force=True)
            if self.model.test_function is not None:
                self.model.make_test_function(force=True)
