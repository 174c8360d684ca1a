"""JSON that somebody else may have written: parsed strictly, and checked against its required form.

A check is a function of a value and of the place where it was found; it raises an error that names both. Checks combine
into the form of a whole file, so that the form can be read in one place (`forms`).
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from counterpoise.errors import UserError

Check = Callable[[Any, str], None]


def parsed(data: bytes, where: str) -> Any:
    """The value of a JSON text.

    Parameters
    ----------
    data
        Text in UTF-8.
    where
        Name of the file, for messages.

    Raises
    ------
    UserError
        If it is not JSON, names something twice in an object, or holds a number that is none or half of a character.

    Examples
    --------
    >>> parsed(b'{"share": [1, NaN]}', "decision.json")
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: decision.json: share[1] is nan, which is not a JSON number
    """
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is damaged ({error})") from None
    try:
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise UserError(_odd(found, where) or f"{where} is damaged (it is nested too deeply)") from None
    return found


def repeated_name(pairs: list[tuple[str, Any]]) -> str | None:
    """A name that several members of a JSON object have, or None.

    Examples
    --------
    >>> repeated_name([("x", 1), ("y", 2), ("x", 3)])
    'x'
    """
    times = Counter(name for name, _ in pairs)
    return None if len(times) == len(pairs) else times.most_common(1)[0][0]


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = repeated_name(pairs)
    if twice is not None:
        raise ValueError(f"{twice!r} is named twice in one object")
    return dict(pairs)


def _odd(value: Any, where: str) -> str | None:
    """What is said of the first number that is none, or text that is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{where} is {value}, which is not a JSON number"
    if isinstance(value, str) and not _is_utf8(value):
        return f"{where} is {value[:40]!a}, which holds half of a character"
    inner: Sequence[tuple[str, Any]] = ()
    if isinstance(value, dict):
        halves = [name for name in value if not _is_utf8(name)]
        if halves:
            return f"{where} names {halves[0][:40]!a}, which holds half of a character"
        inner = [(inside(where, name), one) for name, one in value.items()]
    elif isinstance(value, list):
        inner = [(f"{where}[{place}]", one) for place, one in enumerate(value)]
    try:
        return next((said for place, one in inner if (said := _odd(one, place)) is not None), None)
    except RecursionError:
        return None


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text) if not text.isascii() else True


def inside(where: str, name: str) -> str:
    r"""The place of a field, for messages.

    Examples
    --------
    >>> inside("decision.json", "goal"), inside("decision.json: counts", "a\x1b")
    ('decision.json: goal', "decision.json: counts.'a\\x1b'")
    """
    shown = name if name.isprintable() and len(name) <= 60 else ascii(name[:60])
    return where + (": " if where.endswith(".json") else ".") + shown


def refuse(value: Any, where: str, wanted: str) -> None:
    """Raise the error of a value that is not what is wanted.

    Examples
    --------
    >>> refuse(-1, "decision.json: threshold", "a number from 0 to 1")
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: decision.json: threshold is -1; it must be a number from 0 to 1
    """
    if isinstance(value, int) and abs(value) >= 10**15:  # str refuses a number of thousands of digits
        shown = "a whole number of 15 digits or more"
    elif isinstance(value, list | dict) and value:
        shown = "a list" if isinstance(value, list) else "an object"
    else:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:60] + "…"
    raise UserError(f"{where} is {shown}; it must be {wanted}")


def text(*, most: int = 1_000_000, form: str | None = None, one_of: Sequence[str] | None = None) -> Check:
    """Text of at most so many characters, of a form (a regular expression), or one of some words."""
    wanted = f"text of at most {most:,} characters"
    if one_of is not None:
        wanted = f"one of {', '.join(map(repr, one_of))}"
    elif form is not None:
        wanted = f"text of the form {form}"
    compiled = None if form is None else re.compile(form)

    def check(value: Any, where: str) -> None:
        fits = isinstance(value, str) and len(value) <= most and (one_of is None or value in one_of)
        if not fits or (compiled is not None and not compiled.fullmatch(value)):
            refuse(value, where, wanted)

    return check


def number(*, low: float = -math.inf, high: float = math.inf, above: float = -math.inf) -> Check:
    """A finite number from `low` to `high`, and larger than `above`."""
    lower = f"above {above:g}" if above > -math.inf else f"of at least {low:g}" if low > -math.inf else ""
    upper = f"at most {high:g}" if high < math.inf else ""
    wanted = " ".join(filter(None, ("a finite number", " and ".join(filter(None, (lower, upper))))))

    def check(value: Any, where: str) -> None:
        if type(value) not in (int, float) or not max(low, -1e308) <= value <= min(high, 1e308) or not value > above:
            refuse(value, where, wanted)

    return check


def whole(low: int, high: int) -> Check:
    """A whole number from `low` to `high`."""

    def check(value: Any, where: str) -> None:
        if type(value) is not int or not low <= value <= high:
            refuse(value, where, f"a whole number from {low} to {high}")

    return check


def flag(value: Any, where: str) -> None:
    """Check that it is true or false."""
    if not isinstance(value, bool):
        refuse(value, where, "true or false")


def anything(value: Any, where: str) -> None:
    """Check nothing: it is for people, and nothing is computed from it."""


def nothing_or(check: Check) -> Check:
    """Null, or what passes a check."""

    def either(value: Any, where: str) -> None:
        if value is not None:
            check(value, where)

    return either


def list_of(check: Check, *, least: int = 0, most: int = 50_000_000, distinct: bool = False) -> Check:
    """A list of so many values that each pass a check; all different if `distinct`."""
    count = f"{least}" if least == most else f"at least {least}" if most >= 50_000_000 else f"{least} to {most}"

    def check_all(value: Any, where: str) -> None:
        if not isinstance(value, list):
            refuse(value, where, "a list")
        if not least <= len(value) <= most:
            raise UserError(f"{where} has {len(value):,} values; it must have {count}")
        for place, one in enumerate(value):
            check(one, f"{where}[{place}]")
        if distinct and len(set(map(_key, value))) < len(value):
            raise UserError(f"{where} holds a value twice")

    return check_all


def _key(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def mapping_of(check: Check, keys: Sequence[str] | None = None) -> Check:
    """An object whose values pass a check; with exactly these keys, if given."""

    def check_all(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            refuse(value, where, "an object")
        if keys is not None and set(value) != set(keys):
            _refuse_keys(value, keys, where)
        for name, one in value.items():
            check(one, inside(where, name))

    return check_all


def record(fields: Mapping[str, Check], *, optional: Mapping[str, Check] | None = None, others: bool = False) -> Check:
    """An object with these fields, perhaps with those that are optional, and with no others unless `others`."""
    optional = optional or {}

    def check_all(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            refuse(value, where, "an object")
        known = [*fields, *(name for name in optional if name in value), *(value if others else ())]
        if set(value) != set(known):
            _refuse_keys(value, known, where)
        for name, check in {**fields, **optional}.items():
            if name in value:
                check(value[name], inside(where, name))

    return check_all


def _refuse_keys(value: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    absent = [name for name in keys if name not in value]
    if absent:
        raise UserError(f"{where} lacks {absent[0]!r}")
    unknown = next(name for name in value if name not in keys)
    raise UserError(f"{where} has {unknown[:60]!r}, which means nothing there")
