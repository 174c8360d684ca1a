"""The main job, from a table to a training that can be saved and used: by a call, and by the command."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise import goals
from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.table.asked import DEFAULT_BUDGET, DEFAULT_LEARNERS, Asked, class_of_interest, versions_of
from counterpoise.table.cluster import Cluster
from counterpoise.table.features.novelty import REFUSE
from counterpoise.table.files import refuse_existing
from counterpoise.table.model import bundle
from counterpoise.table.racing.entries import ProgressCallback, silent
from counterpoise.table.racing.fits import HERE, Fits, FitsOnCluster
from counterpoise.table.racing.trials import Trials, Unfinished
from counterpoise.table.reading.date_columns import with_dates
from counterpoise.table.reading.frames import table_of
from counterpoise.table.reading.labels import named_labels
from counterpoise.table.reading.memory import refuse_to_learn
from counterpoise.table.reading.named_columns import joined, parts_of, refuse_ignored
from counterpoise.table.reading.table import Table, read_table, without_empty_rows
from counterpoise.table.report import several
from counterpoise.table.report.card import model_card
from counterpoise.table.report.page import heart, render
from counterpoise.table.report.summary import summary_lines
from counterpoise.table.report.tracking import run_of_one, run_of_several, track
from counterpoise.table.rows.within_memory import read_within
from counterpoise.table.training.facts import facts_of_label, folder_of
from counterpoise.table.training.of_thinned import read_numbers
from counterpoise.table.training.one import learn_one
from counterpoise.table.training.outcome import Outcome, Outcomes
from counterpoise.table.training.several import learn_several
from counterpoise.table.unfinished import unfinished


@dataclass(frozen=True, slots=True, eq=False)
class Training(Outcome):
    """A training of one target: its outcome, which can be saved, used and looked at in a notebook."""

    def predict(self, frame: Any, *, as_of: Any = None, unknown: str = REFUSE) -> NDArray[Any]:
        """As `Model.predict`."""
        return self.model.predict(frame, as_of=as_of, unknown=unknown)

    def predict_proba(self, frame: Any, *, as_of: Any = None, unknown: str = REFUSE) -> NDArray[np.float64]:
        """As `Model.predict_proba`."""
        return self.model.predict_proba(frame, as_of=as_of, unknown=unknown)

    def explain(self, frame: Any, *, as_of: Any = None) -> pl.DataFrame:
        """As `Model.explain`."""
        return self.model.explain(frame, as_of=as_of)

    def _repr_html_(self) -> str:
        return heart(self)

    def save(self, directory: str | Path) -> None:
        """Write the directory that `counterpoise.load` and `counterpoise predict` read: new, at once or not at all."""
        bundle.write(Path(directory), _files(self))

    def summary_lines(self) -> list[tuple[str, str]]:
        """What the command says at the end: the name of each line, and its text."""
        return summary_lines(self)

    def track(self, uri: str) -> str:
        """Log the training to an MLflow server, database or folder; the identity of the run."""
        return track(run_of_one(self), self.out, uri)


@dataclass(frozen=True, slots=True, eq=False)
class MultilabelTraining(Outcomes):
    """A training of several labels: its outcomes, which can be saved, used and looked at in a notebook.

    Examples
    --------
    >>> import polars as pl, counterpoise as cp
    >>> size, age = np.random.default_rng(0).normal(size=(2, 300))
    >>> frame = pl.DataFrame({"size": size, "age": age, "y_large": size > 1.5, "y_old": age > 1.0})
    >>> result = cp.train(frame, target="y_*", learners=["logistic"], budget=5)
    >>> result.predict(pl.DataFrame({"size": [0.0, 3.0], "age": [2.5, 3.0]})).tolist()
    [[0, 1], [1, 1]]
    """

    trainings: Mapping[str, Training]

    def __getitem__(self, label: str) -> Training:
        """The training of one label alone."""
        return self.trainings[label]

    def predict(self, frame: Any, *, as_of: Any = None, unknown: str = REFUSE) -> NDArray[np.int64]:
        """As `MultilabelModel.predict`."""
        return self.model.predict(frame, as_of=as_of, unknown=unknown)

    def predict_proba(self, frame: Any, *, as_of: Any = None, unknown: str = REFUSE) -> NDArray[np.float64]:
        """As `MultilabelModel.predict_proba`."""
        return self.model.predict_proba(frame, as_of=as_of, unknown=unknown)

    def _repr_html_(self) -> str:
        return several.heart(self)

    def save(self, directory: str | Path) -> None:
        """Write the directory that `counterpoise.load` and `counterpoise predict` read: new, at once or not at all."""
        bundle.write(Path(directory), _files_of_labels(self))

    def summary_lines(self) -> list[tuple[str, str]]:
        """What the command says at the end: the name of each line, and its text."""
        return several.summary_lines(self)

    def track(self, uri: str) -> str:
        """Log the training to an MLflow server, database or folder; the identity of the run."""
        return track(run_of_several(self), self.out, uri)


def train(
    frame: Any,
    *,
    target: str | Sequence[str],
    positive: str | float | bool | None = None,
    goal: Goal | str | None = None,
    learners: Sequence[str] = DEFAULT_LEARNERS,
    time: str | None = None,
    group: str | None = None,
    weight: str | None = None,
    slice: str | None = None,
    ignore: str | Sequence[str] = (),
    dates: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    as_of: Any = None,
    absolute_time: bool = False,
    memory: str | int | None = None,
    budget: float = DEFAULT_BUDGET,
    seed: int = 0,
    progress: ProgressCallback = silent,
) -> Training | MultilabelTraining:
    """Train, compare and decide on a data frame.

    Parameters
    ----------
    frame
        A pandas or Polars data frame; or the path of a CSV or Parquet file, of a folder of such files, or a pattern
        such as "days/*.parquet".
    target
        The column with the classes. Or columns of labels that a row may have at once: a list of names, names separated
        by commas, or a pattern such as "y_*"; a cell is 1 or 0, or missing if the label is not known.
    positive
        The class of interest; of two classes the default is the rarer. With more than two, the others become one class.
    goal
        The goal, as `counterpoise.goal` reads it; default f1, or macro_f1 with more than two classes. A class that it
        names is the positive one.
    learners
        Some of lightgbm, logistic, xgboost, catboost, mlp and keras; each runs with every loss that suits it.
    time, group, weight, slice
        Names of columns. `time`: the latest rows are the test. `group`: rows of one group stay together. `weight`:
        weight of each row in training (> 0). `slice`: the report shows its figures by the values of this column.
    ignore
        Columns to omit: a list, or names separated by commas; patterns such as "id*". The model does not ask for them.
        The column of `slice` may be one of them.
    dates
        "day-first" or "month-first", for columns of dates such as 03/04/2024 where nothing in the table decides.
    decimal, thousands
        The mark before a fraction ("." or ",") and between groups of digits (",", ".", " ", "'" or "" for none) in
        numbers that are text, if neither their column nor another one shows it.
    as_of
        Day of the table, up to which the ages of its dates are counted: a date, or text such as 2024-01-31. None: the
        newest date of a column, if ages help to predict the target.
    absolute_time
        Whether dates themselves are features too, although those of later rows lie outside the training range; default
        False.
    memory
        Memory that may be taken, such as "4GB", for a table that may be larger: its rare rows are all used, and its
        frequent ones as far as there is room. Only with the path of a table, 40 % of which wait in the folder for
        temporary files. Default: the whole table is read.
    budget
        Approximate time limit in seconds, above 0; what does not fit into it is omitted, and the notes list it.
    seed
        Seed; the same seed gives the same result.
    progress
        Function that is called with the step and the share of it that is done.

    Returns
    -------
    Training
        The result: `.predict(frame)`, `.predict_proba(frame)`, `.decision`, `.save(directory)`; a notebook shows the
        main part of its report. For several labels a `MultilabelTraining` with the same methods, with a column per
        label.

    Raises
    ------
    UserError
        For a column that is absent or cannot be used, too few rows of a class, or a goal that does not fit.

    Examples
    --------
    >>> import numpy as np, polars as pl, counterpoise as cp
    >>> size = np.random.default_rng(0).normal(size=300)
    >>> frame = pl.DataFrame({"size": size, "rare": np.where(size > 1.5, "yes", "no")})
    >>> result = cp.train(frame, target="rare", learners=["lightgbm"])
    >>> result.predict(pl.DataFrame({"size": [-1.0, 2.0]})).tolist()
    ['no', 'yes']
    """
    aim = goals.goal(goal) if isinstance(goal, str) else goal
    listed = tuple(_name("target", one) or "" for one in target) if isinstance(target, list | tuple) else ()
    asked = Asked(
        target=joined(listed) if listed else _name("target", target) or "",
        positive=None if positive is None else str(positive),
        goal=aim,
        learners=(learners,) if isinstance(learners, str) else tuple(learners),
        time=_name("time", time),
        group=_name("group", group),
        weight=_name("weight", weight),
        slice=_name("slice", slice),
        budget=budget,
        seed=seed,
        targets=listed,
        ignore=parts_of("ignore", ignore),
        dates=dates,
        decimal=decimal,
        thousands=thousands,
        as_of=as_of,
        absolute_time=absolute_time,
        memory=memory,
    )
    if isinstance(frame, str | Path):
        with _read(Path(frame), asked, None) as table:
            return _trained(table, asked, None, Trials(), progress)
    if asked.memory is not None:
        raise UserError("memory is for the path of a table; a frame is held already")
    table = table_of(frame, ignore=asked.ignore, keep=asked.shown_columns)
    return _trained(table, asked, None, Trials(), progress)


@contextmanager
def _read(path: Path, asked: Asked, out: Path | None) -> Iterator[Table]:
    """The table as it is spelled; with `memory`, rows that are not held lie next to the result meanwhile."""
    if asked.memory is None:
        yield read_table(path, spelled=True, ignore=asked.ignore, keep=asked.shown_columns)
        return
    place = Path(gettempdir(), "counterpoise") if out is None else out
    with ExitStack() as stack:
        try:
            waiting = stack.enter_context(unfinished(place))
        except OSError as error:
            raise UserError(f"cannot write next to {place}: {error.strerror or error}") from None
        yield read_within(path, asked, asked.memory, waiting)


def _name(option: str, column: Any) -> str | None:
    """The name of a column, which pandas also makes of numbers."""
    if column is not None and not isinstance(column, (str, Integral)):
        raise UserError(f"{option} is a {type(column).__name__}; name a column")
    return None if column is None else str(column)


def train_table(
    path: Path,
    *,
    target: str,
    out: Path | None = None,
    resume: bool = False,
    cluster: str | None = None,
    progress: ProgressCallback = silent,
    **asked: Any,
) -> Training | MultilabelTraining:
    """Train, compare and decide on one table, and write the directory `out`.

    Parameters
    ----------
    path
        A CSV or Parquet file, a folder of such files, or a pattern.
    target
        The column with the classes, or columns of labels, as in `Asked`.
    out
        A new directory; by default `counterpoise-<name of the table>`.
    cluster
        Address of a Ray cluster on which learners are compared; "local" starts one here. None: this process compares.
    resume
        Whether to continue from what an interrupted run with the same `out` left.
    progress
        Function that is called with the step and the share of it that is done.
    **asked
        As in `Asked`.

    Returns
    -------
    Training
        The result, with all facts.
    """
    place = out if out is not None else Path(f"counterpoise-{path.name.split('.')[0]}")
    what = Asked(target, **asked)
    if what.goal is not None:
        class_of_interest(what.goal, what.positive)  # a goal that is refused is refused before a long read
    refuse_existing(place)
    progress("reading the table", 0.0)
    with (
        _fits(cluster) as fits,
        _read(path, what, place) as table,
        Unfinished(place, _run(table, what), resume=resume) as trials,
    ):
        refuse_existing(place)  # another run may have ended since
        training = _trained(table, what, place, trials, progress, fits)
        progress("writing the report", 0.0)
        training.save(place)
        trials.done()
    progress("writing the report", 1.0)
    return training


@contextmanager
def _fits(address: str | None) -> Iterator[Fits]:
    """Where the contestants learn."""
    if address is None:
        yield HERE
        return
    with Cluster(address) as cluster:
        yield FitsOnCluster(cluster)


def _run(table: Table, what: Asked) -> dict[str, str]:
    """What must be the same for an interrupted run to continue."""
    run = {
        name: ",".join(value) if isinstance(value, tuple) else str(value)
        for name, value in asdict(what).items()
        if name not in ("budget", "goal")
    }
    # fits of two versions in one race would be no comparison
    return run | {
        "software": str(versions_of(what.learners)),
        "goal": str(what.goal),
        "table": bundle.fingerprint(_content(table)),
    }


def _content(table: Table) -> bytes:
    """The identity of this table: names, types and a hash of all rows."""
    frame = table.frame
    plain = [one for one in frame.columns if not frame[one].dtype.is_nested()]
    rows = frame.select(plain).hash_rows(seed=0).to_numpy() if plain else np.zeros(0)
    read = b"" if table.thinned is None else str(table.thinned.rows).encode()
    return repr(frame.schema).encode() + rows.tobytes() + read


def _trained(
    table: Table,
    asked: Asked,
    out: Path | None,
    trials: Trials,
    progress: ProgressCallback,
    fits: Fits = HERE,
) -> Training | MultilabelTraining:
    refuse_ignored(table.ignored, asked.named_columns, table.frame.columns)
    refuse_to_learn(table.path, *table.frame.shape)
    targets = asked.targets or named_labels(table, asked.target)
    names = targets or (asked.target,)
    table = read_numbers(table, list(names), asked.marks)
    table = without_empty_rows(with_dates(table, [*names, *table.ignored], asked.dates))
    if not targets:
        return Training(**_fields(learn_one(table, asked, trials, progress, fits)) | {"out": out})
    found = learn_several(table, replace(asked, targets=targets), trials, progress, fits)
    trainings = {name: Training(**_fields(one) | {"out": out}) for name, one in found.trainings.items()}
    return MultilabelTraining(**_fields(found) | {"out": out, "trainings": trainings})


def _fields(record: Outcome | Outcomes) -> dict[str, Any]:
    return {one.name: getattr(record, one.name) for one in fields(record)}


def _files(training: Training) -> dict[str, bytes]:
    """Everything that the directory holds."""
    files = bundle.model_files(training.fitted, training.schema.arrays())
    return bundle.whole_directory(training.facts, files, render(training), model_card(training))


def _files_of_labels(training: MultilabelTraining) -> dict[str, bytes]:
    """Everything that the directory holds."""
    files = bundle.model_files((), training.schema.arrays())
    for name, one in training.trainings.items():
        folder = folder_of(training, name)
        own = bundle.model_files(one.fitted, {})
        own[bundle.DECISION] = bundle.to_json(bundle.sealed(facts_of_label(one))).encode()
        files |= {f"{folder}/{file}": data for file, data in own.items()}
    return bundle.whole_directory(training.facts, files, several.page(training), several.card(training))
