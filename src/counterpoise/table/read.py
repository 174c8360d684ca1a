"""Reading a table from CSV or Parquet, and its target.

A CSV is read as text and each column is typed over all of its rows: whole numbers, numbers, true and
false, ISO dates, else text. Types inferred from the first rows only would turn a stray word in row
50,000 into an error about the wrong thing, or into a column of text.
"""

import csv
import difflib
import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "?")
# so many ways to say so in a column whose other cells are all numbers
_MISSING_NUMBER = (
    "-",
    "--",
    ".",
    "N.A.",
    "n.a.",
    "n/a",
    "na",
    "None",
    "none",
    "#N/A",
    "#DIV/0!",
    "#VALUE!",
    "unknown",
    "missing",
)
_DATES = ("%Y-%m-%d", "%Y/%m/%d")
_DATETIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S%.f")
_MOST_CLASSES = 200


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table as it was read.

    Parameters
    ----------
    frame
        Its columns, typed.
    path
        Where it came from, for messages.
    typed
        Whether the file says the types itself (Parquet), so that they are trusted.
    """

    frame: pl.DataFrame
    path: Path
    typed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The target column: classes, in order, and the place of each row's class.

    Parameters
    ----------
    classes
        Their values; of two classes the second is the positive one.
    codes
        (N,).
    positive
        The positive class, or None with more than two classes.
    """

    classes: tuple[str | int | float | bool, ...]
    codes: NDArray[np.int64]
    positive: str | int | float | bool | None


