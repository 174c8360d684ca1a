"""Odd files of delimited text: read as Python's csv module reads them, at once or in pieces, or refused by line."""

import csv
import io
import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.table import predict_table
from counterpoise.table.reading.files import delimited
from counterpoise.table.reading.files.delimited import opened, read_delimited
from counterpoise.table.reading.files.quoting import OpenQuoteError, quotes_are_pairs, split, widths
from counterpoise.table.reading.table import read_table
from counterpoise.table.using.stream import columns_of


@pytest.fixture
def in_pieces(monkeypatch):
    """Read seven bytes at a time."""
    monkeypatch.setattr(delimited, "PIECE", 7)
    monkeypatch.setattr(delimited, "SAMPLE", 0)


def made(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def cells(frame):
    return [tuple(cell or None for cell in row) for row in frame.rows()]


def reference(text, separator):
    """The header, and the rows as Python reads them; None where one is too long or a quote stays open."""
    try:
        header, *rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=False))
        list(csv.reader(io.StringIO(text.rstrip("\r\n") + "\n", newline=""), delimiter=separator, strict=False))
    except csv.Error:
        return None
    if open_at_end(text, separator) or any(any(cell.strip() for cell in row[len(header) :]) for row in rows):
        return None
    lines = split(text, separator, whole=True).cells[1:]
    kept = [row for row, line in zip(rows, lines, strict=True) if line or len(header) == 1]
    return header, [tuple(cell or None for cell in (row + [""] * len(header))[: len(header)]) for row in kept]


def open_at_end(text, separator):
    try:
        split(text, separator, whole=True)
    except OpenQuoteError:
        return True
    return False


CELLS = st.sampled_from(["", "red", "1.5", '12" TV', '"', '""', 'say "hi"', " x ", "a\nb", "a\r\nb", "\u00e9"])


@st.composite
def files(draw):
    separator = draw(st.sampled_from(",;\t|"))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    cell = st.one_of(CELLS, st.text(alphabet=f'ab1" \n\r{separator}', max_size=6))
    rows = draw(st.lists(st.lists(cell, min_size=3, max_size=3), min_size=1, max_size=6))
    ends = st.sampled_from(["", " (cm)", "\nx", ' "q"'])
    names = [f"c{place}{draw(ends)}" for place in range(3)]
    how = draw(st.sampled_from(["minimal", "all", "bare"]))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(names)
    if how == "bare":
        text.write("".join(separator.join(row) + end for row in rows))
    else:
        quoting = csv.QUOTE_ALL if how == "all" else csv.QUOTE_MINIMAL
        csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting).writerows(rows)
    return separator, text.getvalue()[: draw(st.sampled_from([None, -len(end)]))]


@settings(max_examples=300, deadline=None)
@given(file=files())
def test_whole_and_in_pieces_a_file_is_what_pythons_csv_reads(tmp_path_factory, file):
    separator, text = file
    expected = reference(text, separator)
    path = made(tmp_path_factory.mktemp("odd"), text)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for piece, sample in ((16_000_000, 65_536), (5, 0), (23, 40)):
            delimited.PIECE, delimited.SAMPLE = piece, sample
            try:
                frame, _, used = read_delimited([path], path)
            except UserError as error:
                assert re.search(r"line \d+", str(error)), text
                found.append(None)
            else:
                assert used == separator
                found.append((frame.columns, cells(frame)))
            finally:
                delimited.PIECE, delimited.SAMPLE = 16_000_000, 65_536
    assert found == [expected] * 3, text


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet='ab,"\n\r ', max_size=20), piece=st.integers(1, 9))
def test_rows_are_split_as_pythons_csv_splits_them(text, piece):
    try:
        rows = split(text, ",", whole=True).cells
    except OpenQuoteError:
        with pytest.raises(csv.Error):
            list(csv.reader(io.StringIO(text, newline=""), strict=True))
        return
    expected = list(csv.reader(io.StringIO(text, newline="")))
    for row, one in zip(rows, expected, strict=True):
        blank = len(one) < 2 and not "".join(one).strip(" \t")
        assert row == ([] if blank and row == [] else one)  # a line of blanks is a blank line, unless in quotes
    begun, rest = [], ""
    for place in range(0, len(text), piece):  # as more and more of it arrives
        rest += text[place : place + piece]
        part = split(rest, ",", whole=False)
        begun, rest = begun + part.cells, rest[part.used :]
    assert begun + split(rest, ",", whole=True).cells == rows
    if text and "\r" not in text and quotes_are_pairs(text.encode(), ","):
        assert widths(text.encode(), ",")[0].tolist() == [max(1, len(row)) for row in rows]


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("text", ['a,b\n1,12" TV\n2,x\n', "a,b\n1,x\n2,y\n3,z", 'a,"b\nc"\n1,2\n', "a,b\r1,2\r3,4\r"])
def test_the_beginning_of_a_file_may_come_in_pieces(text, tmp_path):
    path = made(tmp_path, text)
    header, rows = reference(text, ",")
    assert columns_of(path) == header
    assert cells(read_table(path, spelled=True).frame) == rows


