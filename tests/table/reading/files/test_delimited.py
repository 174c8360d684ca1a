"""Files as people have them: encodings, delimiters, compression, odd names and numbers; and files that are none."""

import gzip
import io
import re
import warnings
import zipfile

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoise.errors import UserError
from counterpoise.table.features.learning import learn_schema
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.reading.date_columns import with_dates
from counterpoise.table.reading.table import check_columns, read_table
from counterpoise.table.reading.target import read_labels

TEXT = "größe;naïve 日本\n1;á\n2;ß\n"


def made(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path, message):
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        read_table(path)
    assert str(path) in str(raised.value)


def zipped(**files):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return held.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode(tmp_path, encoding):
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    frame = read_table(made(tmp_path, mark + TEXT.encode(encoding))).frame
    assert frame.columns == ["größe", "naïve 日本"]
    assert frame.rows() == [(1, "á"), (2, "ß")]


def test_windows_letters_are_read_and_told(tmp_path):
    path = made(tmp_path, "name,größe\nJosé,1\n“x”,2\n".encode("cp1252"))
    with pytest.warns(UserWarning, match=r"line 1: byte 0xf6 is not UTF-8; the file was read as Windows-1252"):
        frame = read_table(path).frame
    assert frame.rows() == [("José", 1), ("“x”", 2)]
    assert frame.columns == ["name", "größe"]


