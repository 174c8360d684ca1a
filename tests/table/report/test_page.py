"""The page: everything that was found is on it, foreign text is only text, and everybody can read it."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from counterpoise import goals
from counterpoise.decide.measured import measure_binary
from counterpoise.goals import Goal
from counterpoise.table.audit.facts import Finding
from counterpoise.table.model.one import Member
from counterpoise.table.racing.health import Health
from counterpoise.table.report.blocks import Bars, Figures, Grid
from counterpoise.table.report.page import heart, render
from counterpoise.table.report.sections import sections_of
from counterpoise.table.training.slices import slices_of

pytestmark = pytest.mark.slow

NASTY = "<script>alert(1)</script><img src=x onerror=alert(1)> \" ' & $x$"
VOID = {"meta", "input", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """The elements of a page, and whether each is closed where it should be."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), [one for one, _ in self.open]))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), [one for one, _ in self.open]))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open and self.open[-1][0] not in ("script", "style"):
            self.texts.append(data)

    def all(self, *tags):
        return [attrs for tag, attrs, _ in self.elements if tag in tags]


def _everything(training, name="lightgbm, weighted"):
    """A training with all that a page can show."""
    judged, rows = training.judged, len(training.judged.target)
    decided = judged.probability >= judged.threshold if training.binary else judged.probability.argmax(axis=1)
    frame = pl.DataFrame({name: [name if k % 3 else "b" for k in range(rows)]})
    naive = np.sqrt(judged.probability)
    naive = naive if training.binary else naive / naive.sum(axis=1, keepdims=True)
    return replace(
        training,
        judged=replace(judged, naive=naive),
        fitted=(
            Member(name, "lightgbm", training.fitted[0].recipe, 0.7, training.fitted[0].fitted),
            Member("catboost, focal", "catboost", training.fitted[0].recipe, 0.3, training.fitted[0].fitted),
        ),
        verdict=replace(
            training.verdict, health=Health(True, 1.0, 0.5, f"LightGBM's defaults broke down here on {name}.")
        ),
        importance=((name, 0.2, 0.05), ("b", -0.01, 0.02)),
        slices=slices_of(
            frame, judged.target, np.asarray(decided, int), classes=training.labels.classes, binary=training.binary
        ),
        audit=replace(
            training.audit, findings=(Finding("look", "what the data say", f"Nothing leaks but {name}.", ""),)
        ),
    )


@pytest.fixture(scope="module", params=["trained", "graded"])
def training(request):
    return _everything(request.getfixturevalue(request.param)[1])


def test_every_section_is_there(training):
    anchors = [one.anchor for one in sections_of(training)]
    own = {"threshold"} if training.binary else {"mistakes"}
    shared = {"expect", "classes", "promises", "notes", "calibration", "groups", "losses", "blend", "columns", "data"}
    assert set(anchors) == own | shared | {"measures", "repeat"}
    page = render(training)
    for said in (
        training.command.split()[0],
        "LightGBM&#39;s defaults broke down here",
        "catboost, focal",
        "Nothing leaks but",
        *(entry.label for entry in training.verdict.entries),
    ):
        assert said in page


def test_what_was_not_found_has_no_section(trained, graded):
    for _, facts in (trained, graded):
        anchors = {one.anchor for one in sections_of(facts)}
        assert "groups" not in anchors


def test_it_is_one_file_that_fetches_nothing(training):
    page = render(training)
    assert len(page.encode()) < 3_000_000
    assert "default-src 'none'" in page
    for attrs in Page(page).all("script", "link", "img", "image", "iframe", "use", "a"):
        for key in ("src", "href", "xlink:href"):
            assert attrs.get(key, "#").startswith("#")
    assert "@import" not in page and "url(http" not in page


def test_same_training_same_bytes(training):
    assert render(training) == render(training)
    assert heart(training) == heart(training)


def test_everybody_can_read_it(training):
    page = Page(render(training))
    ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert [attrs["lang"] for attrs in page.all("html")] == ["en"]
    labels = {attrs.get("for") for attrs in page.all("label")}
    for tag, attrs, inside in page.elements:
        if tag == "input":
            assert "label" in inside or attrs["id"] in labels
        if tag == "th":
            assert attrs["scope"] in ("row", "col")
        if tag == "table":
            assert "tabindex" not in attrs
        if tag == "svg":
            assert attrs["role"] == "img" and len(attrs["aria-label"]) > 20
            assert "figure" in inside
        if attrs.get("role") == "region":
            assert attrs["aria-label"]
        if tag == "a":
            assert attrs["href"].removeprefix("#") in ids
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(page.all("figcaption")) == len(page.all("figure"))
    headings = [int(tag[1]) for tag, *_ in page.elements if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(headings))


