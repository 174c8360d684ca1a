"""Categories and text in new rows that the model has never seen."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.features.schema import CATEGORY, TEXT, Column, Schema
from counterpoise.table.reading.table import Table
from counterpoise.wording import listed, quoted

_MOST_SHOWN = 1_000
FEWEST_TEXTS = 10
_FEWEST_VALUES = 10
_SOME_TEXTS = 1_000
_FIGURES = r"^[+-]?[0-9]+(?:\.[0-9]*)?$"


REFUSE, MISSING = "refuse", "missing"
"""What becomes of rows of which a column holds nothing that the model knows."""


class Categories:
    """Warnings about categories and text that are new to the model; a column of nothing else is refused, if it matters.

    A few new values are expected if many training values occurred once: new rows contain about the same share of such
    values (Good and Turing). A column is wrong if ten values or more are all new, and so many different ones are less
    likely than 1 in 1,000 by this share; or if it holds numbers in place of words. It matters unless training found
    that the model does as well without it. Text is wrong if ten texts or more hold nothing known to the model.

    Parameters
    ----------
    schema
        Schema of the model.
    importance
        Importance of the columns that training checked: `drop` and `error`, from `importance_of`.
    unknown
        "refuse" a column whose values are all unknown to the model, or count them as "missing".

    Examples
    --------
    >>> from pathlib import Path
    >>> categories = Categories(Schema((Column("kind", "category", ("a", "b")),)))
    >>> categories.add(Table(pl.DataFrame({"kind": ["b", "new", None]}), Path("t.parquet"), typed=True))
    >>> categories.said(Path("t.parquet"))
    ["column 'kind': 1 of 2 values are unknown to the model and count as missing: 'new'"]
    """

    def __init__(
        self,
        schema: Schema,
        importance: Mapping[str, Mapping[str, float]] | None = None,
        unknown: str = REFUSE,
    ) -> None:
        check_unknown(unknown)
        self._schema, self._importance, self._unknown = schema, importance or {}, unknown
        self._columns = [one for one in schema.columns if one.kind == CATEGORY]
        self._held = dict.fromkeys([one.name for one in self._columns], 0)
        self._new = dict(self._held)
        self._shown: dict[str, dict[str, None]] = {name: {} for name in self._held}
        self._strange = {one.name: not holds_numbers(one) for one in self._columns}
        self._texts = {one.name: 0 for one in schema.columns if one.kind == TEXT}
        self._unknown_texts: dict[str, list[str]] = {name: [] for name in self._texts}
        self._understood: set[str] = set()

    def add(self, table: Table) -> None:
        """Look at some rows, which `usable` gave."""
        for name in self._texts:
            text = table.frame[name].cast(pl.String).drop_nulls()
            if len(text) and name not in self._understood:
                self._look_at_text(text, name)
        for one in self._columns:
            text = table.frame[one.name].cast(pl.String).drop_nulls()
            new = text.filter(~text.is_in(one.categories))
            self._held[one.name] += len(text)
            self._new[one.name] += len(new)
            if len(new) and self._strange[one.name]:
                self._strange[one.name] = bool(new.str.contains(_FIGURES).all())
            if len(new) and len(self._shown[one.name]) < _MOST_SHOWN:
                self._shown[one.name] |= dict.fromkeys(new.unique(maintain_order=True).to_list())

    def said(self, path: Path) -> list[str]:
        """A sentence for each column with new values.

        Raises
        ------
        UserError
            If a column that matters holds nothing else.
        """
        sentences = [
            self._refused_or_said(
                f"column {one.name!r} holds no {one.unit} known to the model: "
                f"{_examples(self._unknown_texts[one.name])}",
                one,
                path,
            )
            for one in self._schema.columns
            if self._texts.get(one.name, 0) >= FEWEST_TEXTS and one.name not in self._understood
        ]
        for one in self._columns:
            new, held, strange = self._new[one.name], self._held[one.name], self._strange[one.name]
            if new == 0:
                continue
            shown = _examples(self._shown[one.name])
            if new == held and (strange or _surely_wrong(one.rare, held, len(self._shown[one.name]))):
                kind = ", numbers here and words in training," if strange else ""
                known = f"it knows {_examples(one.categories)}"
                nothing = f"column {one.name!r}{kind} holds only values unknown to the model: {shown}; {known}"
                sentences.append(self._refused_or_said(nothing, one, path))
            else:
                sentences.append(
                    f"column {one.name!r}: {new:,} of {held:,} values are unknown to the model and count as "
                    f"missing: {shown}"
                )
        return sentences

    def _look_at_text(self, text: pl.Series, name: str) -> None:
        """Count texts until one is understood: the first of these rows, and all of them if the first are not."""
        known = self._schema.texts[name].known
        if known(text.head(_SOME_TEXTS)) or (len(text) > _SOME_TEXTS and known(text.slice(_SOME_TEXTS))):
            self._understood.add(name)
        self._texts[name] += len(text)
        shown = self._unknown_texts[name]
        shown += text.head(_SOME_TEXTS - len(shown)).to_list()

    def _refused_or_said(self, nothing: str, one: Column, path: Path) -> str:
        counts = "No word of it counts" if one.kind == TEXT else "All count as missing"
        if self._unknown == MISSING:
            return f"{nothing}. {counts}"
        if not self._matters(one.name):
            return f"{nothing}. {counts}; in training the model did as well without the column"
        raise UserError(
            f"{path}: {nothing}. Write them as in training, or let them count as missing: --unknown missing "
            "(unknown='missing' in Python)"
        )

    def _matters(self, name: str) -> bool:
        """Whether training found that the model does worse without the column, or did not check."""
        found = self._importance.get(name)
        return found is None or found["drop"] > found["error"]


def holds_numbers(column: Column) -> bool:
    """Whether some categories of a column are numbers; of others a row that holds a number is refused.

    Examples
    --------
    >>> holds_numbers(Column("code", "category", ("7", "V58"))), holds_numbers(Column("kind", "category", ("oak",)))
    (True, False)
    """
    return any(re.match(_FIGURES, word) for word in column.categories)


def check_unknown(unknown: str) -> None:
    """Refuse what is neither "refuse" nor "missing".

    Examples
    --------
    >>> check_unknown("drop")
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: unknown is 'drop'; it must be 'refuse' or 'missing'
    """
    if unknown not in (REFUSE, MISSING):
        raise UserError(f"unknown is {unknown!r}; it must be {REFUSE!r} or {MISSING!r}")


def _surely_wrong(rare: float, values: int, distinct: int) -> bool:
    """Whether so many different values, all of them new, are less likely than 1 in 1,000: of few rows nobody knows.

    Examples
    --------
    >>> _surely_wrong(0.0, 2, 1), _surely_wrong(0.0, 10, 1), _surely_wrong(0.4, 60, 1), _surely_wrong(0.4, 60, 60)
    (False, True, False, True)
    """
    return values >= _FEWEST_VALUES and rare**distinct < 0.001


def _examples(values: Iterable[str]) -> str:
    return listed(map(quoted, values), 3)