@pytest.mark.parametrize(
    "content, message",
    [
        ("á,b\né,1\n".encode() + b"\xff,2\n", "line 3: byte 0xff is not UTF-8, although other letters are"),
        (b"a,b\nx\x81,1\n", "line 2: byte 0x81 is not UTF-8, nor Windows-1252"),
        (b"\xff\xfea", "begins like UTF-16 but is not"),
        (b"a,b\n1,\x00\n", "is not text: a byte in line 2 is zero"),
        ("a,b\n1,2\n".encode("utf-16-le"), "is not text: a byte in line 1 is zero"),
        (b"PAR1....", "is a Parquet file; name it t.parquet"),
        (b"\x28\xb5\x2f\xfd...", "is compressed with zstd; unpack it first: zstd -d"),
        (b"BZh9...", "is compressed with bzip2"),
        (b"\xfd7zXZ\x00...", "is compressed with xz"),
        (b"", "is empty"),
        (b"\n\n", "has an empty first line"),
        (b"\xef\xbb\xbf", "has an empty first line"),
        (b"a,b\n", "has no rows"),
        (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, the header 2"),
        (b'a,b\n1,"2\n', "line 2: a quote is never closed"),
        (b"a,b,a\n1,2,3\n", "has more than one column named 'a' (columns 1, 3); rename one"),
        (b"a,b,a,b\n1,2,3,4\n", "has more than one column named 'a', 'b'; rename them"),
    ],
)
def test_what_is_no_table(tmp_path, content, message):
    refused(made(tmp_path, content), message)


def test_dates_with_dots_have_the_day_first(tmp_path):
    rows = "day,at,version\n31.01.2024,1.2.2024 10:30,1.2.3\n,,\n1.2.2024,2.2.2024 0:05,2.0.1\n"
    frame = with_dates(read_table(made(tmp_path, rows)), []).frame
    assert frame.dtypes == [pl.Date, pl.Datetime, pl.String]
    assert frame["day"].dt.to_string().to_list() == ["2024-01-31", None, "2024-02-01"]
    assert frame["at"].dt.day().to_list() == [1, None, 2]


def test_zst_by_name(tmp_path):
    refused(made(tmp_path, b"\x28\xb5\x2f\xfd...", "t.csv.zst"), "unpack it first: zstd -d")
    refused(made(tmp_path, b"a,b\n1,2\n", "t.csv.zst"), "is not compressed as its name says; rename it to t.csv")


def test_gzip_under_any_name(tmp_path):
    for name in ("t.csv.gz", "t.tsv.gz", "t.csv"):
        text = b"a\tb\n1\t2\n" if "tsv" in name else b"a,b\n1,2\n"
        assert read_table(made(tmp_path, gzip.compress(text), name)).frame.rows() == [(1, 2)]


@pytest.mark.parametrize("end", [-1, -8, -30, 12])
def test_gzip_that_is_cut_short(tmp_path, end):
    whole = gzip.compress("".join(f"{k},{k * k % 97}\n" for k in range(500)).encode())
    refused(made(tmp_path, whole[:end], "t.csv.gz"), "is it cut short?")


def test_zip(tmp_path):
    assert read_table(made(tmp_path, zipped(t_csv="a;b\n1;2\n"), "t.zip")).frame.rows() == [(1, 2)]
    assert read_table(made(tmp_path, zipped(t_tsv="a\tb;c\n1\t2\n", x_md="!"), "t.csv.zip")).frame.columns == [
        "a",
        "b;c",
    ]


@pytest.mark.parametrize(
    "content, message",
    [
        (zipped(a_csv="a\n", b_csv="b\n"), "holds 2 tables ('a.csv', 'b.csv'); a zip must hold exactly one"),
        (zipped(a_json="{}"), "holds no .csv ('a.json')"),
        (zipped(xl__workbook_xml="<x>"), "is an Excel workbook; save the sheet as CSV"),
        (zipped(a_csv="a,b\n" * 99)[:-9], "cannot be read"),
        (b"nothing", "cannot be read"),
    ],
)
def test_bad_zip(tmp_path, content, message):
    refused(made(tmp_path, content, "t.zip"), message)


@pytest.mark.parametrize("name", ["t.xlsx", "t.xls", "t.ods"])
def test_sheets(tmp_path, name):
    refused(made(tmp_path, b"PK\x03\x04", name), "save the sheet as CSV")


@pytest.mark.parametrize("separator", list(",;\t|"))
def test_delimiters(tmp_path, separator):
    text = f'a{separator}"b, c; d"\n1{separator}x\n'
    assert read_table(made(tmp_path, text)).frame.columns == ["a", "b, c; d"]


def test_an_unknown_delimiter_is_named(tmp_path):
    with pytest.raises(UserError, match=re.escape("was read as one column, 'a:b:y'; comma, semicolon, tab or | must")):
        check_columns(read_table(made(tmp_path, "a:b:y\n1:2:3\n")), ["y"])


def test_the_nearest_name(tmp_path):
    table = read_table(made(tmp_path, "größe,Fraud\n1,2\n"))
    with pytest.raises(UserError, match="did you mean 'Fraud'"):
        check_columns(table, ["fraud"])
    with pytest.raises(UserError, match="did you mean 'größe'"):
        check_columns(table, ["grösse"])


def test_huge_integers_stay_distinct(tmp_path):
    near = [2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
    beyond = [10**25 + k for k in range(4)]
    apart = [1, 2, 3, 10**25]
    lines = [f"{a},{b},{c}" for a, b, c in zip(near, beyond, apart, strict=True)]
    frame = read_table(made(tmp_path, "near,beyond,apart\n" + "\n".join(lines))).frame
    assert frame["near"].to_list() == near
    assert frame["beyond"].to_list() == [str(one) for one in beyond]
    assert frame["apart"].to_list() == [1.0, 2.0, 3.0, 1e25]


@pytest.mark.parametrize("cell", ["inf", "-inf", "Infinity", "1e999"])
def test_infinite_cells_are_named(tmp_path, cell):
    table = read_table(made(tmp_path, f"x,y\n1,0\n{cell},1\n3,0\n"))
    with pytest.raises(UserError, match="column 'x' is infinite in data row 2"):
        to_matrix(table, learn_schema(table, "y", np.arange(3)))


def test_a_target_of_one_row_and_of_a_thousand_classes(tmp_path):
    one = read_table(made(tmp_path, "x,y\n1,a\n2,a\n3,b\n"))
    with pytest.raises(UserError, match=r"class 'b' has one row \(data row 3\)"):
        read_labels(one, "y")
    many = read_table(made(tmp_path, "x,y\n" + "".join(f"{k},c{k % 1000}\n" for k in range(3000))))
    with pytest.raises(UserError, match="has 1,000 distinct values, more than 200"):
        read_labels(many, "y")
    assert np.bincount(read_labels(many, "y", "c7").codes).tolist() == [2997, 3]


def test_ten_thousand_columns(tmp_path):
    names = [f"c{k}" for k in range(10_000)]
    rows = "".join(",".join(str((k * row) % 7 / 2) for k in range(10_000)) + "\n" for row in range(4))
    frame = read_table(made(tmp_path, ",".join(names) + "\n" + rows)).frame
    assert frame.shape == (4, 10_000)
    assert set(frame.dtypes) <= {pl.Float64, pl.Int64}
    refused(
        made(tmp_path, ",".join([*names, "c5"]) + "\n" + rows), "more than one column named 'c5' (columns 6, 10001)"
    )


@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.integers(-(10**12), 10**12)), min_size=3, max_size=3), min_size=1, max_size=9
    )
)
@settings(max_examples=40, deadline=None)
def test_numbers_come_back(tmp_path_factory, rows):
    frame = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.Int64, "c": pl.Int64}, orient="row")
    path = tmp_path_factory.mktemp("numbers") / "t.csv"
    frame.write_csv(path)
    read = read_table(path).frame
    assert read.rows() == frame.rows()


