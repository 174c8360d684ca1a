"""Counting labels where they lie: arrays, columns, files, lazy frames, loaders and data sets.

What is longer than memory is counted part by part: only the distinct labels are held. A file is read as `counterpoise
train` reads it, so that its classes have the same names.
"""

import warnings
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from counterpoise import weights
from counterpoise.arrays import value_text
from counterpoise.errors import UserError
from counterpoise.weights.by_class import is_missing, plain
from counterpoise.weights.counts import LabelCounts, class_names
from counterpoise.weights.labels import Tally, counts_of, tally_of

if TYPE_CHECKING:
    import polars as pl

_IN_A_BATCH = ("labels", "label", "targets", "target", "y")
"""How loaders of mappings call the labels."""
_ENDLESS = -1
"""TensorFlow's cardinality of a data set that repeats for ever."""


def count(
    source: Any,
    column: str | None = None,
    classes: Iterable[Hashable] | int | None = None,
    *,
    ignore_index: Any = None,
) -> Any:
    r"""Count the samples of each class, or the positives of each label.

    Parameters
    ----------
    source
        One label per sample, (N,): integers, strings or booleans, in a list, a NumPy array, a pandas or Polars column,
        or an array of PyTorch, TensorFlow or JAX. Or multilabel targets (N, L) of 0 and 1. Or a table: a frame of
        pandas or Polars (also lazy), a Ray `Dataset`, or the path of a file of Parquet or CSV, of a folder of Parquet
        files, or else of CSV files, or a pattern such as "days/*.parquet". Or the labels in parts: an iterator of
        arrays, a PyTorch `DataLoader` or a `tf.data.Dataset`; where a part is a tuple, the labels are its last member.
    column
        Name of the labels in a table, or in the parts of a loader that are mappings. Default: the only column; in a
        mapping "labels", "label", "targets", "target" or "y".
    classes
        All classes in the order of the model's outputs, or their number, for class indices from 0; default: the classes
        found, sorted. A class that is listed but absent counts 0.
    ignore_index
        Label of the rows (for multilabel targets: entries) to omit, such as -100 or 255; None (default) omits none.

    Returns
    -------
    ClassCounts or LabelCounts
        `LabelCounts` for two-dimensional targets.

    Raises
    ------
    UserError
        If labels are missing, fractional, of mixed types, or of a class that `classes` does not list. Without `classes`
        also for numbers of which one may be a mark and no class: a negative one (unless they are just -1 and 1), or one
        after a gap, as 255 is after 18. For a file that cannot be read, a column that is absent, and a source of
        unknown kind.

    Examples
    --------
    >>> count(["cat", "dog", "cat"])
    ClassCounts([2, 1], classes=['cat', 'dog'])
    >>> count([[1, 0], [1, 1]])
    LabelCounts([2, 1], total=[2, 2])
    >>> count([0, 2, 255, 2], classes=3, ignore_index=255)
    ClassCounts([1, 0, 2])
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "monday.csv").write_text("id,kind\n1,oak\n2,fir\n")
    ...     _ = Path(folder, "tuesday.csv").write_text("id,kind\n3,oak\n")
    ...     count(f"{folder}/*.csv", "kind")
    ClassCounts([1, 2], classes=['fir', 'oak'])
    """
    if column is not None and not isinstance(column, str):
        if classes is not None:
            raise UserError(f"column is {value_text(column)}; pass the name of a column, or None")
        warnings.warn(
            "the second argument of count is the name of a column; write classes=...", DeprecationWarning, stacklevel=2
        )
        column, classes = None, column
    listed = class_names(classes)
    found = _of_stream(source, column, ignore_index)
    if isinstance(found, LabelCounts):
        return found if listed is None else LabelCounts(found.positives, found.totals, listed)
    if found is not None:
        return counts_of(found, listed)
    if column is not None:
        source = _column_of(source, column)
    return weights.count(source, listed, ignore_index=ignore_index)


