"""The form of a saved model without its learners' files, and what is refused when it is read.

    decision.json        of one target, of several labels, and of one label: `check_decision`
    text.safetensors     what was learned of free text: `check_texts`

Whoever wrote a directory can write its checksums, so nothing is trusted: each number has its range, each list its
length, and related parts are compared. A field that only people read (`notes`, `metrics`, …) may be anything.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from counterpoise import goals
from counterpoise.decide.sweep import NOTHING
from counterpoise.errors import UserError
from counterpoise.recipes import Recipe, from_dict
from counterpoise.table.features.date_parts import AGE, PARTS, SINCE
from counterpoise.table.features.reference_day import SIZES
from counterpoise.table.features.schema import CALENDAR, CATEGORY, DATE, DATES, DATETIME, FLAG, NUMBER, TEXT
from counterpoise.table.features.text import CHARACTERS, WORDS, terms_of
from counterpoise.table.plain_data import (
    Check,
    anything,
    flag,
    inside,
    list_of,
    mapping_of,
    nothing_or,
    number,
    record,
    refuse,
    text,
    whole,
)
from counterpoise.table.reading.dates import DIGITS, MONTH_YEARS, MONTHS, ORDERS, UTC
from counterpoise.table.reading.epochs import EPOCHS
from counterpoise.table.reading.numbers import MARKS, THOUSANDS, UNITS
from counterpoise.table.tensors import Arrays, check_array

MULTILABEL, LABEL = "multilabel", "label"
"""What decision.json calls a model of several labels, and one of its labels."""

_MOST_CLASSES, _MOST_MEMBERS, _MOST_COLUMNS = 100_000, 100, 1_000_000
_SUM = 1e-6
_MOST_DAYS = 4_000_000

_name = text()
_names = list_of(_name, distinct=True)


def _zone(value: Any, where: str) -> None:
    """Check that it is a time zone, or nothing."""
    text(form=r"[A-Za-z0-9_+:/-]{0,64}")(value, where)
    try:
        value and pl.Series([0]).cast(pl.Datetime("us", UTC)).dt.convert_time_zone(value)
    except pl.exceptions.PolarsError:
        refuse(value, where, "the name of a time zone")


def _day(value: Any, where: str) -> None:
    """Check that it is a day, or nothing."""
    text(most=10)(value, where)
    try:
        value and date.fromisoformat(value)
    except ValueError:
        refuse(value, where, "a day such as 2024-01-31")


COLUMN: dict[str, Check] = {  # a field of `features.Column` each
    "name": _name,
    "kind": text(one_of=(NUMBER, FLAG, DATE, DATETIME, CALENDAR, CATEGORY, TEXT)),
    "categories": _names,
    "rare": number(low=0, high=1),
    "unit": text(one_of=("", WORDS, CHARACTERS)),
    "found": _names,
    "form": text(one_of=("", *ORDERS, DIGITS, MONTHS, MONTH_YEARS, *EPOCHS)),
    "zone": _zone,
    "dated": list_of(text(form=PARTS), distinct=True),
    "figures": record(
        {"decimal": text(one_of=MARKS), "thousands": text(one_of=("", *THOUSANDS)), "unit": text(one_of=UNITS)}
    ),
}
_REFERENCE: dict[str, Check] = {  # a field of `reference_day.Reference` each
    "column": _name,
    "own": flag,
    "day": _day,
    "ahead": whole(-_MOST_DAYS, _MOST_DAYS),
    "short": list_of(whole(0, _MOST_DAYS), most=len(SIZES)),
}
_SCHEMA: dict[str, Check] = {
    "reference": nothing_or(record(_REFERENCE)),
    "columns": list_of(record(COLUMN), least=1, most=_MOST_COLUMNS),
    "dropped": list_of(list_of(_name, least=2, most=2), most=_MOST_COLUMNS),
}
_FACTS: dict[str, Check] = {"missing": number(low=0, high=1), "mean": number(), "deviation": number(low=0)}
_MEMBER: dict[str, Check] = {
    "label": _name,
    "learner": _name,
    "recipe": mapping_of(anything),
    "share": number(above=0, high=1),
}
_RULING: dict[str, Check] = {"goal": _name, "promised": flag, "met": flag, "reason": _name}
_ONE_TARGET: dict[str, Check] = {
    **_RULING,
    "target": _name,
    "classes": list_of(anything, least=2, most=_MOST_CLASSES),
    "positive": anything,
    "threshold": anything,
    "members": list_of(record(_MEMBER), least=1, most=_MOST_MEMBERS),
    "counts": mapping_of(whole(1, 2**53)),
}
_ROWS = list_of(list_of(whole(0, 2**53), most=_MOST_CLASSES), least=2)
_MARKS = list_of(number(), distinct=True)
_PARTS: dict[str, Check] = {  # of `class_mix.class_histograms`
    "parts": record({"rows": _ROWS}, optional={"edges": _MARKS, "codes": _MARKS}),
    **dict.fromkeys(("typical", "low", "high"), number()),
}
_COLUMNS: dict[str, Check] = {
    "columns": mapping_of(record(_FACTS, optional=_PARTS)),
    "distinct": number(low=0, high=1),
}
_IMPORTANCE: dict[str, Check] = {
    "importance": mapping_of(record({"drop": number(), "error": number(low=0)})),
}
_WEIGHT: dict[str, Check] = {"weight": nothing_or(_name)}
_SEVERAL: dict[str, Check] = {
    "goal": _name,
    "target": list_of(_name, least=1, most=_MOST_CLASSES, distinct=True),
    "labels": mapping_of(record({"folder": _name}, others=True)),
    "schema": record(_SCHEMA),
}
_DECISION: dict[str | None, Check] = {
    None: record(
        {**_ONE_TARGET, **_WEIGHT, "schema": record(_SCHEMA)}, optional={**_COLUMNS, **_IMPORTANCE}, others=True
    ),
    LABEL: record(_ONE_TARGET, optional={**_COLUMNS, **_WEIGHT, **_IMPORTANCE}, others=True),
    MULTILABEL: record(_SEVERAL, optional={**_COLUMNS, **_IMPORTANCE}, others=True),
}


def check_decision(facts: Mapping[str, Any], where: str) -> None:
    """Raise `UserError` unless a decision.json is what training writes; `where` names it."""
    kind = facts.get("kind")
    if kind not in (None, LABEL, MULTILABEL):
        refuse(kind, inside(where, "kind"), f"{MULTILABEL!r} or {LABEL!r}, or absent")
    _DECISION[kind](facts, where)
    goals.goal(facts["goal"])
    if "schema" in facts:
        _check_columns(facts["schema"]["columns"], f"{inside(where, 'schema')}.columns")
        _check_dates(facts["schema"], inside(where, "schema"))
    if kind == MULTILABEL:
        unknown = [name for name in facts["labels"] if name not in facts["target"]]
        if unknown or not facts["labels"]:
            raise UserError(f"{inside(where, 'labels')} are not among target: {unknown[:1]}")
    else:
        _check_classes(facts, where)
        _check_threshold(facts, where)
        total = sum(one["share"] for one in facts["members"])
        if abs(total - 1) > _SUM:
            raise UserError(f"{inside(where, 'members')} have shares that sum to {total:g}; they must sum to 1")
    for name, one in facts.get("columns", {}).items():
        _check_parts(one.get("parts"), len(facts.get("classes", ())), inside(inside(where, "columns"), name) + ".parts")


def checked_recipe(plain: Mapping[str, Any], classes: int, where: str) -> Recipe:
    """The recipe of a member, for so many classes: one whose logits tell probabilities.

    Raises
    ------
    UserError
        If it is none, is for another number of classes, or has no posterior.
    """
    for name, value in plain.items():
        words = name in ("family", "name", "weight_by")
        if not (isinstance(value, str) if words else _is_numbers(value)):
            refuse(value, inside(where, name), "text" if words else "a number, or a list of numbers")
    family = "sigmoid" if classes == 2 else "softmax"
    if plain.get("family") != family:
        refuse(plain.get("family"), inside(where, "family"), f"{family!r}, since there are {classes} classes")
    try:
        recipe = from_dict(plain)
        if recipe.classes not in (None, 1 if classes == 2 else classes):
            raise UserError(f"it is for {recipe.classes} classes, and there are {classes}")
        logits = np.array([-30.0, 0.0, 30.0])
        found = recipe.posterior(logits if classes == 2 else np.outer(logits, np.eye(classes)[0]))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if not np.isfinite(np.asarray(found)).all():
        raise UserError(f"{where} gives probabilities that are not numbers")
    return recipe


def check_texts(arrays: Arrays, columns: Sequence[Mapping[str, Any]], where: str) -> None:
    """Raise `UserError` unless the arrays are those of the columns of text, and as long as these say."""
    texts = {str(place): one for place, one in enumerate(columns) if one["kind"] == TEXT}
    parts = ("terms", "telling", "weight", "components")
    if set(arrays) != {f"{place}/{part}" for place in texts for part in parts}:
        raise UserError(f"{where} does not hold the arrays of the columns of text, and nothing else")
    for place, one in texts.items():
        held = {part: arrays[f"{place}/{part}"] for part in parts}
        check_array(arrays, f"{place}/terms", np.uint8, (held["terms"].size,), where)
        try:
            terms = len(set(terms_of(held["terms"])))
        except UnicodeDecodeError:
            raise UserError(f"{where}: {place}/terms is not UTF-8") from None
        told = held["telling"].size
        check_array(arrays, f"{place}/telling", np.int64, (told,), where)
        check_array(arrays, f"{place}/weight", np.float64, (terms,), where)
        check_array(arrays, f"{place}/components", np.float32, (len(one["found"]) - told, terms), where)
        telling = held["telling"]
        if (telling < 0).any() or (telling >= terms).any() or len(np.unique(telling)) < told:
            raise UserError(f"{where}: {place}/telling does not hold places of terms, each once")
        if (held["weight"] <= 0).any():
            raise UserError(f"{where}: {place}/weight holds a number that is not above 0")


def _check_columns(columns: Sequence[Mapping[str, Any]], where: str) -> None:
    if len({one["name"] for one in columns}) < len(columns):
        raise UserError(f"{where} holds two columns of one name")
    for place, one in enumerate(columns):
        for field, kind in (("categories", CATEGORY), ("found", TEXT), ("unit", TEXT)):
            if bool(one[field]) != (one["kind"] == kind):
                raise UserError(f"{where}[{place}].{field} does not fit a column of kind {one['kind']!r}")
        if one["figures"]["decimal"] == one["figures"]["thousands"]:
            raise UserError(f"{where}[{place}].figures: decimal and thousands are the same")


def _check_dates(schema: Mapping[str, Any], where: str) -> None:
    """What dates become fits their columns, and ages have what they count to."""
    dates = [one["name"] for one in schema["columns"] if one["kind"] in DATES]
    reference, aged = schema["reference"], False
    for place, one in enumerate(schema["columns"]):
        if one["kind"] not in DATES and one["dated"]:
            raise UserError(f"{where}.columns[{place}].dated does not fit a column of kind {one['kind']!r}")
        for part in one["dated"]:
            aged = aged or part == AGE
            if part.startswith(SINCE) and part.removeprefix(SINCE) not in dates:
                raise UserError(
                    f"{where}.columns[{place}].dated names {part.removeprefix(SINCE)!r}, which is not a date"
                )
    if not any(one["dated"] or one["kind"] not in DATES for one in schema["columns"]):
        raise UserError(f"{where}.columns become no feature")
    if reference is None:
        if aged:
            raise UserError(f"{where}.reference is null, and there are ages that count to it")
        return
    if reference["column"] not in dates:
        raise UserError(f"{where}.reference names {reference['column']!r}, which is not a date")
    if reference["own"] == bool(reference["day"]) or len(reference["short"]) != (0 if reference["own"] else len(SIZES)):
        raise UserError(f"{where}.reference: own, day and short do not fit each other")


def _check_parts(parts: Mapping[str, Any] | None, classes: int, where: str) -> None:
    """A row for each part, of a number for each class; edges in their order."""
    if parts is None:
        return
    marks = [parts[name] for name in ("edges", "codes") if name in parts]
    if len(marks) != 1 or len(parts["rows"]) != len(marks[0]) + 2 or {len(one) for one in parts["rows"]} != {classes}:
        raise UserError(f"{where}: edges (or codes) and rows do not fit each other, or the classes")
    if marks[0] != sorted(marks[0]):
        raise UserError(f"{where} holds edges or codes that are not in their order")
    if not any(map(any, parts["rows"])):
        raise UserError(f"{where} holds no rows")


def _check_classes(facts: Mapping[str, Any], where: str) -> None:
    classes = facts["classes"]
    for place, one in enumerate(classes):
        check: Check = {bool: flag, int: whole(-(2**63), 2**63 - 1), float: number()}.get(type(one), _name)
        check(one, f"{inside(where, 'classes')}[{place}]")
        if type(one) is not type(classes[0]):
            refuse(one, f"{inside(where, 'classes')}[{place}]", "of the type of the others")
    if len({str(one) for one in classes}) < len(classes):
        raise UserError(f"{inside(where, 'classes')} holds a class twice")
    if facts["positive"] is not None and facts["positive"] not in classes:
        refuse(facts["positive"], inside(where, "positive"), "one of classes, or null")
    mapping_of(anything, [str(one) for one in classes])(facts["counts"], inside(where, "counts"))


def _check_threshold(facts: Mapping[str, Any], where: str) -> None:
    """Of two classes from 0, which flags every row, to the smallest float32 above 1; of more they sum to 1."""
    where, threshold, classes = inside(where, "threshold"), facts["threshold"], facts["classes"]
    if len(classes) == 2:
        number(low=0, high=NOTHING)(threshold, where)
        return
    mapping_of(number(above=0, high=1), [str(one) for one in classes])(threshold, where)
    total = sum(threshold.values())
    if abs(total - 1) > _SUM:
        raise UserError(f"{where} has values that sum to {total:g}; they must sum to 1")


def _is_numbers(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_numbers, value))
    return type(value) in (int, float) and abs(value) <= 1e308
