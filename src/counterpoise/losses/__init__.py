"""The loss of a recipe on arrays of any framework, and its derivatives on NumPy arrays."""

from counterpoise.losses.linear import linear_loss
from counterpoise.losses.loss import loss
from counterpoise.losses.on_numpy import loss_and_gradient

__all__ = ["linear_loss", "loss", "loss_and_gradient"]
