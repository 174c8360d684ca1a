"""A training as an MLflow run, with a nested run for each contestant."""

import os
from typing import Any

from counterpoise.errors import UserError, refuse_missing
from counterpoise.table.training.outcome import Outcome, Outcomes

EXPERIMENT = "counterpoise"


def check_tracking() -> None:
    """Raise `UserError` if MLflow is not there: said before the work, not after it."""
    refuse_missing(("mlflow",), "mlflow")


def track(training: Outcome | Outcomes, uri: str) -> str:
    """Log what was asked, found and written, and give the identity of the run; of several labels with a run for each.

    Parameters
    ----------
    training
        A finished training.
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
        with mlflow.start_run(run_name=f"{training.table.name}, {training.goal}") as run:
            mlflow.log_params(_parameters(training))
            if isinstance(training, Outcome):
                _log_result(training)
                for entry in training.verdict.entries:
                    with mlflow.start_run(run_name=entry.label, nested=True):
                        mlflow.log_params({"learner": entry.learner, "loss": entry.loss, "rounds": entry.rounds})
                        mlflow.log_metrics({"score": entry.score, "log_loss": entry.log_loss})
            else:
                mlflow.log_metrics({f"test_{name}": one.value for name, one in training.metrics.items()})
                for label, one in training.trainings.items():
                    with mlflow.start_run(run_name=label, nested=True):
                        _log_result(one)
            if training.out is not None:
                mlflow.log_artifacts(str(training.out))
    except Exception as error:  # a server can fail in any way, after minutes of work that is safe
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"the training is in {training.out}, but MLflow at {uri} failed: {first}") from None
    return str(run.info.run_id)


def _log_result(training: Outcome) -> None:
    import mlflow

    mlflow.log_param("chosen", training.verdict.winner.label)
    mlflow.log_metrics({f"test_{name}": one.value for name, one in training.judged.metrics.items()})
    mlflow.set_tag("verdict", training.verdict.sentence)


def _parameters(training: Outcome | Outcomes) -> dict[str, Any]:
    return {
        "table": training.table.name,
        "target": training.target,
        "goal": str(training.goal),
        "learners": ", ".join(training.asked.learners),
        "seed": training.asked.seed,
        "rows": sum(map(len, (training.split.train, training.split.calibration, training.split.test))),
    }
