"""Free text against scikit-learn's own pipeline, and what counts as text."""

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

import counterpoise as cp
from counterpoise.table.features import text as module
from counterpoise.table.features.text import CHARACTERS, WORDS, Text, text_unit

pytestmark = pytest.mark.slow


def drawn(n: int, *, seed: int = 0, length: int = 6) -> list[str]:
    rng = np.random.default_rng(seed)
    words = np.array([f"w{k}" for k in range(40)])
    return [" ".join(rng.choice(words, length)) for _ in range(n)]


def learned(said: list[str], y, unit: str = WORDS) -> Text:
    found = Text.learn(pl.Series(said), unit, pl.DataFrame({"y": y}))
    assert found is not None
    return found


def test_components_are_those_of_scikit_learn():
    said = drawn(300)
    text = learned(said, [0, 1] * 150)
    found = TfidfVectorizer(token_pattern=r"\w+", ngram_range=(1, 2), sublinear_tf=True, min_df=2).fit_transform(said)
    svd = TruncatedSVD(len(text.components), n_iter=3, random_state=0)
    np.testing.assert_allclose(text.apply(pl.Series(said))[:, len(text.telling) :], svd.fit_transform(found), atol=1e-5)


def test_a_rare_class_finds_its_word():
    said, y = drawn(2000), np.zeros(2000, int)
    y[:10] = 1
    said[:10] = [f"{one} gold" for one in said[:10]]
    text = learned(said, y)
    assert [text.terms[place] for place in text.telling] == ["gold"]
    assert text.names[0] == ": gold"
    assert (text.apply(pl.Series(["gold", "w1"]))[:, 0] > 0).tolist() == [True, False]


@pytest.mark.parametrize("seed", range(5))
def test_chance_tells_nothing(seed):
    y = np.random.default_rng(seed + 100).random(1000) < 0.03
    assert len(learned(drawn(1000, seed=seed), y).telling) == 0


def test_every_class_has_its_turn(monkeypatch):
    monkeypatch.setattr(module, "TELLING", 3)
    y = np.repeat(["a", "b", "c", "d"], [400, 200, 200, 200])
    said = [f"{one} {kind}1 {kind}2" for one, kind in zip(drawn(1000), y, strict=True)]
    text = learned(said, y)
    assert {text.terms[place][0] for place in text.telling} == {"b", "c", "d"}


def test_unknown_labels_count_for_nothing():
    said = [f"{one} gold" if k < 20 else one for k, one in enumerate(drawn(400))]
    y = [1] * 20 + [0] * 380
    text = learned(said + drawn(400, seed=1), y + [None] * 400)
    assert "gold" in {text.terms[place] for place in text.telling}


def test_blocks_of_rows_change_nothing(monkeypatch):
    said = pl.Series([*drawn(100), None])
    text = learned(drawn(100), [0, 1] * 50)
    whole = text.apply(said)
    monkeypatch.setattr(module, "_BLOCK_ROWS", 7)
    np.testing.assert_allclose(text.apply(said), whole, atol=1e-7)


def test_the_same_rows_give_the_same_arrays(monkeypatch):
    monkeypatch.setattr(module, "_LEARN_ROWS", 50)
    first, second = (learned(drawn(200), [0, 1] * 100).arrays() for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)


def test_no_term_twice_is_no_text():
    assert Text.learn(pl.Series(["abc def", "ghi jkl"]), WORDS, pl.DataFrame({"y": [0, 1]})) is None


def test_case_matters_among_characters():
    text = learned(["CCOCCNCC", "ccocc", "CCOCC", "ccoccncc"] * 5, [0, 1, 0, 1] * 5, CHARACTERS)
    assert "CO" in text.terms and "co" in text.terms


@pytest.mark.parametrize(
    ("said", "unit"),
    [
        pytest.param(drawn(50), WORDS, id="sentences"),
        pytest.param(
            [f"First{k} {one}" for k, one in enumerate(["Smith", "Jones"] * 20)], WORDS, id="names that repeat"
        ),
        pytest.param([f"First{k} Last{k}" for k in range(40)], None, id="names that do not"),
        pytest.param([f"id{k}" for k in range(40)], None, id="codes"),
        pytest.param([f"{k:032x}" for k in range(40)], None, id="hashes"),
        pytest.param(["C" * (15 + k % 7) + "N" * (k % 5) for k in range(40)], CHARACTERS, id="molecules"),
    ],
)
def test_what_is_text(said, unit):
    assert text_unit(pl.Series(said)) == unit


def test_the_vocabulary_is_read_once(monkeypatch):
    text = learned(drawn(200), [0, 1] * 100)
    expected = text.apply(pl.Series(["w1 w2"]))
    monkeypatch.setattr(module, "_vectorizer", None)
    assert np.array_equal(text.apply(pl.Series(["w1 w2"])), expected) and text.known(pl.Series(["w3"]))


def test_what_is_saved_is_what_was_learned(tmp_path):
    y = np.random.default_rng(0).random(1200) < 0.2
    said = [f"{one} {'gold' if rare else 'tin'}" for one, rare in zip(drawn(1200), y, strict=True)]
    frame = pl.DataFrame({"said": said, "x": np.random.default_rng(1).normal(size=1200), "rare": y})
    for learner in ("lightgbm", "logistic"):
        result = cp.train(frame, target="rare", learners=[learner], budget=5)
        assert result.schema.texts
        result.save(tmp_path / learner)
        loaded = cp.load(tmp_path / learner)
        for name, array in result.schema.arrays().items():
            np.testing.assert_array_equal(loaded.schema.arrays()[name], array)
        np.testing.assert_allclose(loaded.predict_proba(frame), result.predict_proba(frame), atol=1e-6)
