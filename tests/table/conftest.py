"""Small tables, and trainings that several tests look at."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from absent import needs
from counterpoise import goals

needs("lightgbm")


def _imbalanced(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """Two classes, 12 % positive; a number, a flag, a date, a category and empty cells."""
    rng = np.random.default_rng(seed)
    size, wind = rng.normal(size=rows), rng.normal(size=rows)
    kind = rng.choice(["oak", "fir", "elm"], size=rows)
    score = 1.6 * size + 1.2 * (kind == "fir") + 0.5 * wind + rng.logistic(size=rows)
    rare = score > np.quantile(score, 0.88)
    size[rng.choice(rows, 15, replace=False)] = np.nan
    return pl.DataFrame(
        {
            "size": pl.Series(size).fill_nan(None),
            "wind speed [m/s]": wind,
            "kind": kind,
            "wet": rng.random(rows) < 0.3,
            "day": [date(2023, 1, 1) + timedelta(days=int(k)) for k in rng.integers(0, 700, rows)],
            "label": np.where(rare, "yes", "no"),
        }
    )


def _several(rows: int = 420, seed: int = 0) -> pl.DataFrame:
    """Four classes, the rarest with seven rows."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=rows), rng.normal(size=rows)
    place = np.digitize(a + 0.5 * b + 0.3 * rng.normal(size=rows), [-0.5, 1.0])
    place[:7] = 3
    a[:7] += 6
    return pl.DataFrame({"a": a, "b": b, "grade": place})


@pytest.fixture(scope="session")
def imbalanced():
    """Make a table of two classes."""
    return _imbalanced


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "trees.csv"
    _imbalanced().write_csv(path)
    return path


@pytest.fixture(scope="session")
def trained(table, tmp_path_factory):
    """The directory and the facts of one binary training."""
    from counterpoise.table import train_table

    out = tmp_path_factory.mktemp("out") / "model"
    facts = train_table(
        table, target="label", goal=goals.goal("recall where precision >= 0.4"), learners=("lightgbm",), out=out
    )
    return out, facts


@pytest.fixture(scope="session")
def graded(tmp_path_factory):
    """The same of four classes."""
    from counterpoise.table import train_table

    directory = tmp_path_factory.mktemp("graded")
    _several().write_parquet(directory / "grades.parquet")
    facts = train_table(directory / "grades.parquet", target="grade", out=directory / "model")
    return directory / "model", facts


@pytest.fixture(scope="session")
def blended(tmp_path_factory):
    """The directory of a model of two learners, each with files of its own."""
    from dataclasses import replace

    import counterpoise as cp
    from counterpoise.table.model import bundle

    out = tmp_path_factory.mktemp("blended") / "model"
    trained = [
        cp.train(_imbalanced(250), target="label", learners=(name,), budget=10.0) for name in ("lightgbm", "logistic")
    ]
    members = tuple(replace(one.model.members[0], share=share) for one, share in zip(trained, (0.6, 0.4), strict=True))
    files = bundle.model_files(members, trained[0].schema.arrays())
    described = [
        {"label": one.label, "learner": one.learner, "recipe": one.recipe.to_dict(), "share": one.share}
        for one in members
    ]
    facts = dict(trained[0].facts) | {"members": described}
    bundle.write(out, bundle.whole_directory(facts, files, "<p>", "#"))
    return out
