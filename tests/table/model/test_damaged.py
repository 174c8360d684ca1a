"""Files that are damaged, or no files: refused in a line that names them, whatever reads them."""

import gzip
import io
import os
import random
import re
import socket
import warnings
import zipfile
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from absent import needs
from counterpoise.cli import main
from counterpoise.errors import UserError
from counterpoise.table.audit.audit import audit_table
from counterpoise.table.reading.files.quoting import end_of_rows
from counterpoise.table.using.predict import predict_table
from mutations import cut, damaged, flipped

needs("lightgbm")

pytestmark = pytest.mark.slow

ROWS = 120


def frame():
    rng = np.random.default_rng(0)
    size = rng.normal(size=ROWS)
    return pl.DataFrame(
        {
            "size": size,
            "kind": rng.choice(["a", "b", "cc"], ROWS),
            "when": [date(2024, 1, 1) + timedelta(days=int(k)) for k in rng.integers(0, 300, ROWS)],
            "note": [None if k % 7 == 0 else f"text {k % 5} and" for k in range(ROWS)],
            "y": np.where(size + rng.normal(size=ROWS) > 0.8, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "m"
    cp.train(frame(), target="y", learners="logistic", budget=3).save(out)
    return out


def parquet(**how):
    held = io.BytesIO()
    frame().write_parquet(held, **how)
    return held.getvalue()


def in_zip(data):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", data)
    return held.getvalue()


CSV = frame().write_csv().encode()
WHOLE = {
    "plain.parquet": parquet(compression="uncompressed", row_group_size=50),
    "zstd.parquet": parquet(data_page_size=40),
    "commas.csv": CSV,
    "quoted.csv": frame().write_csv(separator=";", quote_style="always").encode(),
    "utf-16.csv": CSV.decode().encode("utf-16"),
    "windows.csv": CSV.decode().replace("cc", "é").encode("cp1252"),
    "t.csv.gz": gzip.compress(CSV),
    "t.csv.zip": in_zip(CSV),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_damaged_file_is_read_or_refused(name, model, tmp_path):
    rng = random.Random(name)
    path, out = tmp_path / name, tmp_path / "p.csv"
    refused = 0
    for _ in range(40):
        path.write_bytes((damaged if name.endswith(".csv") else rng.choice([cut, flipped]))(WHOLE[name], rng))
        for read in (lambda: audit_table(path, target="y"), lambda: predict_table(model, path, out)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    read()
                except UserError as error:
                    refused += 1
                    assert name in str(error) or "target" in str(error)
        for left in tmp_path.iterdir():
            if left != path:
                left.unlink()
    assert refused > 0


@pytest.mark.parametrize("bytes_cut", [1, 2, 3])
def test_utf_16_that_is_cut_in_a_letter(bytes_cut, model, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(WHOLE["utf-16.csv"][:-bytes_cut] + b"\x00\xd8"[: bytes_cut % 2 + 1])
    for read in (lambda: audit_table(path, target="y"), lambda: predict_table(model, path, tmp_path / "p.csv")):
        with pytest.raises(UserError, match=r"t\.csv begins like UTF-16 but is not; is it cut short"):
            read()


def pipe(place):
    os.mkfifo(place)


def listening(place):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place))


@pytest.mark.parametrize(("make", "said"), [(pipe, "is a pipe"), (listening, "is a socket")])
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_what_is_no_file_is_called_by_its_name(make, said, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    make(Path(name))
    with pytest.raises(UserError, match=f"{said}, which cannot be read twice; save its rows"):
        audit_table(name, target="y")


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_devices_are_no_files(name, capsys):
    if not Path(name).exists():
        pytest.skip(f"there is no {name}")
    assert main(["audit", name, "--target", "y"]) == 2
    assert f"{name} is a device" in capsys.readouterr().err


def test_a_folder_whose_parquet_files_are_none(tmp_path):
    os.mkfifo(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").mkdir()
    with pytest.raises(UserError, match=r"is a directory without \.parquet or \.csv files"):
        audit_table(tmp_path, target="y")


@pytest.mark.parametrize("name", ["t[1].parquet", "t*.parquet", "t?.parquet", "t{a,b}.parquet", "[t].parquet"])
def test_the_name_of_a_file_is_no_pattern(name, model, tmp_path):
    frame().write_parquet(tmp_path / "tt.parquet")
    frame().write_parquet(tmp_path / "t1.parquet")
    frame().head(50).write_parquet(tmp_path / name)
    assert audit_table(tmp_path / name, target="y").rows == 50
    assert predict_table(model, tmp_path / name, tmp_path / "p [1]*.parquet").rows == 50
    assert pl.read_parquet(tmp_path / "p [1]*.parquet", glob=False).height == 50


LONG = "y" * 200_000


@pytest.mark.parametrize(
    "text",
    [
        f"size,kind,note\n1,a\n2,b,{LONG}\n3,b\n",
        f'size,kind,note\n1,a\n2,b,"{LONG}"\n3,b,c\n',
        f"size,kind,note\n1,{LONG}\n2,{LONG},c\n",
    ],
)
def test_a_short_row_beside_a_long_cell(text, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.warns(UserWarning, match="line 2.*2 fields where the header has 3"):
        cp.table.reading.table.read_table(tmp_path / "t.csv")


def test_a_row_that_is_too_long_is_named_beside_a_long_cell(tmp_path):
    (tmp_path / "t.csv").write_text(f"size,kind\n1,a\n2,{LONG}\n3,b,7\n")
    with pytest.raises(UserError, match="line 4 has 3 fields, the header 2"):
        cp.table.reading.table.read_table(tmp_path / "t.csv")


def slowly(text, quoted):
    """The definition: sign by sign."""
    end = 0
    for place, sign in enumerate(text):
        quoted = quoted != (sign == ord('"'))
        if sign == ord("\n") and not quoted:
            end = place + 1
    return end, quoted


def test_rows_end_where_no_quote_is_open():
    rng = random.Random(0)
    for _ in range(5_000):
        text = bytes(rng.choices(b'a,"\n', k=rng.randrange(14)))
        quoted = rng.random() < 0.5
        assert end_of_rows(text, quoted) == slowly(text, quoted)


@pytest.mark.parametrize("text", [b'"' + b"\n" * 4_000_000, b'"\n"' * 1_300_000, b'"\n' * 2_000_000 + b'"'])
def test_each_sign_is_looked_at_once(text):
    """However quotes and line ends lie, nothing steps through them one by one."""
    searched = []

    class Counted(bytes):
        def rfind(self, *found):
            searched.append(found)
            return bytes(self).rfind(*found)

    end_of_rows(Counted(text))
    assert len(searched) <= 2


FAR = {
    "the last day of 32 bits": (pl.Date, 2**31 - 1),
    "the first day of 32 bits": (pl.Date, -(2**31)),
    "the year 10000": (pl.Date, 2_932_897),
    "the year 0": (pl.Date, -719_163),
    "microseconds": (pl.Datetime("us"), 2**62),
    "milliseconds": (pl.Datetime("ms"), -(2**60)),
}


@pytest.mark.parametrize("name", FAR)
def test_a_day_that_no_calendar_has_is_a_cell_that_cannot_be_used(name, model, tmp_path):
    kind, value = FAR[name]
    whole = frame()
    days = whole["when"].cast(kind).to_physical().cast(pl.Int64).scatter(5, value)
    odd = whole.with_columns(when=days.cast(pl.Int32 if kind == pl.Date else pl.Int64).cast(kind))
    odd.write_parquet(tmp_path / "t.parquet")
    said = "column 'when', data row 6: '(day|time) [-0-9]+ since 1970' is beyond the years 1 to 9999"
    found = audit_table(tmp_path / "t.parquet", target="y")
    assert len(found.refused) == 1
    for refused in (
        lambda: audit_table(tmp_path / "t.parquet", target="y", time="when"),
        lambda: cp.train(odd, target="y", learners="logistic", budget=2),
    ):
        with pytest.raises(UserError, match=said):
            refused()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = predict_table(model, tmp_path / "t.parquet", tmp_path / "p.parquet")
    assert done.unscored == 1
    (problem,) = done.problems.read_text().splitlines()[1:]
    assert re.fullmatch(r"6,column 'when': '(day|time) [-0-9]+ since 1970' is not a date", problem)
