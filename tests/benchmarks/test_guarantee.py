"""The benchmark of promises computes what it says it does."""

import pytest

from absent import needs
from benchmarks import guarantee, results
from benchmarks.guarantee import GUARANTEE, HEADER, cells, measure, rows, tally
from benchmarks.promises import mapie_peer
from benchmarks.promises.distributions import HEAVY, HONEST, SHIFTED, TIED, Row
from benchmarks.promises.simulation import as_markdown

needs("scipy")


@pytest.mark.parametrize("scores", [HONEST, HEAVY, SHIFTED, TIED], ids=lambda one: one.name)
@pytest.mark.parametrize("threshold", [0.0, 0.115, 0.5, 1.1])
def test_the_true_rates_are_those_of_many_rows(scores, threshold):
    row = Row(scores, 0.2, 200_000, 1.5, "recall where precision >= 0.5")
    target, score = row.sample(1)
    at, flagged = row.truth(threshold), score >= threshold
    for share, rows_there in [(at.tp, target & flagged), (at.fp, ~target & flagged), (at.fn, target & ~flagged)]:
        assert float(share) == pytest.approx(rows_there.mean(), abs=0.004)


def test_a_promise_is_judged_by_the_true_rates():
    row = Row(HONEST, 0.2, 500, 2.5, "recall where precision >= 0.7")
    good, bad = 0.9, 0.01
    found = tally(row, [good, bad, None, None], [bad] * 4)
    assert (found.promised, found.violated, found.violated_if_promised) == (0.5, 0.25, 0.5)
    assert found.value < found.value_else_empirical
    assert row.oracle() > float(row.truth(good).recall)


def test_rows_are_measured(monkeypatch):
    monkeypatch.setattr(mapie_peer, "controller_class", lambda: None)
    outcome = measure(Row(TIED, 0.2, 300, 2.5, "precision where recall >= 0.7"), 4)
    assert len(cells(outcome)) == len(HEADER)
    assert guarantee.claims([outcome])[0].endswith("1 of 1 rows")
    assert "skipped" in as_markdown(GUARANTEE, [outcome], ["a claim"], 4)


def test_rows_differ():
    assert len(set(rows())) == len(rows())


def test_other_parts_of_the_results_stay(tmp_path):
    for text in ["# Results\n\n## torch\n", "# Guarantee\n\nold\n", "# Results\n\n## jax\n", "# Guarantee\n\nnew\n"]:
        results.write_part(tmp_path, text)
    assert (tmp_path / "RESULTS.md").read_text() == "# Results\n\n## jax\n\n# Guarantee\n\nnew\n"
