"""Hugging Face's Trainer and Lightning: their optimizer steps are those of one batch."""

import os
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as lightning
import pytest
import torch
import transformers

import counterpoise as cp
from counterpoise.huggingface import RecipeMixin, saved_recipe
from counterpoise.lightning import ExactAccumulation
from counterpoise.torch import Loss
from free_ports import free_ports

SESSION = Path(__file__).parent / "trainers_session.py"


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_trainers(count, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SESSION.parents[1])}
    if count > 1:
        environment |= {
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            "GROUP_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_ports(1)[0]),
            "TORCHELASTIC_RUN_ID": "test",
        }
    processes = [
        subprocess.Popen(
            [sys.executable, str(SESSION), str(tmp_path)],
            env=environment | ({"RANK": str(place), "LOCAL_RANK": str(place)} if count > 1 else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for place in range(count)
    ]
    outputs = [process.communicate()[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-4000:]
        assert "all checks passed" in output


class Trainer(RecipeMixin, transformers.Trainer):
    pass


class Small(torch.nn.Module):
    """A model of one layer; the Trainer asks for its name, device and configuration."""

    config = transformers.PretrainedConfig(num_labels=3)

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 3)

    def forward(self, x):
        return (self.layer(x),)


def trainer_of(tmp_path, **options):
    arguments = transformers.TrainingArguments(
        str(tmp_path), use_cpu=True, report_to=[], disable_tqdm=True, **options.pop("arguments", {})
    )
    rows = [{"x": torch.zeros(2), "labels": label} for label in (0, 0, 0, 1, 2, 0, 0, 1)]
    options.setdefault("recipe", cp.softmax.weighted([5, 2, 1]))
    options.setdefault("train_dataset", rows)
    return Trainer(Small(), arguments, **options)


def test_class_weights_come_from_the_training_set(tmp_path):
    trainer = trainer_of(tmp_path, recipe=cp.softmax.weighted)
    assert trainer.criterion.recipe == cp.softmax.weighted([5, 2, 1])
    rows = [{"x": torch.zeros(2), "labels": label} for label in ([0, 1, -100], [1, 1, 2], [-100, 0, 0])]
    trainer = trainer_of(tmp_path, recipe=cp.softmax.logit_adjusted, train_dataset=rows)
    assert trainer.criterion.recipe == cp.softmax.logit_adjusted([3, 3, 1])
    rows = [{"x": torch.zeros(2), "labels": torch.tensor(label)} for label in ([0.0, 1.0, 1.0], [1.0, 0.0, 0.0])]
    trainer = trainer_of(tmp_path, recipe=cp.sigmoid.logit_adjusted, train_dataset=[*rows, rows[0]])
    assert trainer.criterion.recipe == cp.sigmoid.logit_adjusted(cp.LabelCounts([1, 2, 2], total=3))


def test_a_model_that_gives_a_tuple(tmp_path):
    trainer = trainer_of(tmp_path, arguments={"label_names": ["labels"]})
    found = trainer.predict(trainer.train_dataset)
    assert found.predictions.shape == (8, 3)
    expected = cp.loss(found.predictions, [0, 0, 0, 1, 2, 0, 0, 1], trainer.criterion.recipe)
    assert found.metrics["test_loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "sum"}, "reduction is 'sum'; a Trainer's loss is one of mean, weighted_mean, nonzero_mean"),
        ({"compute_loss_func": lambda *_, **__: 0}, "compute_loss_func and recipe are both given"),
        ({"arguments": {"label_smoothing_factor": 0.1}}, "label_smoothing_factor is 0.1, which the recipe would"),
        ({"recipe": cp.softmax.weighted, "train_dataset": None}, "train_dataset cannot be counted; pass a recipe"),
        ({"recipe": cp.softmax.weighted, "train_dataset": [{"x": 1}]}, "row 0 of train_dataset has none of 'labels'"),
        (
            {"recipe": cp.softmax.expected_cost([[0, 1, 2], [1, 0, 1], [9, 1, 0]]), "reduction": "weighted_mean"},
            None,
        ),
    ],
)
def test_what_a_trainer_refuses(tmp_path, options, message):
    if message is None:
        trainer_of(tmp_path, **options)
        return
    with pytest.raises(cp.UserError, match=message):
        trainer_of(tmp_path, **options)


def test_a_folder_without_a_recipe(tmp_path):
    with pytest.raises(cp.UserError, match=r"holds no counterpoise\.json"):
        saved_recipe(tmp_path)
    (tmp_path / "counterpoise.json").write_text("{")
    with pytest.raises(cp.UserError, match=r"counterpoise\.json cannot be read"):
        saved_recipe(tmp_path)


class Module(lightning.LightningModule):
    def __init__(self, criterion, extra=0.0):
        super().__init__()
        self.layer, self.criterion, self.extra = torch.nn.Linear(2, 2), criterion, extra

    def training_step(self, batch):
        return self.criterion(self.layer(batch[0]), batch[1]) + self.extra * self.layer.weight.square().sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fitted(module, callback):
    rows = torch.utils.data.TensorDataset(torch.ones(8, 2), torch.tensor([0, 1, 0, 0, 0, 0, 0, 0]))
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, torch.utils.data.DataLoader(rows, batch_size=4))


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated")  # says Lightning of itself
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize(
    ("module", "callback", "message"),
    [
        (Module(torch.nn.CrossEntropyLoss()), ExactAccumulation(), "the module has 0 losses of counterpoise; pass"),
        (Module(Loss(cp.softmax.focal(), "sum")), ExactAccumulation(), "reduction is 'sum'; it must be mean, weighted"),
        (Module(Loss(cp.softmax.focal()), extra=1.0), ExactAccumulation(), "training_step returned .* alone"),
        (
            Module(torch.nn.CrossEntropyLoss()),
            ExactAccumulation(Loss(cp.softmax.focal())),
            "training_step returned a loss without calling the criterion",
        ),
    ],
)
def test_what_the_callback_refuses(module, callback, message):
    with pytest.raises(cp.UserError, match=message):
        fitted(module, callback)
    assert not any(one._forward_hooks for one in module.modules())
