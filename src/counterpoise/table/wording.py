"""Words that messages share."""


def quoted(value: object, most: int = 40) -> str:
    """A cell for a message, which a long one must not fill.

    Examples
    --------
    >>> quoted("red"), quoted("ab" * 100, most=6)
    ("'red'", "'ababab…'")
    """
    text = str(value)
    return repr(text if len(text) <= most else text[:most] + "…")
