"""The marks of numbers, before a fraction and between groups of digits, as the user gives them."""

from dataclasses import dataclass

from counterpoise.errors import UserError
from counterpoise.table.reading.numbers import MARKS, NumberFormat


@dataclass(frozen=True, slots=True)
class Marks:
    """What the user says about numbers; it decides where columns do not.

    Parameters
    ----------
    decimal
        The mark before the fraction, "." or ","; None if not given.
    thousands
        The mark between groups of digits: ",", ".", " ", "'" or "" for none; None if not given.
    """

    decimal: str | None = None
    thousands: str | None = None

    def __post_init__(self) -> None:
        if self.decimal not in (None, *MARKS):
            raise UserError(f"decimal is {self.decimal!r}; it is the mark before a fraction: '.' or ','")
        if self.thousands not in (None, "", ".", ",", " ", "'"):
            raise UserError(
                f"thousands is {self.thousands!r}; it is the mark between groups of digits: ',', '.', ' ' or \"'\", or "
                "'' for none"
            )
        if self.decimal is not None and self.decimal == self.thousands:
            raise UserError(f"decimal and thousands are both {self.decimal!r}; a mark has one meaning")

    def allow(self, how: NumberFormat) -> bool:
        """Whether numbers may be written so."""
        if self.decimal not in (None, how.decimal):
            return False
        return self.thousands is None or (how.decimal != self.thousands and how.thousands in ("", self.thousands))


SAID_NOTHING = Marks()
