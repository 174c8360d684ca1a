"""The command line of the benchmarks: choose rows, measure each in a process of its own, print, write."""

import argparse
from collections.abc import Sequence

from benchmarks.results import FOLDER, may_write
from benchmarks.speed import picture, results
from benchmarks.speed.measure import Pair, Settings, SkipRow, isolated, samples_of
from benchmarks.speed.results import Result, result_of

PARTS = ("torch", "tensorflow", "jax", "boosters", "linear", "roofline", "import", "peers")


def main(rows: Sequence[Pair], arguments: Sequence[str] | None = None) -> int:
    """Measure the rows that the arguments choose; 1 where `--check` is given and a bar is missed."""
    asked = _parser().parse_args(arguments)
    chosen = select(rows, only=asked.only, shape=asked.shape, loss=asked.loss)
    if not chosen:
        print("no row is of that part, shape and loss")
        return 2
    settings = Settings(pairs=5, seconds=3.0, least=1) if asked.quick else Settings()
    if asked.pairs is not None:
        settings = Settings(asked.pairs, settings.seconds, min(settings.least, asked.pairs))
    measured = []
    for row in chosen:
        measured.append(measure(row, settings))
        print(measured[-1], flush=True)
        if asked.write is not None:  # after each row, so that a run that is stopped keeps what it has
            kept = results.write(measured, [(r.part, r.shape, r.loss) for r in rows], asked.write)
            picture.write(kept, picture.PICTURE if asked.write == FOLDER else asked.write / picture.PICTURE.name)
    missed = [result for result in measured if result.met is False or result.failed]
    print(summary(measured))
    return 1 if asked.check and missed else 0


def select(
    rows: Sequence[Pair], *, only: Sequence[str] | None = None, shape: str | None = None, loss: str | None = None
) -> list[Pair]:
    """The rows of these parts, of this shape, whose loss has this name, or else has it in its name."""
    exact = any(row.loss == loss for row in rows)
    return [
        row
        for row in rows
        if (only is None or row.part in only)
        and (shape is None or row.shape == shape)
        and (loss is None or (row.loss == loss if exact else loss in row.loss))
    ]


def measure(row: Pair, settings: Settings) -> Result:
    """The record of a row, also where it cannot run or fails: one bad row shall not hide the others."""
    try:
        return result_of(row, isolated(samples_of, row, settings))
    except SkipRow as reason:
        return result_of(row, skipped=str(reason))
    except Exception as error:  # noqa: BLE001, RUF100 - a process that was killed is among them
        first_line = (str(error).strip() or "no message").splitlines()[0]
        return result_of(row, failed=f"{type(error).__name__}: {first_line}")


def summary(measured: Sequence[Result]) -> str:
    """How many bars were met, and which were not."""
    met = sum(result.met is True for result in measured)
    lines = [f"{met} of {sum(result.met is not None for result in measured)} bars met"]
    lines += [
        f"  missed: {result.claim}: {result.loss} {results.number(result.ratio)} > {result.bar}"
        for result in measured
        if result.met is False
    ]
    lines += [f"  failed: {result.claim}: {result.loss}: {result.failed}" for result in measured if result.failed]
    skipped = sum(bool(result.skipped) for result in measured)
    return "\n".join([*lines, f"  skipped: {skipped}"] if skipped else lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.losses", description="What a loss costs.")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="only these parts")
    parser.add_argument("--shape", help="only this shape, such as 1000000x2")
    parser.add_argument("--loss", help="only losses of this name, such as softmax.focal, or with it in their name")
    parser.add_argument("--pairs", type=int, help="samples of each side at most (20)")
    parser.add_argument("--quick", action="store_true", help="5 pairs and 3 seconds a row at most")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a bar is missed or a row fails")
    may_write(parser, "write RESULTS.md, results.json and the picture; rows not measured now keep their last result")
    return parser
