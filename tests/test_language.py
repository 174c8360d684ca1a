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
    r"\bbeside\b": "as well as, next to, with",
    r"\bbesides\b(?= (it|that|them)\b)": "other than, without",
    r"\b(is|are|be|were) taken off\b|\btake[sn]? (it|that|this) off\b|\btook (it|that) off\b": "is subtracted from",
    r"\bof (its|their|your|his) own loop\b|\bin a loop of your own\b": "in your own loop",
    r"\b(is|are) no (probabilit(y|ies)|tree|prose|decision)\b(?= *[;,.:]|$)": "is not a",
    r"\b[Hh]ow (a|the) goal stands\b": "the progress of the goal",
    r"\btakes? (no )?notice\b": "is updated by, does not change",
    r"\bhand(s|ed)? (it|its state|the state|that) over\b": "returns, passes",
    r"\bcounts? alike\b": "count equally, have equal weights",
    r"\bages? (of (its |the )?dates )?count(s|ed)? to\b": "are counted up to",
    r"\btold by\b": "determined by, shown by",
    r"\b(that|what|nothing) tells? (no|any)thing\b|\btells? (nothing|something|anything) of\b": "adds to, predicts",
    r"\bwould do for\b|\bwill do\b(?= *[,;.])": "is enough",
    r"\bsame seed, same\b": "the same seed gives the same",
    r"\bflatter\b": "give figures that are too good",
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


HALF_PHRASES = re.compile(r"(Of|Their|Those|That|Whose|To|Told|From|Such as|Called|In which|By) ")
"""Beginnings of a parameter's text that leave out what the parameter is."""


def _parameters(source):
    """Name and text of each parameter that a NumPy docstring of a module describes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and (written := ast.get_docstring(node)):
            _, _, section = written.partition("Parameters\n----------\n")
            section = re.split(r"\n\n\w+\n-+\n", section)[0]
            for name, text in re.findall(r"^(\S.*)\n((?:    .*(?:\n|$))+)", section, re.MULTILINE):
                yield f"{node.name}, {name}", " ".join(text.split())


def test_every_parameter_is_described_by_a_noun_phrase():
    found = [
        f"{path.relative_to(ROOT)}: {name}: {text}"
        for path in SOURCES
        for name, text in _parameters(path.read_text(encoding="utf-8"))
        if HALF_PHRASES.match(text)
    ]
    assert found == []


def test_half_phrases_are_found():
    source = '''def f(n, goal):
    """Do it.

    Parameters
    ----------
    n
        Of the folds,
        at least 2.
    goal
        The goal.

    Returns
    -------
    int
        Of the rows.
    """
'''
    assert list(_parameters(source)) == [("f, n", "Of the folds, at least 2."), ("f, goal", "The goal.")]
    assert HALF_PHRASES.match("Of the folds, at least 2.") and not HALF_PHRASES.match("Offset of the folds.")


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
        "it watches its own loss beside it",
        "the threshold is taken off the bias",
        "How the goal stands on these rows",
        "the days that the ages of dates count to",
        "all rows count alike",
    ],
)
def test_the_list_finds_what_it_bans(sentence):
    assert len(_found(sentence)) == 1


@pytest.mark.parametrize(
    "sentence",
    ["omit it", "the classes are told apart by shape", "a time is not a class", "all losses besides the plain one"],
)
def test_the_list_leaves_plain_english_alone(sentence):
    assert _found(sentence) == []


def test_rooms_name_what_is_there():
    """Every `module.name` at which other rooms are told to start."""
    named, lacking = 0, []
    for room in sorted((ROOT / "src/counterpoise/table").rglob("__init__.py")):
        package = ".".join(room.parent.relative_to(ROOT / "src").parts)
        written = ast.get_docstring(ast.parse(room.read_text())) or ""
        for module, name in re.findall(r"`([a-z_]+)\.([A-Za-z_]+)`", written):
            named += 1
            tree = ast.parse((room.parent / f"{module}.py").read_text())
            found = {one.name for one in tree.body if isinstance(one, (ast.FunctionDef, ast.ClassDef))}
            lacking += [f"{package}.{module}.{name}"] if name not in found else []
    assert named > 20
    assert lacking == []
