"""The words of a goal's text: how it falls into them, and how names and numbers are written so that they read back."""

import math
import re
from typing import Any, Literal, NamedTuple

from counterpoise.errors import UserError

RESERVED = ("where", "and", "with", "of", "per", "as", "from")
"""What the language itself says; a class or a column of that name goes in quotes."""

_WORD = re.compile(
    r"""(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?P<sign>[=<>≤≥]+|[,%])|(?P<bare>[^\s=<>≤≥,%'"]+)|(?P<open>['"])"""
)
_NAME = re.compile(r"[^\W\d][\w.-]*")


class Word(NamedTuple):
    """A word, where it starts (from 1), and whether it stood in quotes."""

    text: str
    place: int
    kind: Literal["bare", "quoted", "sign", "open", "end"]

    @property
    def lower(self) -> str:
        """The word as one of the language, which knows no capitals; in quotes it is none."""
        return "" if self.kind == "quoted" else self.text.lower()


def words_of(text: str) -> list[Word]:
    """The words of `text`; in quotes, a doubled quote stands for one.

    Examples
    --------
    >>> [word.text for word in words_of("recall of 'don''t know'>=50%")]
    ['recall', 'of', "don't know", '>=', '50', '%']
    """
    words = []
    for match in _WORD.finditer(text):
        kind, word = match.lastgroup, match[0]
        if kind == "quoted":
            word = word[1:-1].replace(2 * word[0], word[0])
        words.append(Word(word, match.start() + 1, kind))  # type: ignore[arg-type]  # lastgroup is any str
    return words


def is_name(text: str) -> bool:
    """Whether `text` reads as a name without quotes.

    Examples
    --------
    >>> is_name("amount"), is_name("loan amount"), is_name("where"), is_name("nan")
    (True, False, False, False)
    """
    return bool(_NAME.fullmatch(text)) and text.lower() not in (*RESERVED, "nan", "inf", "infinity")


def written_name(name: str) -> str:
    """A class or column as a goal's text has it.

    Examples
    --------
    >>> written_name("fraud"), written_name("don't know")
    ('fraud', "'don''t know'")
    """
    return name if is_name(name) else "'" + name.replace("'", "''") + "'"


def written_number(number: float) -> str:
    """A number without the zeros that say nothing.

    Examples
    --------
    >>> written_number(500.0), written_number(0.25)
    ('500', '0.25')
    """
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(float(number))


def finite(name: str, value: Any) -> float:
    """A finite number, or `UserError`.

    Examples
    --------
    >>> finite("the cost fn", "much")
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: the cost fn is 'much'; it must be a finite number
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name} is {value!r}; it must be a finite number")
    return number
