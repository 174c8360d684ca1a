"""The errors and warnings that Counterpoise raises itself."""

import difflib
import importlib.util
import sys
import warnings
from collections.abc import Iterable


def printable(text: str) -> str:
    r"""Text as one line that may be shown anywhere: what controls a terminal, or cannot be seen, is spelled.

    Examples
    --------
    >>> print(printable("a\x1b[31mb\u202ec\n"))
    a\x1b[31mb\u202ec\n
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


class UserError(ValueError):
    """A user's mistake; the message says what was wrong, where, what was found, and what to do.

    The command line prints it as one line and exits with code 2.

    Examples
    --------
    >>> raise UserError("target holds class 7, but the recipe has 4 classes (0 to 3)")
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: target holds class 7, but the recipe has 4 classes (0 to 3)
    """

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(map(printable, message.split("\n"))))  # it may have lines


class ClassWeightWarning(UserWarning):
    """Class weights that most likely do not do what their author wants.

    Examples
    --------
    >>> issubclass(ClassWeightWarning, UserWarning)
    True
    """


def nearest_name(kind: str, name: object, known: Iterable[str]) -> UserError:
    """The error for an unknown name, with the nearest known one.

    Examples
    --------
    >>> nearest_name("scheme", "invers", ["inverse", "log"])
    UserError("unknown scheme 'invers'; did you mean 'inverse'? known: inverse, log")
    """
    known = list(known)
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UserError(f"unknown {kind} {name!r}; {hint}known: {', '.join(known)}")


def refuse_missing(packages: Iterable[str], extra: str) -> None:
    """Raise `UserError` if a package is not there, and name the extra that brings it.

    Examples
    --------
    >>> refuse_missing(["numpy", "no_such_package"], "serve")
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: no_such_package is not installed: pip install 'counterpoise[serve]'
    """
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise UserError(f"{name} is not installed: pip install 'counterpoise[{extra}]'")


def warn_about_weights(message: str) -> None:
    """Warn of class weights."""
    warn_user(message, ClassWeightWarning)


def warn_user(message: str, category: type[UserWarning] = UserWarning) -> None:
    """Warn at the line of the user's own code, however deep inside the library the mistake is seen."""
    package = __name__.partition(".")[0]
    depth = 1
    while sys._getframe(depth).f_globals.get("__name__", "").partition(".")[0] == package:
        depth += 1
    warnings.warn(message, category, stacklevel=depth + 1)
