"""Which loss helps which learner, on real tables: `counterpoise compare` on each, read together.

    python -m benchmarks.which_loss [--data FOLDER] [--cache FOLDER] [--tables NAME ...] [--learners NAME ...] [--write]

Each table of the catalogue with one target is compared as `benchmarks.tables` prepares it: without what leaks, and
without the 20 % that judges there. Comparisons are kept in the cache; a table whose comparison is there is not asked
again. Half an hour for all.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import results
from benchmarks.tables.comparison import CACHE
from benchmarks.tables.data import DATA, catalogue, chosen, prepare
from counterpoise.table.compare import CSV, compare_table
from counterpoise.table.learners import LEARNERS

PLAIN = "plain-cross-entropy"
COMMIT = "commit.txt"
COMPARED = ("lightgbm", "xgboost", "logistic")


def compared(facts: dict[str, Any], data: Path, cache: Path, learners: Sequence[str]) -> pl.DataFrame:
    """One table's lines, with what tells the table; from the cache where they are there."""
    folder = cache / facts["name"] / "seed0"
    task = prepare(facts, data, folder, 0)
    lines = []
    for learner in learners:
        out = folder / f"compare-{learner}"
        if not out.exists():
            print(f"{facts['name']}: {learner}", file=sys.stderr, flush=True)
            compare_table(folder / "train.parquet", target=task.targets[0], out=out, learners=[learner])
            (out / COMMIT).write_text(results.commit())
        lines.append(pl.read_csv(out / CSV).with_columns(commit=pl.lit((out / COMMIT).read_text())))
    counts = pl.read_parquet(folder / "train.parquet")[task.targets[0]].value_counts()["count"]
    return pl.concat(lines, how="vertical_relaxed").with_columns(
        table=pl.lit(task.name),
        several=pl.lit(len(task.classes) > 2),
        rarest=pl.lit(int(counts.min() or 0)),
        rows=pl.lit(int(counts.sum())),
    )


def as_markdown(lines: pl.DataFrame) -> str:
    """Its part of RESULTS.md."""
    tables = lines["table"].unique(maintain_order=True).to_list()
    text = [
        "# Which loss",
        "",
        f"Written by `python -m benchmarks.which_loss --write`: {len(tables)} real tables, at most 20,000 rows of",
        "each; F1 of the rarer class, of more than two classes macro-F1, on out-of-fold rows. A threshold (of several",
        "classes: factors) is chosen on the other folds. *Ahead* and *behind*: the 95 % interval of the paired",
        "difference to plain cross-entropy with the same learner excludes 0; one in forty is ahead by chance alone.",
        "The last column is the median ratio of the honest probabilities' log loss to that of plain cross-entropy.",
        "",
        f"- commits measured: {', '.join(lines['commit'].unique().sort())}",
        "",
        "## By learner and loss",
        "",
        *counted(lines),
        "",
        "## What the threshold alone does",
        "",
        "The score of plain cross-entropy at 0.5 (the most probable class), and of each loss there, less that of plain",
        "cross-entropy with a chosen threshold; mean over the tables.",
        "",
        *thresholds(lines),
    ]
    for learner in lines["learner"].unique(maintain_order=True):
        text += ["", f"## {LEARNERS[learner].title}, table by table", "", *by_table(lines, learner)]
    return "\n".join(text) + "\n"


