"""The value of a recipe on arrays of any framework, and its derivatives on NumPy's."""

from counterpoise.losses.closed_form import loss_and_gradient
from counterpoise.losses.loss import loss

__all__ = ["loss", "loss_and_gradient"]
