"""A recipe as a Keras 3 loss, on TensorFlow, JAX or PyTorch."""

from typing import Any

from counterpoise.losses.arguments import Arguments, arguments_of, check_recipe
from counterpoise.losses.loss import reduced, with_mask
from counterpoise.losses.reduction import check_reduction
from counterpoise.rates.average import Average
from counterpoise.rates.settings import RateSettings
from counterpoise.recipes import Recipe, Schedule, SoftmaxRecipe, from_dict

try:
    import keras
except ImportError as missing:
    raise ImportError(
        "counterpoise.keras needs Keras 3: pip install 'counterpoise[tensorflow]', or keras beside JAX or PyTorch"
    ) from missing

from counterpoise.lagrangian.on_keras import GoalLoss, KeepBest

__all__ = ["GoalLoss", "KeepBest", "Loss", "RateLoss", "RecipeSchedule"]

KERAS_NAMES: dict[str | None, str] = {"sum_over_batch_size": "mean", None: "none"}


class _Kept(keras.losses.Loss):  # type: ignore[misc]
    """1 for rows that Keras's mask keeps, 0 for others: Keras shows a mask to nobody but its own reductions."""

    def __init__(self, class_axis: int) -> None:
        super().__init__(reduction=None)
        self.class_axis = class_axis

    def call(self, y_true: Any, y_pred: Any) -> Any:  # noqa: ARG002
        return keras.ops.ones_like(keras.ops.take(y_pred, 0, axis=self.class_axis))


def _as_classes(target: Any, logits: Any, class_axis: int) -> Any:
    """Class indices as integers again: Keras's data pipelines hand them over as floats."""
    classes = logits.shape[class_axis]
    sparse = len(target.shape) < len(logits.shape) or (target.shape[-1] == 1 and classes != 1)
    if sparse and keras.backend.is_float_dtype(keras.backend.standardize_dtype(target.dtype)):
        # what is no class becomes one out of range: an error, or NaN where values cannot be seen
        whole = keras.ops.equal(target, keras.ops.floor(target))
        return keras.ops.cast(keras.ops.where(whole, target, classes), "int32")
    return target


@keras.saving.register_keras_serializable(package="counterpoise")
class Loss(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
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

    Raises
    ------
    UserError
        For an unknown reduction; when called, as `counterpoise.loss`.

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
    ) -> None:
        super().__init__(name=name)
        self.recipe = from_dict(recipe) if isinstance(recipe, dict) else recipe
        check_recipe(self.recipe)
        self.reduction = KERAS_NAMES.get(reduction, str(reduction))
        check_reduction(self.reduction, None)
        self.ignore_index, self.class_axis = ignore_index, class_axis

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of a batch."""
        arguments = self._arguments(y_true, y_pred, sample_weight)
        if len(y_pred.shape) > 2:  # a mask is one of time steps or pixels
            kept = _Kept(self.class_axis)(y_true, y_pred) > 0
            if not isinstance(self.recipe, SoftmaxRecipe):
                kept = keras.ops.broadcast_to(kept[..., None], keras.ops.shape(arguments.logits))
            arguments = with_mask(arguments, kept)
        return reduced(arguments, self.recipe, self.reduction, class_axis=self.class_axis)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The unreduced loss of a batch."""
        arguments = self._arguments(y_true, y_pred, None)
        return reduced(arguments, self.recipe, "none", class_axis=self.class_axis)

    def _arguments(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Arguments:
        logits, target = keras.ops.convert_to_tensor(y_pred), keras.ops.convert_to_tensor(y_true)
        if sample_weight is not None:
            sample_weight = keras.ops.convert_to_tensor(sample_weight)
        if isinstance(self.recipe, SoftmaxRecipe):
            target = _as_classes(target, logits, self.class_axis)
        return arguments_of(logits, target, self.recipe, sample_weight, self.ignore_index, self.class_axis)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` and a saved model need."""
        return {
            "recipe": self.recipe.to_dict(),
            "reduction": self.reduction,
            "ignore_index": self.ignore_index,
            "class_axis": self.class_axis,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="counterpoise")
class RateLoss(keras.losses.Loss):  # type: ignore[misc]
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
    name
        Keras's name of the loss.
    parameters
        Those of the rate, such as beta.

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
        **parameters: Any,
    ) -> None:
        super().__init__(name=name or rate)
        self.settings = RateSettings(
            rate=rate,
            average=average,
            class_axis=class_axis,
            ignore_index=ignore_index,
            multilabel=multilabel,
            class_weight=class_weight,
            parameters=parameters,
        )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of a batch."""
        axis = self.settings.class_axis
        logits, target = keras.ops.convert_to_tensor(y_pred), keras.ops.convert_to_tensor(y_true)
        if len(logits.shape) > 1 and logits.shape[axis] != 1 and not self.settings.multilabel:
            target = _as_classes(target, logits, axis)
        if sample_weight is not None:
            sample_weight = keras.ops.convert_to_tensor(sample_weight)
        if len(logits.shape) > 2:
            sample_weight = self._masked(y_true, y_pred, sample_weight)
        return self.settings.loss(logits, target, sample_weight)

    def _masked(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        """The weight of each time step or pixel, 0 where Keras's mask leaves it out."""
        kept = _Kept(self.settings.class_axis)(y_true, y_pred)
        if sample_weight is None:
            return kept
        missing = len(kept.shape) - len(sample_weight.shape)
        return keras.ops.cast(sample_weight, kept.dtype)[(..., *(None,) * missing)] * kept

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of a batch, unmasked."""
        return self.settings.loss(y_pred, y_true, None)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` and a saved model need."""
        settings = self.settings.to_dict()
        del settings["memory"]
        return {**settings, "name": self.name}


class RecipeSchedule(keras.callbacks.Callback):  # type: ignore[misc]
    """Gives a loss, at the start of each epoch, the recipe of that epoch.

    Parameters
    ----------
    loss
        The model's `Loss`.
    schedule
        From the number of an epoch, counted from 0, to a recipe; such as `counterpoise.deferred`.

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

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Change the recipe, and have the steps that were traced with the last one traced again."""
        recipe = self.schedule(epoch)
        check_recipe(recipe)
        if recipe.to_dict() == self.loss.recipe.to_dict():
            return
        self.loss.recipe = recipe
        if self.model is not None:
            self.model.make_train_function(force=True)
            if self.model.test_function is not None:
                self.model.make_test_function(force=True)
