"""The page in a real browser: the slider is moved, and every number read is NumPy's.

Needs Playwright and a Chromium that the system provides; without them these tests are skipped.
"""

import shutil
from dataclasses import replace

import numpy as np
import playwright.sync_api as playwright
import polars as pl
import pytest

from counterpoise import goals
from counterpoise.decide.measured import share
from counterpoise.table.report.page import heart, render
from counterpoise.table.training.slices import slices_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

DESKTOP, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def open_page(browser, tmp_path_factory):
    """Open HTML at a size; when the test module ends no page may have complained or asked for anything."""
    complaints = []
    directory = tmp_path_factory.mktemp("pages")

    def opened(html, size=DESKTOP):
        file = directory / f"{len(list(directory.iterdir()))}.html"
        file.write_text(html, encoding="utf-8")
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda asked: asked.url.startswith("file:") or complaints.append(asked.url))
        page.goto(file.as_uri())
        return page

    yield opened
    assert complaints == []


def _grouped(training):
    """The training with the rates of two groups: the widest tables side by side."""
    judged = training.judged
    decided = judged.probability >= judged.threshold if training.binary else judged.probability.argmax(axis=1)
    half = pl.DataFrame({"side": ["left of the road", "right of the road"] * len(judged.target)})[: len(judged.target)]
    classes, binary = training.labels.classes, training.binary
    found = slices_of(half, judged.target, np.asarray(decided, int), classes=classes, binary=binary)
    return replace(training, slices=found)


def _text(page, key):
    return page.locator(f"[data-show='{key}']").first.inner_text()


def _number(text):
    number = float(text.replace(",", "").removesuffix("%"))
    return number / 100 if text.endswith("%") else number


def _move(page, place):
    page.locator("[data-slider]").fill(str(place))


