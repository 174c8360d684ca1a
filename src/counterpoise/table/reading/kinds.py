"""The kinds of text cells in a table: numbers, flags or words; decided by the column and by the file as a whole.

A number that can be read in two ways, such as 2,591, is decided by the other cells of its column; else by the marks
that other columns prove, or by the separator of the cells; else only by the user. Then the column is in doubt, and the
error on learning from it names the option that decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from counterpoise.table.reading.missing import MISSING
from counterpoise.table.reading.number_columns import CODE, LOOKED_AT, Example, looked_at
from counterpoise.table.reading.numbers import PLAIN, SAID_NOTHING, Marks, NumberFormat
from counterpoise.table.reading.wrapped_numbers import mixed_sizes, wrapped_numbers
from counterpoise.wording import listed, plural, quoted

_WHOLE = r"^[+-]?[0-9]+$"
_SURE_POINT = r"^[+-]?(?:0?\.|[0-9]{4,}\.)|\.(?:[0-9]{0,2}|[0-9]{4,})$|[eE]"
"""A dot before a fraction, which 2.591 need not have."""
_SHOWN = 5
MOSTLY_ONCE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Columns of text after they were read.

    Parameters
    ----------
    frame
        The columns: numbers and flags are typed; the rest is text without surrounding blanks. Marks of a missing value
        are empty cells.
    figures
        Written form of the numbers in columns that are not plain, by name.
    doubts
        Reasons why columns cannot be learned from as they are, by name.
    said
        Sentences on columns with numbers in another form than the plain one.
    """

    frame: pl.DataFrame
    figures: Mapping[str, NumberFormat]
    doubts: Mapping[str, str]
    said: tuple[str, ...]


def _sentence(how: str, why: str, examples: list[Example]) -> str:
    """What was read as what, for the reader; of columns that are written alike in one sentence."""
    one, many = examples[0], sum(each.many for each in examples)
    names, cells = listed((repr(each.column) for each in examples), _SHOWN), plural(many, "cell")
    return (
        f"Column{'s' if len(examples) > 1 else ''} {names} hold{'' if len(examples) > 1 else 's'} {how}: "
        f"{quoted(one.cell)} is read as {one.value:.15g} ({'; '.join(part for part in (cells, why) if part)})."
    )


def read_text(
    frame: pl.DataFrame, *, separator: str | None = None, typed: bool = False, marks: Marks = SAID_NOTHING
) -> Read:
    """Read columns of text.

    Parameters
    ----------
    frame
        Columns of text only.
    separator
        The separator of the cells of the file; None if there is none.
    typed
        Whether the writer of the table could have declared that a column holds numbers, and did not: whole numbers that
        repeat are then names, if there is no mark of a missing value among them.
    marks
        The user's marks.

    Examples
    --------
    >>> frame = pl.DataFrame({"amount": ["688", "2,591"], "share": ["0.5", "n/a"], "kind": [" a", "?"]})
    >>> read = read_text(frame, separator=",")
    >>> read.frame.rows(), read.figures
    ([(688, 0.5, 'a'), (2591, None, None)], {'amount': NumberFormat(decimal='.', thousands=',', unit='')})
    >>> read_text(pl.DataFrame({"amount": ["2,591", "1,234"]})).doubts["amount"].partition("; give")[0]
    "column 'amount' holds '2,591' in data row 1, which is 2591 or 2.591"
    """
    bare = frame.select(pl.all().str.strip_chars())
    held = bare.select(pl.when(~pl.all().is_in(MISSING)).then(pl.all()))
    marked = (bare.null_count().row(0), bare.select((pl.all() == "").sum()).row(0), held.null_count().row(0))
    unmarked = {name for name, null, empty, none in zip(frame.columns, *marked, strict=True) if none == null + empty}
    plain, proofs = _plain_numbers(held, unmarked if typed else set())
    looked, columns, doubts = {}, {}, {}
    for name in frame.columns:
        sure = name in proofs.names or (name in plain and name not in proofs.doubtful)
        found = None if sure else looked_at(held[name])
        if isinstance(found, str):
            doubts[name] = found
        elif found is not None:
            looked[name] = found
        columns[name] = plain[name] if name in plain else _flags(held[name])
    proved = {*proofs.points, *(one.proves for one in looked.values() if one.proves is not None)}
    habit = marks.decimal or (proved.pop() if len(proved) == 1 else None)
    figures: dict[str, NumberFormat] = {}
    examples: dict[tuple[str, str], list[Example]] = {}
    for name, one in looked.items():
        how, why = one.decided(habit, separator, marks)
        if how is None:
            doubts[name] = one.doubt
            columns[name] = held[name]
            continue
        columns[name], example = one.read(how)
        if example is not None:
            examples.setdefault((how.in_words, why), []).append(example)
        if how != PLAIN:
            figures[name] = how
    if habit == ",":  # 2.591 in a later file is no fraction either
        figures |= {name: NumberFormat(",") for name in proofs.whole if name not in figures}
    said = [_sentence(*said, found) for said, found in examples.items()]
    for name, column in columns.items():
        if column.dtype == pl.String and name not in doubts:
            if (mixed := mixed_sizes(column)) is not None:
                doubts[name] = mixed
            elif (wrapped := wrapped_numbers(column)) is not None:
                said.append(wrapped)
    return Read(pl.DataFrame([columns[name] for name in frame.columns]), figures, doubts, tuple(said))


