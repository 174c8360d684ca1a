"""The errors and warnings that Counterpoise raises itself."""


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


class ClassWeightWarning(UserWarning):
    """Class weights that most likely do not do what their author wants.

    Examples
    --------
    >>> issubclass(ClassWeightWarning, UserWarning)
    True
    """
