"""The two forms of an audit: text for a terminal, and one self-contained page."""

import textwrap
from dataclasses import dataclass
from importlib.resources import files

from counterpoise.errors import printable
from counterpoise.table.audit.drift import Period
from counterpoise.table.audit.facts import Audit
from counterpoise.table.audit.findings import sentence_of_effect
from counterpoise.wording import percent

_MOST_CLASSES = 8
_MOST_COLUMNS = 12


@dataclass(frozen=True, slots=True)
class PeriodBar:
    """A period of the picture of class shares over time; lengths in percent of the longest."""

    first: str
    last: str
    rows: str
    share: str
    length: float


def screen(audit: Audit, width: int = 100) -> str:
    """The output of the command: the classes, the findings with advice, and the verdict.

    Parameters
    ----------
    audit
        The audit.
    width
        Width of the terminal in characters; longer sentences are wrapped.
    """
    lines = [
        f"{printable(audit.table)}: {audit.rows:,} rows, {audit.columns} columns; target {audit.target!r}, "
        f"{audit.imbalance_ratio:.3g} to 1",
        "",
    ]
    shown = audit.classes[:_MOST_CLASSES] if len(audit.classes) > 2 else audit.classes
    names = [printable(one.name) for one in shown]
    name = max(5, *map(len, names))
    lines.append(f"  {'class':<{name}}{'rows':>12}{'share':>10}{'train':>12}{'calibration':>13}{'test':>10}")
    lines += [
        f"  {spelled:<{name}}{one.rows:>12,}{percent(one.share):>10}{one.train:>12,}{one.calibration:>13,}"
        f"{one.test:>10,}"
        for spelled, one in zip(names, shown, strict=True)
    ]
    if len(audit.classes) > len(shown):
        lines.append(f"  and {len(audit.classes) - len(shown)} more")
    lines += ["", _broken(sentence_of_effect(audit), "  ", width), ""]
    for finding in audit.findings:
        lines.append(printable(f"{finding.severity.upper():<6}{finding.title[0].upper()}{finding.title[1:]}"))
        lines.append(_broken(finding.text, "      ", width))
        if finding.do:
            lines.append(_broken(f"-> {finding.do}", "      ", width))
    if audit.findings:
        lines.append("")
    lines.append(_broken(audit.verdict, "", width))
    if audit.command is not None:
        lines.append(printable(f"Next: {audit.command}"))
    return "\n".join(lines)


def _broken(text: str, indent: str, width: int) -> str:
    return textwrap.fill(
        printable(text),
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def page(audit: Audit) -> str:
    """One HTML page without a network: every name and cell in it is escaped.

    Parameters
    ----------
    audit
        The audit.
    """
    from jinja2 import Environment, StrictUndefined

    source = files("counterpoise.table.audit").joinpath("audit.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = percent
    template = environment.from_string(source)
    headline, _, besides = audit.verdict.partition(" Then ")
    drift = audit.drift
    return template.render(
        audit=audit,
        headline=headline,
        besides=f"Then {besides}" if besides else "",
        effect=sentence_of_effect(audit),
        numbers=_numbers(audit),
        bars=() if drift is None else _bars(drift.periods, _place(audit)),
        barred=drift.class_moved or audit.classes[_place(audit)].name if drift is not None else "",
        most=_MOST_COLUMNS,
    )


def _place(audit: Audit) -> int:
    names = [one.name for one in audit.classes]
    moved = audit.drift.class_moved if audit.drift is not None else None
    return names.index(moved if moved is not None else audit.smallest_effect.of_class)


def _bars(periods: tuple[Period, ...], place: int) -> tuple[PeriodBar, ...]:
    longest = max(max(one.shares[place] for one in periods), 1e-12)
    return tuple(
        PeriodBar(
            one.first,
            one.last,
            f"{one.rows:,}",
            percent(one.shares[place]),
            100 * one.shares[place] / longest,
        )
        for one in periods
    )


def _numbers(audit: Audit) -> tuple[tuple[str, str], ...]:
    return (
        (f"{audit.rows:,}", "rows"),
        (f"{audit.columns - 1:,}", "columns besides the target"),
        (f"{audit.imbalance_ratio:.3g} to 1", "most frequent class to rarest"),
        (f"{audit.smallest_effect.rows:,}", f"test rows of {audit.smallest_effect.of_class}"),
    )
