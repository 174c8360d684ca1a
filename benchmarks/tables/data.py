"""The real tables as everybody learns them and is judged on them: without what leaks, split once, written down."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

DATA = Path(__file__).parents[3] / "shared" / "data"
JUDGED = 0.2


@dataclass(frozen=True)
class Task:
    """What is to be learned: one target of two or more classes, or several targets of 0 and 1.

    `classes` are in the order of the probability columns of an answer; two classes: the rarer, positive one last.
    With several targets they are the targets' names.
    """

    name: str
    kind: str
    targets: tuple[str, ...]
    classes: tuple[Any, ...]
    text: tuple[str, ...]
    rows: int

    @classmethod
    def read(cls, folder: Path) -> "Task":
        """The task of a folder that `prepare` wrote."""
        facts = json.loads((folder / "task.json").read_text())
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()})


def catalogue(data: Path) -> dict[str, dict[str, Any]]:
    """What is known of each table, by name."""
    return {facts["name"]: facts for facts in json.loads((data / "catalogue.json").read_text())["datasets"]}


def chosen(known: dict[str, dict[str, Any]], names: Sequence[str] | None) -> list[dict[str, Any]] | None:
    """The tables of these names, or all, the smallest first; None, after saying so, where there is no such table."""
    if strange := set(names or ()) - set(known):
        print(f"no table {', '.join(sorted(strange))}; known: {', '.join(known)}")
        return None
    return sorted((known[name] for name in names or known), key=lambda facts: facts["rows"] * facts["columns"])


def prepare(facts: dict[str, Any], data: Path, folder: Path, seed: int) -> Task:
    """Write train.parquet, test.parquet (no targets) and truth.parquet; the same files for the same seed.

    Exact duplicates are dropped, and whoever came twice (the catalogue's group) is on one side only: a row shall not
    be judged by what was learned from itself.
    """
    done = folder / "task.json"
    if done.exists():
        return Task.read(folder)
    frame = pl.read_parquet(data / facts["file"]).unique(maintain_order=True)
    several = facts["task"] == "multilabel"
    targets = tuple(name for name in frame.columns if name.startswith("y_")) if several else (facts["target"],)
    learn, judge = _split(frame, targets, facts["group_column"], seed)
    remove = {*facts["leaking_columns"], *facts["id_columns"]} - set(targets)
    kept = frame.drop(remove)
    classes: list[Any] = list(targets)
    if not several:
        counts = frame[targets[0]].value_counts(sort=True)
        classes = [str(value) for value in counts[targets[0]].to_list()]
        if len(classes) > 2:
            classes.sort()
    task = Task(
        facts["name"], facts["task"], targets, tuple(classes), tuple(set(facts["text_columns"]) - remove), len(learn)
    )
    folder.mkdir(parents=True, exist_ok=True)
    kept[learn].write_parquet(folder / "train.parquet")
    kept[judge].drop(targets).write_parquet(folder / "test.parquet")
    kept[judge].select(targets).write_parquet(folder / "truth.parquet")
    done.write_text(json.dumps(asdict(task), indent=1))
    return task


def _split(
    frame: pl.DataFrame, targets: tuple[str, ...], group: str | None, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows = np.arange(frame.height)
    strata = None if len(targets) > 1 else frame[targets[0]].cast(pl.String).to_numpy()
    # a group that some rows lack does not tell who came twice
    if group is not None and strata is not None and frame[group].null_count() == 0:
        folds = StratifiedGroupKFold(round(1 / JUDGED), shuffle=True, random_state=seed)
        learn, judge = next(folds.split(rows, strata, frame[group].to_numpy()))
        return learn, judge
    learn, judge = train_test_split(rows, test_size=JUDGED, stratify=strata, random_state=seed)
    return np.sort(learn), np.sort(judge)


def codes_of(frame: pl.DataFrame, task: Task) -> NDArray[np.int64]:
    """The place of each row's class (N,), or (N, L) of 0, 1 and -1 where the label is not known."""
    if task.kind == "multilabel":
        return frame.select(pl.col(task.targets).cast(pl.Int64).fill_null(-1)).to_numpy()
    place = {value: k for k, value in enumerate(task.classes)}
    return frame[task.targets[0]].cast(pl.String).replace_strict(place, return_dtype=pl.Int64).to_numpy()
