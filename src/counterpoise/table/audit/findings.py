"""The findings of an audit: its facts as sentences, each with advice."""

import shlex
from collections.abc import Iterable, Sequence

from counterpoise.table.asked import words_of
from counterpoise.table.audit.facts import Audit, Finding, LateDates, Leak
from counterpoise.table.features.growth import Growing
from counterpoise.table.features.identifiers import Identifier
from counterpoise.table.reading.frames import FRAME
from counterpoise.table.reading.named_columns import option_words
from counterpoise.table.rows.enough import LEAST_OF_TWO
from counterpoise.wording import listed, percent, plural

STOP, LOOK, NOTE = "stop", "look", "note"
_FEW_TESTED = 30
_MANY_COPIES = 0.01
_MANY_MISSING = 0.5
_SHOWN = 5


def findings_of(audit: Audit) -> tuple[Finding, ...]:
    """All findings, the most serious first."""
    found = [
        *_refused(audit),
        *_leaks(audit),
        *_alike(audit),
        *_few(audit),
        *_copies(audit),
        *_groups(audit),
        *_drift(audit),
        *_identifiers(audit),
        *_growing(audit),
        *_cells(audit),
        *_dates(audit),
        *_readings(audit),
    ]
    return tuple(sorted(found, key=lambda one: (STOP, LOOK, NOTE).index(one.severity)))


def verdict_of(audit: Audit) -> str:
    """The whole audit in one or two sentences."""
    grave = [one.title for one in audit.findings if one.severity == STOP]
    doubtful = [one.title for one in audit.findings if one.severity == LOOK]
    if grave:
        return f"Do not train on this table as it is: {_joined(grave)}." + (
            f" Then check: {_joined(doubtful)}." if doubtful else ""
        )
    if doubtful:
        return f"Usable, with care: {_joined(doubtful)}."
    effect = audit.smallest_effect
    return f"No problem was found: the test part has {effect.rows:,} rows of {effect.of_class!r} to judge by."


def _names(columns: Iterable[str]) -> str:
    return listed(map(repr, columns))


def _joined(titles: list[str]) -> str:
    return "; ".join(one[0].lower() + one[1:] if not one.startswith("'") else one for one in titles)


def _ignoring(audit: Audit, found: Sequence[Leak | Identifier | Growing | LateDates]) -> str:
    """The option of the command that leaves columns out, or of the call."""
    names = [*audit.ignored, *(one.column for one in found)]
    return f"ignore={names!r}" if audit.table == str(FRAME) else shlex.join(words_of(ignore=names))


def _naming(audit: Audit, option: str, name: str) -> str:
    """The option of the command that names a column, or that of the call."""
    return f"{option}={name!r}" if audit.table == str(FRAME) else shlex.join(option_words(option, name))


def _columns(number: int, one: str, many: str) -> str:
    return plural(number, f"column {one}", f"columns {many}")


def _reasons(found: Sequence[Leak | Identifier | Growing | LateDates]) -> str:
    """The columns with their reasons; those with the same reason together."""
    of_reason: dict[str, list[str]] = {}
    for one in found:
        of_reason.setdefault(one.why, []).append(one.column)
    return _first([f"{_names(columns)}: {why}." for why, columns in of_reason.items()])


def _first(sentences: Sequence[str]) -> str:
    """The first sentences, and the number of further ones."""
    left = len(sentences) - _SHOWN
    return " ".join(sentences[:_SHOWN]) + (f" And {left:,} more." if left > 0 else "")


def _leaks(audit: Audit) -> list[Finding]:
    certain = [leak for leak in audit.leaks if leak.certain]
    doubtful = [leak for leak in audit.leaks if not leak.certain and leak.of_class is None]
    of_class = [leak for leak in audit.leaks if leak.of_class is not None]
    found = []
    if certain:
        title = _columns(len(certain), "gives the class away", "give the class away")
        it = "it" if len(certain) == 1 else "them"
        leave_out = f"Leave {it} out if known only after the class: {_ignoring(audit, certain)}"
        found.append(Finding(STOP, title, _reasons(certain), leave_out))
    if doubtful:
        title = _columns(len(doubtful), "may give the class away", "may give the class away")
        ask = (
            "Ask whether a new row has the value before its class is known; if not, leave the column out: "
            f"{_ignoring(audit, doubtful)}"
        )
        found.append(Finding(LOOK, title, _reasons(doubtful), ask))
    if of_class:
        title = _columns(
            len(of_class), "alone separates one class from all others", "alone separate one class from all others"
        )
        found.append(Finding(NOTE, title, _reasons(of_class), ""))
    return found


