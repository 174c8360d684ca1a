"""The English of the project: phrases that a native reader reads twice are found in no string, document or template."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "src").rglob("*.j2"))]

BANNED = {
    r"leave (it|them) away|leave '[^']+' away|leave the \w+ away|leave \w+ away": "omit",
    r"\bhangs? together\b": "depend on each other",
    r"\b(is|are|be) told\b(?! apart)": "is reported, is shown",
    r"\b(is|are) no (time|class|date|object|text|number|file|array)s?\b(?= *[;,.]|$| in \{)": "is not a",
    r"\bflatters\b": "gives figures that are too good",
    r"\bstands? in for each other\b": "replace each other",
    r"\btakes away what it says\b": "removes its information",
    r"\bdealt without regard\b": "in a split that ignores",
    r"\bnothing between two commas\b": "has an empty name",
    r"\bis the place of none\b": "is not an index",
    r"\bcloses nowhere\b|\bends nowhere\b": "is never closed",
    r"\blooks? (as|like) those before\b": "look like the earlier ones",
    r"\bwhat would deceive\b": "what would mislead",
    r"\bhas no like\b": "is not repeated",
    r"\bwavers less\b": "is more stable",
    r"\b(could|can) be had\b": "is available",
    r"\bmay not be written to\b": "is not writable",
    r"\bstart anew\b": "start again",
    r"\bor the model be \w+": "or train the model",
    r"\bas few as can be\b": "the fewest possible",
    r"\bOf no \w+ a \w+ is\b": "for no label is any group",
    r"\bso it is in \S+ of\b": "N of M cells have this problem",
    r"\bNor (are|is) you\b": "a sentence with the subject first",
}
"""Each pattern with what to write in its place."""


def _strings(source):
    """Line and text of each string of a module, also docstrings; an f-string's values are left out as {}."""
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def _found(text):
    plain = re.sub(r"\s+", " ", text)
    return [f"{hit[0]!r} (write: {better})" for pattern, better in BANNED.items() if (hit := re.search(pattern, plain))]


def test_no_string_of_the_package_holds_a_banned_phrase():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {hit}"
        for path in SOURCES
        for line, text in _strings(path.read_text(encoding="utf-8"))
        for hit in _found(text)
    ]
    assert found == []


def test_no_document_holds_a_banned_phrase():
    found = [
        f"{path.relative_to(ROOT)}: {hit}"
        for path in DOCUMENTS
        for paragraph in path.read_text(encoding="utf-8").split("\n\n")
        for hit in _found(paragraph)
    ]
    assert found == []


@pytest.mark.parametrize(
    "sentence",
    [
        "the model decides on several labels; leave it away",
        "rows that hang\n    together",
        "Columns that have moved are told.",
        "target 'x' is no class",
        "a quote opens that closes nowhere",
        "4 GB can be had",
    ],
)
def test_the_list_finds_what_it_bans(sentence):
    assert len(_found(sentence)) == 1


@pytest.mark.parametrize("sentence", ["omit it", "the classes are told apart by shape", "a time is not a class"])
def test_the_list_leaves_plain_english_alone(sentence):
    assert _found(sentence) == []
