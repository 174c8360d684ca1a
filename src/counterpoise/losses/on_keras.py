"""The common part of the Keras losses: fixed settings, dtype, Keras's mask, and the replicas of `tf.distribute`."""

from typing import Any, NamedTuple

import keras

from counterpoise.arrays import Array, shape_text
from counterpoise.errors import UserError
from counterpoise.losses.replicas import ALONE, Replicas


class Given(NamedTuple):
    """A batch as tensors: `kept` says which rows Keras's mask keeps, (...) without the class axis, or is None."""

    logits: Array
    target: Array
    weight: Array | None
    kept: Array | None


class KerasLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
    """A Keras loss with fixed settings.

    A model keeps the loss that its training step was traced with. A later assignment would be shown but not used, so it
    is refused.

    Parameters
    ----------
    name
        Keras's name of the loss.
    dtype
        "float32" or "float64", to which the logits are cast; None (default): the dtype of the logits, at least float32.
    """

    _fixed: frozenset[str] = frozenset()

    def __init__(self, name: str | None, dtype: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        if dtype is None:
            self._dtype = None
        elif self._dtype not in ("float32", "float64"):
            raise UserError(f"dtype is {self._dtype!r}; a loss is computed in 'float32' or 'float64'")

    def _fix(self) -> None:
        """From now on nothing can be assigned; a subclass may add attributes of its own."""
        self._fixed = frozenset({"dtype", *(name for name in vars(self) if not name.startswith("_"))})

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse a setting, and any unknown name unless the user's subclass adds it."""
        ours = type(self).__module__.startswith("counterpoise.")
        if self._fixed and not name.startswith("_") and (ours or name in self._fixed):
            kind = type(self).__name__
            also = ", or change it between epochs with RecipeSchedule" if name == "recipe" else ""
            raise UserError(
                f"{name} of a {kind} cannot be assigned: a model keeps the loss that it was compiled with. Make "
                f"a new {kind} and pass it to model.compile{also}"
            )
        super().__setattr__(name, value)

    @property
    def dtype(self) -> Any:
        """The dtype that was asked for; None: that of the logits, at least float32."""
        return self._dtype

    def get_config(self) -> dict[str, Any]:
        """Name and dtype."""
        return {"name": self.name, "dtype": self._dtype}

    def _given(self, y_true: Any, y_pred: Any, sample_weight: Any, class_axis: int) -> Given:
        """The batch as tensors; masked entries are 0, so that they do not reach loss or gradient."""
        logits, target = self._cast(keras.ops.convert_to_tensor(y_pred)), keras.ops.convert_to_tensor(y_true)
        weight = None if sample_weight is None else keras.ops.convert_to_tensor(sample_weight)
        kept = _kept_rows(y_pred, logits, class_axis)
        if kept is None:
            return Given(logits, target, weight, None)
        by_class = keras.ops.expand_dims(kept, class_axis) if len(logits.shape) > 1 else kept
        logits = keras.ops.where(by_class, logits, keras.ops.zeros_like(logits))
        missing = len(target.shape) - len(kept.shape)
        if missing == 0 or (missing == 1 and target.shape[-1] == 1):
            of_target = kept if missing == 0 else kept[..., None]
            target = keras.ops.where(of_target, target, keras.ops.zeros_like(target))
        return Given(logits, target, weight, kept)

    def _cast(self, logits: Any) -> Any:
        """The logits in the dtype that was asked for."""
        if self._dtype is None:
            return logits
        logits = keras.ops.cast(logits, self._dtype)
        found = keras.backend.standardize_dtype(logits.dtype)
        if found != self._dtype:
            raise UserError(
                f"dtype is {self._dtype!r}, but {keras.backend.backend()} gave {found}; in JAX call "
                "jax.config.update('jax_enable_x64', True) first"
            )
        return logits


class _Mask(keras.losses.Loss):  # type: ignore[misc]
    """Keras's mask as numbers, else a single 1: Keras shows a mask to nobody but its own reductions."""

    def __init__(self) -> None:
        super().__init__(name="mask", reduction=None)

    def call(self, y_true: Any, y_pred: Any) -> Any:  # noqa: ARG002
        return keras.ops.ones(())


def _kept_rows(y_pred: Any, logits: Any, class_axis: int) -> Any:
    """Which rows Keras's mask keeps (Keras attaches the mask to its tensors); None if there is no mask."""
    mask = _Mask()(y_pred, y_pred)
    rows, shape = list(logits.shape), list(keras.ops.shape(logits))
    if len(rows) > 1:
        del rows[class_axis], shape[class_axis]
    if len(mask.shape) == 0 and rows != [1]:  # of one row, Keras squeezes the mask
        return None
    missing = len(rows) - len(mask.shape)
    if missing < 0 or any(m != n for m, n in zip(mask.shape, rows, strict=False) if None not in (m, n)):
        raise UserError(
            f"Keras's mask has shape {shape_text(tuple(mask.shape))}, but the loss has one row for each of "
            f"{shape_text(tuple(rows))}; drop the mask where the model's shape changes"
        )
    mask = keras.ops.reshape(mask, (*keras.ops.shape(mask), *(1,) * missing))
    return keras.ops.broadcast_to(mask > 0, shape)


class _Distributed(Replicas):
    """The replicas of a `tf.distribute` strategy, seen from one of them."""

    def __init__(self, context: Any) -> None:
        import tensorflow as tf

        self._tf, self._context = tf, context
        self._count = int(context.num_replicas_in_sync)

    def total(self, *parts: Array) -> tuple[Array, ...]:
        if not isinstance(self._context.strategy, self._tf.distribute.MirroredStrategy):
            return tuple(self._context.all_reduce("SUM", list(parts)))

        # not by all_reduce: all strategies of a process use the same collective keys, so that a second one with another
        # loss would meet the shapes of the first
        def added_up(strategy: Any, *parts: Any) -> list[Array]:
            held = [strategy.experimental_local_results(part) for part in parts]
            return [self._tf.add_n(each if len(each) > 1 else each * self._count) for each in held]

        def summed(*parts: Array) -> Any:
            return self._context.merge_call(added_up, args=parts), lambda *upstream: list(self.total(*upstream))

        return tuple(self._tf.custom_gradient(summed)(*parts))

    def rows(self, *parts: Array) -> tuple[Array, ...]:
        tf, place = self._tf, self._context.replica_id_in_sync_group
        (sizes,) = self.total(tf.one_hot(place, self._count, tf.shape(parts[0])[0], 0))
        before, after = tf.reduce_sum(sizes[:place]), tf.reduce_sum(sizes[place + 1 :])
        # each puts its rows where they belong among zeros
        return self.total(*(tf.pad(part, [(before, after), *[(0, 0)] * (part.shape.rank - 1)]) for part in parts))

    def share(self, whole: Array) -> Array:
        return whole / self._count

    def share_of_rows(self, values: Array) -> Array:
        # a loop of one's own wants the rows as they are; Keras steps by their sum, but shows them times R
        scopes = self._tf.get_current_name_scope().split("/")
        if not any(scope.startswith("compile_loss") for scope in scopes):
            return values
        # Keras takes their mean, which no rows have not: they become one of 0
        nothing = self._tf.cast(self._tf.size(values) == 0, self._tf.int32)
        values = self._tf.pad(values, [(0, nothing), *[(0, 0)] * (values.shape.rank - 1)])
        return self._tf.custom_gradient(lambda rows: (self.share(rows), lambda upstream: upstream))(values)

    def refuse_copies(self, target: Any, what: str) -> None:
        def refuse(_: Any, seen: Any) -> None:
            if seen is target:  # what differs between replicas comes wrapped
                raise UserError(
                    f"{what} adds up what the {self._count} replicas hold, but each was given the same target, as "
                    "train_on_batch and test_on_batch do: every row would count once for each replica. Use fit or "
                    "evaluate; in your own loop, give each replica its part with "
                    "strategy.experimental_distribute_dataset"
                )

        if len(self._context.strategy.extended.worker_devices) > 1:
            self._context.merge_call(refuse, args=(target,))


def replicas() -> Replicas:
    """The replicas that hold the batch together: those of `strategy.run`, else one."""
    if keras.backend.backend() != "tensorflow":
        return ALONE
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return ALONE if context is None or context.num_replicas_in_sync == 1 else _Distributed(context)