def _luminance(colour):
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_letters_stand_out_from_their_ground(trained):
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", render(trained[1])))
    from counterpoise.table.report import pictures

    grounds = [colours[one] for one in ("page", "soft", "right", "wrong")]
    letters = [colours[one] for one in ("ink", "muted", "blue", "orange", "green", "red")]
    for letter in (*letters, pictures.INK, pictures.MUTED, pictures.RED):
        for ground in grounds:
            bright, dark = sorted([_luminance(letter), _luminance(ground)], reverse=True)
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, (letter, ground)


def test_foreign_text_is_only_text(training):
    nasty = _everything(
        replace(
            training,
            asked=replace(training.asked, target=NASTY),
            command=NASTY,
            notes=(NASTY,),
            versions={NASTY: NASTY},
            labels=replace(training.labels, classes=tuple(f"{NASTY}{k}" for k in range(len(training.labels.classes)))),
        ),
        NASTY,
    )
    for shown in (render(nasty), heart(nasty)):
        page = Page(shown)
        assert not page.all("img") and "alert(1)" not in "".join(re.findall(r"(?s)<script.*?</script>", shown))
        assert not [key for _, attrs, _ in page.elements for key in attrs if key.startswith("on")]
        assert NASTY in "".join(page.texts)


def test_a_training_with_a_nasty_table_and_goal(tmp_path, imbalanced):
    from counterpoise.table import train_table

    frame = imbalanced(200).rename({"size": NASTY}).with_columns(pl.col("label").replace({"yes": NASTY}))
    frame.write_parquet(tmp_path / "<i>t.parquet")
    train_table(tmp_path / "<i>t.parquet", target="label", goal=Goal("f1", of=NASTY), out=tmp_path / "o")
    page = Page((tmp_path / "o" / "report.html").read_text())
    assert not page.all("img") and len(page.all("script")) == 2
    assert all(attrs for attrs in page.all("i"))
    assert NASTY in "".join(page.texts)


def test_the_best_of_each_loss_is_shown_from_the_best_to_the_worst(trained):
    _, facts = trained
    first = facts.verdict.entries[0]
    scores = first.scores
    entries = [replace(first, label=f"loss {k % 12}", scores=scores - 0.01 * k) for k in range(24)]
    shown = replace(facts, verdict=replace(facts.verdict, entries=tuple(entries), chosen=3))
    (losses,) = [one for one in sections_of(shown) if one.anchor == "losses"]
    (bars,) = [one for one in losses.blocks if isinstance(one, Bars)]
    assert [one.name for one in bars.bars] == [f"loss {k}" for k in range(12)]
    assert [one.tone for one in bars.bars].index("chosen") == 3
    assert bars.bars[1].value == pytest.approx(entries[1].score)
    assert bars.bars[1].high - bars.bars[1].value == pytest.approx(2 * entries[1].error)
    assert bars.low < min(one.low for one in bars.bars) and bars.high > max(one.high for one in bars.bars)


def test_a_broken_promise_is_said(trained):
    _, facts = trained
    broken = replace(facts, goal=goals.goal("recall where precision >= 0.999"))
    (section,) = [one for one in sections_of(broken) if one.anchor == "promises"]
    (grid,) = [one for one in section.blocks if isinstance(one, Grid)]
    assert grid.rows[0][0] == "precision >= 0.999" and grid.rows[0][-1] == "not kept" and grid.tones == ("bad",)


def test_a_worse_group_is_warned_of(trained):
    _, facts = trained
    judged = facts.judged
    half = np.where(np.arange(len(judged.target)) % 2, "left", "right")
    decided = np.where(half == "left", judged.target, 1 - judged.target)
    found = slices_of(pl.DataFrame({"side": half}), judged.target, decided)
    page = render(replace(facts, slices=found))
    assert "Worse than the whole by more than chance: side right: " in page
    assert page.count(' class="bad"') >= 2


