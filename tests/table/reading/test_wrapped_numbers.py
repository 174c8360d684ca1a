"""Numbers with something around them are not read, and the column says so: in the audit and in training."""

import polars as pl
import pytest

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.table.audit.audit import audit_table
from counterpoise.table.reading.kinds import read_text

MIXED = {
    "thousands": ["1.24k", "961", "2.5k"],
    "k and M": ["3K", "1.2M", "4K"],
    "with a sign of money": ["$1.5k", "$961"],
    "German": ["1,5 Mio", "300 Tsd."],
    "Indian": ["1.5 lakh", "2 crore"],
    "credit and debit": ["1,243.56 CR", "960.92 DR"],
    "billions": ["1.2bn", "961mn"],
}
WRAPPED = [
    "1_243",
    "'1243.56",
    '="1243.56"',
    "\uff11\uff12\uff14\uff13",
    "\u0661\u0662\u0664",
    "0x4db",
    "12 1/2",
    "1.5 GB",
    "7 kg",
]
OTHERS = [
    ["12A", "13B", "14K"],
    ["007", "10001"],
    ["A1", "B2"],
    ["1.2a", "1.3b", "2.0rc"],
    ["5W-30", "10W-40"],
    ["1200-1299"],
]


@pytest.mark.parametrize("name", MIXED)
def test_sizes_that_differ_are_refused_with_two_cells(name):
    cells = MIXED[name] * 30
    read = read_text(pl.DataFrame({"amount": cells}))
    start = f"column 'amount' holds {cells[0]!r} in data row 1 and {cells[1]!r} in data row 2"
    assert read.doubts["amount"] == f"{start}; write only numbers, all in one unit"


@pytest.mark.parametrize("cell", WRAPPED)
def test_a_wrapped_number_is_pointed_out(cell):
    read = read_text(pl.DataFrame({"amount": [cell, cell, None, cell] * 20}))
    assert read.said == (f"Column 'amount' holds text such as {cell!r}: write only the number to have it read as one.",)


@pytest.mark.parametrize("cells", OTHERS, ids=str)
def test_codes_are_no_numbers(cells):
    read = read_text(pl.DataFrame({"amount": cells * 30}))
    assert (dict(read.doubts), read.said) == ({}, ())


def test_audit_and_training_refuse_the_column_and_the_audit_says_nothing_else_of_it(tmp_path):
    cells = [f"{k / 7:.2f}k" if k % 3 else f"{k}" for k in range(300)]
    frame = pl.DataFrame(
        {"amount": cells, "x": [k * k % 97 for k in range(300)], "bad": [k % 5 == 0 for k in range(300)]}
    )
    frame.write_csv(tmp_path / "t.csv")
    found = audit_table(tmp_path / "t.csv", target="bad")
    assert len(found.refused) == 1 and found.refused[0].endswith("write only numbers, all in one unit")
    assert "amount" not in [one.column for one in found.identifiers]
    assert not any("--group" in one.do for one in found.findings)
    with pytest.raises(UserError, match="write only numbers, all in one unit"):
        cp.train(frame, target="bad", learners=["logistic"], budget=3)


def test_blanks_at_the_ends_of_a_name_do_not_count_in_ignore(tmp_path):
    lines = [f"{k * k % 97},{k % 11},{k % 5 == 0}" for k in range(100)]
    (tmp_path / "t.csv").write_text("x, h ,bad \n" + "\n".join(lines))
    for ignore in ("h", " h ", "h*", ["h"]):
        assert audit_table(tmp_path / "t.csv", target="bad ", ignore=ignore).ignored == (" h ",)