def _refused(audit: Audit) -> list[Finding]:
    """Data that training refuses."""
    found = []
    scarce = min(audit.classes, key=lambda one: one.rows)
    if len(audit.classes) == 2 and scarce.rows < LEAST_OF_TWO:
        found.append(
            Finding(
                STOP,
                f"too few rows of {scarce.name!r}",
                f"{scarce.rows:,} rows are of class {scarce.name!r}; with two classes, each needs at least "
                f"{LEAST_OF_TWO}, to learn from, to set the threshold and to test on.",
                "Collect more rows of it.",
            )
        )
    if audit.refused:
        title = _columns(len(audit.refused), "has cells that cannot be used", "have cells that cannot be used")
        said = _first([f"{one}.".replace("column", "Column", 1) for one in audit.refused])
        found.append(Finding(STOP, title, said, "Correct these cells: training refuses them."))
    return found


def _alike(audit: Audit) -> list[Finding]:
    if not audit.alike:
        return []
    text = " ".join(f"{one[0].upper() + one[1:]}." for one in audit.alike)
    return [Finding(LOOK, "classes are spelled alike", text, "Spell them the same if they are one class.")]


def _few(audit: Audit) -> list[Finding]:
    effect = audit.smallest_effect
    if effect.rows >= _FEW_TESTED:
        return []
    if effect.rows == 0:
        return [
            Finding(
                STOP,
                f"no test row is of class {effect.of_class!r}",
                f"The test part has no row of {effect.of_class!r}, so its recall cannot be measured.",
                "Collect more rows of it, or join it with another class.",
            )
        ]
    return [
        Finding(
            LOOK,
            f"few rows of {effect.of_class!r} to test on",
            sentence_of_effect(audit),
            "Collect more rows of it; until then trust intervals, not figures.",
        )
    ]


def sentence_of_effect(audit: Audit) -> str:
    """The smallest effect that the test part can show, in words."""
    effect = audit.smallest_effect
    if effect.rows < 2:
        return f"The test part has {effect.rows or 'no'} row of {effect.of_class!r}: its recall cannot be measured."
    start = (
        f"The test part has {effect.rows:,} rows of {effect.of_class!r}: a recall measured as 50% may truly be "
        f"anything from {percent(effect.low)} to {percent(effect.high)}"
    )
    if effect.gain is None:
        return f"{start}, and no gain in recall could be shown at all."
    return (
        f"{start}, and a true gain in recall of less than {percent(effect.gain)[:-1]} points over one half would "
        "usually go unnoticed (exact binomial, 95% confidence, four cases in five)."
    )


def _copies(audit: Audit) -> list[Finding]:
    copies, found = audit.copies, []
    tested = sum(one.test for one in audit.classes)
    if copies.rows:
        many = copies.across > _MANY_COPIES * tested
        found.append(
            Finding(
                LOOK if many else NOTE,
                plural(copies.rows, "row repeats another", "rows repeat another"),
                f"{copies.rows:,} of {audit.rows:,} rows repeat an earlier one; {copies.across:,} of {tested:,} test "
                f"rows ({percent(copies.across / max(tested, 1))}) also occur in the training data.",
                "Remove the copies, or keep them together with --group: otherwise the test is easier than new data."
                if many
                else "",
            )
        )
    if copies.contradicting:
        found.append(
            Finding(
                NOTE,
                f"{copies.contradicting:,} rows contradict another",
                f"{copies.contradicting:,} rows equal another row in every column but have another class.",
                "No model can be right about all of them; a column that tells them apart would help.",
            )
        )
    return found


def _groups(audit: Audit) -> list[Finding]:
    groups = audit.groups
    if groups is None:
        named = [one.column for one in audit.identifiers if one.repeats and not one.certain]
        if not named:
            return []
        return [
            Finding(
                LOOK,
                f"rows may belong together by {named[0]!r}",
                f"{_names(named)} {'looks like an identifier' if len(named) == 1 else 'look like identifiers'} "
                "shared by several rows.",
                f"Keep them together, or the test will see what was learned: {_naming(audit, 'group', named[0])}.",
            )
        ]
    tested = sum(one.test for one in audit.classes)
    text = f"{groups.groups:,} groups by {groups.group!r}, the largest with {groups.largest:,} rows"
    if not groups.across:
        return [Finding(NOTE, f"{groups.groups:,} groups are kept together", f"{text}; none lies in two parts.", "")]
    return [
        Finding(
            LOOK,
            f"groups by {groups.group!r} lie in two parts",
            f"{text}; in a split that ignores groups, {groups.across:,} of {tested:,} test rows belong to a group "
            "that is also in the training data.",
            "Split by group, so that the test has new groups only.",
        )
    ]


