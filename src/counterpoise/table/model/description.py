"""What the description of the service contains of a model."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Description:
    """How a model is described for machines and those who program them.

    Parameters
    ----------
    title
        What the model decides on.
    summary
        What the answer for a row holds.
    target
        JSON schema of the model's target.
    decision
        JSON schema of the decision on a row.
    """

    title: str
    summary: str
    target: dict[str, Any]
    decision: dict[str, Any]