def test_a_folder_of_parquet(tmp_path):
    pl.DataFrame({"a": [1, 2], "b": ["x", None]}).write_parquet(tmp_path / "part-0.parquet")
    pl.DataFrame({"b": ["z"], "a": [3.5]}).write_parquet(tmp_path / "part-1.parquet")
    (tmp_path / "_SUCCESS").touch()
    table = read_table(tmp_path)
    assert table.typed
    assert table.frame.rows() == [(1.0, "x"), (2.0, None), (3.5, "z")]


def test_folders_that_are_no_table(tmp_path):
    refused(tmp_path, "is a directory without .parquet or .csv files")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"a": [1], "more": [2]}).write_parquet(tmp_path / "2.parquet")
    with pytest.raises(
        UserError, match=r"2.parquet and 1.parquet differ in their columns: only one of them has 'more'"
    ):
        read_table(tmp_path)
    pl.DataFrame({"a": ["x"]}).write_parquet(tmp_path / "2.parquet")
    with pytest.raises(UserError, match=r"2.parquet: column 'a' is String, but Int64 in 1.parquet; use one type"):
        read_table(tmp_path)
    (tmp_path / "2.parquet").write_bytes(b"PAR1, or not")
    with pytest.raises(UserError, match=r"2.parquet is not a readable Parquet file"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("a,b,c\n1,2,3\n4,5\n6,7,8\n", "line 3: 2 fields where the header has 3"),
        ("a,b,c\n1,2,3\n4\n6\n", "line 3 and 1 other lines: 1 fields"),
        ('a,b,c\n"x, y",2,3\n"z",5', "line 3: 2 fields"),
    ],
)
def test_short_rows_are_told(tmp_path, text, message):
    with pytest.warns(UserWarning, match=re.escape(message)):
        assert read_table(made(tmp_path, text)).frame["c"].null_count() > 0


@pytest.mark.parametrize("text", ["a,b\n1,2\n\n3,4\n\n\n", "a,b\r\n1,2\r\n\r\n3,4\r\n  \r\n"])
def test_blank_lines_are_no_rows(tmp_path, text):
    assert read_table(made(tmp_path, text)).frame.rows() == [(1, 2), (3, 4)]


def test_empty_cells_at_the_end_are_no_short_rows(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_table(made(tmp_path, "a,b\n1,\n2,\n"))
        read_table(made(tmp_path, 'a,b\n"1, 2",\n2,\n', "u.csv"))


def test_good_files_warn_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_table(made(tmp_path, TEXT))


def test_several_text_files_are_one_table(tmp_path):
    (tmp_path / "1.csv").write_text("day,size\n1,2.5\n")
    (tmp_path / "2.csv").write_text("size,day\n3.5,2\n")
    (tmp_path / "notes.md").write_text("none")
    for path in (tmp_path, tmp_path / "*.csv", tmp_path / "[12].csv"):
        assert read_table(path).frame.rows() == [(1, 2.5), (2, 3.5)]
    pl.DataFrame({"day": [3], "size": [4.5]}).write_parquet(tmp_path / "3.parquet")
    assert read_table(tmp_path).frame.rows() == [(3, 4.5)]  # the others may be copies of it
    refused(tmp_path / "[23]*", "names files of text and of Parquet, such as")
    refused(tmp_path / "4*", "no file matches")


def test_text_files_that_are_no_table(tmp_path):
    (tmp_path / "1.csv").write_text("day,size\n1,2.5\n")
    (tmp_path / "2.csv").write_text("day,sise\n3,4\n")
    refused(tmp_path, "2.csv and 1.csv differ in their columns: only one of them has 'sise', 'size'")
    (tmp_path / "2.csv").write_text("day;size\n3;4\n")
    refused(tmp_path, "separates cells by ',', but")