def counted(lines: pl.DataFrame) -> Iterator[str]:
    """How often each loss was ahead, and by how much."""
    yield "| learner | loss | tables | ahead | behind | neither | mean difference | worst | best | log loss, times |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    leading = lines.filter(pl.col("ahead_of_plain").is_null()).select("table", "learner", plain_log_loss="log_loss")
    others = lines.filter(pl.col("ahead_of_plain").is_not_null() & (pl.col("loss") != PLAIN)).join(
        leading, on=["table", "learner"], maintain_order="left"
    )
    for (learner, loss), rows in others.group_by("learner", "loss", maintain_order=True):
        ahead, behind = int((rows["ahead_of_plain_low"] > 0).sum()), int((rows["ahead_of_plain_high"] < 0).sum())
        found = rows["ahead_of_plain"]
        yield (
            f"| {LEARNERS[str(learner)].title} | {loss} | {rows.height} | {ahead} | {behind} "
            f"| {rows.height - ahead - behind} | {found.mean():+.3f} | {found.min():+.3f} | {found.max():+.3f} "
            f"| {(rows['log_loss'] / rows['plain_log_loss']).median():.2f} |"
        )


def thresholds(lines: pl.DataFrame) -> Iterator[str]:
    """What is lost without a chosen threshold."""
    leading = lines.filter(pl.col("ahead_of_plain").is_null()).select("table", "learner", tuned="score")
    joined = lines.filter(pl.col("ahead_of_plain").is_null() | (pl.col("loss") != PLAIN)).join(
        leading, on=["table", "learner"]
    )
    losses = joined["loss"].unique(maintain_order=True).to_list()
    yield "| learner | " + " | ".join(f"{loss} at 0.5" for loss in losses) + " |"
    yield "| --- |" + " ---: |" * len(losses)
    for (learner,), rows in joined.group_by("learner", maintain_order=True):
        lost = {loss: (own["score_untuned"] - own["tuned"]).mean() for (loss,), own in rows.group_by("loss")}
        cells = [f"{lost[loss]:+.3f}" if loss in lost else "-" for loss in losses]
        yield f"| {LEARNERS[str(learner)].title} | " + " | ".join(cells) + " |"


def by_table(lines: pl.DataFrame, learner: str) -> Iterator[str]:
    """Each table's score with plain cross-entropy, and the differences of the other losses with their intervals."""
    own = lines.filter(pl.col("learner") == learner)
    others = own.filter(pl.col("ahead_of_plain").is_not_null() & (pl.col("loss") != PLAIN))
    losses = others["loss"].unique(maintain_order=True).to_list()
    yield "| table | rows | rarest class | plain | at 0.5 | " + " | ".join(losses) + " |"
    yield "| --- | ---: | ---: | ---: | ---: |" + " --- |" * len(losses)
    for (table,), rows in own.group_by("table", maintain_order=True):
        plain = rows.filter(pl.col("ahead_of_plain").is_null()).row(0, named=True)
        cells = []
        for loss in losses:
            found = rows.filter((pl.col("loss") == loss) & pl.col("ahead_of_plain").is_not_null())
            cells.append(difference(found.row(0, named=True)) if found.height else "-")
        yield (
            f"| {table} | {plain['rows']:,} | {plain['rarest']:,} | {plain['score']:.3f} "
            f"| {plain['score_untuned']:.3f} | " + " | ".join(cells) + " |"
        )


def difference(line: dict[str, Any]) -> str:
    """Bold where its interval excludes 0."""
    low, value, high = (line[f"ahead_of_plain{end}"] for end in ("_low", "", "_high"))
    said = f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"**{said}**" if low > 0 or high < 0 else said


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.which_loss", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the real tables")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where comparisons are kept (build/tables)")
    parser.add_argument("--tables", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--learners", nargs="+", choices=list(LEARNERS), default=COMPARED, metavar="NAME")
    results.may_write(parser)
    asked = parser.parse_args(arguments)
    if not asked.data.is_dir():
        print(f"no folder {asked.data}: nothing is measured; name one with --data")
        return 0
    known = {name: facts for name, facts in catalogue(asked.data).items() if facts["task"] != "multilabel"}
    tables = chosen(known, asked.tables)
    if tables is None:
        return 2
    found = [compared(facts, asked.data, asked.cache, asked.learners) for facts in tables]
    text = as_markdown(pl.concat(found, how="vertical_relaxed"))
    print(text)
    if asked.write is not None:
        results.write_part(asked.write, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