NAMES = [
    ('size,"height\n(cm)",bad\n1,2,no\n', ["size", "height\n(cm)", "bad"]),
    ('"a ""b""",c\n1,2\n', ['a "b"', "c"]),
    ('"a,b";c\n1;2\n', ["a,b", "c"]),
    ("a,,b\n1,2,3\n", ["a", "Unnamed: 1", "b"]),
    (",a\n0,5\n", ["Unnamed: 0", "a"]),
    ("a,b,\n1,2,\n3,4,\n", ["a", "b", "Unnamed: 2"]),
    ("\ufeffa,b\n1,2\n", ["a", "b"]),
    ('\ufeff"a","b"\n1,2\n', ["a", "b"]),
    ("\n\na,b\n1,2\n", ["a", "b"]),
    ("sep=;\na,1;b\n1,5;2\n", ["a,1", "b"]),
    ('"sep=|"\r\na|b\r\n1|2\r\n', ["a", "b"]),
    ("SEP=\t\na\tb\n1\t2\n", ["a", "b"]),
    ('12" TV,b\n1,2\n', ['12" TV', "b"]),
    ("a;b\nhello, world;2\nwell, well;3\n", ["a", "b"]),
    (" a,b \n1,2\n", [" a", "b "]),
]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("text, names", NAMES)
def test_names_of_columns(text, names, whole, tmp_path, monkeypatch):
    if not whole:
        monkeypatch.setattr(delimited, "PIECE", 11)
    path = made(tmp_path, text)
    assert columns_of(path) == names
    assert read_table(path).frame.columns == names


TITLES = [
    ("Sales 2024\nsize;colour;bad\n1;red;no\n2;blue;yes\n", 2, "line 1 ('Sales 2024') was read as a title; line 2"),
    ("Sales 2024\n\nsize,colour\n1,red\n2,blue\n", 2, "line 1 ('Sales 2024') was read as a title"),
    ("Sales, 2024;;\nsize;colour;bad\n1;red;no\n2;blue;no\n", 2, "line 1 ('Sales, 2024') was read as a title"),
    ("Sales\nof 2024\nsize\tcolour\n1\tred\n", 1, "line 1 ('Sales') and 1 more was read as a title; line 3 has"),
    ("sep=;\nSales\nsize;colour\n1;red\n", 1, "line 2 ('Sales') was read as a title; line 3 has the column names"),
]


@pytest.mark.parametrize("text, rows, message", TITLES)
def test_titles_above_the_header_are_told(text, rows, message, tmp_path):
    path = made(tmp_path, text)
    with pytest.warns(UserWarning, match=re.escape(message)):
        frame = read_table(path).frame
    assert frame.columns[:2] == ["size", "colour"]
    assert frame["size"].to_list() == [1, 2][:rows]
    with pytest.warns(UserWarning, match=re.escape(message)):
        assert columns_of(path)[0] == "size"


