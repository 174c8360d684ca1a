"""JSON is parsed strictly; a form says what is wrong with a value, and where."""

import dataclasses

import pytest

from counterpoise.errors import UserError
from counterpoise.table.features.schema import Column
from counterpoise.table.model import forms
from counterpoise.table.plain_data import flag, list_of, mapping_of, nothing_or, number, parsed, record, text, whole


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "f.json is damaged"),
        (b"{", "f.json is damaged"),
        (b"\xff", "f.json is damaged"),
        (b"[" * 100_000, "f.json is damaged"),
        (b"1" * 5000, "f.json is damaged"),
        (b'{"a": 1, "a": 1}', "'a' is named twice"),
        (b'[{"b": {"a": 1, "c": 2, "a": 3}}]', "'a' is named twice"),
        (b"NaN", "f.json is nan, which is not a JSON number"),
        (b'{"a": [1, {"b": -Infinity}]}', r"f\.json: a\[1\]\.b is -inf, which is not a JSON number"),
        (b'{"a": 1e400}', "f.json: a is inf"),
        (b'{"a": "\\ud800"}', r"f\.json: a is '\\ud800', which holds half of a character"),
        (b'{"a": {"\\udfff": 1}}', r"f\.json: a names '\\udfff', which holds half of a character"),
    ],
)
def test_what_is_no_json(data, words):
    with pytest.raises(UserError, match=words):
        parsed(data, "f.json")


def test_what_is_json():
    assert parsed('{"a": [1, -0.5, "größe 🙂", null, true]}'.encode(), "f") == {"a": [1, -0.5, "größe 🙂", None, True]}


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (number(), [0, -1.5, 10**20, 1e308], [True, "1", None, float("nan"), float("inf"), 10**400, -(10**400), []]),
        (number(low=0, high=1), [0, 1, 0.5], [-1e-9, 1.1, 2]),
        (number(above=0, high=1), [1e-300, 1], [0, -0.0, 1.5]),
        (whole(0, 5), [0, 5], [True, 1.0, "1", -1, 6, None]),
        (text(most=3), ["", "abc"], ["abcd", 5, None, ["a"]]),
        (text(form="[a-f]+"), ["abc"], ["", "abc\n", "xyz"]),
        (text(one_of=("a", "b")), ["a"], ["c", "", 5]),
        (flag, [True, False], [0, 1, "true", None]),
        (nothing_or(flag), [None, True], [0]),
        (list_of(flag, least=1, most=2), [[True], [True, False]], [[], [True] * 3, [1], True, {}]),
        (list_of(whole(0, 9), distinct=True), [[], [1, 2]], [[1, 1]]),
        (list_of(list_of(whole(0, 9)), distinct=True), [[[1], [2]]], [[[1, 2], [1, 2]]]),
        (mapping_of(flag), [{}, {"a": True}], [{"a": 1}, [], None]),
        (mapping_of(flag, ["a"]), [{"a": True}], [{}, {"a": True, "b": True}]),
        (record({"a": flag}, optional={"b": flag}), [{"a": True}, {"a": True, "b": True}], [{}, {"a": True, "b": 1}]),
        (record({"a": flag}, others=True), [{"a": True, "x": object()}], [{"x": 1}]),
    ],
)  # fmt: skip
def test_checks(check, good, bad):
    for value in good:
        check(value, "f.json")
    for value in bad:
        with pytest.raises(UserError, match=r"^f\.json"):
            check(value, "f.json")


def test_an_error_is_one_short_line_whatever_was_found():
    for value in ("x" * 10**6, "\x1b]0;pwn\a\n", [0] * 10**6, 10**4000, {"a\n": 1}):
        with pytest.raises(UserError) as refused:
            record({"a": whole(0, 5)})({"a": value}, "f.json")
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 200
    for name in ("\x1b[31m", "x" * 10**6):
        with pytest.raises(UserError) as refused:
            mapping_of(flag)({name: 1}, "f.json")
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 200


def test_every_field_of_a_column_has_its_form():
    assert set(forms.COLUMN) == {field.name for field in dataclasses.fields(Column)}
