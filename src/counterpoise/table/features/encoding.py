"""The feature matrix as dense numbers for linear models and networks, learned on the training rows.

Trees take a column as it is. A linear model or a network needs every column without gaps, on about the same scale,
without a dominating tail, and a category as one column per value. Everything that is learned is plain data.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.features.schema import Schema
from counterpoise.table.plain_data import (
    Check,
    inside,
    list_of,
    number,
    record,
    refuse,
    text,
    whole,
)

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

MOST_VALUES = 100
MOST_VALUES_IN_ALL = 500
FEWEST_ROWS = 10
LIMIT = 8.0
_LONG_TAIL = 10.0  # of the fourth standardised moment, which is 3 for a normal and 9 for an exponential distribution
_BLOCK_CELLS = 4_000_000
_LARGEST = 1e150  # its square is still a number


@dataclass(frozen=True, eq=False)
class Encoding:
    """How the columns of a feature matrix become the columns of a dense one.

    First come the numbers, a long tail drawn in by a logarithm, standardised and clipped, 0 where missing; then a
    column of 0 and 1 for each different pattern of missing numbers; then one for each frequent value of a category.

    Parameters
    ----------
    numbers
        Indices of the numbers in the feature matrix, (A,).
    middle, tail, mean, deviation
        (A,) each; the middle is the median. With d = x - middle, and sign(d) log(1 + |d| / tail) in the place of d
        where tail > 0, the encoded value is (d - mean) / deviation.
    missing
        Indices of the features whose missing cells have their own column, (B,).
    values
        Feature index and code of each category value that has a column, (E, 2).
    names
        Name of each encoded column (A + B + E).

    Examples
    --------
    >>> from counterpoise.table.features.schema import Column
    >>> schema = Schema((Column("size", "number"), Column("kind", "category", ("a", "b"))))
    >>> matrix = np.array([[1.0, 0], [3.0, 1], [np.nan, 1]] * 10)
    >>> encoding = Encoding.learn(matrix, schema)
    >>> encoding.names
    ('size', 'size is missing', 'kind = a', 'kind = b')
    >>> encoding.apply(matrix[:3])
    array([[-1.,  0.,  1.,  0.],
           [ 1.,  0.,  0.,  1.],
           [ 0.,  1.,  0.,  1.]], dtype=float32)
    """

    numbers: Places
    middle: Floats
    tail: Floats
    mean: Floats
    deviation: Floats
    missing: Places
    values: Places
    names: tuple[str, ...]

    @classmethod
    def learn(cls, matrix: Floats, schema: Schema) -> "Encoding":
        """Learn it from training rows.

        Parameters
        ----------
        matrix
            Features (N, F) as `to_matrix` gives them: NaN is missing, a category is its code.
        schema
            Kinds of the columns.
        """
        features, labels = schema.features, schema.categories
        scales: list[tuple[int, tuple[float, float, float, float]]] = []
        patterns: dict[bytes, int] = {}
        for place in range(matrix.shape[1]):
            if place in labels:
                continue
            column = matrix[:, place]
            absent = np.isnan(column)
            held = column[~absent]
            scale = _scale(held)
            if scale is not None:
                scales.append((place, scale))
            if 0 < len(held) < len(column):
                patterns.setdefault(np.packbits(absent).tobytes(), place)
        values = _frequent(matrix, list(labels))
        middle, tail, mean, deviation = np.array([scale for _, scale in scales], np.float64).reshape(-1, 4).T
        return cls(
            np.array([place for place, _ in scales], np.int64),
            middle,
            tail,
            mean,
            deviation,
            np.array(list(patterns.values()), np.int64),
            values,
            (
                *(features[place] for place, _ in scales),
                *(f"{features[place]} is missing" for place in patterns.values()),
                *(f"{features[place]} = {labels[place][code]}" for place, code in values.tolist()),
            ),
        )

    @property
    def width(self) -> int:
        """Number of encoded columns, D."""
        return len(self.names)

    @property
    def places(self) -> Places:
        """The column of the feature matrix that each encoded column is made of (D,)."""
        return np.concatenate([self.numbers, self.missing, self.values[:, 0]])

    def apply(self, matrix: Floats) -> NDArray[np.float32]:
        """Encode rows (N, F) into (N, D), float32; all are finite, a category's missing or other values are all 0."""
        encoded = np.zeros((len(matrix), self.width), np.float32)
        lookups = self._lookups
        step = max(1, _BLOCK_CELLS // max(1, matrix.shape[1] + self.width))
        for start in range(0, len(matrix), step):
            self._fill(encoded[start : start + step], matrix[start : start + step], lookups)
        return encoded

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON.

        Examples
        --------
        >>> from counterpoise.table.features.schema import Column
        >>> encoding = Encoding.learn(np.array([[1.0], [2.0]]), Schema((Column("size", "number"),)))
        >>> Encoding.from_dict(encoding.to_dict()).apply(np.array([[2.0]]))
        array([[1.]], dtype=float32)
        """
        arrays = {one.name: getattr(self, one.name).tolist() for one in fields(self) if one.name != "names"}
        return arrays | {"names": list(self.names)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Encoding":
        """The encoding that `to_dict` described."""
        return cls(
            numbers=np.array(data["numbers"], np.int64),
            middle=np.array(data["middle"], np.float64),
            tail=np.array(data["tail"], np.float64),
            mean=np.array(data["mean"], np.float64),
            deviation=np.array(data["deviation"], np.float64),
            missing=np.array(data["missing"], np.int64),
            values=np.array(data["values"], np.int64).reshape(-1, 2),
            names=tuple(data["names"]),
        )

    def _fill(self, encoded: NDArray[np.float32], block: Floats, lookups: dict[int, Places]) -> None:
        numbers = _deviations(block[:, self.numbers], self.middle)
        drawn_in = np.flatnonzero(self.tail)
        numbers[:, drawn_in] = _logarithm(numbers[:, drawn_in], self.tail[drawn_in])
        a, b = len(self.numbers), len(self.missing)
        standard = (numbers - self.mean) / self.deviation
        encoded[:, :a] = np.where(np.isnan(standard), 0.0, np.clip(standard, -LIMIT, LIMIT))
        encoded[:, a : a + b] = np.isnan(block[:, self.missing])
        for place, lookup in lookups.items():
            column = block[:, place]
            rows = np.flatnonzero(column < len(lookup))
            target = lookup[column[rows].astype(np.int64)]
            shown = target >= 0
            encoded[rows[shown], target[shown]] = 1.0

    @cached_property
    def _lookups(self) -> dict[int, Places]:
        """For each category, the encoded column of each code, or -1."""
        first = len(self.numbers) + len(self.missing)
        found: dict[int, Places] = {}
        for place in np.unique(self.values[:, 0]).tolist():
            own = np.flatnonzero(self.values[:, 0] == place)
            codes = self.values[own, 1]
            found[place] = np.full(codes.max() + 1, -1)
            found[place][codes] = first + own
        return found


def _scale(held: Floats) -> tuple[float, float, float, float] | None:
    """Middle, tail (0: none), mean and deviation of a number; None if it is constant."""
    if len(held) == 0 or held.min() == held.max():
        return None
    with np.errstate(over="ignore"):
        middle = float(np.nan_to_num(np.median(held)))
    apart = _deviations(held, np.float64(middle))
    tail, weight = 0.0, _tail_weight(apart)
    if weight > _LONG_TAIL:
        unit = float(np.median(np.abs(apart[apart != 0])))
        drawn_in = _logarithm(apart, np.float64(unit))
        if _tail_weight(drawn_in) < weight / 2:
            apart, tail = drawn_in, unit
    # a spread below the smallest normal number would turn a division into infinity
    return middle, tail, float(apart.mean()), max(float(apart.std()), float(np.finfo(np.float64).tiny))


def _deviations(values: Floats, middle: Floats | np.float64) -> Floats:
    with np.errstate(over="ignore"):
        return np.clip(values - middle, -_LARGEST, _LARGEST)


def _logarithm(apart: Floats, unit: Floats | np.float64) -> Floats:
    with np.errstate(over="ignore"):
        ratio = np.minimum(np.abs(apart) / unit, np.finfo(np.float64).max)
    return np.asarray(np.copysign(np.log1p(ratio), apart), np.float64)


def _tail_weight(values: Floats) -> float:
    """The fourth standardised moment."""
    values = values / np.abs(values).max()
    values -= values.mean()
    squares = values * values
    variance = squares.mean()
    return float((squares @ squares) / len(squares) / variance**2) if variance > 0 else 1.0


def _frequent(matrix: Floats, categorical: list[int]) -> Places:
    """Place and code of the values that have a column, in order: the most frequent ones."""
    found: list[tuple[int, int, int]] = []
    for place in categorical:
        column = matrix[:, place]
        counts = np.bincount(column[~np.isnan(column)].astype(np.int64))
        codes = np.flatnonzero(counts >= FEWEST_ROWS)
        codes = codes[counts[codes] < len(column)]
        codes = codes[np.argsort(-counts[codes], kind="stable")][:MOST_VALUES]
        found += [(-int(counts[code]), place, int(code)) for code in codes]
    kept = sorted((place, code) for _, place, code in sorted(found)[:MOST_VALUES_IN_ALL])
    return np.array(kept, np.int64).reshape(-1, 2)


_PLACES, _NUMBERS = list_of(whole(0, 1_000_000), distinct=True), list_of(number())
_ENCODING: dict[str, Check] = {
    "numbers": _PLACES,
    "middle": _NUMBERS,
    "tail": list_of(number(low=0)),
    "mean": _NUMBERS,
    "deviation": list_of(number(low=float(np.finfo(np.float64).tiny))),
    "missing": _PLACES,
    "values": list_of(list_of(whole(0, 2**31), least=2, most=2), distinct=True),
    "names": list_of(text()),
}


def check_encoding(data: Any, schema: Schema, where: str) -> None:
    """Raise `UserError` unless an encoding.json is one of this schema's features."""
    record(_ENCODING)(data, where)
    features, categories = len(schema.features), schema.categories
    count = len(data["numbers"])
    for name in ("middle", "tail", "mean", "deviation"):
        if len(data[name]) != count:
            raise UserError(f"{inside(where, name)} has {len(data[name])} values; it must have {count}, as numbers has")
    for name in ("numbers", "missing"):
        for at, place in enumerate(data[name]):
            if place >= features or place in categories:
                refuse(place, f"{inside(where, name)}[{at}]", "the place of a feature that is a number")
    for at, (place, code) in enumerate(data["values"]):
        if code >= len(categories.get(place, ())):
            refuse(
                [place, code], f"{inside(where, 'values')}[{at}]", "a feature that is a category, and one of its codes"
            )
    width = count + len(data["missing"]) + len(data["values"])
    if len(data["names"]) != width:
        raise UserError(f"{inside(where, 'names')} has {len(data['names'])} values; it must have {width}")