REFUSED = [
    ("Sales\n2019;2020\n1;2\n", "line 2 has 2 fields, the header 1"),  # a header of numbers is none
    ("Sales, 2024\na,b,c\n1,2,3\n4,5,6\n", "line 2 has 3 fields, the header 2"),
    ("a,b\n1,2\n3,4,5\n", "line 3 has 3 fields, the header 2"),
    ('a,b\n"x\ny",2\n3,4,5\n', "line 4 has 3 fields, the header 2"),
    ('a,b\n1,12" TV\n3,4,5\n', "line 3 has 3 fields, the header 2"),
    ('a,b\n1,"2\n3,4\n', "line 2: a quote is never closed"),
    ('a,b\n1,12" TV\n3,"4\n', "line 3: a quote is never closed"),
    ('a,"b\n1,2\n', "line 1: a quote is never closed"),
    ('"a,b\n1,2\n', "line 1: a quote is never closed"),
    (b"a,b\n1,\x002\n", "a byte in line 2 is zero"),
    ("text\nhello, world\nwell, well\n", "line 2 has 2 fields, the header 1"),
    ("a,a\n1,2\n", "more than one column named 'a' (columns 1, 2)"),
]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("text, message", REFUSED)
def test_a_refusal_names_the_line(text, message, whole, tmp_path, monkeypatch):
    if not whole:
        monkeypatch.setattr(delimited, "PIECE", 5)
        monkeypatch.setattr(delimited, "SAMPLE", 0 if "Sales" not in str(text) else 40)
    path = made(tmp_path, text)
    with pytest.raises(UserError, match=re.escape(message)):
        read_table(path)


@pytest.mark.parametrize(
    "text, rows",
    [
        ("a,b\n1,2,\n3,4,,\n", [("1", "2"), ("3", "4")]),  # empty cells beyond the header
        ("a,b\n1,2\r3,4\n5,6\r\n", [("1", "2"), ("3", "4"), ("5", "6")]),
        ('a,b\n1,"x\n\ny"\n\n2,z\n', [("1", "x\n\ny"), ("2", "z")]),
        ("a,b\n1,2\n \n\t\n3,4\n", [("1", "2"), ("3", "4")]),
        ("a,b\n,\n1,2\n", [(None, None), ("1", "2")]),
        ("a\n1\n\n2\n", [("1",), (None,), ("2",)]),
        ('a,b\n1,"x"y\n', [("1", "xy")]),
        ('a,b\n1,"a ""q"" b"\n', [("1", 'a "q" b')]),
        ('a,b\nTV 12",red\nTV 15",blue\n', [('TV 12"', "red"), ('TV 15"', "blue")]),
    ],
)
@pytest.mark.parametrize("piece", [16_000_000, 6, 1])
def test_odd_rows(text, rows, piece, tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "PIECE", piece)
    monkeypatch.setattr(delimited, "SAMPLE", 0)
    assert cells(read_table(made(tmp_path, text), spelled=True).frame) == rows


def test_two_encodings_in_one_file_are_refused_in_pieces_as_at_once(tmp_path, monkeypatch):
    rows = [b"a,b\n", *[b"1,2\n"] * 20, "é,2\n".encode(), *[b"1,2\n"] * 20, b"\xe9,2\n"]
    for text in (b"".join(rows), b"".join([rows[0], *reversed(rows[1:])])):
        for piece in (16_000_000, 40):
            monkeypatch.setattr(delimited, "PIECE", piece)
            monkeypatch.setattr(delimited, "SAMPLE", 0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with pytest.raises(UserError, match=r"although other letters are|in UTF-8, and earlier ones"):
                    read_table(made(tmp_path, text))


def test_a_file_with_odd_names_and_quotes_is_learned_and_predicted(tmp_path):
    """A line break in a name and inch marks in cells: trained, then predicted, by one reading."""
    lines = [f'{k % 17},TV {12 + k % 3}",{k % 5},{"yes" if (k * 7) % 17 > 13 else "no"}' for k in range(300)]
    path = made(tmp_path, 'size,item,"height\n(cm)",bad\n' + "\n".join(lines) + "\n")
    cp.train(path, target="bad", learners=["logistic"], budget=2).save(tmp_path / "m")
    assert predict_table(tmp_path / "m", path, tmp_path / "p.csv").rows == 300
    with opened(path) as source:
        assert source.names == ["size", "item", "height\n(cm)", "bad"]
