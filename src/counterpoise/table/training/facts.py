"""The content of decision.json: the facts of an outcome as plain data, without the checksums of the files."""

from collections.abc import Iterable
from typing import Any

from counterpoise.table.model import bundle
from counterpoise.table.model.forms import LABEL, MULTILABEL
from counterpoise.table.racing.entries import Verdict
from counterpoise.table.rows.enough import counts_of
from counterpoise.table.training.importance import Importance
from counterpoise.table.training.outcome import Outcome, Outcomes


def facts_of_one(outcome: Outcome) -> dict[str, Any]:
    """What decision.json holds of one target."""
    judged, labels, verdict = outcome.judged, outcome.labels, outcome.verdict
    test: dict[str, Any] = {name: found.to_dict() for name, found in judged.metrics.items()}
    threshold: float | dict[str, float]
    if isinstance(judged.threshold, float):
        threshold = judged.threshold
    else:
        names = [str(name) for name in labels.classes]
        threshold = dict(zip(names, judged.threshold.tolist(), strict=True))
        for name, per_class in (("recall", judged.recall), ("precision", judged.precision)):
            test[name] = dict(zip(names, [one.to_dict() for one in per_class], strict=True))
    return {
        "format": bundle.FORMAT,
        "recipe": verdict.winner.recipe.to_dict(),
        "members": [
            {"label": one.label, "learner": one.learner, "recipe": one.recipe.to_dict(), "share": one.share}
            for one in outcome.fitted
        ],
        "threshold": threshold,
        "classes": list(labels.classes),
        "positive": labels.positive,
        "goal": str(outcome.goal),
        "met": judged.met,
        "promised": judged.decision is not None and judged.decision.promised,
        "reason": judged.reason,
        "verdict": verdict.sentence,
        "health": "" if verdict.health is None else verdict.health.sentence,
        "metrics": {"test": test},
        "target": outcome.target,
        "weight": outcome.asked.weight,
        "counts": dict(zip(map(str, labels.classes), outcome.counts.n.tolist(), strict=True)),
        "rows": {
            "train": counts_of(labels, outcome.split.train).total,
            "calibration": len(outcome.split.calibration),
            "test": len(outcome.split.test),
            **({} if labels.stands_for is None else {"held": len(outcome.split.train)}),
        },
        "split": outcome.split.how,
        "seed": outcome.seed,
        "rounds": verdict.winner.rounds,
        "comparison": _comparison(verdict),
        "schema": outcome.schema.to_dict(),
        "importance": _plain(outcome.importance),
        "notes": list(outcome.notes),
        "command": outcome.command,
        "versions": outcome.versions,
    }


def _comparison(verdict: Verdict) -> list[dict[str, Any]]:
    """The contestants of the race, and how each did."""
    return [
        {
            "loss": entry.label,
            "learner": entry.learner,
            "recipe": entry.recipe.to_dict(),
            "chosen": place == verdict.chosen,
            "rounds": entry.rounds,
            "score": entry.score,
            "standard_error": entry.error,
            "folds": entry.scores.tolist(),
            "untuned": float(entry.untuned.mean()),
            "log_loss": entry.log_loss,
            "average_precision": entry.average_precision,
        }
        for place, entry in enumerate(verdict.entries)
    ]


def facts_of_several(outcomes: Outcomes) -> dict[str, Any]:
    """What decision.json holds of several labels."""
    split = outcomes.split
    return {
        "format": bundle.FORMAT,
        "kind": MULTILABEL,
        "goal": str(outcomes.goal),
        "target": list(outcomes.labels.names),
        "values": list(outcomes.labels.values),
        "labels": {
            name: {
                "folder": folder_of(outcomes, name),
                **{key: one.facts[key] for key in ("threshold", "met", "promised", "reason", "counts", "metrics")},
            }
            for name, one in outcomes.trainings.items()
        },
        "not_learned": dict(outcomes.not_learned),
        "metrics": {"test": {name: one.to_dict() for name, one in outcomes.metrics.items()}},
        "rows": {"train": len(split.train), "calibration": len(split.calibration), "test": len(split.test)},
        "split": split.how,
        "seed": outcomes.asked.seed,
        "schema": outcomes.schema.to_dict(),
        "importance": _plain(_most_needed(outcomes)),
        "notes": list(outcomes.notes),
        "command": outcomes.command,
        "versions": outcomes.versions,
    }


def _plain(importance: Iterable[Importance]) -> dict[str, dict[str, float]]:
    return {one.column: {"drop": one.drop, "error": one.error} for one in importance}


def _most_needed(outcomes: Outcomes) -> list[Importance]:
    """Of each column that all labels looked at, the importance for the label that most surely needs it."""
    of_column: dict[str, list[Importance]] = {}
    for label in outcomes.trainings.values():
        for one in label.importance:
            of_column.setdefault(one.column, []).append(one)
    labels = len(outcomes.trainings)
    return [max(found, key=lambda one: one.drop - one.error) for found in of_column.values() if len(found) == labels]


def folder_of(outcomes: Outcomes, label: str) -> str:
    """Where a label's files are."""
    return bundle.label_folder(outcomes.labels.names.index(label), label)


def facts_of_label(outcome: Outcome) -> dict[str, Any]:
    """A label's decision.json: without what all labels share."""
    return {name: fact for name, fact in outcome.facts.items() if name not in ("schema", "command", "versions")} | {
        "kind": LABEL
    }
