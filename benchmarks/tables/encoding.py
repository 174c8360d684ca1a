"""A messy table as each kind of learner likes it best; learned from the training rows, without their targets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

TEXT_DIRECTIONS = 50
NEVER_SEEN = -1


def as_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """The frame as AutoML tools are given it: words as categories, text as text, dates as dates."""
    columns = {name: frame[name].to_numpy() if _plain(frame[name]) else frame[name].to_list() for name in frame.columns}
    done = pd.DataFrame(columns)
    words = [name for name, kind in frame.schema.items() if kind == pl.Categorical]
    return done.astype(dict.fromkeys(words, "category"))


def _plain(column: pl.Series) -> bool:
    return column.dtype.is_numeric() or column.dtype.is_temporal()


class TableEncoding:
    """Numbers, codes of categories and text of a table, told apart by type and by what the catalogue calls text."""

    def __init__(self, train: pl.DataFrame, text: Sequence[str]) -> None:
        train = _dates_as_numbers(train)
        self.text = [name for name in train.columns if name in text]
        self.words = [name for name, kind in train.schema.items() if not kind.is_numeric() and name not in text]
        self.numbers = [name for name in train.columns if name not in (*self.text, *self.words)]
        self.categories = {name: train[name].cast(pl.String).drop_nulls().unique().sort() for name in self.words}
        self.vectorizers = {name: _vectorizer(train[name]) for name in self.text}

    def for_trees(self, train: pl.DataFrame, other: pl.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
        """Numbers as they are, categories as codes (-1: missing or new), text in some directions; the coded columns."""
        done = [pd.DataFrame(self._coded(frame)) for frame in (train, other)]
        for name, vectors in self._text(train, other).items():
            directions = min(TEXT_DIRECTIONS, vectors[0].shape[1] - 1)
            svd = TruncatedSVD(directions, random_state=0).fit(vectors[0])
            for frame, part in zip(done, vectors, strict=True):
                dense = pd.DataFrame(svd.transform(part), columns=[f"{name}_{k}" for k in range(directions)])
                frame[dense.columns] = dense
        coded = [f"c{k}" for k, name in enumerate(done[0].columns) if name in self.words]
        for frame in done:  # LightGBM and XGBoost refuse some characters in names
            frame.columns = [f"c{k}" for k in range(frame.shape[1])]
        return *done, coded

    def for_linear(self, train: pl.DataFrame, other: pl.DataFrame) -> tuple[Any, Any]:
        """Numbers filled and standardised, a column per frequent category, text as TF-IDF of one and two words."""
        parts: list[tuple[Any, Any]] = []
        plain = [_dates_as_numbers(frame) for frame in (train, other)]
        if self.numbers:
            scale = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
            numbers = [frame.select(pl.col(self.numbers).cast(pl.Float64)).to_numpy() for frame in plain]
            parts.append((scale.fit_transform(numbers[0]), scale.transform(numbers[1])))
        if self.words:
            one_hot = OneHotEncoder(min_frequency=10, handle_unknown="infrequent_if_exist", dtype=np.float64)
            words = [frame.select(pl.col(self.words).cast(pl.String).fill_null("?")).to_numpy() for frame in plain]
            parts.append((one_hot.fit_transform(words[0]), one_hot.transform(words[1])))
        parts += self._text(train, other).values()
        if not self.text and not self.words:
            return parts[0]
        first, second = (sparse.hstack([part[side] for part in parts]).tocsr() for side in (0, 1))
        if first.shape[1] < 500 and not self.text:
            return first.toarray(), second.toarray()
        return first, second

    def _coded(self, frame: pl.DataFrame) -> dict[str, Any]:
        frame = _dates_as_numbers(frame)
        done = {name: frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in self.numbers}
        for name in self.words:
            known = self.categories[name].to_list()
            code = dict(zip(known, range(len(known)), strict=True))
            coded = frame[name].cast(pl.String).replace_strict(code, default=NEVER_SEEN, return_dtype=pl.Int32)
            done[name] = coded.fill_null(NEVER_SEEN).to_numpy()
        return done

    def _text(self, train: pl.DataFrame, other: pl.DataFrame) -> dict[str, tuple[Any, Any]]:
        return {
            name: (
                vectorizer.fit_transform(train[name].fill_null("").to_list()),
                vectorizer.transform(other[name].fill_null("").to_list()),
            )
            for name, vectorizer in self.vectorizers.items()
        }


def _vectorizer(text: pl.Series) -> TfidfVectorizer:
    # a formula or a code is one long word: its letters are what tells
    spaces = float(text.fill_null("").str.count_matches(" ").mean() or 0)
    if spaces < 1:
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 3), lowercase=False, min_df=5, sublinear_tf=True)
    return TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True, max_features=50_000)


def _dates_as_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    dates = [name for name, kind in frame.schema.items() if kind.is_temporal()]
    parts = {
        f"{name} {part}": value
        for name in dates
        for part, value in (
            ("day", pl.col(name).cast(pl.Date).cast(pl.Int32)),
            ("weekday", pl.col(name).dt.weekday()),
            ("day of year", pl.col(name).dt.ordinal_day()),
        )
    }
    return frame.with_columns(**parts).drop(dates)
