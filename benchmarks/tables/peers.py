"""The ways to learn a table that stand beside `counterpoise train`; each runs in a process of its own.

    python -m benchmarks.tables.peers FOLDER METHOD OUT [--seed N] [--threads N] [--budget SECONDS]

reads train.parquet and test.parquet of a folder that `data.prepare` wrote, and writes OUT.npz (probabilities and
decisions of the test rows) and OUT.json (peak memory, processor seconds). It never sees the truth of the test rows. It
runs in the environments of FLAML and AutoGluon too, so it imports nothing of Counterpoise.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, TunedThresholdClassifierCV

from benchmarks.tables.data import Task, codes_of
from benchmarks.tables.encoding import TableEncoding, as_pandas

Answer = tuple[NDArray[np.float64], NDArray[np.int64]]


@dataclass(frozen=True)
class Setting:
    """What a method may use."""

    seed: int = 0
    threads: int = 2
    budget: int = 60


def lightgbm(setting: Setting, task: Task, coded: list[str], **more: Any) -> Any:  # noqa: ARG001
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_jobs=setting.threads, random_state=setting.seed, verbosity=-1, **more)


def lightgbm_unbalanced(setting: Setting, task: Task, coded: list[str]) -> Any:
    # is_unbalance is for two classes; class_weight is the same for more
    more = {"class_weight": "balanced"} if task.kind == "multiclass" else {"is_unbalance": True}
    return lightgbm(setting, task, coded, **more)


def lightgbm_steadied(setting: Setting, task: Task, coded: list[str]) -> Any:
    return lightgbm(setting, task, coded, max_delta_step=1.0)


def logistic(setting: Setting, task: Task, coded: list[str], class_weight: Any = None) -> Any:  # noqa: ARG001
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000, class_weight=class_weight)


def logistic_balanced(setting: Setting, task: Task, coded: list[str]) -> Any:
    return logistic(setting, task, coded, "balanced")


def balanced_forest(setting: Setting, task: Task, coded: list[str]) -> Any:  # noqa: ARG001
    from imblearn.ensemble import BalancedRandomForestClassifier

    return BalancedRandomForestClassifier(
        sampling_strategy="all", replacement=True, bootstrap=False, n_jobs=setting.threads, random_state=setting.seed
    )


def easy_ensemble(setting: Setting, task: Task, coded: list[str]) -> Any:  # noqa: ARG001
    from imblearn.ensemble import EasyEnsembleClassifier

    return EasyEnsembleClassifier(n_jobs=1, random_state=setting.seed)


def catboost(setting: Setting, task: Task, coded: list[str]) -> Any:  # noqa: ARG001
    from catboost import CatBoostClassifier

    class Cloneable(CatBoostClassifier):
        """scikit-learn 1.9 does not clone an estimator that copies its arguments."""

        def __sklearn_clone__(self) -> Any:
            return type(self)(**self.get_params())

    return Cloneable(
        cat_features=coded, thread_count=setting.threads, random_seed=setting.seed, verbose=False,
        allow_writing_files=False,
    )  # fmt: skip


def xgboost(setting: Setting, task: Task, coded: list[str]) -> Any:  # noqa: ARG001
    from xgboost import XGBClassifier

    return XGBClassifier(n_jobs=setting.threads, random_state=setting.seed, enable_categorical=True)


def extra_trees(setting: Setting, task: Task, coded: list[str]) -> Any:  # noqa: ARG001
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(300, min_samples_leaf=2, n_jobs=setting.threads, random_state=setting.seed)


@dataclass(frozen=True)
class Learner:
    """How an estimator is made and which encoding it is given: "categories", "codes", or "columns" of numbers."""

    make: Callable[[Setting, Task, list[str]], Any]
    encoding: str


LEARNERS = {
    "LightGBM": Learner(lightgbm, "categories"),
    "LightGBM is_unbalance": Learner(lightgbm_unbalanced, "categories"),
    "LightGBM max_delta_step": Learner(lightgbm_steadied, "categories"),
    "logistic balanced": Learner(logistic_balanced, "columns"),
    "BalancedRandomForest": Learner(balanced_forest, "codes"),
    "EasyEnsemble": Learner(easy_ensemble, "codes"),
    "logistic": Learner(logistic, "columns"),
    "CatBoost": Learner(catboost, "categories"),
    "XGBoost": Learner(xgboost, "categories"),
    "ExtraTrees": Learner(extra_trees, "codes"),
}


def encoded(folder: Path, task: Task, encoding: str) -> tuple[Any, Any, list[str]]:
    """Training and test rows, and the columns that hold codes of categories."""
    train, test = (pl.read_parquet(folder / f"{side}.parquet") for side in ("train", "test"))
    train = train.drop(task.targets)
    how = TableEncoding(train, task.text)
    if encoding == "columns":
        return *how.for_linear(train, test), []
    first, second, coded = how.for_trees(train, test)
    if encoding == "codes":
        middle = first.median()
        return first.fillna(middle).to_numpy(np.float32), second.fillna(middle).to_numpy(np.float32), []
    for name in coded:
        kinds = range(int(min(first[name].min(), second[name].min())), int(first[name].max()) + 1)
        for frame in (first, second):
            frame[name] = frame[name].astype("int64").astype(_category(kinds))
    return first, second, coded


def _category(kinds: range) -> Any:
    import pandas as pd

    return pd.CategoricalDtype(list(kinds))


def learned(name: str, folder: Path, task: Task, setting: Setting) -> Answer:
    """A learner of the table, its threshold for F1 tuned by cross-validation where there are two classes."""
    learner = LEARNERS[name]
    target = codes_of(pl.read_parquet(folder / "train.parquet", columns=list(task.targets)), task)
    train, test, coded = encoded(folder, task, learner.encoding)
    estimator = learner.make(setting, task, coded)
    if task.kind == "multiclass":
        present, target = np.unique(target, return_inverse=True)
        probability = np.zeros((test.shape[0], len(task.classes)))
        probability[:, present] = estimator.fit(train, target).predict_proba(test)
        return probability, probability.argmax(axis=1)
    if task.kind == "binary":
        # scikit-learn's cv=5 does not shuffle: where rows are in order of time it flagged every row of bank_marketing
        return _tuned(estimator, train, target, test, StratifiedKFold(5, shuffle=True, random_state=setting.seed))
    answers = [_label(clone(estimator), train, target[:, k], test) for k in range(len(task.targets))]
    return np.stack([one[0][:, 1] for one in answers], axis=1), np.stack([one[1] for one in answers], axis=1)


def _tuned(estimator: Any, train: Any, target: NDArray[np.int64], test: Any, cv: Any) -> Answer:
    tuned = TunedThresholdClassifierCV(estimator, scoring="f1", cv=cv, random_state=0).fit(train, target)
    return tuned.predict_proba(test), tuned.predict(test)


def _label(estimator: Any, train: Any, target: NDArray[np.int64], test: Any) -> Answer:
    known = np.flatnonzero(target >= 0)
    if np.bincount(target[known], minlength=2).min() < 2:
        share = np.full(test.shape[0], target[known].mean())
        return np.stack([1 - share, share], axis=1), np.zeros(test.shape[0], np.int64)
    rows = train.iloc[known] if hasattr(train, "iloc") else train[known]
    return _tuned(estimator, rows, target[known], test, cv=0.75)


def counterpoise(folder: Path, task: Task, setting: Setting) -> Answer:  # noqa: ARG001
    """The command, as anybody would run it: no option but the target, or the columns of the labels."""
    place = {str(name): k for k, name in enumerate(task.classes)}
    with tempfile.TemporaryDirectory() as work:
        run, answers = f"{work}/run", Path(work) / "answers.parquet"
        _counterpoise("train", str(folder / "train.parquet"), "--target", ",".join(task.targets), "--out", run)
        _counterpoise("predict", run, str(folder / "test.parquet"), "-o", str(answers))
        frame = pl.read_parquet(answers)
    if task.kind == "multilabel":
        return _of_labels(frame, folder, task)
    probability = frame.select(f"probability_{name}" for name in task.classes).to_numpy()
    return probability, frame["decision"].cast(pl.String).replace_strict(place, return_dtype=pl.Int64).to_numpy()


def _of_labels(answers: pl.DataFrame, folder: Path, task: Task) -> Answer:
    """A label that too few rows have is not learned: its share is the probability, and no row is flagged."""
    target = codes_of(pl.read_parquet(folder / "train.parquet", columns=list(task.targets)), task)
    share = np.ma.masked_less(target, 0).mean(axis=0).filled(0.0)
    probability = np.tile(share, (answers.height, 1))
    decision = np.zeros(probability.shape, np.int64)
    for place, name in enumerate(task.targets):
        if f"decision_{name}" in answers.columns:
            probability[:, place] = answers[f"probability_{name}"].to_numpy()
            decision[:, place] = answers[f"decision_{name}"].to_numpy()
    return probability, decision


def _counterpoise(*words: str) -> None:
    start = "from counterpoise.cli import main; raise SystemExit(main())"
    done = subprocess.run([sys.executable, "-c", start, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-500:])


def _frames(folder: Path, task: Task) -> tuple[Any, Any, NDArray[np.int64]]:
    train, test = (pl.read_parquet(folder / f"{side}.parquet") for side in ("train", "test"))
    return as_pandas(train.drop(task.targets)), as_pandas(test), codes_of(train, task)


def flaml(folder: Path, task: Task, setting: Setting) -> Answer:
    from flaml import AutoML

    train, test, target = _frames(folder, task)
    for frame in (train, test):  # it hands the names on to LightGBM, which refuses some characters
        frame.columns = [f"c{k}" for k in range(frame.shape[1])]
    model = AutoML()
    model.fit(
        train, target, task="classification", time_budget=setting.budget, n_jobs=setting.threads, seed=setting.seed,
        metric="f1" if task.kind == "binary" else "macro_f1", verbose=0,
    )  # fmt: skip
    return _spread(model.predict_proba(test), np.unique(target), task), np.asarray(model.predict(test), np.int64)


def autogluon(folder: Path, task: Task, setting: Setting) -> Answer:
    from autogluon.tabular import TabularPredictor

    train, test, target = _frames(folder, task)
    binary = task.kind == "binary"
    with tempfile.TemporaryDirectory() as work:
        made = TabularPredictor(
            "target", path=work, verbosity=0, eval_metric="f1" if binary else "f1_macro",
            problem_type=task.kind, **({"positive_class": 1} if binary else {}),
        )  # fmt: skip
        made.fit(
            train.assign(target=target), presets="medium_quality", time_limit=setting.budget, num_cpus=setting.threads
        )
        probability = made.predict_proba(test)
        decision = made.predict(test).to_numpy(np.int64)
    return _spread(probability.to_numpy(), probability.columns.to_numpy(np.int64), task), decision


def _spread(probability: Any, present: NDArray[np.int64], task: Task) -> NDArray[np.float64]:
    done = np.zeros((len(probability), len(task.classes)))
    done[:, present] = probability
    return done


TOOLS = {"counterpoise": counterpoise, "FLAML": flaml, "AutoGluon": autogluon}


def peak_megabytes() -> float:
    """The most memory that this process or one that it started has held (MB)."""
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return max(int(own.split()[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def main() -> None:
    """Answer for one method on one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables.peers")
    parser.add_argument("folder", type=Path)
    parser.add_argument("method", choices=[*LEARNERS, *TOOLS])
    parser.add_argument("out", type=Path)
    for name, value in Setting().__dict__.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    setting = Setting(asked.seed, asked.threads, asked.budget)
    task = Task.read(asked.folder)
    if asked.method in LEARNERS:
        probability, decision = learned(asked.method, asked.folder, task, setting)
    else:
        probability, decision = TOOLS[asked.method](asked.folder, task, setting)
    np.savez_compressed(
        asked.out.with_name(asked.out.name + ".npz"), probability=probability.astype(np.float32), decision=decision
    )
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in spent)
    facts = {"megabytes": peak_megabytes(), "processor_seconds": seconds}
    asked.out.with_name(asked.out.name + ".json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
