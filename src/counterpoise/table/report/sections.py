"""The sections of the report: each turns an outcome into blocks, or is absent."""

from counterpoise.table.report.blocks import Section
from counterpoise.table.report.on_classes import classes_section, mistakes_section
from counterpoise.table.report.on_decision import (
    expectations_section,
    notes_section,
    promises_section,
    threshold_section,
)
from counterpoise.table.report.on_losses import blend_section, losses_section
from counterpoise.table.report.on_measures import calibration_section, measures_section, slices_section
from counterpoise.table.report.on_rows import data_section, importance_section, repeat_section
from counterpoise.table.training.outcome import Outcome


def sections_of(training: Outcome) -> tuple[Section, ...]:
    """All that the page shows below its headline."""
    made = (
        expectations_section(training),
        threshold_section(training),
        classes_section(training),
        mistakes_section(training),
        promises_section(training),
        notes_section(training),
        calibration_section(training),
        slices_section(training),
        losses_section(training),
        blend_section(training),
        importance_section(training),
        data_section(training),
        measures_section(training),
        repeat_section(training),
    )
    return tuple(one for one in made if one is not None)
