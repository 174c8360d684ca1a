"""Free text as numbers: its words (or, where there are no words, runs of characters), weighted and projected.

Rows become tf-idf vectors of the vocabulary. All terms are projected on the leading singular vectors, which is latent
semantic analysis (Deerwester et al. 1990, Journal of the American Society for Information Science 41). It loses rare
terms, and with them the few words that show a rare class. So terms that clearly belong to a class become numbers of
their own, which people can also read. What is learned is plain arrays. scikit-learn does the counting and the
decomposition.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.table.reading.sample import sample_rows
from counterpoise.ties import first_largest

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

WORDS, CHARACTERS = "words", "characters"
COMPONENTS = 64
TELLING = 300
_MOST_TERMS = 20_000
_MOST_CHARACTERS = 2_000  # of one cell
_LEARN_ROWS = 50_000
_LEARN_CHARACTERS = 10_000_000
_BLOCK_ROWS = 10_000
_MARKS = r"(?u)\b\w+\b|[^\w\s]"  # words, and each mark between them: ! and ? say something
_BETWEEN = "\0"
_CHANCE = 0.01
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Text:
    """What was learned of one column of text.

    Parameters
    ----------
    unit
        "words" (one and two in a row) or "characters" (two to four in a row).
    terms
        The vocabulary (V,), in alphabetical order.
    telling
        Indices of the terms that are numbers of their own, (M,).
    weight
        Inverse document frequency of each term (V,).
    components
        Directions onto which a row's weighted terms are projected, (K, V), float32.

    Examples
    --------
    >>> said = pl.Series(["the red car", "a red car", "the blue sky", "a blue sky"] * 20)
    >>> text = Text.learn(said, "words", pl.DataFrame({"y": [0, 0, 1, 1] * 20}))
    >>> text.names[0], text.apply(pl.Series(["a green car", "one blue", None]))[:, 0].tolist()
    (': blue', [0.0, 1.0, nan])
    """

    unit: str
    terms: tuple[str, ...]
    telling: NDArray[np.int64]
    weight: NDArray[np.float64]
    components: NDArray[np.float32]

    @classmethod
    def learn(cls, column: pl.Series, unit: str, targets: pl.DataFrame) -> "Text | None":
        """Learn from training rows; None where no term is found in two rows.

        Parameters
        ----------
        column
            The text of the training rows.
        unit
            The result of `text_unit`.
        targets
            Target columns of the same rows; null is unknown.
        """
        from sklearn.decomposition import TruncatedSVD

        rows = _sampled(column)
        held = _plain(column.gather(rows))
        vectorizer = _vectorizer(unit, min_df=max(2, min(5, len(held) // 1000)), max_features=_MOST_TERMS)
        try:
            found = vectorizer.fit_transform(held.to_list())
        except ValueError:  # an empty vocabulary
            return None
        most = min(COMPONENTS, min(found.shape) - 1)
        if most < 1:
            return None
        components = TruncatedSVD(most, n_iter=3, random_state=0).fit(found).components_
        # a component and its opposite are as good: the first of its largest terms is positive
        size = np.abs(components)
        first = first_largest(size, _SLACK * size.max(axis=1, keepdims=True))[:, None]
        components = components * np.sign(np.take_along_axis(components, first, axis=1))
        return cls(
            unit,
            tuple(vectorizer.get_feature_names_out().tolist()),
            _telling(found, targets[rows]),
            np.asarray(vectorizer.idf_, np.float64),
            components.astype(np.float32),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of each column that `apply` gives (M + K)."""
        telling = (f": {self.terms[place]}" for place in self.telling)
        return (*telling, *(f" component {k + 1}" for k in range(len(self.components))))

    def apply(self, column: pl.Series) -> NDArray[np.float32]:
        """Numbers of each row (N, M + K), float32; a missing text is NaN, one without any known term is 0."""
        vectorizer = self._ready
        found = np.full((len(column), len(self.telling) + len(self.components)), np.nan, np.float32)
        for start in range(0, len(column), _BLOCK_ROWS):
            block = column.slice(start, _BLOCK_ROWS)
            held = block.is_not_null().to_numpy()
            if held.any():
                counted = vectorizer.transform(_plain(block.drop_nulls()).to_list())
                own, together = counted[:, self.telling].toarray(), counted @ self.components.T
                found[start : start + _BLOCK_ROWS][held] = np.hstack([own, together])
        return found

    def known(self, column: pl.Series) -> bool:
        """Whether any row holds a term of the vocabulary."""
        return bool(self._ready.transform(_plain(column.drop_nulls()).to_list()).nnz)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays, of which `from_arrays` makes it again."""
        spelled = _BETWEEN.join(self.terms).encode()
        return {
            "terms": np.frombuffer(spelled, np.uint8),
            "telling": self.telling,
            "weight": self.weight,
            "components": self.components,
        }

    @classmethod
    def from_arrays(cls, unit: str, arrays: Mapping[str, NDArray[Any]]) -> "Text":
        """The text that `arrays` described."""
        return cls(unit, terms_of(arrays["terms"]), arrays["telling"], arrays["weight"], arrays["components"])

    @cached_property
    def _ready(self) -> "TfidfVectorizer":
        vectorizer = _vectorizer(self.unit, vocabulary=self.terms, dtype=np.float32)
        vectorizer.idf_ = self.weight.astype(np.float32)
        return vectorizer


def terms_of(spelled: NDArray[np.uint8]) -> tuple[str, ...]:
    r"""The vocabulary that `Text.arrays` spelled.

    Examples
    --------
    >>> terms_of(np.frombuffer(b"blue\0sky", np.uint8))
    ('blue', 'sky')
    """
    return tuple(spelled.tobytes().decode().split(_BETWEEN))


def text_unit(column: pl.Series) -> str | None:
    """The unit of free text, or None for names and codes, which are not text.

    Parameters
    ----------
    column
        Training values without nulls, most of them different.

    Returns
    -------
    "words" if there are several in a cell and most of them are found elsewhere too; "characters" for long strings of
    different lengths without words; identifiers such as UUIDs are all of one length.

    Examples
    --------
    >>> text_unit(pl.Series(["the red car", "a red car", "the blue sky", "a blue sky"]))
    'words'
    >>> text_unit(pl.Series(["CCOC(=O)c1ccccc1N", "CC(C)Cc1ccc(cc1)C(C)C(=O)O"]))
    'characters'
    >>> text_unit(pl.Series(["A/5 21171", "PC 17599"]))
    """
    column = _plain(column.gather(_sampled(column)))
    words = column.str.to_lowercase().str.extract_all(r"\w+")
    spaced = column.str.count_matches(r"\s+")
    if float(spaced.mean() or 0.0) >= 1.0:  # type: ignore[arg-type]
        rows = pl.DataFrame({"row": np.arange(len(words)), "word": words}).explode("word").drop_nulls().unique()
        counted = rows["word"].value_counts()["count"]
        shared = float(counted.filter(counted > 1).sum()) / max(1, len(rows))
        return WORDS if shared >= 0.5 else None
    lengths = column.str.len_chars()
    long = float(lengths.mean() or 0.0) >= 15.0  # type: ignore[arg-type]
    return CHARACTERS if long and lengths.n_unique() > 1 else None


def _plain(column: pl.Series) -> pl.Series:
    return column.cast(pl.String).str.slice(0, _MOST_CHARACTERS).str.replace_all(_BETWEEN, " ", literal=True)


def _sampled(column: pl.Series) -> NDArray[np.int64]:
    """Rows with a text, chosen by it, so many that memory and time stay bounded."""
    held = np.flatnonzero(column.is_not_null().to_numpy())
    mean_length = column.cast(pl.String).str.len_chars().clip(1, _MOST_CHARACTERS).mean()
    most = int(min(_LEARN_ROWS, _LEARN_CHARACTERS / float(mean_length or 1.0)))  # type: ignore[arg-type]
    return np.sort(held[sample_rows(column.drop_nulls().cast(pl.String), most)])


def _telling(found: Any, targets: pl.DataFrame) -> NDArray[np.int64]:
    """Terms that are found in rows of some class more often than chance would have it even once in so many trials.

    Each class has its turn, beginning with its surest term. A term's rows of a class are counted against a binomial
    distribution, with Bonferroni's correction: with rare terms of rare classes chi-squared finds too much.
    """
    from scipy.stats import binom

    shown = (found > 0).astype(np.float64).T.tocsr()
    ranked: list[tuple[int, float, int]] = []
    classes = [(one, value) for one in targets for value in _but_the_commonest(one)]
    for one, value in classes:
        known = one.is_not_null().to_numpy().astype(np.float64)
        own = (one == value).fill_null(False).to_numpy().astype(np.float64)
        chance = binom.sf(shown @ own - 1, shown @ known, own.sum() / known.sum())
        order = np.argsort(chance, kind="stable")[:TELLING]
        sure = order[chance[order] < _CHANCE / (len(chance) * len(classes))]
        ranked += [(rank, float(chance[term]), int(term)) for rank, term in enumerate(sure)]
    return np.array(list(dict.fromkeys(term for _, _, term in sorted(ranked)))[:TELLING], np.int64)


def _but_the_commonest(column: pl.Series) -> list[Any]:
    counted = column.drop_nulls().value_counts().sort(["count", column.name], descending=[True, False])
    return counted[column.name].to_list()[1:]


def _vectorizer(unit: str, **options: Any) -> "TfidfVectorizer":
    from sklearn.feature_extraction.text import TfidfVectorizer

    if unit == WORDS:
        return TfidfVectorizer(token_pattern=_MARKS, ngram_range=(1, 2), sublinear_tf=True, **options)
    return TfidfVectorizer(analyzer="char", ngram_range=(2, 4), lowercase=False, sublinear_tf=True, **options)
