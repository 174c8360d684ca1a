"""What the text of an option means: names, seconds and numbers; and the packages that a command needs."""

import re

from counterpoise.errors import UserError, refuse_missing


def words_of(option: str, text: str) -> list[str]:
    """Names with commas between them.

    Examples
    --------
    >>> words_of("--learner", "lightgbm, mlp")
    ['lightgbm', 'mlp']
    """
    found = [word.strip() for word in text.split(",")]
    if not all(found):
        raise UserError(f"{option} {text!r} is not a comma-separated list of names")
    return list(dict.fromkeys(found))


def seconds_of(text: str) -> float:
    """A time such as 90s, 5m or 1h, in seconds.

    Examples
    --------
    >>> seconds_of("5m")
    300.0
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h)?", text.strip())
    if found is None:
        raise UserError(f"--budget {text!r} is not a duration; write 90s, 5m or 1h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2] or "s"]


def numbers_of(option: str, text: str | None) -> list[float] | None:
    """Numbers with commas between them; None where the option was not given.

    Examples
    --------
    >>> numbers_of("--weights", "1,19")
    [1.0, 19.0]
    """
    if text is None:
        return None
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise UserError(f"{option} {text!r} is not a comma-separated list of numbers, such as 1,19") from None


def needs_table_extra() -> None:
    """Raise `UserError` where the packages for tables are not installed."""
    packages = ("polars", "lightgbm", "scipy", "sklearn", "jinja2", "matplotlib", "filelock", "safetensors")
    refuse_missing(packages, "table")
