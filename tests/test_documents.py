"""The documents say what the code does."""

import json
from pathlib import Path

from counterpoise.goals import OBJECTIVES
from counterpoise.recipes import recipe_table

ROOT = Path(__file__).parents[1]


def losses_row(row):
    """The line of docs/losses.md for one named loss."""
    parameters = ", ".join(
        name if default is None else f"{name}={json.dumps(default)}" for name, default in row.parameters.items()
    )
    counts = "needed" if row.needs_counts else "–"
    return f"| `{row.name}` | {row.summary} | {parameters or '–'} | {counts} | {row.source} |"


def test_every_loss_has_its_row():
    document = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    missing = [losses_row(row) for row in recipe_table() if losses_row(row) not in document]
    assert not missing, "paste into docs/losses.md:\n" + "\n".join(missing)


def test_every_objective_is_defined():
    document = (ROOT / "docs" / "goals.md").read_text(encoding="utf-8")
    defined = [line.split("|")[1] for line in document.splitlines() if line.startswith("| `")]
    assert not [name for name in OBJECTIVES if not any(f"`{name}`" in names for names in defined)]
