"""Any recipe as the loss of a `transformers.Trainer`, exact over micro-batches and processes."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from counterpoise.arrays import value_text
from counterpoise.counting import count
from counterpoise.errors import UserError
from counterpoise.losses.arguments import Call
from counterpoise.recipes import Recipe, SoftmaxRecipe
from counterpoise.recipes.named import from_json

try:
    import torch
    import transformers
except ImportError as missing:
    raise ImportError(
        "counterpoise.huggingface needs transformers: pip install 'counterpoise[huggingface]'"
    ) from missing

from counterpoise.losses.pytorch.kernel import kernel_loss
from counterpoise.losses.pytorch.processes import denominator_of
from counterpoise.torch import Loss

__all__ = ["RecipeMixin", "saved_recipe"]

SAVED = "counterpoise.json"
_MEANS = ("mean", "weighted_mean", "nonzero_mean")
_LABELS = ("labels", "label", "label_ids")
"""How data sets of Hugging Face call the labels."""

# the methods of the Trainer are called by super(), and there is none in the mixin alone
_Trainer: Any = transformers.Trainer if TYPE_CHECKING else object


class RecipeMixin(_Trainer):  # type: ignore[misc]
    """Makes a recipe the loss of a `transformers.Trainer`: `class MyTrainer(RecipeMixin, Trainer): pass`.

    The Trainer's own way counts items. Here a mean is that of all rows of an optimizer step: over its micro-batches
    (`gradient_accumulation_steps`) and over all processes, with class weights. `eval_loss` is the loss of the whole
    evaluation set, not a mean of means of batches. `save_model` and checkpoints hold the recipe as "counterpoise.json",
    which `saved_recipe` reads.

    Parameters
    ----------
    *arguments, **options
        Arguments of `transformers.Trainer`.
    recipe
        The loss; or a function from counts to a recipe, such as `softmax.weighted`, which gets the counts of
        `train_dataset`.
    reduction
        "mean" (default), "weighted_mean" or "nonzero_mean", as in `counterpoise.loss`.
    ignore_index
        Label of the rows or tokens that do not count; default -100, as in the Trainer.

    Raises
    ------
    UserError
        For another reduction; for a mean over weights that depend on the prediction; for a `compute_loss_func` or
        `label_smoothing_factor` besides the recipe; for models of language that shift their labels; for a function
        without a `train_dataset` whose labels can be counted.

    Examples
    --------
    >>> from transformers import Trainer
    >>> class MyTrainer(RecipeMixin, Trainer):
    ...     pass
    >>> # MyTrainer(model, arguments, train_dataset=..., recipe=cp.softmax.weighted, reduction="weighted_mean")
    """

    loss_is_scaled_for_ga = True
    """The loss is that of the whole optimizer step: the Trainer does not divide it once more."""

    def __init__(
        self,
        *arguments: Any,
        recipe: Recipe | Callable[[Any], Recipe],
        reduction: str = "mean",
        ignore_index: int | None = -100,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        if reduction not in _MEANS:
            raise UserError(f"reduction is {value_text(reduction)}; a Trainer's loss is one of {', '.join(_MEANS)}")
        if not isinstance(recipe, Recipe):
            recipe = recipe(self._counts(ignore_index))
        if isinstance(recipe, SoftmaxRecipe) and recipe.weight_by != "true" and reduction != "mean":
            raise UserError(
                f"reduction={reduction!r} needs the weights of a whole optimizer step before its first micro-batch, "
                f"and those of this recipe depend on the predictions (weight_by={recipe.weight_by!r}); use "
                "reduction='mean'"
            )
        self._refuse_other_losses()
        self.criterion = Loss(recipe, reduction, ignore_index)
        self._sums: list[Any] | None = None

    def _refuse_other_losses(self) -> None:
        if self.compute_loss_func is not None:
            raise UserError("compute_loss_func and recipe are both given; pass one of them")
        if self.args.label_smoothing_factor:
            raise UserError(
                f"label_smoothing_factor is {self.args.label_smoothing_factor}, which the recipe would replace; pass "
                "it as the recipe's smoothing"
            )
        if getattr(self, "_loss_shifts_labels", False):
            raise UserError(
                f"{type(self.model).__name__} shifts its labels by one token, which a recipe does not; use a model for "
                "classification of sequences or tokens"
            )

    def _counts(self, ignore_index: int | None) -> Any:
        """The counts of the training set's labels."""
        if self.train_dataset is None or not hasattr(self.train_dataset, "__len__"):
            raise UserError(
                "recipe is a function of counts, but train_dataset cannot be counted; pass a recipe, made from the "
                "counts of the training labels"
            )
        first = np.asarray(next(_labels_of(self.train_dataset)))
        several = first.ndim == 1 and first.dtype.kind == "f"  # one row of multilabel targets
        parts = ([one] if several else one for one in _labels_of(self.train_dataset))
        classes = None if several else getattr(getattr(self.model, "config", None), "num_labels", None)
        return count(iter(map(np.asarray, parts)), classes=classes, ignore_index=None if several else ignore_index)

    def get_batch_samples(self, *arguments: Any, **options: Any) -> tuple[list[Any], Any]:
        """The micro-batches of an optimizer step, and what its mean divides by, on all processes."""
        samples, _ = super().get_batch_samples(*arguments, **options)
        own = sum(float(self._denominator(one["labels"])) for one in samples if "labels" in one)
        device = self.args.device
        by = torch.tensor(own, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
        if self.accelerator.num_processes > 1:
            by = self.accelerator.gather(by.reshape(1)).sum() / self.get_tp_size()
        return samples, by

    def _denominator(self, labels: torch.Tensor) -> Any:
        """What the mean over these labels divides by; it depends on no logits, so these may be 0."""
        recipe, weight = self.criterion._current(labels)
        shape = tuple(labels.shape)
        if isinstance(recipe, SoftmaxRecipe) and not labels.is_floating_point():
            shape = (*shape, self._classes(recipe))
        logits = torch.zeros(1, dtype=torch.float64, device=labels.device).expand(shape)
        options = (self.criterion.reduction, None, self.criterion.ignore_index)
        return denominator_of(Call(logits, labels, recipe, None, *options), weight)

    def _classes(self, recipe: SoftmaxRecipe) -> int:
        config = getattr(self.accelerator.unwrap_model(self.model), "config", None)
        return int(getattr(config, "num_labels", 0)) or recipe.weight.size

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a micro-batch: in training its share of the optimizer step's."""
        if "labels" not in inputs:
            raise UserError(f"the batch has no 'labels', only {', '.join(map(repr, inputs))}; the recipe needs them")
        labels = inputs["labels"]
        outputs = model(**{name: one for name, one in inputs.items() if name != "labels"})
        mapping = isinstance(outputs, Mapping)
        logits = outputs["logits"] if mapping else outputs[0]
        if model.training and num_items_in_batch is not None:
            loss = self._share(logits, labels, num_items_in_batch)
        else:
            loss = self.criterion(logits, labels)
            if self._sums is not None:
                self._sums.append(self._rows(logits.detach(), labels))
        return (loss, outputs if mapping else (loss, *outputs)) if return_outputs else loss

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor, reduction: str) -> torch.Tensor:
        recipe, weight = self.criterion._current(logits)
        return kernel_loss(Call(logits, labels, recipe, None, reduction, None, self.criterion.ignore_index), weight)

    def _share(self, logits: torch.Tensor, labels: torch.Tensor, by: Any) -> torch.Tensor:
        """The sum of a micro-batch over the whole step's denominator, for gradients that processes average."""
        total = self._loss(logits, labels, "sum")
        processes = self.accelerator.num_processes // self.get_tp_size() if self.args.n_gpu <= 1 else 1
        return total * torch.where(by == 0, 0.0, processes / torch.where(by == 0, 1.0, by))

    def _rows(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The sum of the losses of each row and what its mean divides by, (N, 2): processes may repeat rows."""
        values = self._loss(logits, labels, "none")
        values = values if values.device.type == "mps" else values.double()
        sums = values.reshape(len(labels), -1).sum(1)
        if self.accelerator.num_processes == 1:
            return torch.stack([sums.sum(), sums.new_tensor(float(self._denominator(labels)))])[None]
        by = sums.new_tensor([float(self._denominator(row[None])) for row in labels])
        found: torch.Tensor = self.accelerator.gather_for_metrics(torch.stack([sums, by], 1))
        return found

    def evaluation_loop(self, *arguments: Any, metric_key_prefix: str = "eval", **options: Any) -> Any:
        """As the Trainer's; the loss is that of the whole set."""
        self._sums = []
        try:
            output = super().evaluation_loop(*arguments, metric_key_prefix=metric_key_prefix, **options)
            sums = self._sums
        finally:
            self._sums = None
            if not self.is_in_train and self.model_wrapped is self.model:
                # accelerate takes a model that was evaluated for one that is ready: processes would train apart
                self.model._is_accelerate_prepared = False
        if sums:
            total, by = torch.cat(sums).sum(0).tolist()
            output.metrics[f"{metric_key_prefix}_loss"] = total / by if by else 0.0
        return output

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As the Trainer's, with the recipe."""
        super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            criterion = self.criterion
            held = {
                "recipe": json.loads(criterion.recipe.to_json()),
                "reduction": criterion.reduction,
                "ignore_index": criterion.ignore_index,
            }
            folder = Path(output_dir or self.args.output_dir)
            (folder / SAVED).write_text(json.dumps(held, indent=2) + "\n")


def _labels_of(dataset: Any) -> Iterator[Any]:
    """The labels of a data set's rows, in order."""
    names = [name for name in _LABELS if name in (getattr(dataset, "column_names", None) or ())]
    if names:
        yield from dataset[names[0]]
        return
    for place in range(len(dataset)):
        row = dataset[place]
        held = [name for name in _LABELS if name in row] if isinstance(row, Mapping) else []
        if not held:
            raise UserError(
                f"row {place} of train_dataset has none of {', '.join(map(repr, _LABELS))}; pass a recipe, made from "
                "the counts of the training labels"
            )
        yield row[held[0]]


def saved_recipe(directory: str | Path) -> Recipe:
    """The recipe that was saved with a model, for instance for `recipe.posterior(logits)`.

    Parameters
    ----------
    directory
        Where `Trainer.save_model` wrote the model, or a checkpoint.

    Raises
    ------
    UserError
        If the directory holds no recipe.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "counterpoise.json").write_text('{"recipe": {"family": "sigmoid", "pos_weight": 9.0}}')
    ...     saved_recipe(folder).pos_weight
    array(9.)
    """
    path = Path(directory, SAVED)
    try:
        held = json.loads(path.read_text())["recipe"]
    except FileNotFoundError:
        raise UserError(f"{directory} holds no {SAVED}; it was not saved by a Trainer with a RecipeMixin") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error})") from None
    return from_json(json.dumps(held))