def read_table(path: Path, *, text: frozenset[str] = frozenset(), spelled: bool = False) -> Table:
    r"""Read a CSV (.csv, .tsv, also .gz) or Parquet file.

    Parameters
    ----------
    path
        The file.
    text
        Columns of a CSV that stay text although all of their values look like something else: the
        categories "1" and "2" of a model that has also seen "K".
    spelled
        Whether all cells of a CSV stay text as they are spelled, marks of missing values included.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "t.csv")
    ...     _ = path.write_text("when,size\n2024-01-31,3\n2024-02-01,NA\n")
    ...     read_table(path).frame.dtypes
    [Date, Int64]
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    if path.is_dir():
        raise UserError(f"{path} is a directory; name a CSV or Parquet file")
    if size == 0:
        raise UserError(f"{path} is empty")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else "".join(suffixes[-1:])
    if kind in (".parquet", ".pq") and suffixes[-1] != ".gz":
        frame, typed = _read_parquet(path), True
    elif kind in (".csv", ".tsv", ".txt"):
        frame, typed = _read_csv(path, tab=kind == ".tsv", text=text, spelled=spelled), False
    else:
        raise UserError(f"{path} is neither .csv, .tsv, .csv.gz nor .parquet")
    if frame.height == 0:
        raise UserError(f"{path} has no rows")
    return Table(frame, path, typed)


def table_of(frame: object, *, text: frozenset[str] = frozenset()) -> Table:
    """A data frame as a table."""
    if isinstance(frame, pl.DataFrame):
        return Table(frame, Path("the frame"), typed=True)
    return Table(pl.from_pandas(frame), Path("the frame"), typed=True)


def read_labels(table: Table, target: str, positive: str | None = None) -> Labels:
    """Find the classes in the target column.

    Parameters
    ----------
    table
        The table.
    target
        Name of the column.
    positive
        The class of interest, as text. Of two classes the default is the rarer; with more of them
        the others become one class, "not ...".

    Examples
    --------
    >>> table = Table(pl.DataFrame({"y": ["b", "a", "b", "a", "b"]}), Path("t.csv"), typed=False)
    >>> labels = read_labels(table, "y")
    >>> labels.classes, labels.codes
    (('b', 'a'), array([0, 1, 0, 1, 0]))
    """
    check_columns(table, [target])
    column = _plain_target(table, target)
    missing = np.flatnonzero(column.is_null().to_numpy())
    if len(missing):
        raise UserError(
            f"target {target!r} is missing in {len(missing)} of {len(column)} rows "
            f"({data_rows(missing)}); drop these rows first"
        )
    values = column.unique().sort().to_list()
    if len(values) == 1:
        raise UserError(f"target {target!r} is {values[0]!r} in every row; a classifier needs two classes")
    if len(values) > _MOST_CLASSES:
        raise UserError(
            f"target {target!r} has {len(values)} distinct values, more than {_MOST_CLASSES}; "
            "is it a number to estimate, or an identifier?"
        )
    codes = column.replace_strict(values, list(range(len(values))), return_dtype=pl.Int64).to_numpy()
    classes: tuple[str | int | float | bool, ...] = tuple(values)
    place = None if positive is None else _place(classes, positive, target)
    if len(classes) > 2 and place is not None:
        classes, codes = (f"not {classes[place]}", str(classes[place])), (codes == place).astype(np.int64)
        place = 1
    n = np.bincount(codes, minlength=len(classes))
    single = [k for k in range(len(classes)) if n[k] == 1]
    if single:
        where = int(np.flatnonzero(codes == single[0])[0])
        raise UserError(
            f"target {target!r}: class {classes[single[0]]!r} has one row (data row {where + 1})"
            + (f", and so have {len(single) - 1} other classes" if len(single) > 1 else "")
            + "; a class needs at least two rows, one to learn from and one to test on"
        )
    if len(classes) > 2:
        return Labels(classes, codes, None)
    if place is None:
        place = 0 if n[0] < n[1] else 1
    if place == 0:
        classes, codes = classes[::-1], 1 - codes
    return Labels(classes, codes, classes[1])


def check_columns(table: Table, names: list[str]) -> None:
    """Refuse a table that lacks a column.

    Examples
    --------
    >>> check_columns(Table(pl.DataFrame({"size": [1]}), Path("t.csv"), typed=False), ["sise"])
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: t.csv has no column 'sise'; did you mean 'size'? its columns: size
    """
    columns = table.frame.columns
    absent = [name for name in names if name not in columns]
    if not absent:
        return
    listed = ", ".join(columns[:30]) + (f", and {len(columns) - 30} more" if len(columns) > 30 else "")
    if len(absent) == 1:
        close = difflib.get_close_matches(absent[0], columns, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UserError(f"{table.path} has no column {absent[0]!r}; {hint}its columns: {listed}")
    raise UserError(f"{table.path} lacks the columns {', '.join(map(repr, absent))}; its columns: {listed}")


def data_rows(places: NDArray[np.int64], most: int = 5) -> str:
    """Row numbers for a message, counted from 1 without the header.

    Examples
    --------
    >>> data_rows(np.array([1, 4]))
    'data rows 2, 5'
    """
    shown = ", ".join(str(place + 1) for place in places[:most])
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return f"data row{'s' if len(places) > 1 else ''} {shown}{more}"


def quoted(value: object, most: int = 40) -> str:
    """A cell for a message, which a long one must not fill.

    Examples
    --------
    >>> quoted("red"), quoted("ab" * 100, most=6)
    ("'red'", "'ababab…'")
    """
    text = str(value)
    return repr(text if len(text) <= most else text[:most] + "…")


def numbers(column: pl.Series) -> pl.Series:
    """Text as numbers, null where it is none.

    Examples
    --------
    >>> numbers(pl.Series(["1", "x"])).to_list()
    [1.0, None]
    """
    return column.cast(pl.Float64, strict=False)


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path} is not a readable Parquet file ({_first_line(error)})") from None


def _read_csv(path: Path, *, tab: bool, text: frozenset[str], spelled: bool) -> pl.DataFrame:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({_first_line(error)})") from None
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")  # the line ends of old Macs, which Excel still offers
    try:
        header = raw[: raw.find(b"\n") if b"\n" in raw else len(raw)].decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a CSV file in UTF-8") from None
    if not header.strip():
        raise UserError(f"{path} has an empty first line; a CSV starts with its column names")
    separator = "\t" if tab else max(",;\t", key=header.count)
    try:
        names = next(csv.reader(io.StringIO(header), delimiter=separator))
    except csv.Error as error:
        raise UserError(f"{path} has a first line that names no columns ({_first_line(error)})") from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{path} has more than one column named {', '.join(map(repr, twice))}")
    try:
        frame = pl.read_csv(raw, separator=separator, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        problem = _too_long(raw, separator, len(names)) or _first_line(error)
        raise UserError(f"{path} is not a readable CSV file ({problem})") from None
    if frame.width == len(names):  # Polars keeps the doubled quotes of a quoted name
        frame.columns = names
    if spelled:
        return frame
    return frame.select(
        _typed(column, keep=column.name in text, decimal_comma=separator != ",") for column in frame.get_columns()
    )


def _too_long(raw: bytes, separator: str, fields: int) -> str | None:
    reader = csv.reader(io.StringIO(raw.decode("utf-8-sig", errors="replace")), delimiter=separator)
    try:
        for row in reader:
            if len(row) > fields:
                return f"line {reader.line_num} has {len(row)} fields, the header {fields}"
    except csv.Error:
        pass
    return None


def _typed(column: pl.Series, *, keep: bool, decimal_comma: bool) -> pl.Series:
    name = column.name
    column = column.str.strip_chars()
    frame = column.to_frame()
    text = frame.select(pl.when(~pl.col(name).is_in(MISSING)).then(pl.col(name)))[name]
    held = text.drop_nulls()
    if keep or held.is_empty():
        return text
    # 0,5 is a half where commas separate no cells; elsewhere it might be a thousands mark
    if decimal_comma and held.str.contains(r"^[+-]?\d+(,\d+)?(e[+-]?\d+)?$").all() and held.str.contains(",").any():
        return numbers(text.str.replace(",", ".", literal=True))
    figures = frame.select(pl.when(~pl.col(name).is_in(MISSING + _MISSING_NUMBER)).then(pl.col(name)))[name]
    if figures.null_count() < len(figures) and numbers(figures).null_count() == figures.null_count():
        text, held = figures, figures.drop_nulls()
    # A code such as 007 is no number: as one it would be equal to 7.
    coded = bool(held.str.contains(r"^[+-]?0\d").any())
    if not coded and numbers(held).null_count() == 0:
        whole = held.str.contains(r"^[+-]?\d{1,18}$").all()
        return text.cast(pl.Int64) if whole else numbers(text)
    if held.str.to_lowercase().is_in(["true", "false"]).all():
        return frame.select((text.str.to_lowercase() == "true").alias(name))[name]
    for form in _DATES:
        if held.str.to_date(form, strict=False).null_count() == 0:
            return text.str.to_date(form, strict=False)
    for form in _DATETIMES:
        if held.str.to_datetime(form, strict=False).null_count() == 0:
            return text.str.to_datetime(form, strict=False)
    return text


def _plain_target(table: Table, target: str) -> pl.Series:
    column = table.frame[target]
    if column.dtype.is_float():
        column = column.fill_nan(None)
        held = column.drop_nulls()
        if bool(held.is_infinite().any()):
            raise UserError(f"target {target!r} holds infinity, which is no class")
        if bool((held != held.round(0)).any()):
            if held.n_unique() > 20:
                raise UserError(
                    f"target {target!r} holds {held.n_unique()} distinct fractions; it is a number to "
                    "estimate, not a class"
                )
            return column
        return _whole(column, target)
    if column.dtype.is_integer():
        return _whole(column, target)
    if column.dtype == pl.Boolean:
        return column
    if column.dtype == pl.Null:
        return column.cast(pl.String)
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        raise UserError(f"target {target!r} has type {column.dtype}, which is no class")
    return column.cast(pl.String)


def _whole(column: pl.Series, target: str) -> pl.Series:
    whole = column.cast(pl.Int64, strict=False)
    lost = column.is_not_null() & whole.is_null()
    if lost.any():
        place = int(lost.arg_max() or 0)
        raise UserError(
            f"target {target!r} is {column[place]} in data row {place + 1}, which is too large for a class; "
            "make classes small whole numbers or text"
        )
    return whole


def _place(classes: tuple[str | int | float | bool, ...], positive: str, target: str) -> int:
    spelled = [str(value).lower() if isinstance(value, bool) else str(value) for value in classes]
    wanted = positive.lower() if isinstance(classes[0], bool) else positive
    if wanted in spelled:
        return spelled.index(wanted)
    raise UserError(
        f"target {target!r} never is {positive!r}; its values: "
        + ", ".join(spelled[:20])
        + (f", and {len(spelled) - 20} more" if len(spelled) > 20 else "")
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
