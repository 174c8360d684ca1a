"""Trainers whose optimizer steps are those of one batch; run by test_trainers.py in each of several processes.

The environment holds what torchrun would set; without it, this is one process.
"""

import os
import sys
import warnings

import lightning.pytorch as pl
import numpy as np
import torch
import transformers
from lightning.pytorch.strategies import DDPStrategy

import counterpoise as cp
from counterpoise.huggingface import RecipeMixin, saved_recipe
from counterpoise.lightning import ExactAccumulation
from counterpoise.recipes import SoftmaxRecipe
from counterpoise.torch import Loss

warnings.simplefilter("ignore")  # of the trainers' own packages
PLACE, COUNT = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
FOLDER = sys.argv[1]
RNG = np.random.default_rng(0)
ROWS, COUNTS = 24, cp.ClassCounts([198, 436, 710, 272])
TOKENS = torch.tensor(RNG.integers(1, 20, size=(ROWS, 5)))
CLASSES = torch.tensor(RNG.choice(4, ROWS, p=[0.05, 0.2, 0.6, 0.15]))
IGNORED = torch.where(torch.arange(ROWS) % 3 == 0, -100, CLASSES)
OF_TOKENS = torch.where(torch.arange(5) < TOKENS[:, :1] % 5 + 1, CLASSES[:, None], -100)
LABELS = torch.tensor(RNG.integers(2, size=(ROWS, 4)).astype(float))
smoothed = SoftmaxRecipe(weight=cp.class_weights(COUNTS), smoothing=0.1)
CASES = [
    ("sequence", CLASSES, cp.softmax.weighted(COUNTS), "weighted_mean"),
    ("sequence", CLASSES, cp.softmax.focal(COUNTS, weight="inverse"), "mean"),
    ("sequence", IGNORED, smoothed, "weighted_mean"),
    ("token", OF_TOKENS, cp.softmax.ldam(COUNTS, weight="inverse"), "nonzero_mean"),
    ("token", OF_TOKENS, cp.softmax.logit_adjusted(COUNTS), "mean"),
    ("labels", LABELS, cp.sigmoid.asymmetric(), "weighted_mean"),
]


def tiny(kind):
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        num_labels=4,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(0)
    if kind == "token":
        return transformers.BertForTokenClassification(config).double()
    return transformers.BertForSequenceClassification(config).double()


def true_step(model, target, recipe, reduction, rate=0.5):
    """The parameters after one step on all rows as one batch, and its loss."""
    value = Loss(recipe, reduction, -100)(model(TOKENS).logits, target)
    value.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= rate * parameter.grad
    return value.item()


def check_same(model, true):
    for (name, found), expected in zip(model.named_parameters(), true.parameters(), strict=True):
        torch.testing.assert_close(
            found, expected, rtol=1e-8, atol=1e-11, msg=lambda text, name=name: f"{name}: {text}"
        )


class Trainer(RecipeMixin, transformers.Trainer):
    pass


def arguments(**options):
    return transformers.TrainingArguments(
        FOLDER,
        use_cpu=True,
        ddp_backend="gloo" if COUNT > 1 else None,
        optim="sgd",
        learning_rate=0.5,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        num_train_epochs=1,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **options,
    )


def rows_of(target):
    return [{"input_ids": tokens, "labels": one} for tokens, one in zip(TOKENS, target, strict=True)]


def check_huggingface(kind, target, recipe, reduction):
    true = tiny(kind)
    value = true_step(true, target, recipe, reduction)
    parts = {1: {"per_device_train_batch_size": 7, "gradient_accumulation_steps": 4}, 2: {}}[COUNT]
    parts = parts or {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 3}
    trainer = Trainer(
        tiny(kind),
        arguments(per_device_eval_batch_size=5, **parts),
        train_dataset=rows_of(target),
        eval_dataset=rows_of(target),
        recipe=recipe,
        reduction=reduction,
    )
    before = trainer.evaluate()["eval_loss"]
    np.testing.assert_allclose(before, value, rtol=1e-9)
    trainer.train()
    check_same(trainer.model, true)
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    np.testing.assert_allclose(logged, [value], rtol=1e-3)  # the Trainer rounds what it logs
    found = trainer.predict(rows_of(target))
    with torch.no_grad():
        logits = true(TOKENS).logits
    np.testing.assert_allclose(found.predictions, logits.numpy(), rtol=1e-7, atol=1e-9)
    expected = cp.loss(logits, target, recipe, reduction=reduction, ignore_index=-100).item()
    np.testing.assert_allclose(found.metrics["test_loss"], expected, rtol=1e-9)
    trainer.save_model()
    if PLACE == 0:
        assert saved_recipe(FOLDER) == recipe


class Module(pl.LightningModule):
    def __init__(self, kind, recipe, reduction):
        super().__init__()
        self.model, self.criterion, self.seen = tiny(kind), Loss(recipe, reduction, -100), []

    def training_step(self, batch):
        value = self.criterion(self.model(batch[0]).logits, batch[1])
        self.seen.append(value.item())
        return value

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)


def check_lightning(kind, target, recipe, reduction):
    true = tiny(kind)
    value = true_step(true, target, recipe, reduction)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(TOKENS, target), batch_size=7 if COUNT == 1 else 4
    )
    callback, module = ExactAccumulation(), Module(kind, recipe, reduction)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=COUNT,
        strategy=DDPStrategy(process_group_backend="gloo", find_unused_parameters=True) if COUNT > 1 else "auto",
        max_epochs=1,
        accumulate_grad_batches=4 if COUNT == 1 else 3,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    check_same(module.model, true)
    np.testing.assert_allclose(callback.loss, value, rtol=1e-10)
    assert len(module.seen) == (4 if COUNT == 1 else 3)
    assert not module.criterion._forward_hooks


for case in CASES:
    check_huggingface(*case)
for case in CASES:
    check_lightning(*case)
print("all checks passed")
