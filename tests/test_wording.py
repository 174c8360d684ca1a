"""How messages and pages write shares, intervals, numbers of things and lists."""

import json
import re
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest

from counterpoise.decide.measured import Measured
from counterpoise.wording import data_rows, interval, listed, percent, plural, quoted

SHARES = [
    *(part / whole for whole in (1, 3, 7, 30, 400, 1000, 20_011) for part in range(min(whole, 1000) + 1)),
    *(1 - part / 20_011 for part in range(1000)),
    *(10.0**-power for power in range(1, 13)),
    *(1 - 10.0**-power for power in range(1, 13)),
    *np.random.default_rng(7).random(2000).tolist(),
    *(np.random.default_rng(8).random(2000) ** 9).tolist(),
]


@pytest.mark.parametrize(
    ("share", "written"),
    [
        (0.0, "0%"),
        (1.0, "100%"),
        (0.5, "50%"),
        (2 / 3, "66.7%"),
        (0.1225, "12.3%"),
        (0.0033, "0.33%"),
        (0.00001, "0.001%"),
        (1e-7, "0.00001%"),
        (0.0099999, "1%"),
        (0.99, "99%"),
        (0.9949, "99.5%"),
        (0.9996, "99.96%"),
        (0.999996, "99.9996%"),
        (np.float64(0.25), "25%"),
    ],
)
def test_percent(share, written):
    assert percent(share) == written


def test_a_percentage_is_none_or_all_only_where_the_share_is():
    for share in SHARES:
        assert (percent(share) == "0%") == (share == 0)
        assert (percent(share) == "100%") == (share == 1)


def test_a_percentage_is_near_its_share_and_has_three_digits_or_those_that_tell_it_from_all():
    for share in SHARES:
        text = percent(share)
        assert re.fullmatch(r"\d+(\.\d*[1-9])?%", text), text
        given = float(text[:-1]) / 100
        assert abs(given - share) <= max(0.0005001, 0) and abs(given - share) <= 0.0501 * max(share, 1e-300), share
        if share <= 0.99:
            assert len(text[:-1].replace(".", "").lstrip("0")) <= 3, text


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_script_of_the_page_writes_shares_alike():
    script = files("counterpoise.table.report").joinpath("report.js").read_text(encoding="utf-8")
    exponent = re.search(r"  const exponent = .*\n", script)
    written = re.search(r"  const percent = .*?\n  };\n", script, re.DOTALL)
    source = f"{exponent[0]}{written[0]}console.log(JSON.stringify({json.dumps(SHARES)}.map(percent)))"
    shown = subprocess.run(["node", "-"], input=source, capture_output=True, text=True, check=True).stdout
    assert json.loads(shown) == [percent(share) for share in SHARES]


def test_interval():
    found = Measured(0.5, 0.25, 0.75)
    assert interval(found) == "0.50 (0.25 to 0.75)"
    assert interval(found, 3) == "0.500 (0.250 to 0.750)"
    assert interval(found, written=percent) == "50% (25% to 75%)"
    assert interval(Measured(1.0, 0.5, 1.0, "all of 4 rows")) == "1.00 (0.50 to 1.00; all of 4 rows)"


def test_plural():
    assert [plural(n, "row") for n in (0, 1, 2, 1000)] == ["0 rows", "1 row", "2 rows", "1,000 rows"]
    assert [plural(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]


def test_listed():
    assert listed([]) == ""
    assert listed(["a", 2]) == "a, 2"
    assert listed("abcde") == "a, b, c, d, e"
    assert listed("abcdef") == "a, b, c, d, e and 1 more"
    assert listed(range(5000), 2) == "0, 1 and 4,998 more"


def test_quoted():
    assert quoted("it's") == '"it\'s"'
    assert quoted("x" * 41) == repr("x" * 40 + "…")
    assert quoted(7) == "'7'"


def test_data_rows_count_from_one():
    assert data_rows(np.array([0])) == "data row 1"
    assert data_rows(np.arange(7)) == "data rows 1, 2, 3, 4, 5 and 2 more"
