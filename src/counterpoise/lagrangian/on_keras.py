"""Training for a goal in Keras, on TensorFlow or PyTorch: the state as variables, and the best epoch kept."""

from typing import Any

import keras

from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.lagrangian.goal_loss import checked, goal_loss_of, judged
from counterpoise.lagrangian.lagrangian import GoalState, Lagrangian
from counterpoise.lagrangian.progress import Progress
from counterpoise.lagrangian.threshold import Judged, judged_at_best
from counterpoise.lagrangian.trainable import check_same_goal
from counterpoise.losses.definition import with_mask
from counterpoise.losses.on_keras import KerasLoss, replicas


@keras.saving.register_keras_serializable(package="counterpoise")
class GoalLoss(KerasLoss):
    """A goal in place of `keras.losses.BinaryCrossentropy(from_logits=True)`.

    It trains a model to flag, at a logit of 0, what serves the goal. The model's last layer gives one logit, without an
    activation. The state is updated only where a gradient is taken, so not by validation rows. A compiled model saves
    it in the configuration of its loss.

    Parameters
    ----------
    goal
        A `Goal` or its text, such as "recall where precision >= 0.5", "precision where recall >= 0.9" or "f1".
    counts
        Training counts of the two classes, (negative, positive).
    robustness, warm_up
        As in `counterpoise.torch.GoalLoss`.
    state
        State of an earlier training for the same goal, `get_config()["state"]`.
    name
        Keras's name of the loss.
    dtype
        "float32" or "float64", to which the logits are cast; None (default): the dtype of the logits, at least float32.

    Raises
    ------
    UserError
        As `counterpoise.torch.GoalLoss`; and on Keras's JAX backend, whose losses can keep no state.

    Examples
    --------
    >>> criterion = GoalLoss("recall where precision >= 0.5", [900, 100])
    >>> criterion.get_config()["goal"]
    'recall where precision >= 0.5'
    """

    def __init__(
        self,
        goal: Goal | str,
        counts: Any,
        robustness: float = 0.4,
        warm_up: float = 5.0,
        state: dict[str, Any] | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        if keras.backend.backend() not in ("tensorflow", "torch"):
            raise UserError(
                f"on Keras's {keras.backend.backend()} backend a loss can keep no state from batch to batch; write the "
                "training step with counterpoise.jax.goal_loss, which takes and returns the state"
            )
        self.lagrangian = Lagrangian(goal, counts, robustness, warm_up)
        if state is not None:
            check_same_goal(self.lagrangian.goal, state.get("goal"))
        initial = self.lagrangian.initial_state()._asdict() if state is None else state
        # every replica comes to the same state, so that the first one's will do
        options = {"dtype": "float32", "trainable": False, "aggregation": "only_first_replica"}
        self.state = GoalState(*(keras.Variable(initial[part], name=part, **options) for part in GoalState._fields))
        self._fix()

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The mean loss of a batch."""
        held_by = replicas()
        held_by.refuse_copies(y_true, "the memory of a GoalLoss")
        logits, target, weight, kept = self._given(y_true, y_pred, sample_weight, -1)
        arguments = checked(logits, target, weight)
        if kept is not None:
            arguments = with_mask(arguments, kept, labels=True)
        state = GoalState(*(keras.ops.copy(part) for part in self.state))
        return self._learning(*goal_loss_of(arguments, state, self.lagrangian, replicas=held_by))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The mean loss of a batch."""
        return self(y_true, y_pred)

    def _learning(self, value: Any, state: GoalState) -> Any:
        """The value; its gradient updates the state, since only a gradient shows that a batch is for training."""

        def take_over(upstream: Any, *_: Any) -> Any:
            for variable, part in zip(self.state, state, strict=True):
                variable.assign(part)
            return upstream

        if keras.backend.backend() == "torch":
            if value.requires_grad:
                take_over(None)
            return value
        return keras.ops.custom_gradient(lambda same: (keras.ops.copy(same), take_over))(value)

    def progress(self) -> Progress:
        """The progress of the goal on the training decisions of the last batches."""
        return self.lagrangian.progress(keras.ops.convert_to_numpy(self.state.counted))

    def judge(self, logits: Any, target: Any, sample_weight: Any = None) -> Progress:
        """The progress of the goal on these rows; the state does not change."""
        return judged(keras.ops.convert_to_numpy(logits), target, self.lagrangian, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The configuration for `from_config` and a saved model, including the state."""
        return {
            "goal": str(self.lagrangian.goal),
            "counts": [int(count) for count in self.lagrangian.counts.n],
            "robustness": self.lagrangian.robustness,
            "warm_up": self.lagrangian.warm_up,
            "state": {
                "goal": str(self.lagrangian.goal),
                **{
                    part: keras.ops.convert_to_numpy(variable).tolist()
                    for part, variable in zip(GoalState._fields, self.state, strict=True)
                },
            },
            **super().get_config(),
        }


class KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """After `fit`, gives the model the weights of the best epoch for the goal, and the best threshold.

    Decisions on validation data are judged at logit 0. If these miss a bound or flag nothing, as after few epochs or
    under a strict bound, the best threshold is used instead. It is subtracted from the model's last bias, so that the
    decision is at 0 again.

    Parameters
    ----------
    criterion
        The model's `GoalLoss`.
    validation_data
        Rows (features, target) on which each epoch is judged; without them, the decisions of the last training batches
        are used.
    bias
        Variable that is added to the logit, with one element; default: the bias of the model's last layer. Without a
        bias, 0 is the only threshold.

    Raises
    ------
    UserError
        For a bias of more than one element.

    Examples
    --------
    >>> criterion = GoalLoss("f1", [90, 10])
    >>> KeepBest(criterion).best is None  # model.fit(..., callbacks=[KeepBest(criterion)])
    True
    """

    def __init__(self, criterion: GoalLoss, validation_data: tuple[Any, Any] | None = None, bias: Any = None) -> None:
        super().__init__()
        if bias is not None and tuple(bias.shape) != (1,):
            raise UserError(f"bias has shape {tuple(bias.shape)}; pass the one element that is added to the logit")
        self.criterion, self.validation_data, self.bias = criterion, validation_data, bias
        self.best: Progress | None = None
        self.threshold = 0.0
        self._kept: list[Any] = []
        self._kept_bias: Any = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Keep the weights if no epoch before was better."""
        found = self._judged()
        if found.progress.better_than(self.best):
            self.best, self.threshold = found
            bias = self._output_bias()
            self._kept = self.model.get_weights()
            self._kept_bias = None if bias is None else keras.ops.convert_to_numpy(bias)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Restore the weights, with the threshold subtracted from the bias."""
        if self._kept:
            self.model.set_weights(self._kept)
            bias = self._output_bias()
            if bias is not None and self._kept_bias is not None:  # it need not be one of the model's
                bias.assign(self._kept_bias - self.threshold)

    def _judged(self) -> Judged:
        if self.validation_data is None:
            return Judged(self.criterion.progress(), 0.0)
        features, target = self.validation_data
        logits = self.model.predict(features, verbose=0)
        if self._output_bias() is None:
            return Judged(self.criterion.judge(logits, target), 0.0)
        return judged_at_best(logits, target, self.criterion.lagrangian)

    def _output_bias(self) -> Any:
        bias = getattr(self.model.layers[-1], "bias", None) if self.bias is None else self.bias
        return bias if bias is not None and tuple(bias.shape) == (1,) else None