def _stop(page, place):
    return page.evaluate(
        "place => JSON.parse(document.querySelector('[type=\"application/json\"]').textContent).threshold[place]", place
    )


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_slider_says_what_numpy_says(open_page, trained, size):
    judged = trained[1].judged
    page = open_page(render(trained[1]), size)
    positive = judged.target == 1
    last = int(page.locator("[data-slider]").get_attribute("max"))
    for place in (0, last // 4, last // 2, last - 1, last):
        _move(page, place)
        flagged = judged.probability >= _stop(page, place)
        tp, fp = int(np.sum(flagged & positive)), int(np.sum(flagged & ~positive))
        fn, tn = int(np.sum(~flagged & positive)), int(np.sum(~flagged & ~positive))
        shown = [_number(_text(page, key)) for key in ("tp", "fp", "fn", "tn")]
        assert shown == [tp, fp, fn, tn]
        rates = {"recall": (tp, tp + fn), "fpr": (fp, fp + tn)} | ({"precision": (tp, tp + fp)} if tp + fp else {})
        for key, (part, whole) in rates.items():
            expected = share(part, whole)
            low, high = _text(page, f"{key}-ends").split(" to ")
            assert _number(_text(page, key)) == pytest.approx(expected.value, abs=6e-4)
            assert _number(low) == pytest.approx(expected.low, abs=6e-4)
            assert _number(high) == pytest.approx(expected.high, abs=6e-4)
        if tp + fp == 0:
            assert _text(page, "precision") == "none"
        assert _number(_text(page, "alerts")) == pytest.approx(1000 * flagged.mean(), rel=6e-3)
        assert _text(page, "alerts-meaning") == f"{tp + fp:,} of the {len(flagged):,} test rows"


def test_the_costs_can_be_changed(open_page, trained):
    judged = trained[1].judged
    page = open_page(render(replace(trained[1], goal=goals.goal("cost fn=500 fp=10"))))
    assert page.locator("[data-cost=fn]").input_value() == "500"
    flagged, positive = judged.probability >= judged.threshold, judged.target == 1
    fn, fp = np.sum(~flagged & positive), np.sum(flagged & ~positive)
    assert _number(_text(page, "cost")) == pytest.approx((500 * fn + 10 * fp) / len(flagged) * 1000, rel=6e-3)
    page.locator("[data-cost=fn]").fill("7")
    page.locator("[data-cost=fp]").fill("0.5")
    assert _number(_text(page, "cost")) == pytest.approx((7 * fn + 0.5 * fp) / len(flagged) * 1000, rel=6e-3)
    page.locator("[data-cost=fp]").fill("")
    assert _number(_text(page, "cost")) == pytest.approx((7 * fn + 10 * fp) / len(flagged) * 1000, rel=6e-3)


def test_what_stands_there_before_any_script_is_what_the_script_says(browser, open_page, trained, tmp_path):
    html = render(trained[1])
    (tmp_path / "page.html").write_text(html)
    still = browser.new_context(java_script_enabled=False).new_page()
    still.goto((tmp_path / "page.html").as_uri())
    moving = open_page(html)
    _move(moving, 1)
    moving.locator("[data-reset]").click()
    assert still.locator("[data-slider]").is_hidden()
    keys = ["tp", "fp", "fn", "tn", "threshold"]
    keys += [key + end for key in ("precision", "recall", "alerts", "fpr", "cost") for end in ("", "-ends", "-meaning")]
    for key in keys:
        assert _text(still, key) == _text(moving, key)
    assert still.locator("[data-kept]").inner_text() == moving.locator("[data-kept]").inner_text()


def test_the_keyboard_moves_the_slider_and_it_says_where_it_is(open_page, trained):
    page = open_page(render(trained[1]))
    slider = page.locator("[data-slider]")
    chosen = int(slider.input_value())
    assert page.get_by_label("Threshold on the probability of yes").count() == 1
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert int(slider.input_value()) == chosen - 1
    assert "recall" in slider.get_attribute("aria-valuetext") and "alert" in slider.get_attribute("aria-valuetext")
    page.keyboard.press("End")
    assert slider.input_value() == slider.get_attribute("max")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert int(slider.input_value()) == chosen
    assert page.locator("[data-reset]").is_disabled()


def test_the_marks_of_the_pictures_move(open_page, trained):
    page = open_page(render(trained[1]))
    marks = page.locator(".mark")
    assert marks.count() == 4
    before = [marks.nth(k).get_attribute("transform") for k in range(4)]
    rings = page.locator(".mark-chosen").first.get_attribute("transform")
    assert before[0] == rings
    _move(page, 0)
    assert all(marks.nth(k).get_attribute("transform") != before[k] for k in range(4))
    assert page.locator(".mark-chosen").first.get_attribute("transform") == rings


def test_bounds_are_judged_where_the_slider_is(open_page, trained):
    page = open_page(render(trained[1]))
    _move(page, 0)
    assert page.locator("[data-kept]").inner_text() == "On the test rows precision >= 0.4 is not kept"


@pytest.mark.parametrize("name", ["trained", "graded"])
def test_nothing_sticks_out_of_a_phone(open_page, request, name):
    page = open_page(render(_grouped(request.getfixturevalue(name)[1])), PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    for one in page.locator("details").all():
        one.evaluate("element => { element.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    for one in page.locator("button, input, summary").all():
        if one.is_visible():
            assert one.bounding_box()["height"] >= 24  # what a finger hits: WCAG 2.2, 2.5.8


@pytest.mark.parametrize("name", ["trained", "graded"])
def test_it_prints_with_everything_open(open_page, request, name):
    page = open_page(render(_grouped(request.getfixturevalue(name)[1])))
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    page.set_viewport_size({"width": 680, "height": 1000})  # A4 less its margins
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    for one in page.locator(".scroll").all():
        assert one.evaluate("element => element.scrollWidth <= element.clientWidth")
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_two_hearts_in_one_notebook_do_not_disturb_each_other(open_page, trained):
    shown = heart(trained[1])
    page = open_page(f"<!doctype html><title>notebook</title><body>{shown}{shown}</body>", PHONE)
    assert page.locator("[data-ready]").count() == 2
    sliders, counts = page.locator("[data-slider]"), page.locator("b[data-show=tp]")
    before = counts.nth(1).inner_text()
    sliders.nth(0).fill("0")
    assert counts.nth(0).inner_text() == str(int(np.sum(trained[1].judged.target == 1)))
    assert counts.nth(1).inner_text() == before
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_a_name_that_is_a_script_does_not_run(open_page, trained):
    facts = trained[1]
    nasty = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    named = replace(
        facts, asked=replace(facts.asked, target=nasty), labels=replace(facts.labels, classes=("no", nasty))
    )
    for html in (render(named), f"<!doctype html><body>{heart(named)}</body>"):
        page = open_page(html)
        page.wait_for_timeout(100)
        assert page.locator("img").count() == 0
