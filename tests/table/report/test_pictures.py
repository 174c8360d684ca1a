"""The pictures: marks lie where the curves are, ids are distinct, names are only names."""

import json
import re
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from absent import needs
from counterpoise import goals
from counterpoise.table.report import pictures
from counterpoise.table.report.stops import stops_of

needs("matplotlib")

pytestmark = pytest.mark.slow

NASTY = '<b x="y">& $x$ \\fr{罕'


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(0)
    target = (rng.random(800) < 0.1).astype(np.int64)
    probability = 1 / (1 + np.exp(3 - 2.5 * target + rng.logistic(size=800)))
    return target, probability, stops_of(target, probability, 0.3)


@pytest.fixture(scope="module")
def drawn(scored):
    target, probability, stops = scored
    bounds = goals.goal("recall where precision >= 0.4 and fpr <= 0.2").constraints
    return {
        "precision-recall": pictures.precision_recall(target, probability, stops, bounds),
        "roc": pictures.roc(target, probability, stops, bounds),
        "trade-off": pictures.trade_off(target, probability, stops, NASTY),
        "scores": pictures.scores(target, probability, stops, ["no", NASTY]),
        "reliability": pictures.reliability(target, probability, np.sqrt(probability), "said", "seen"),
        "confusions": pictures.confusions(["a", NASTY, "c"], np.array([[5, 1, 0], [0, 3, 1], [0, 0, 0]])),
    }


def _tracks(svg):
    return [np.array(json.loads(one)) for one in re.findall(r'data-track="([^"]*)"', svg)]


def test_each_is_well_formed_and_no_name_is_markup(drawn):
    for svg in drawn.values():
        tree = ElementTree.fromstring(svg.replace("xlink:href", "href"))
        assert not [one for one in tree.iter() if one.tag.endswith("}b")]
        assert "<b x" not in svg
    assert '&lt;b x="y"&gt;&amp; $x$ \\fr{罕' in drawn["trade-off"].replace("&quot;", '"')


def test_no_id_occurs_twice_on_a_page_and_every_reference_is_answered(drawn):
    ids = [one for svg in drawn.values() for one in re.findall(r'\bid="([^"]*)"', svg)]
    assert len(ids) == len(set(ids))
    used = {one for svg in drawn.values() for one in re.findall(r'(?:href="#|url\(#)([^")]*)', svg)}
    assert used and used <= set(ids)


def test_the_marks_follow_the_rates(drawn, scored):
    stops = scored[2]
    expected = {
        "precision-recall": (stops.at.recall, np.where(stops.at.alerts > 0, stops.at.precision, np.nan)),
        "roc": (stops.at.fpr, stops.at.recall),
    }
    for name, rates in expected.items():
        (track,) = _tracks(drawn[name])
        assert track.shape == (len(stops.threshold), 2)
        for axis, rate in enumerate(rates):
            known = np.isfinite(rate)
            slope, start = np.polyfit(rate[known], track[known, axis], 1)
            assert np.abs(track[known, axis] - start - slope * rate[known]).max() < 0.11  # written to 0.1
            assert (slope > 0) == (axis == 0)


@pytest.mark.parametrize("name", ["trade-off", "scores"])
def test_the_line_follows_the_threshold(drawn, scored, name):
    threshold = np.clip(scored[2].threshold, 1e-6, 1 - 1e-6)
    (track,) = _tracks(drawn[name])
    inside = (threshold > np.quantile(scored[1], 0.05)) & (threshold < np.quantile(scored[1], 0.95))
    place = np.log(threshold) - np.log1p(-threshold)
    slope, start = np.polyfit(place[inside], track[inside, 0], 1)
    assert np.abs(track[inside, 0] - start - slope * place[inside]).max() < 0.11
    assert np.all(track[:, 1] == 0)


def test_the_mark_starts_at_the_chosen_place(drawn, scored):
    for name in ("precision-recall", "roc", "trade-off", "scores"):
        (track,) = _tracks(drawn[name])
        x, y = track[scored[2].chosen]
        assert drawn[name].count(f'transform="translate({x:g} {y:g})"') == 2


def test_same_numbers_same_bytes(drawn, scored):
    target, probability, stops = scored
    assert pictures.scores(target, probability, stops, ["no", NASTY]) == drawn["scores"]


@pytest.mark.parametrize(
    "probability", [[0.5, 0.5, 0.5], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0]], ids=["equal", "sure", "wrong"]
)
def test_the_least_that_can_be_drawn(probability):
    target, scores = np.array([0, 1, 1]), np.array(probability)
    stops = stops_of(target, scores, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for svg in (
            pictures.precision_recall(target, scores, stops, []),
            pictures.roc(target, scores, stops, []),
            pictures.trade_off(target, scores, stops, "a"),
            pictures.scores(target, scores, stops, ["a", "b"]),
            pictures.reliability(target, scores, None, "said", "seen"),
            pictures.confusions(["only"], np.array([[3]])),
        ):
            assert "nan" not in svg.lower().replace("dominant", "")
