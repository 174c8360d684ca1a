"""One page that says what was found: sections here, their HTML in the templates beside this file."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from counterpoise.table.panel import panel_of, stops_for
from counterpoise.table.sections import sections_of
from counterpoise.table.sentences import headline, percent, promise

if TYPE_CHECKING:
    from counterpoise.table.train import Training

__all__ = ["fingerprint_of_script", "headline", "heart", "percent", "render", "shown"]


def render(training: "Training") -> str:
    """The page as HTML, with everything in it: no script, style, letter or picture comes from elsewhere."""
    return _shown(
        "report.html.j2", training=training, sections=sections_of(training), fingerprint=fingerprint_of_script()
    )


def heart(training: "Training") -> str:
    """The small part of the report that a notebook shows: what was found, and the slider for two classes."""
    from counterpoise.table.summary import summary_lines  # it needs `percent`

    panel = panel_of(training, stops_for(training)) if training.binary else None
    return _shown("heart.html.j2", training=training, lines=summary_lines(training), panel=panel)


def _shown(name: str, training: "Training", **facts: Any) -> str:
    return shown(name, training=training, headline=headline(training), promise=promise(training), **facts)


def shown(name: str, **facts: Any) -> str:
    """A template of this package, filled, with the page's style and script."""
    page = {"style": _text("report.css"), "script": _text("report.js")}
    return str(_environment().get_template(name).render(**page, **facts))


@cache
def _environment() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _text(name: str) -> str:
    return files("counterpoise.table").joinpath(name).read_text(encoding="utf-8")


def fingerprint_of_script() -> str:
    """Of the page's one script, the only one that its policy lets run: foreign text that slipped through cannot."""
    return base64.b64encode(hashlib.sha256(_text("report.js").encode()).digest()).decode()
