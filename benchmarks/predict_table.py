"""How many rows `counterpoise predict` scores in a second, and in how much memory.

    python -m benchmarks.predict_table --rows 2000000 --threads 2

A LightGBM model of 30 numeric columns is trained once, then tables of several formats are predicted, each in a process
of its own: rows per second from the first byte read to the file in its place, and the most memory that it had.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

COLUMNS = 30
FORMATS = ("t.parquet", "t.csv", "t.csv.gz")


def rows(count: int, seed: int):
    """Thirty numbers per row, of which five matter, 3 % positive."""
    import polars as pl

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, COLUMNS)).round(4)
    score = 1.5 * x[:, 0] + x[:, 1] * x[:, 2] + np.abs(x[:, 3]) + x[:, 4] + rng.logistic(size=count)
    frame = pl.DataFrame({f"x{place}": x[:, place] for place in range(COLUMNS)})
    return frame.with_columns(y=pl.Series(score > 6))


def write(path: Path, count: int) -> None:
    """A table of so many rows."""
    import gzip

    frame = rows(count, 1).drop("y")
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix == ".csv":
        frame.write_csv(path)
    else:
        with gzip.open(path, "wb", compresslevel=1) as file:
            frame.write_csv(file)


def predict(model: Path, table: Path, out: Path) -> None:
    """Predict once and print what it took, as JSON."""
    import warnings

    from counterpoise.table import predict_table

    warnings.simplefilter("ignore")
    base = most_memory()
    began, worked = time.perf_counter(), time.process_time()
    done = predict_table(model, table, out)
    seconds, busy = time.perf_counter() - began, time.process_time() - worked
    megabytes = most_memory() - base
    print(json.dumps({"rows": done.rows, "seconds": seconds, "cpu": busy, "mb": megabytes}))


def most_memory() -> float:
    """The most megabytes that the process ever had (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def main() -> None:
    """Measure, and print a line per format."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--train-rows", type=int, default=60_000)
    parser.add_argument("--only", nargs=3, type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        predict(*asked.only)
        return
    import counterpoise as cp

    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        trained = cp.train(rows(asked.train_rows, 0), target="y", learners=("lightgbm",), budget=60.0)
        trained.save(place / "model")
        trees = [one.fitted.booster.num_trees() for one in trained.model.members]
        print(f"trees: {trees}; {asked.rows:,} rows x {COLUMNS} numbers, {asked.threads} threads")
        limits = {"OMP_NUM_THREADS": str(asked.threads), "POLARS_MAX_THREADS": str(asked.threads)}
        for name in FORMATS:
            write(place / name, asked.rows)
            command = [sys.executable, "-m", "benchmarks.predict_table", "--only"]
            words = [str(one) for one in (place / "model", place / name, place / (name + ".out.parquet"))]
            done = subprocess.run([*command, *words], env={**os.environ, **limits}, capture_output=True, check=True)
            found = json.loads(done.stdout)
            print(
                f"{name:<10} {found['rows'] / found['seconds']:>9,.0f} rows/s   {found['rows'] / found['cpu']:>9,.0f} "
                f"rows per CPU second   {found['mb']:,.0f} MB more than before"
            )
            (place / name).unlink()


if __name__ == "__main__":
    main()