@pytest.mark.parametrize("size", [0, 3], ids=["one group", "small groups"])
def test_where_no_group_could_be_looked_at_none_is_called_good(trained, size):
    _, facts = trained
    judged = facts.judged
    side = np.arange(len(judged.target)) // size if size else np.zeros(len(judged.target))
    found = slices_of(pl.DataFrame({"side": side.astype(str)}), judged.target, 1 - judged.target)
    assert found[0].looks == 0
    page = render(replace(facts, slices=found))
    assert "No group was examined: there is only one, or each has fewer than 30 test rows." in page
    assert "No group is worse" not in page


def test_what_flags_nothing_has_no_precision(trained):
    _, facts = trained
    judged = facts.judged
    metrics = measure_binary(judged.target, judged.probability, 1.1, facts.goal, seed=0)
    silent = replace(facts, judged=replace(judged, threshold=1.1, metrics=metrics))
    sections = {one.anchor: one for one in sections_of(silent)}
    (grid,) = [one for one in sections["measures"].blocks if isinstance(one, Grid)]
    assert ("precision", "none", "no alert") in grid.rows
    (pictures,) = [one for one in sections["threshold"].blocks if isinstance(one, Figures)]
    ranked, roc = pictures.pictures[:2]
    assert "it raises no alert" in ranked.svg and "of its alerts are right" not in ranked.svg
    assert "mark-chosen" not in ranked.svg and "mark-chosen" in roc.svg
    assert "Ring" not in ranked.caption


def test_a_thousand_classes_fit(graded):
    _, facts = graded
    classes, rows = 1000, 3000
    rng = np.random.default_rng(0)
    target = np.r_[np.arange(classes), rng.integers(0, classes, rows - classes)]
    probability = rng.dirichlet(np.full(classes, 0.05), rows)
    from counterpoise.decide.measured import share
    from counterpoise.decide.multiclass import confusion_matrix
    from counterpoise.weights import ClassCounts

    matrix = confusion_matrix(target, probability.argmax(axis=1), classes)
    right, true, said = np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    recall, precision = ([share(*one) for one in zip(right, rows, strict=True)] for rows in (true, said))
    names = tuple(f"class {k}" for k in range(classes))
    whole = np.arange(rows)
    large = replace(
        facts,
        labels=replace(facts.labels, classes=names, codes=target),
        counts=ClassCounts(np.bincount(target).tolist(), classes=list(names)),
        split=replace(facts.split, train=whole, calibration=whole, test=whole),
        judged=replace(
            facts.judged,
            threshold=np.ones(classes),
            target=target,
            probability=probability,
            naive=probability,
            recall=recall,
            precision=precision,
            confusion=matrix,
        ),
    )
    assert len(render(large)) < 3_000_000


def test_the_heart_is_small_and_stands_alone(training):
    shown = heart(training)
    page = Page(shown)
    assert len(shown) < 100_000
    assert not page.all("html", "body", "main", "h1", "h2")
    assert len(page.all("input")) == (3 if training.binary else 0)
    (style,) = re.findall(r"(?s)<style>(.*?)</style>", shown)
    assert re.findall(r"(?m)^(\S[^{\n]*) \{", style) == [".counterpoise"]  # nothing else of a notebook is touched


def test_why_an_estimate_is_an_end_of_its_interval_stands_with_it(tmp_path):
    """Classes of a few test rows, all of them right or none: in decision.json, the report and the card."""
    rng = np.random.default_rng(0)
    place = np.repeat([0, 1, 2], [300, 60, 8])
    frame = pl.DataFrame({"a": place + 0.01 * rng.normal(size=368), "b": rng.normal(size=368), "grade": place})
    made = cp.train(frame, target="grade", learners=["logistic"])
    made.save(tmp_path / "out")
    tested = json.loads((tmp_path / "out" / "decision.json").read_text())["metrics"]["test"]
    page, card = ((tmp_path / "out" / name).read_text() for name in ("report.html", "model_card.md"))
    assert tested["macro_f1"]["value"] == tested["macro_f1"]["high"] == 1.0
    assert tested["macro_f1"]["why"] == "the largest possible value"
    assert tested["recall"]["2"]["why"] == f"all of {int((made.judged.target == 2).sum())} rows"
    for found in (tested, tested["recall"], tested["precision"]):
        for one in found.values():
            if "value" in one:
                assert (one["low"] < one["value"] < one["high"]) == ("why" not in one)
    assert page.count("(the largest possible value)") >= 3
    assert tested["recall"]["2"]["why"] in page
    assert "| macro f1 | 1 |" in card and "| the largest possible value |" in card
