"""What new rows hold that a model has never seen: categories and text."""

import re
from pathlib import Path

import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.features import CATEGORY, TEXT, Column, Schema
from counterpoise.table.read import Table
from counterpoise.table.wording import quoted

_MOST_SHOWN = 1_000
_FIGURES = r"^[+-]?[0-9]+(?:\.[0-9]*)?$"


class Categories:
    """What to say of values that are no category of the model; a column of nothing else is refused, as is strange text.

    A few new values are to be expected where training rows showed many that occur once: such values
    come with about the same share again (Good and Turing). A column is refused if by that share even
    one known value was to be expected, or if it holds numbers in place of words.

    Parameters
    ----------
    schema
        Of the model.

    Examples
    --------
    >>> from pathlib import Path
    >>> categories = Categories(Schema((Column("kind", "category", ("a", "b")),)))
    >>> categories.add(Table(pl.DataFrame({"kind": ["b", "new", None]}), Path("t.parquet"), typed=True))
    >>> categories.said(Path("t.parquet"))
    ["column 'kind': 1 of 2 values are no category that the model knows, and count as missing: 'new'"]
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._begun = False
        self._columns = [one for one in schema.columns if one.kind == CATEGORY]
        self._held = dict.fromkeys([one.name for one in self._columns], 0)
        self._new = dict(self._held)
        self._shown: dict[str, dict[str, None]] = {name: {} for name in self._held}
        self._strange = {one.name: not any(map(_is_figure, one.categories)) for one in self._columns}

    def add(self, table: Table) -> None:
        """Look at some rows, which `usable` gave.

        Raises
        ------
        UserError
            If the first ones hold text of which the model knows nothing.
        """
        for one in self._schema.columns if not self._begun else ():
            if one.kind == TEXT:
                _check_text(table.frame[one.name], one, self._schema, table)
        self._begun = True
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
            If a column holds nothing else.
        """
        sentences = []
        for one in self._columns:
            new, held, strange = self._new[one.name], self._held[one.name], self._strange[one.name]
            if new == 0:
                continue
            shown = _listed(list(self._shown[one.name]))
            if new == held and (strange or _surely_wrong(one.rare, held)):
                kind = ", numbers here and words in training," if strange else ""
                raise UserError(
                    f"{path}: column {one.name!r}{kind} holds nothing that the model knows: {shown}; it knows "
                    f"{_listed(list(one.categories))}. Write the values as in training, or empty the column to do "
                    "without"
                )
            sentences.append(
                f"column {one.name!r}: {new:,} of {held:,} values are no category that the model knows, "
                f"and count as missing: {shown}"
            )
        return sentences


def _check_text(column: pl.Series, one: Column, schema: Schema, table: Table, most: int = 1000) -> None:
    text = column.cast(pl.String).drop_nulls().head(most)
    if len(text) >= 10 and not schema.texts[one.name].known(text):
        raise UserError(
            f"{table.path}: column {one.name!r} holds no {one.unit} that the model knows: {_listed(text.to_list())}. "
            "Write the text as in training, or empty the column to do without"
        )


def _surely_wrong(rare: float, values: int) -> bool:
    """Whether so many values, all of them new, are less likely than 1 in 1,000."""
    return max(rare, 0.01) ** values < 0.001


def _listed(values: list[str], most: int = 3) -> str:
    return ", ".join(map(quoted, values[:most])) + (f" and {len(values) - most:,} more" if len(values) > most else "")


def _is_figure(word: str) -> bool:
    return re.match(_FIGURES, word) is not None
