"""The benchmark of whole tables prepares, encodes, scores and compares as it says, on tables that are made here."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from absent import needs
from benchmarks import which_loss
from benchmarks.tables import comparison, peers
from benchmarks.tables import data as tables_data
from benchmarks.tables.data import Task, codes_of
from benchmarks.tables.encoding import TableEncoding

needs("lightgbm", "pandas")

pytestmark = pytest.mark.slow

ROWS = 400


def _frame(rng):
    x, kind = rng.normal(size=ROWS), rng.choice(["a", "b", "c"], ROWS)
    positive = x + (kind == "b") > 1.5
    return pl.DataFrame(
        {
            "x": pl.Series(np.where(rng.random(ROWS) < 0.1, np.nan, x)).fill_nan(None),
            "kind": pl.Series(kind, dtype=pl.Categorical),
            "when": pl.Series(np.datetime64("2020-01-01") + rng.integers(0, 700, ROWS)),
            "said": [f"{'bad' if one else 'good'} thing {k % 7}" for k, one in enumerate(positive)],
            "who": np.arange(ROWS) // 2,
            "answer": positive,
            "target": np.where(positive, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    one = _frame(np.random.default_rng(0))
    pl.concat([one, one[:9]]).write_parquet(folder / "one.parquet")
    rng = np.random.default_rng(1)
    several = one.drop("answer", "target", "who").with_columns(
        y_first=pl.Series(np.where(rng.random(ROWS) < 0.2, 2, rng.random(ROWS) < 0.3)).replace(2, None),
        y_second=pl.col("said").str.contains("bad").cast(pl.Int8),
    )
    several.write_parquet(folder / "several.parquet")
    known = {"leaking_columns": ["answer"], "id_columns": ["who"], "text_columns": ["said"], "target": "target"}
    facts = [
        {"name": "one", "file": "one.parquet", "task": "binary", "group_column": "who", **known},
        {"name": "several", "file": "several.parquet", "task": "multilabel", "group_column": None, **known}
        | {"leaking_columns": [], "id_columns": []},
    ]
    for fact in facts:
        fact |= {"rows": ROWS, "columns": 7}
    (folder / "catalogue.json").write_text(json.dumps({"datasets": facts}))
    return folder


def _prepared(data, name, folder):
    return tables_data.prepare(tables_data.catalogue(data)[name], data, folder, seed=3)


def test_nobody_sees_what_judges_or_leaks(data, tmp_path):
    task = _prepared(data, "one", tmp_path)
    train, test, truth = (pl.read_parquet(tmp_path / f"{side}.parquet") for side in ("train", "test", "truth"))
    assert task.classes == ("no", "yes") and task == Task.read(tmp_path)
    assert set(test.columns) == {"x", "kind", "when", "said"} == set(train.columns) - {"target"}
    assert train.height + test.height == ROWS and abs(test.height / ROWS - 0.2) < 0.03
    share = (pl.read_parquet(data / "one.parquet")["target"] == "yes").mean()
    assert abs((truth["target"] == "yes").mean() - share) < 0.05
    whole = pl.read_parquet(data / "one.parquet").unique(maintain_order=True)
    key = ["x", "when", "said"]
    seen, judged = (set(whole.join(side, on=key, nulls_equal=True)["who"]) for side in (train, test))
    assert len(seen & judged) <= 2  # rows alike in every column but "who" can be told from each other no more


def test_an_unknown_label_stays_unknown(data, tmp_path):
    task = _prepared(data, "several", tmp_path)
    truth = codes_of(pl.read_parquet(tmp_path / "truth.parquet"), task)
    assert task.kind == "multilabel" and truth.shape == (80, 2)
    assert set(np.unique(truth[:, 0])) == {-1, 0, 1} and set(np.unique(truth[:, 1])) == {0, 1}


def test_encodings_agree_on_rows_and_know_only_the_training_categories(data, tmp_path):
    task = _prepared(data, "one", tmp_path)
    train, test = (pl.read_parquet(tmp_path / f"{side}.parquet") for side in ("train", "test"))
    new = test.with_columns(kind=pl.Series(["never seen"] * test.height))
    how = TableEncoding(train.drop("target"), task.text)
    first, second, coded = how.for_trees(train.drop("target"), new)
    assert list(first.columns) == list(second.columns) and len(coded) == 1
    assert set(first[coded[0]]) == {0, 1, 2} and set(second[coded[0]]) == {-1}
    assert first["c0"].isna().any()
    dense, other = how.for_linear(train.drop("target"), new)
    assert dense.shape == (train.height, other.shape[1]) and other.shape[0] == test.height
    assert np.isfinite(dense.toarray() if hasattr(dense, "toarray") else dense).all()


@pytest.mark.parametrize("name", ["one", "several"])
@pytest.mark.parametrize("method", ["LightGBM", "logistic balanced"])
def test_a_learner_answers_for_every_test_row(data, tmp_path, name, method):
    task = _prepared(data, name, tmp_path)
    truth = codes_of(pl.read_parquet(tmp_path / "truth.parquet"), task)
    probability, decision = peers.learned(method, tmp_path, task, peers.Setting(threads=1))
    assert probability.shape == (len(truth), 2) and decision.shape == truth.shape
    assert ((probability >= 0) & (probability <= 1)).all() and set(np.unique(decision)) <= {0, 1}
    given = comparison.Answer(probability=probability, decision=decision, seconds=1.0)
    found = comparison.score(truth, given, task)
    last = (truth[:, -1], decision[:, -1]) if name == "several" else (truth, decision)
    assert metrics.f1_score(*last) > 0.9 and np.isfinite(found.log_loss)  # the text says it


def test_counterpoise_answers_for_every_label_also_for_one_that_cannot_be_learned(data, tmp_path, monkeypatch):
    from counterpoise.cli import main

    def quickly(*words):
        assert main([*words, *(["--learner", "logistic", "--budget", "3s"] if words[0] == "train" else [])]) == 0

    monkeypatch.setattr(peers, "_counterpoise", quickly)
    task = _prepared(data, "several", tmp_path)
    truth = codes_of(pl.read_parquet(tmp_path / "truth.parquet"), task)
    train = pl.read_parquet(tmp_path / "train.parquet").with_columns(
        y_first=pl.Series([1, None] + [0] * (task.rows - 2))
    )
    train.write_parquet(tmp_path / "train.parquet")
    probability, decision = peers.counterpoise(tmp_path, task, peers.Setting(threads=1))
    assert probability.shape == decision.shape == truth.shape
    assert metrics.f1_score(truth[:, 1], decision[:, 1]) > 0.9  # the text says it
    assert not decision[:, 0].any()
    np.testing.assert_allclose(probability[:, 0], 1 / (task.rows - 1))


def test_goal_values_are_scikit_learns():
    rng = np.random.default_rng(0)
    for kind, classes in (("binary", 2), ("multiclass", 5)):
        truth, decision = rng.integers(0, classes, (2, 300))
        task = Task("made", kind, ("target",), tuple(range(classes)), (), 300)
        average = "binary" if kind == "binary" else "macro"
        assert comparison.goal_value(truth, decision, task) == pytest.approx(
            metrics.f1_score(truth, decision, average=average)
        )
    truth, decision = rng.integers(0, 2, (2, 300, 4))
    unknown = rng.random(truth.shape) < 0.3
    task = Task("made", "multilabel", tuple("abcd"), tuple("abcd"), (), 300)
    per_label = [metrics.f1_score(truth[~unknown[:, k], k], decision[~unknown[:, k], k]) for k in range(truth.shape[1])]
    assert comparison.goal_value(np.where(unknown, -1, truth), decision, task) == pytest.approx(np.mean(per_label))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_the_interval_is_that_of_resampled_rows(kind):
    rng = np.random.default_rng(0)
    shape = (500, 3) if kind == "multilabel" else (500,)
    classes = 3 if kind == "multiclass" else 2
    truth = rng.integers(0, classes, shape)
    ours, peers = (np.where(rng.random(shape) < right, truth, rng.integers(0, classes, shape)) for right in (0.7, 0.5))
    task = Task("made", kind, ("target",), tuple(range(classes)), (), 500)
    apart, low, high = comparison.difference(truth, ours, peers, task)
    draws = rng.integers(0, 500, (400, 500))
    plain = [
        comparison.goal_value(truth[rows], ours[rows], task) - comparison.goal_value(truth[rows], peers[rows], task)
        for rows in draws
    ]
    assert low < apart < high
    assert high - low == pytest.approx(np.subtract(*np.quantile(plain, [0.975, 0.025])), rel=0.25)
    assert comparison.difference(truth, ours, ours, task) == (0.0, 0.0, 0.0)


def test_answers_are_kept_until_asked_again(data, tmp_path, monkeypatch, capsys):
    asked = []

    def run(table, method, *how):
        asked.append(method)
        return {"failed": "no memory"} if method == "EasyEnsemble" else real(table, method, *how)

    real = comparison._run
    monkeypatch.setattr(comparison, "_run", run)
    words = ["--data", str(data), "--cache", str(tmp_path), "--tables", "one", "--threads", "1"]
    words += ["--methods", "logistic balanced", "EasyEnsemble"]
    assert comparison.main([*words, "--write", str(tmp_path)]) == 0
    assert comparison.main([*words, "--again", "EasyEnsemble"]) == 0
    assert asked == ["logistic balanced", "EasyEnsemble", "EasyEnsemble"]
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.startswith("# Tables\n") and "- one, 0, EasyEnsemble: no memory" in text
    assert "one, 0, EasyEnsemble: no memory" in capsys.readouterr().out


def test_what_is_claimed_is_judged():
    truth = np.repeat([0, 1], [80, 20])
    task = Task("made", "binary", ("target",), ("no", "yes"), (), 100)

    def given(wrong):
        decision = truth.copy()
        decision[-wrong:] = 0
        return comparison.Answer(probability=np.eye(2)[decision], decision=decision)

    answers = {"counterpoise": given(10), "LightGBM": given(9), "EasyEnsemble": given(15)}
    scores = {name: comparison.score(truth, one, task) for name, one in answers.items()}
    measured = [comparison.Measured(task, 0, truth, answers, scores)]
    assert measured[0].best_required() == "LightGBM"
    said = list(comparison.verdict(measured, list(answers)))
    assert "| no worse |" in said[2] and "on 1 of 1 (100 %)" in said[-1]
    assert comparison.ranks(measured, list(answers)) == {"counterpoise": 2.0, "LightGBM": 1.0, "EasyEnsemble": 3.0}


def test_no_tables_is_said(tmp_path, capsys):
    assert comparison.main(["--data", str(tmp_path / "none")]) == 0
    assert "nothing is measured" in capsys.readouterr().out


@pytest.fixture(scope="module")
def studied(data, tmp_path_factory):
    cache = tmp_path_factory.mktemp("studied")
    facts = tables_data.catalogue(data)["one"]
    return which_loss.compared(facts, data, cache, ["logistic"]), cache


def test_the_study_reads_what_compare_found(data, studied, capsys):
    lines, cache = studied
    assert set(lines["loss"]) == {"plain-cross-entropy", "weighted", "weighted-square-root", "focal"}
    whole = pl.read_parquet(cache / "one" / "seed0" / "train.parquet")["target"]
    assert set(lines["rarest"]) == {int((whole == "yes").sum())} and set(lines["rows"]) == {len(whole)}
    again = which_loss.compared(tables_data.catalogue(data)["one"], data, cache, ["logistic"])
    assert again.equals(lines) and capsys.readouterr().err == ""  # from the cache


def test_the_study_counts_whose_interval_excludes_0(studied):
    lines, _ = studied
    low, high = [0.1, -0.3, -0.1], [0.3, -0.1, 0.1]
    plain = lines.filter(pl.col("ahead_of_plain").is_null())
    made = lines.filter(pl.col("ahead_of_plain").is_not_null()).with_columns(
        log_loss=plain["log_loss"].item() * pl.Series([1.0, 1.5, 2.0]),
        loss=pl.lit("focal"),
        ahead_of_plain=pl.Series([0.2, -0.2, 0.0]),
        ahead_of_plain_low=pl.Series(low),
        ahead_of_plain_high=pl.Series(high),
    )
    assert list(which_loss.counted(pl.concat([plain, made], how="diagonal_relaxed")))[2] == (
        "| Logistic regression | focal | 3 | 1 | 1 | 1 | +0.000 | -0.200 | +0.200 | 1.50 |"
    )
    found = [which_loss.difference(line) for line in made.iter_rows(named=True)]
    assert found == [
        "**+0.200 (+0.100 to +0.300)**",
        "**-0.200 (-0.300 to -0.100)**",
        "+0.000 (-0.100 to +0.100)",
    ]


def test_the_study_tells_what_a_threshold_is_worth(studied):
    lines, _ = studied
    plain = lines.filter(pl.col("ahead_of_plain").is_null()).row(0, named=True)
    lost = plain["score_untuned"] - plain["score"]
    assert f"| Logistic regression | {lost:+.3f} |" in list(which_loss.thresholds(lines))[2]
    text = which_loss.as_markdown(lines)
    assert (
        f"| one | {plain['rows']} | {plain['rarest']} | {plain['score']:.3f} | {plain['score_untuned']:.3f} |" in text
    )


def test_the_study_without_tables(tmp_path, data, capsys):
    assert which_loss.main(["--data", str(tmp_path / "none")]) == 0
    assert which_loss.main(["--data", str(data), "--tables", "several"]) == 2
    assert "no table several; known: one" in capsys.readouterr().out


def test_what_is_not_in_the_cache_is_not_asked(data, tmp_path, capsys):
    assert comparison.main(["--data", str(data), "--cache", str(tmp_path), "--tables", "one", "--cached"]) == 0
    said = capsys.readouterr().out
    assert all(f"- one, 0, {method}: not asked" in said for method in comparison.METHODS)
    assert "Of all" not in said
