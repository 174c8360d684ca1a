"""One command line serves every simulation."""

import pytest

from benchmarks import results
from benchmarks.promises.simulation import Simulation, main


def made(**changes):
    facts = {
        "command": "review_band",
        "question": "Is it so?",
        "unit": "sets",
        "size": 50,
        "quick": 5,
        "about": "Share: of the sets.\nRow: its name.",
        "header": ["row", "share"],
        "outcomes": lambda sets: iter([("a", 1 / sets), ("b", 2 / sets)]),
        "cells": lambda outcome: [outcome[0], f"{outcome[1]:.2f}"],
        "claims": lambda found: [f"{len(found)} of 2 rows"],
    }
    return Simulation(**facts | changes)


@pytest.mark.parametrize("words, share", [([], "0.02"), (["--quick"], "0.20"), (["--sets", "2"], "0.50")])
def test_rows_are_measured_on_as_many_sets_as_asked(words, share, capsys):
    assert main(made(), words) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"a | {share}"


def test_the_part_of_the_results(tmp_path, capsys):
    assert main(made(), ["--quick", "--write", str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out == "a | 0.20\nb | 0.40\n2 of 2 rows\n"
    assert (tmp_path / "new" / "RESULTS.md").read_text() == (
        "# Review band\n\nWritten by `python -m benchmarks.review_band --sets 5 --write`.\n"
        "Share: of the sets.\nRow: its name.\n\n"
        f"- 2 of 2 rows\n- commit measured: {results.commit()}\n\n"
        "| row | share |\n| --- | --- |\n| a | 0.20 |\n| b | 0.40 |\n"
    )


def test_what_is_not_met_is_the_exit_status():
    assert main(made(passed=lambda found: len(found) == 3), ["--quick"]) == 1
