"""The report as one page: the sections are made here, their HTML is in the templates of this folder."""

from typing import Any

from counterpoise.table.report.panel import panel_of, stops_for
from counterpoise.table.report.sections import sections_of
from counterpoise.table.report.sentences import headline, promise
from counterpoise.table.report.shell import fingerprint_of_script, shown
from counterpoise.table.report.summary import summary_lines
from counterpoise.table.training.outcome import Outcome


def render(training: Outcome) -> str:
    """The page as HTML, with everything in it: no script, style, letter or picture comes from elsewhere."""
    return _shown(
        "report.html.j2", training=training, sections=sections_of(training), fingerprint=fingerprint_of_script()
    )


def heart(training: Outcome) -> str:
    """The small part of the report that a notebook shows: what was found, and the slider for two classes."""
    panel = panel_of(training, stops_for(training)) if training.binary else None
    return _shown("heart.html.j2", training=training, lines=summary_lines(training), panel=panel)


def _shown(name: str, training: Outcome, **facts: Any) -> str:
    return shown(name, training=training, headline=headline(training), promise=promise(training), **facts)
