"""The sections of the report: each takes what was found and says it in blocks, or has nothing to say."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import Measured, log_losses
from counterpoise.decide.multiclass import confusion_matrix
from counterpoise.goals import Constraint, Goal
from counterpoise.table.report import pictures
from counterpoise.table.report.blocks import (
    Bar,
    Bars,
    Bullets,
    Columns,
    Command,
    Figures,
    Folded,
    Grid,
    Heading,
    Paragraph,
    Picture,
    Section,
    Tile,
    Tiles,
)
from counterpoise.table.report.panel import panel_of, stops_for
from counterpoise.table.report.sentences import expectations, not_promised, promise
from counterpoise.table.report.stops import BROKEN, Stops, kept
from counterpoise.table.training.importance import measure_of
from counterpoise.table.training.outcome import Outcome
from counterpoise.table.training.slices import LEAST_ROWS, Rate, Slice
from counterpoise.ties import levels
from counterpoise.wording import interval, percent, plural

_MOST_LOSSES = 30
_MOST_ROWS = 40
_MOST_MISTAKES = 10

_MEANING = {
    "precision": "of the alerts are right",
    "recall": "of the positives are found",
    "specificity": "of the negatives are passed",
    "alerts": "of all rows are flagged",
    "fpr": "of the negatives are flagged",
    "f1": "precision and recall in one number",
    "balanced_accuracy": "mean recall of the classes",
    "average_precision": "ranking: mean precision over all recalls",
    "roc_auc": "ranking: a positive above a negative",
    "log_loss": "probabilities: lower is better",
    "macro_f1": "mean F1 of the classes",
    "mcc": "correlation of truth and decision",
    "g_mean": "geometric mean of the classes' recalls",
    "cost": "per row, in your units",
    "accuracy": "of the rows are decided rightly",
}
_FINE = ("log_loss", "cost", "alerts", "fpr")


def sections_of(training: Outcome) -> tuple[Section, ...]:
    """All that the page shows below its headline."""
    made = (
        _expectations(training),
        _threshold(training),
        _classes(training),
        _mistakes(training),
        _promises(training),
        _notes(training),
        _calibration(training),
        _slices(training),
        _losses(training),
        _blend(training),
        _importance(training),
        _data(training),
        _measures(training),
        _repeat(training),
    )
    return tuple(one for one in made if one is not None)


def _expectations(training: Outcome) -> Section:
    said = Bullets(expectations(training))
    if training.binary:
        return Section("What to expect on rows like these", "expect", (said,))
    metrics = training.judged.metrics
    tiles = tuple(
        Tile(
            name,
            name.replace("_", " "),
            *_written(name, metrics[name]),
            _MEANING[name],
        )
        for name in ("macro_f1", "balanced_accuracy", "mcc", "log_loss")
    )
    return Section("What to expect on rows like these", "expect", (Tiles(tiles), said))


def _notes(training: Outcome) -> Section | None:
    said = tuple(dict.fromkeys((*training.health, *training.notes)))
    return Section("Worth knowing", "notes", (Bullets(said),)) if said else None


def _threshold(training: Outcome) -> Section | None:
    if not training.binary:
        return None
    judged, stops = training.judged, stops_for(training)
    names = [str(name) for name in training.labels.classes]
    return Section(
        "Move the threshold",
        "threshold",
        (
            Paragraph(f"Chosen on {_where(training)}: {judged.reason}."),
            panel_of(training, stops),
            Figures(_rankings(training, stops, names)),
        ),
    )


def _rankings(training: Outcome, stops: Stops, names: list[str]) -> tuple[Picture, ...]:
    judged, bounds = training.judged, training.goal.constraints
    target, probability, metrics = judged.target, judged.probability, judged.metrics
    here = f"the model's threshold finds {percent(metrics['recall'].value)} of the positives"
    flags = metrics["alerts"].value > 0
    right = f"{percent(metrics['precision'].value)} of its alerts are right" if flags else "it raises no alert"
    marks = "Ring: the model's threshold; dot: the slider."
    of_precision = marks if flags else "Dot: the slider; without an alert the model's threshold has no precision."
    return (
        _picture(
            "Precision against recall",
            pictures.precision_recall(target, probability, stops, bounds),
            f"Average precision {interval(metrics['average_precision'])}. {of_precision}",
            f"Curve of precision against recall on the test rows; {here}, and {right}.",
        ),
        _picture(
            "ROC: found against false alerts",
            pictures.roc(target, probability, stops, bounds),
            f"Area under the curve {interval(metrics['roc_auc'])}. {marks}",
            f"Curve of recall against the share of false alerts on the test rows; {here}, "
            f"and flags {percent(metrics['fpr'].value)} of the negatives.",
        ),
        _picture(
            "What moving the threshold does",
            pictures.trade_off(target, probability, stops, names[1]),
            "Left: more alerts, more found. Right: fewer and surer.",
            f"Precision, recall and the share of rows flagged over all thresholds; {here}, and {right}.",
        ),
        _picture(
            "How the two classes score",
            pictures.scores(target, probability, stops, names),
            "What lies right of the line is flagged.",
            f"Histograms of the probabilities of {names[0]} and {names[1]} on the test rows: median "
            f"{np.median(probability[target == 0]):.2g} and {np.median(probability[target == 1]):.2g}.",
        ),
    )


def _classes(training: Outcome) -> Section:
    labels, counts, judged = training.labels, training.counts, training.judged
    names = [str(name) for name in labels.classes]
    parts = [
        np.bincount(labels.codes[rows], minlength=len(names))
        for rows in (training.split.train, training.split.calibration, training.split.test)
    ]
    rows = tuple(
        (
            f"{name} (positive)" if training.binary and k == 1 else name,
            f"{int(counts.n[k]):,}",
            percent(float(counts.prior[k])),
            *(f"{int(part[k]):,}" for part in parts),
        )
        for k, name in enumerate(names)
    )
    grid = Grid("Rows of each class", ("class", "rows", "share", "train", "calibration", "test"), rows)
    said = Paragraph(f"{counts.imbalance_ratio:.3g} rows of the most frequent class for each of the rarest.")
    if training.binary:
        return Section("The classes", "classes", (said, grid))
    return Section(
        "Each class",
        "classes",
        (
            said,
            *_class_bars(names, parts[2], judged.recall, judged.target, judged.probability),
            Folded("Rows and precision of each class", (grid, _class_precision(names, judged.precision))),
            Folded("The probability that each class's rows are given", _class_scores(training, names)),
        ),
    )


def _class_bars(
    names: list[str],
    rows: NDArray[np.int64],
    recall: Sequence[Measured],
    target: NDArray[np.int64],
    probability: NDArray[np.float64],
) -> list[Any]:
    plain = confusion_matrix(target, probability.argmax(axis=1), len(names))
    bars = [
        Bar(names[k], None, 0, 0, "no test row")
        if rows[k] == 0
        else Bar(
            names[k],
            recall[k].value,
            recall[k].low,
            recall[k].high,
            interval(recall[k]),
            plural(int(plain[k].sum()), "test row"),
            mark=float(plain[k, k] / rows[k]),
        )
        for k in np.argsort(-rows, kind="stable").tolist()
    ]
    caption = "Recall of each class with its 95% interval. Upright stroke: with the most probable class instead."
    shown: list[Any] = [Bars(caption, ("class", "recall"), tuple(bars[:_MOST_ROWS]))]
    if len(bars) > _MOST_ROWS:
        rest = Bars(caption, ("class", "recall"), tuple(bars[_MOST_ROWS:]))
        shown.append(Folded(f"The {len(bars) - _MOST_ROWS} rarest classes", (rest,)))
    return shown


def _class_precision(names: list[str], precision: Sequence[Measured]) -> Grid:
    rows = tuple((name, interval(one)) for name, one in zip(names, precision, strict=True))
    return Grid("Of the rows decided as a class, the share that are", ("class", "precision"), rows)


def _class_scores(training: Outcome, names: list[str]) -> tuple[Bars]:
    target, probability = training.judged.target, training.judged.probability
    bars = []
    for k, name in enumerate(names):
        said = probability[target == k, k]
        if len(said):
            low, middle, high = np.quantile(said, [0.25, 0.5, 0.75])
            text = f"{middle:.2f} ({low:.2f} to {high:.2f})"
            bars.append(Bar(name, float(middle), float(low), float(high), text))
    return (Bars("Median and quartiles over the test rows of the class", ("class", "its probability"), tuple(bars)),)


def _mistakes(training: Outcome) -> Section | None:
    if training.binary:
        return None
    matrix = training.judged.confusion
    names = [str(name) for name in training.labels.classes]
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_MISTAKES]
    pairs = [divmod(int(one), len(names)) for one in order if wrong.flat[one] > 0]
    rows = tuple(
        (names[true], names[said], f"{wrong[true, said]:,}", percent(float(wrong[true, said] / matrix[true].sum())))
        for true, said in pairs
    )
    picture = _picture(
        "Where each class's rows went",
        pictures.confusions(names, matrix),
        "Each row is a true class; the darker, the more of its test rows went there."
        + (" The most frequent classes only." if len(names) > pictures.MOST_CLASSES else ""),
        f"Confusion matrix of {len(names)} classes; {percent(float(np.trace(matrix) / matrix.sum()))} "
        "of the test rows lie on its diagonal. The table of the most frequent mistakes says more.",
    )
    table = Grid("The most frequent mistakes", ("true class", "decided", "test rows", "of the class"), rows, left=(1,))
    return Section("What is taken for what", "mistakes", (Columns((Figures((picture,)), table)),))


def _promises(training: Outcome) -> Section:
    blocks: list[Any] = []
    decision = training.judged.decision
    if training.goal.constraints and decision is not None:
        blocks.append(Paragraph(promise(training), "good" if decision.promised else "warning"))
        rows = [_promise(training, one) for one in training.goal.constraints]
        blocks.append(
            Grid(
                "What was asked",
                ("asked", "calibration rows", "test rows", "on the test rows"),
                tuple(row for row, _ in rows),
                left=(3,),
                tones=tuple(tone for _, tone in rows),
            )
        )
    else:
        blocks.append(Paragraph(promise(training)))
    blocks += [Heading("Not promised"), Bullets(not_promised(training))]
    return Section("What is promised, and what is not", "promises", tuple(blocks))


def _promise(training: Outcome, constraint: Constraint) -> tuple[tuple[str, ...], str]:
    judged = training.judged
    assert judged.decision is not None  # goals with constraints have two classes
    found = judged.metrics[constraint.rate]
    held = float(getattr(judged.decision.confusion, constraint.rate))
    state = kept(constraint, found)
    return (str(constraint), f"{held:.3f}", interval(found, 3), state), "bad" if state == BROKEN else "good"


def _where(training: Outcome) -> str:
    """The rows that the threshold was chosen on."""
    return "the calibration rows" if len(training.split.calibration) else "the training rows that each fold held out"


def _calibration(training: Outcome) -> Section:
    judged = training.judged
    before: NDArray[np.float64] | None = judged.naive
    if np.allclose(judged.naive, judged.probability, rtol=1e-6, atol=1e-12):
        before = None
    target, after, early = judged.target, judged.probability, before
    said, seen = f"probability of {training.labels.positive!s}", "share of positives seen"
    if not training.binary:
        said, seen = "probability of the decided class", "share that are right"
        sure = judged.probability.argmax(axis=1)
        target = (sure == judged.target).astype(np.int64)
        after = judged.probability.max(axis=1)
        if before is not None:
            early = before.max(axis=1)
    loss = float(log_losses(judged.target, judged.probability).mean())
    if before is None:
        words = "The loss of this model leaves its probabilities as they are: there was nothing to correct."
    else:
        naive = float(log_losses(judged.target, before).mean())
        words = (
            "The loss shifts what the model's raw outputs say; the correction that belongs to it takes the shift "
            f"back. Log loss on the test rows: {naive:.3g} before, {loss:.3g} after."
        )
    picture = _picture(
        "What is said against what is seen",
        pictures.reliability(target, after, early, said, seen),
        "Groups of test rows with 95% intervals; on the dotted line the probabilities are honest.",
        f"Reliability diagram; log loss {loss:.3g}." if before is None else f"Reliability diagram. {words}",
    )
    rows = tuple(
        (percent(one.said), interval(one.found, written=percent), f"{one.positives:,} of {one.rows:,}")
        for one in pictures.groups_of(target, after)
    )
    grid = Grid("The groups as given", (said, seen, "rows"), rows)
    blocks = (Paragraph(words), Columns((Figures((picture,)), grid)))
    return Section("Are the probabilities honest?", "calibration", blocks)


def _slices(training: Outcome) -> Section | None:
    if not training.slices:
        return None
    blocks: list[Any] = []
    for one in training.slices:
        blocks += [Heading(f"By {one.column}"), *_slice(one, training.binary)]
    blocks.append(
        Paragraph(
            "Intervals are exact, at 95%, one at a time. A group is called worse only where it is so after correction "
            "for all the rates looked at (Bonferroni), so that all warnings together are false in at most one table "
            "of twenty.",
            "muted",
        )
    )
    return Section("Rates by group", "groups", tuple(blocks))


def _slice(found: Slice, binary: bool) -> list[Any]:
    blocks: list[Any] = [
        Paragraph(f"Worse than the whole by more than chance: {found.warning}", "warning")
        if found.warning
        else Paragraph(f"No group is worse than the whole by more than chance ({found.looks} rates looked at).")
        if found.looks
        else Paragraph(f"No group was looked at: there is only one, or each has fewer than {LEAST_ROWS} test rows.")
    ]
    if binary:
        return [*blocks, Columns(tuple(_rate_bars(found, place) for place in range(len(found.overall))))]
    head = ("group", *(one.name.removeprefix("recall of ") for one in found.overall[1:]))
    rows = tuple((group.name, *(_counted(one) for one in group.rates[1:])) for group in found.groups)
    return [*blocks, _rate_bars(found, 0), Folded("Recall of each class", (Grid("Found, of all rows", head, rows),))]


def _counted(rate: Rate) -> str:
    return f"{rate.part:,} of {rate.whole:,}{' (worse)' if rate.worse else ''}" if rate.whole else "–"


def _rate_bars(found: Slice, place: int) -> Bars:
    overall = found.overall[place]
    bars = []
    for group in found.groups:
        rate = group.rates[place]
        if rate.whole == 0:
            bars.append(Bar(group.name, None, 0, 0, "no row"))
            continue
        one = rate.measured
        text = interval(one, written=percent) + (" worse" if rate.worse else "")
        note = f"{rate.part:,} of {rate.whole:,}"
        bars.append(Bar(group.name, one.value, one.low, one.high, text, note, tone="bad" if rate.worse else ""))
    middle = overall.part / overall.whole if overall.whole else None
    highest = max((one.high for one in bars), default=1.0)
    top = 1.0 if overall.name not in ("alerts", "fpr") else min(1.0, 1.1 * highest)
    whole = "" if middle is None else f" Over all rows {percent(middle)}."
    name = {"fpr": "false alerts"}.get(overall.name, overall.name)
    caption = f"{name[0].upper()}{name[1:]}: {_MEANING[overall.name]}.{whole}"
    return Bars(caption, ("group", name), tuple(bars), high=top, reference=middle)


def _losses(training: Outcome) -> Section:
    goal, verdict = training.goal, training.verdict
    sign = -1.0 if goal.minimise else 1.0
    best: dict[str, int] = {}
    for place, entry in enumerate(verdict.entries):
        if entry.label not in best or entry.score > verdict.entries[best[entry.label]].score:
            best[entry.label] = place
    best[verdict.winner.label] = verdict.chosen
    places = list(best.values())
    standing = levels([verdict.entries[place].score for place in places])
    order = [places[k] for k in np.argsort(-standing, kind="stable")]
    if verdict.chosen not in order[:_MOST_LOSSES]:
        order.insert(_MOST_LOSSES - 1, verdict.chosen)
    bars = []
    for place in order[:_MOST_LOSSES]:
        entry = verdict.entries[place]
        value, room = sign * entry.score, 2 * entry.error
        text = f"{value:.3f} ± {room:.3f}"
        mark = "chosen" if place == verdict.chosen else ""
        bars.append(Bar(entry.label, value, value - room, value + room, text, mark, tone=mark))
    low, high = min(one.low for one in bars), max(one.high for one in bars)
    room = 0.04 * (high - low) or 0.01
    first = verdict.entries[0]
    caption = f"{goal.label}{_penalty(goal)}: mean over the folds and two standard errors. Line: {first.label}."
    table = Bars(caption, ("loss", goal.label), tuple(bars), low - room, high + room, reference=sign * first.score)
    return Section(
        "The losses compared",
        "losses",
        (
            Paragraph(verdict.sentence),
            table,
            Paragraph(
                "All were judged on the same folds, each fold by a threshold chosen on the others. A loss other than "
                "the plain one is chosen only if it is ahead, fold by fold, by more than two standard errors; such "
                "differences are surer than these intervals, which hold what differs from fold to fold for all.",
                "muted",
            ),
        ),
    )


def _penalty(goal: Goal) -> str:
    if not goal.constraints:
        return ""
    unit = "" if goal.costs is None else ", in units of the largest cost"
    return f", {'plus' if goal.minimise else 'less'} twice what a constraint lacks{unit}"


def _blend(training: Outcome) -> Section | None:
    if not training.members:
        return None
    bars = tuple(Bar(name, share, 0.0, share, percent(share)) for name, share in training.members)
    said = Paragraph("The probability is the mean of these models' probabilities, weighted by their shares.")
    return Section("What the model is made of", "blend", (said, Bars("Shares", ("model", "share"), bars)))


def _importance(training: Outcome) -> Section | None:
    if not training.importance:
        return None
    measure = measure_of(training.goal, training.binary).replace("_", " ")
    bars = [
        Bar(name, drop, drop - 2 * error, drop + 2 * error, f"{drop:.3f} ± {2 * error:.3f}")
        for name, drop, error in training.importance
    ]
    low, high = min(0.0, *(one.low for one in bars)), max(one.high for one in bars)
    caption = f"How much {measure} {'rises' if measure == 'log loss' else 'falls'} without the column"
    first, rest = (
        Bars(caption, ("column", "change"), tuple(part), low, max(high, low + 1e-9), reference=0.0)
        for part in (bars[:20], bars[20:])
    )
    blocks: list[Any] = [
        Paragraph(
            "Each column's values were shuffled among the test rows, which takes away what it says. Two columns that "
            "say the same stand in for each other, so both may look unimportant. ± is two standard errors."
        ),
        first,
    ]
    if rest.bars:
        blocks.append(Folded(f"{len(rest.bars)} more columns", (rest,)))
    return Section("Which columns matter", "columns", tuple(blocks))


def _data(training: Outcome) -> Section | None:
    if training.audit is None:
        return None
    blocks: list[Any] = [Paragraph(training.audit.verdict)]
    for finding in training.audit.findings:
        said = tuple(one for one in (finding.text, finding.do) if one)
        blocks += [Heading(finding.title[0].upper() + finding.title[1:]), Bullets(said)]
    return Section("The data", "data", tuple(blocks))


def _measures(training: Outcome) -> Section:
    metrics = training.judged.metrics
    silent = training.binary and metrics["alerts"].value == 0
    rows = tuple(
        (name.replace("_", " "), *(("none", "no alert") if silent and name == "precision" else _written(name, found)))
        for name, found in metrics.items()
    )
    notes = tuple(_MEANING.get(name, "") for name in metrics)
    table = Grid("With 95% intervals", ("measure", "value", "95% interval"), rows, notes=notes)
    return Section("All measures on the test rows", "measures", (table,))


def _repeat(training: Outcome) -> Section:
    schema = training.schema
    columns = tuple((column.name, column.kind) for column in schema.columns)
    unused = tuple((name, f"not used: {why}") for name, why in schema.dropped)
    versions = " · ".join(f"{name} {version}" for name, version in training.versions.items())
    return Section(
        "Repeat it, use it",
        "repeat",
        (
            Command("To repeat it:", training.command),
            Command("To use it:", "counterpoise predict DIRECTORY NEW_TABLE -o predictions.parquet"),
            Folded(
                f"{len(columns):,} columns and the software",
                (Grid("Columns", ("column", "kind"), columns + unused, left=(1,)), Paragraph(versions, "muted")),
            ),
        ),
    )


def _written(name: str, found: Measured) -> tuple[str, str]:
    digits = 4 if name in _FINE else 3
    value, low, high = (f"{one:.{digits}f}" for one in (found.value, found.low, found.high))
    return value, f"{low} to {high}" + (f" ({found.why})" if found.why else "")


def _picture(title: str, svg: str, caption: str, words: str) -> Picture:
    return Picture(title, pictures.labelled(svg, words), caption)