@dataclass(frozen=True, slots=True)
class _Proofs:
    """What columns of plain numbers show.

    Parameters
    ----------
    points
        A dot for each column where one surely stands before a fraction.
    doubtful
        Columns in which each dot has three digits behind it, so that it may stand between groups of digits.
    whole
        Columns without any mark.
    names
        Columns of figures that are names: 007, or whole numbers as text where they could be numbers.
    """

    points: tuple[str, ...] = ()
    doubtful: frozenset[str] = frozenset()
    whole: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()


def _plain_numbers(held: pl.DataFrame, typed: set[str]) -> tuple[dict[str, pl.Series], _Proofs]:
    """The columns that are numbers without further ado, all at once: a wide table has thousands of them.

    Parameters
    ----------
    held
        Text, missing where a mark of a missing value stands.
    typed
        Columns whose writer chose text for whole numbers.
    """
    figures = held.select(pl.all().cast(pl.Float64, strict=False))
    names = [
        name
        for name, empty, none in zip(held.columns, held.null_count().row(0), figures.null_count().row(0), strict=True)
        if none == empty < held.height
    ]
    if not names:
        return {}, _Proofs()
    chosen = held.select(names)
    coded, dotted = _with(chosen, CODE), _with(chosen, r"\.")
    early = _with(chosen.select(sorted(dotted)).head(LOOKED_AT), _SURE_POINT)
    sure = early | _with(chosen.select(sorted(dotted - early)), _SURE_POINT)
    plain = chosen.select([name for name in names if name not in dotted])
    whole = set(plain.columns) - _with(plain.select(~pl.all().str.contains(_WHOLE)), None)
    found = {
        name: _whole_numbers(held[name], figures[name]) if name in whole else figures[name]
        for name in names
        if name not in coded and not (name in typed and name in whole and _repeats(held[name]))
    }
    return found, _Proofs(
        tuple("." for name in found if name in sure),
        frozenset(dotted & found.keys()) - sure,
        tuple(name for name in found if name not in dotted),
        frozenset(names) - found.keys(),
    )


def _with(frame: pl.DataFrame, mark: str | None) -> set[str]:
    """The columns with a cell that matches, or of flags with one that is true."""
    flags = frame if mark is None else frame.select(pl.all().str.contains(mark))
    return {one.name for one in flags.select(pl.all().any()).get_columns() if one.item()}


def _repeats(text: pl.Series) -> bool:
    """Whether most values occur more than once."""
    held = text.drop_nulls()
    return int(held.is_unique().sum()) <= MOSTLY_ONCE * len(held)


def _whole_numbers(text: pl.Series, figures: pl.Series) -> pl.Series:
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return whole
    # beyond 64 bits; where numbers would make two of them equal, they are names of things
    return text if figures.n_unique() < text.n_unique() else figures


def _flags(text: pl.Series) -> pl.Series:
    """The column as flags if it holds nothing else, else as it is."""
    low = text.str.to_lowercase()
    return low == "true" if text.null_count() < len(text) and low.drop_nulls().is_in(["true", "false"]).all() else text
