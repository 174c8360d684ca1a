"""What each class costs when it is taken for another: the goals of three and more classes."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError, nearest_name
from counterpoise.goals.words import finite, written_name, written_number
from counterpoise.wording import listed


@dataclass(frozen=True, slots=True)
class CostMatrix:
    """The cost of every true class under every decision; a gain is a negative cost.

    Parameters
    ----------
    classes
        The names of the classes, as text.
    values
        Costs (C, C): a row per true class, a column per decided class, both in the order of `classes`.

    Raises
    ------
    UserError
        If the matrix is not square, a value not finite, a wrong decision cheaper than the right one, or a class costs
        the same whatever it is taken for.

    References
    ----------
    Elkan, The foundations of cost-sensitive learning, IJCAI 2001.

    Examples
    --------
    >>> str(CostMatrix(("good", "bad"), [[0, 1], [5, 0]]))
    'cost good as bad=1 bad as good=5'
    """

    classes: Sequence[str]
    values: Sequence[Sequence[float]]

    def __post_init__(self) -> None:
        classes = tuple(str(name) for name in self.classes)
        if len(classes) < 2 or len(set(classes)) < len(classes):
            raise UserError(f"the classes of a cost matrix are {', '.join(classes)}; it needs two or more, each once")
        if np.shape(np.asarray(self.values, object)) != (len(classes), len(classes)):
            raise UserError(f"a cost matrix of {len(classes)} classes needs as many rows, each with as many costs")
        values = tuple(
            tuple(finite(f"the cost of {true} as {chosen}", value) for chosen, value in zip(classes, row, strict=True))
            for true, row in zip(classes, self.values, strict=True)
        )
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "values", values)
        for k, (name, row) in enumerate(zip(classes, values, strict=True)):
            least = row.index(min(row))
            if row[least] < row[k]:
                raise UserError(
                    f"{name} as {classes[least]} costs {row[least]:g}, less than {name} as {name} ({row[k]:g}); "
                    "rows are true classes, columns decided ones, and the right decision must be the cheapest"
                )
            if max(row) == row[k]:
                raise UserError(f"{name} costs {row[k]:g} whatever it is taken for; leave it out or give it a cost")

    @classmethod
    def from_cells(cls, cells: Mapping[tuple[str, str], float]) -> "CostMatrix":
        """The matrix of costs by (true class, decided class); a right decision that is not given costs 0.

        Examples
        --------
        >>> CostMatrix.from_cells({("good", "bad"): 1, ("bad", "good"): 5}).values
        ((0.0, 1.0), (5.0, 0.0))
        """
        classes = tuple(dict.fromkeys(name for pair in cells for name in pair))
        pairs = [(true, chosen) for true in classes for chosen in classes]
        missing = [f"{true} as {chosen}" for true, chosen in pairs if true != chosen and (true, chosen) not in cells]
        if missing:
            raise UserError(f"the cost of {listed(missing, 3)} is missing")
        return cls(classes, tuple(tuple(cells.get((true, chosen), 0.0) for chosen in classes) for true in classes))

    @classmethod
    def read(cls, path: str | Path) -> "CostMatrix":
        r"""Read a CSV file.

        Parameters
        ----------
        path
            A CSV file. The first line names the decided classes; each further line holds a true class, then its costs,
            in any order. The first cell may reverse this: it names the lines (`predicted`), or lines and columns in
            this order (`predicted / actual`). Other words there, or none, change nothing.

        Raises
        ------
        UserError
            If the file cannot be read, is no square of numbers, or its first cell contradicts itself.

        Examples
        --------
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "costs.csv"
        >>> _ = file.write_text("true,good,bad\ngood,0,1\nbad,5,0\n")
        >>> CostMatrix.read(file)
        CostMatrix(classes=('good', 'bad'), values=((0.0, 1.0), (5.0, 0.0)))
        >>> _ = file.write_text("predicted,good,bad\ngood,0,5\nbad,1,0\n")
        >>> CostMatrix.read(file)
        CostMatrix(classes=('good', 'bad'), values=((0.0, 1.0), (5.0, 0.0)))
        """
        try:
            with Path(path).open(newline="", encoding="utf-8-sig") as file:
                lines = [[cell.strip() for cell in line] for line in csv.reader(file) if any(map(str.strip, line))]
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(f"the cost matrix {str(path)!r} cannot be read: {error}") from None
        classes = tuple(lines[0][1:]) if lines else ()
        if len(classes) < 2:
            raise UserError(
                f"the cost matrix {str(path)!r} names {len(classes)} classes; "
                "after a first cell, its first line must name two or more, separated by commas"
            )
        turned = _lines_are_decisions(lines[0][0], path)
        rows: dict[str, list[float]] = {}
        for name, *cells in lines[1:]:
            if name not in classes:
                raise UserError(f"the cost matrix {str(path)!r}: {nearest_name('class', name, classes)}")
            if name in rows or len(cells) != len(classes):
                what = "occurs in two lines" if name in rows else f"has {len(cells)} costs of {len(classes)}"
                raise UserError(f"the cost matrix {str(path)!r}: class {name!r} {what}")
            rows[name] = [
                finite(f"the cost matrix {str(path)!r}: the cost of {_pair(name, other, turned)}", cell)
                for other, cell in zip(classes, cells, strict=True)
            ]
        missing = [name for name in classes if name not in rows]
        if missing:
            raise UserError(f"the cost matrix {str(path)!r} has no line for class {missing[0]!r}")
        values = [rows[name] for name in classes]
        return cls(classes, list(zip(*values, strict=True)) if turned else values)

    def for_classes(self, classes: Iterable[object]) -> NDArray[np.float64]:
        """The costs as float64 (C, C), in the order of `classes`, which must be those of the matrix.

        Examples
        --------
        >>> CostMatrix(("good", "bad"), [[0, 1], [5, 0]]).for_classes(["bad", "good"])
        array([[0., 5.],
               [1., 0.]])
        """
        wanted = [str(name) for name in classes]
        for name in wanted:
            if name not in self.classes:
                raise nearest_name("class of the cost matrix", name, self.classes)
        missing = [name for name in self.classes if name not in wanted]
        if missing or len(set(wanted)) < len(wanted):
            raise UserError(
                f"the cost matrix has the classes {', '.join(self.classes)} but here are {', '.join(wanted)}; "
                "both need the same, each once"
            )
        order = [self.classes.index(name) for name in wanted]
        return np.asarray(self.values)[np.ix_(order, order)]

    def __str__(self) -> str:
        cells = [
            f"{written_name(true)} as {written_name(chosen)}={written_number(value)}"
            for true, row in zip(self.classes, self.values, strict=True)
            for chosen, value in zip(self.classes, row, strict=True)
            if true != chosen or value != 0
        ]
        return "cost " + " ".join(cells)


def _pair(line: str, column: str, turned: bool) -> str:
    return f"{column} as {line}" if turned else f"{line} as {column}"


_DECIDED, _TRUE, _LINES, _COLUMNS = "decided", "true", "lines", "columns"
_WORDS = {
    _DECIDED: "predicted prediction predictions predict pred preds ypred yhat hat ŷ decided decision decisions chosen "
    "choice assigned called classified forecast guess guessed estimated output",
    _TRUE: "true truth actual actually real reality observed ytrue gold reference target",
    _LINES: "row rows line lines index down ↓",
    _COLUMNS: "column columns col cols across →",
}
_MEANING = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}


_RIGHT = re.compile("(?<![-=~\u2013\u2014])[-=~\u2013\u2014]*>+|[→⇒⇨⟶⟹➔➙➜➝➞➡⮕►▶»]")
_DOWN = re.compile("[↓⇓⇩⬇▼▾]")
_BETWEEN_TWO = r"/\\|,;&+×"
_NEUTRAL = r"\s\w().:#*'" + r'"‘’“”\ufe0f\u2010-\u2014=→↓\[\]-'


def _lines_are_decisions(cell: str, path: str | Path) -> bool:
    """Whether the first cell of a file says that its lines are decisions, or its columns true classes.

    A single word is the heading of its own column, as pandas writes the name of an index, unless an arrow shows where
    its classes are. Two are lines and columns, as in the corner of a table, unless they say which they are.
    """
    plain = _DOWN.sub("↓", _RIGHT.sub("→", cell.lower()))
    said = [_MEANING[word] for word in re.findall(r"[^\W_]+|[↓→]", plain) if word in _MEANING]
    classes = [one for one in said if one in (_DECIDED, _TRUE)]
    sides = [one for one in said if one in (_LINES, _COLUMNS)]
    if len(classes) == 2 and "→" in plain and "↓" not in plain:
        sides = []  # an arrow from one to the other
    placed = dict(zip(sides or [_LINES, _COLUMNS], classes, strict=False))
    repeated = len(set(placed.values())) < len(classes) or len(set(sides)) < len(sides)
    allowed = (_BETWEEN_TWO if len(classes) == 2 else "") + _NEUTRAL
    unclear = re.search(f"[^{allowed}]", plain) is not None  # such as ← or a single /
    if repeated or (classes and (unclear or (sides and len(classes) != len(sides)))):
        raise UserError(
            f"the cost matrix {str(path)!r}: the first cell, {cell!r}, does not show what the lines are; write 'true' "
            "or 'predicted' there, or leave it empty: then lines are true classes and columns decided ones"
        )
    return placed.get(_LINES) == _DECIDED or placed.get(_COLUMNS) == _TRUE
