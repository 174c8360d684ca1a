"""A training as an MLflow run, with a nested run for each contestant or label."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from counterpoise.decide.measured import Measured
from counterpoise.errors import UserError, refuse_missing
from counterpoise.table.training.outcome import Outcome, Outcomes

EXPERIMENT = "counterpoise"


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What one run of MLflow holds.

    Parameters
    ----------
    name
        Its name.
    params, metrics, tags
        What is logged.
    nested
        The runs within it.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    nested: tuple["Run", ...] = ()

    def log(self) -> None:
        """Log all of it to the run that is active."""
        import mlflow

        mlflow.log_params(dict(self.params))
        mlflow.log_metrics(dict(self.metrics))
        mlflow.set_tags(dict(self.tags))
        for one in self.nested:
            with mlflow.start_run(run_name=one.name, nested=True):
                one.log()


def check_tracking() -> None:
    """Raise `UserError` if MLflow is not installed, before the work and not after it."""
    refuse_missing(("mlflow",), "mlflow")


def run_of_one(training: Outcome) -> Run:
    """The run of one target, with a run for each contestant."""
    contestants = tuple(
        Run(
            entry.label,
            {"learner": entry.learner, "loss": entry.loss, "rounds": entry.rounds},
            {"score": entry.score, "log_loss": entry.log_loss},
        )
        for entry in training.verdict.entries
    )
    own = _of_target(_name(training), training)
    return Run(own.name, {**_asked(training), **own.params}, own.metrics, own.tags, contestants)


def run_of_several(training: Outcomes) -> Run:
    """The run of several labels, with a run for each."""
    labels = tuple(_of_target(name, one) for name, one in training.trainings.items())
    return Run(_name(training), _asked(training), _tested(training.metrics), nested=labels)


def track(run: Run, directory: Path | None, uri: str) -> str:
    """Log a run, and give its identity.

    Parameters
    ----------
    run
        What was asked and found.
    directory
        Directory of the training, which is logged too; None: it was not written.
    uri
        Destination: an MLflow tracking server, a database, or a folder.

    Raises
    ------
    UserError
        If the place does not answer; the directory of the training is written all the same.
    """
    if "://" not in uri:  # a folder, which MLflow serves on request only
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow

    try:
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment(EXPERIMENT)
        with mlflow.start_run(run_name=run.name) as started:
            run.log()
            if directory is not None:
                mlflow.log_artifacts(str(directory))
    except Exception as error:  # a server can fail in any way, after minutes of work that is safe
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"the training is in {directory}, but MLflow at {uri} failed: {first}") from None
    return str(started.info.run_id)


def _of_target(name: str, training: Outcome) -> Run:
    """What was found for one target."""
    found = _tested(training.judged.metrics)
    return Run(name, {"chosen": training.verdict.winner.label}, found, {"verdict": training.verdict.sentence})


def _tested(metrics: Mapping[str, Measured]) -> dict[str, float]:
    return {f"test_{name}": one.value for name, one in metrics.items()}


def _name(training: Outcome | Outcomes) -> str:
    return f"{training.table.name}, {training.goal}"


def _asked(training: Outcome | Outcomes) -> dict[str, Any]:
    return {
        "table": training.table.name,
        "target": training.target,
        "goal": str(training.goal),
        "learners": ", ".join(training.asked.learners),
        "seed": training.asked.seed,
        "rows": training.counts.total
        if isinstance(training, Outcome)
        else sum(map(len, (training.split.train, training.split.calibration, training.split.test))),
    }
