"""RESULTS.md, in which each benchmark has a part of its own."""

import argparse
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent


def may_write(parser: argparse.ArgumentParser, text: str = "write RESULTS.md") -> None:
    """Add the option `--write [FOLDER]`."""
    parser.add_argument("--write", nargs="?", type=Path, const=FOLDER, metavar="FOLDER", help=text)


def write_part(folder: Path, text: str) -> None:
    """Replace the part of RESULTS.md that has the title of `text`, or add it; the other parts stay."""
    path = folder / "RESULTS.md"
    folder.mkdir(parents=True, exist_ok=True)
    old = path.read_text() if path.exists() else ""
    title = text.splitlines()[0]
    parts = {part.splitlines()[0]: part.rstrip("\n") for part in re.split(r"(?m)^(?=# )", old) if part.strip()}
    parts[title] = text.rstrip("\n")
    path.write_text("\n\n".join(parts.values()) + "\n")


def as_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *lines)]


def commit() -> str:
    """The commit that is measured; "+" where files were changed since."""
    asked = ["git", "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(asked, cwd=FOLDER, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