def _of_stream(source: Any, column: str | None, mark: Any) -> Tally | LabelCounts | None:
    """How often each label occurs in what is read in parts; None for what is held whole."""
    if isinstance(source, str | Path):
        return _of_files(str(source), column, mark)
    if _is_a(source, "polars", "LazyFrame"):
        return _of_lazy(source, _only(source.collect_schema().names(), column, "the frame"), "the frame", mark)
    if _is_a(source, "ray.data", "Dataset"):
        return _of_ray(source, column, mark)
    if _is_a(source, "torch.utils.data", "DataLoader") or _is_a(source, "tensorflow", "DatasetV2"):
        if hasattr(source, "cardinality") and int(source.cardinality()) == _ENDLESS:
            raise UserError("source repeats without end; count the data set before .repeat()")
        return _of_parts((_labels_in(part, column, place) for place, part in enumerate(source)), mark)
    if isinstance(source, Iterator):
        if column is not None:
            raise UserError("column names a column of a table, but source is an iterator of labels; omit it")
        return _of_parts(map(_alone, source), mark)
    return None


def _is_a(source: Any, module: str, name: str) -> bool:
    """Whether something is of a class of a package that need not be installed."""
    return any(one.__name__ == name and one.__module__.startswith(module) for one in type(source).__mro__)


def _column_of(table: Any, column: str) -> Any:
    if not hasattr(table, "columns"):
        raise UserError(
            f"column is {column!r}, but source is {type(table).__name__}, which has no columns; omit column, or pass a "
            "frame or a path"
        )
    return table[_only(list(table.columns), column, "the frame")]


def _only(names: list[Any], column: str | None, where: str) -> str:
    """The name of the column that is counted."""
    if column is None and len(names) == 1:
        return str(names[0])
    shown = ", ".join(map(repr, names[:20])) + (", …" if len(names) > 20 else "")
    if column is None:
        raise UserError(f"{where} has {len(names)} columns; pass column=..., one of {shown}")
    if column not in names:
        raise UserError(f"{where} has no column {column!r}; its columns: {shown}")
    return column


def _of_parts(parts: Iterable[Any], mark: Any) -> Tally | LabelCounts:
    tally: Tally = Counter()
    sums: LabelCounts | None = None
    for place, part in enumerate(parts):
        try:
            found = tally_of(part if np.ndim(part) else [part], mark)
            if isinstance(found, LabelCounts) and not tally:
                sums = found if sums is None else sums + found
                continue
        except UserError as error:
            raise UserError(f"part {place} of source: {error}") from None
        if isinstance(found, LabelCounts) or sums is not None:
            raise UserError(f"part {place} of source: parts of one and of two dimensions are mixed")
        tally.update(found)
    if not tally and sums is None:
        raise UserError("source has no labels: it is empty, or an iterator that was read before")
    return tally if sums is None else sums


def _alone(part: Any) -> Any:
    """A part of an iterator, which holds labels alone."""
    if isinstance(part, tuple | Mapping):
        raise UserError(
            f"source gives a {type(part).__name__}; pass the labels alone, such as count(y for _, y in batches)"
        )
    return part


def _labels_in(part: Any, column: str | None, place: int) -> Any:
    """The labels in a part of a loader or data set."""
    if isinstance(part, Mapping):
        names = [column] if column is not None else [name for name in _IN_A_BATCH if name in part]
        if len(names) != 1 or names[0] not in part:
            raise UserError(
                f"part {place} of source has the entries {', '.join(map(repr, part))}; pass column=..., the one that "
                "holds the labels"
            )
        return part[names[0]]
    if column is not None:
        raise UserError(f"column is {column!r}, but part {place} of source is {type(part).__name__}, no mapping")
    return part[-1] if isinstance(part, tuple | list) else part


def _of_ray(source: Any, column: str | None, mark: Any) -> Tally:
    name = _only(list(source.columns() or ()), column, "the data set")

    def counted(batch: Any) -> Any:  # where the blocks are
        rows = batch[name].value_counts(dropna=False)
        return {"label": rows.index.to_numpy(), "rows": rows.to_numpy()}

    spelled: Counter[Any] = Counter()
    for batch in source.select_columns([name]).map_batches(counted, batch_format="pandas").iter_batches():
        labels = [None if is_missing(label) else label for label in batch["label"].tolist()]
        for label, rows in zip(labels, batch["rows"].tolist(), strict=True):
            spelled[label] += rows
    return _of_cells(spelled, "the data set", name, mark)


