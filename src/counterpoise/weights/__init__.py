"""Counting labels, and class weights from the counts."""

from counterpoise.errors import nearest_name
from counterpoise.weights.counts import ClassCounts, LabelCounts, as_class_counts
from counterpoise.weights.labels import count
from counterpoise.weights.schemes import (
    NORMALIZATIONS,
    SCHEMES,
    class_weights,
    pos_weight,
    resolve_weight,
    warn_if_upside_down,
)

__all__ = [
    "NORMALIZATIONS",
    "SCHEMES",
    "ClassCounts",
    "LabelCounts",
    "as_class_counts",
    "class_weights",
    "count",
    "nearest_name",
    "pos_weight",
    "resolve_weight",
    "warn_if_upside_down",
]
