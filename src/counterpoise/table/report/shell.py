"""The common part of every page of the report: templates, style and the one script."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any


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
    return files("counterpoise.table.report").joinpath(name).read_text(encoding="utf-8")


def fingerprint_of_script() -> str:
    """Of the page's one script, the only one that its policy lets run: foreign text that slipped through cannot."""
    return base64.b64encode(hashlib.sha256(_text("report.js").encode()).digest()).decode()