def _of_lazy(frame: "pl.LazyFrame", column: str, where: str, mark: Any) -> Tally:
    import polars as pl

    from counterpoise.table.reading.files.table_files import NO_PARQUET

    try:
        found = frame.group_by(pl.col(column).alias("label")).agg(pl.len().alias("rows"))
        rows = found.sort("label").collect(engine="streaming")
    except NO_PARQUET as error:
        raise UserError(f"{where} cannot be counted ({str(error).splitlines()[0]})") from None
    return _as_classes(rows["label"].alias(column), rows["rows"].to_list(), where, mark)


def _of_files(given: str, column: str | None, mark: Any) -> Tally:
    from counterpoise.table.reading.files.table_files import is_parquet, named_files

    spelled: Counter[Any] = Counter()
    tally: Tally = Counter()
    separator = None
    for file in named_files(Path(given)):
        if is_parquet(file):
            tally.update(_of_parquet(file, column, mark))
        else:
            cells, separator = _spelled_in(file, column)
            spelled.update(cells)
    if spelled:
        tally.update(_of_cells(spelled, given, column, mark, separator))
    return tally


def _of_parquet(file: Path, column: str | None, mark: Any) -> Tally:
    import polars as pl

    from counterpoise.table.reading.files.table_files import parquet_schema

    name = _only(list(parquet_schema(file)), column, str(file))
    return _of_lazy(pl.scan_parquet(file, glob=False), name, str(file), mark)


def _spelled_in(file: Path, column: str | None) -> tuple["Counter[str | None]", str]:
    """How often each cell of a column of delimited text occurs, and what separates the cells of a row."""
    from counterpoise.table.reading.files.delimited import opened

    found: Counter[str | None] = Counter()
    with opened(file) as text:
        name = _only(text.names, column, str(file))
        for block in text.blocks():
            rows = block.get_column(name).value_counts()
            found.update(dict(zip(*(one.to_list() for one in rows.get_columns()), strict=True)))
        return found, text.separator


def _of_cells(
    spelled: "Counter[Any]", where: str, column: str | None, mark: Any, separator: str | None = None
) -> Tally:
    """The counts of cells that are text, or, without a separator, have types."""
    import polars as pl

    cells = pl.Series(column or "label", list(spelled), dtype=pl.String if separator else None)
    return _as_classes(cells, list(spelled.values()), where, mark, separator)


def _as_classes(cells: "pl.Series", rows: list[int], where: str, mark: Any, separator: str | None = None) -> Tally:
    """The distinct cells of a column as classes, as training reads them."""
    from counterpoise.table.reading.table import Table, refuse_doubtful, with_numbers
    from counterpoise.table.reading.target import plain_target

    table = Table(cells.to_frame(), Path(where), typed=separator is None, separator=separator)
    table = with_numbers(table, [cells.name])
    refuse_doubtful(table, cells.name)
    labels, tally = plain_target(table, cells.name), Counter[Hashable]()
    if labels.dtype.is_float():
        fraction = labels.filter(labels != labels.round(0))[0]
        raise UserError(
            f"{where}: column {cells.name!r} holds {fraction}: no class; labels are integers, strings or booleans"
        )
    for label, number in zip(labels.to_list(), rows, strict=True):
        tally[label] += number
    return _without(tally, where, cells.name, mark)


def _without(tally: Tally, where: str, column: str, mark: Any) -> Tally:
    """The tally without the label that marks rows to omit; missing ones are refused."""
    omitted = None if is_missing(mark) else plain(mark)
    kept = Counter({label: rows for label, rows in tally.items() if mark is None or label != omitted})
    if None in kept:
        raise UserError(
            f"{where}: column {column!r} is missing in {kept[None]:,} of {sum(tally.values()):,} rows; drop these rows "
            'first, or omit them with ignore_index=float("nan")'
        )
    return kept