def _drift(audit: Audit) -> list[Finding]:
    drift, found = audit.drift, []
    if drift is None:
        return []
    if drift.class_moved is not None:
        found.append(
            Finding(
                LOOK,
                f"the share of {drift.class_moved!r} changes over time",
                f"Over the periods of {drift.time!r} the share of {drift.class_moved!r} ranges from "
                f"{percent(drift.lowest)} to {percent(drift.highest)}.",
                f"Split by time ({_naming(audit, 'time', drift.time)}), and set the threshold on recent rows.",
            )
        )
    if drift.moved:
        moved = listed(f"{one.column!r} (AUC {one.auc:.2f})" for one in drift.moved)
        found.append(
            Finding(
                LOOK,
                _columns(len(drift.moved), "changed over time", "changed over time"),
                f"Alone {'it separates' if len(drift.moved) == 1 else 'they separate'} rows since {drift.since} "
                "from earlier "
                f"ones: {moved}.",
                f"Split by time ({_naming(audit, 'time', drift.time)}): what was learned from such a column may "
                "not hold tomorrow.",
            )
        )
    if not found:
        found.append(
            Finding(NOTE, "little changes over time", f"Rows since {drift.since} look like the earlier ones.", "")
        )
    return found


def _identifiers(audit: Audit) -> list[Finding]:
    certain = [one for one in audit.identifiers if one.certain]
    doubtful = [one for one in audit.identifiers if not one.certain]
    found = []
    if certain:
        title = _columns(len(certain), "only identifies rows", "only identify rows")
        it = "it" if len(certain) == 1 else "them"
        found.append(Finding(NOTE, title, _reasons(certain), f"Training leaves {it} out."))
    if doubtful:
        title = _columns(len(doubtful), "may only identify rows", "may only identify rows")
        ask = (
            "What is learned from an identifier does not hold for new rows; leave identifiers out: "
            f"{_ignoring(audit, doubtful)}"
        )
        found.append(Finding(LOOK, title, _reasons(doubtful), ask))
    return found


def _growing(audit: Audit) -> list[Finding]:
    found = []
    if audit.growing:
        title = _columns(len(audit.growing), "seems to grow with time", "seem to grow with time")
        ask = (
            "Later rows would lie outside the training range; leave out columns that only count time, or give an "
            f"age or a date (2024-01-31) instead: {_ignoring(audit, audit.growing)}"
        )
        found.append(Finding(LOOK, title, _reasons(audit.growing), ask))
    if audit.seeming:
        title = _columns(len(audit.seeming), "seems to hold dates or times", "seem to hold dates or times")
        found.append(Finding(LOOK, title, _first(audit.seeming), ""))
    if audit.late:
        title = _columns(
            len(audit.late), "has dates after the day of the table", "have dates after the day of the table"
        )
        ask = (
            f"Such a date may be planned; an event after that day gives the class away: {_ignoring(audit, audit.late)}"
        )
        found.append(Finding(LOOK, title, _reasons(audit.late), ask))
    return found


def _cells(audit: Audit) -> list[Finding]:
    found = []
    if audit.constant:
        title = _columns(len(audit.constant), "never changes", "never change")
        found.append(Finding(NOTE, title, f"{_names(audit.constant)}.", ""))
    if audit.duplicate_columns:
        doubled = audit.duplicate_columns
        title = _columns(len(doubled), "repeats another", "repeat another")
        pairs = listed(f"{name!r} repeats {twin!r}" for name, twin in doubled)
        found.append(Finding(NOTE, title, f"{pairs}.", ""))
    empty = [one for one in audit.missing if one.share > _MANY_MISSING and one.column not in audit.constant]
    if empty:
        title = _columns(len(empty), "is mostly missing", "are mostly missing")
        shares = listed(f"{one.column!r} ({percent(one.share)})" for one in empty)
        found.append(Finding(NOTE, title, f"Missing: {shares}.", ""))
    return found


def _dates(audit: Audit) -> list[Finding]:
    title = "how dates are learned"
    return [Finding(NOTE, title, " ".join(audit.dates), "")] if audit.dates else []


def _readings(audit: Audit) -> list[Finding]:
    if not audit.readings:
        return []
    title = "what was read as what"
    return [Finding(NOTE, title, _first(audit.readings), "")]
