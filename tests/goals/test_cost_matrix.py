"""Cost matrices, written in the text of a goal, in a file, or made by hand."""

import csv

import numpy as np
import pytest

from counterpoise.errors import UserError
from counterpoise.goals import CostMatrix

CLASSES = ("good", "bad", "very bad")
VALUES = [[0, 1, 2], [5, 0, 1], [50, 20, -1]]
MATRIX = CostMatrix(CLASSES, VALUES)


@pytest.mark.parametrize(
    "text",
    [
        ",good,bad,very bad\ngood,0,1,2\nbad,5,0,1\nvery bad,50,20,-1\n",
        "\ufefftrue, good ,bad,very bad\n\nvery bad,5e1,20,-1.0\ngood,0,1,2\nbad,5,0,1",
        'x,"good","bad","very bad"\r\ngood,0,1,2\r\nbad,5,0,1\r\nvery bad,50,20,-1\r\n',
    ],
    ids=["plain", "as a spreadsheet saves it", "quoted"],
)
def test_a_file(tmp_path, text):
    file = tmp_path / "costs.csv"
    file.write_text(text, encoding="utf-8", newline="")
    assert CostMatrix.read(file) == MATRIX


UPRIGHT = [
    "", " ", "x", "class", "cost", "true", "TRUE", "Actual", "y_true", "true class", "Ground truth",
    "actual \\ predicted", "Actual/Predicted", "true vs pred", "y_true \\ y_pred", "actual → predicted",
    "actual -> predicted", "predicted →", "actual ↓ / predicted →", "predicted → / actual ↓",
    "rows: true, columns: predicted", "columns=decided", "reference", "true (rows)", "Observed | Forecast",
    "predicted ->", "predicted =>", "predicted >", "Predicted ⇒", "predicted -->", "predicted ➡️", "true ⇓",
    "true => predicted",
]  # fmt: skip
TURNED = [
    "predicted", "Predicted", " PREDICTED ", "prediction", "y_pred", "ŷ", "predicted class", "decided",
    "Predicted as", "predicted \\ actual", "predicted/actual", "Prediction | Reference", "pred vs true",
    "y_hat, y_true", "predicted → actual", "predicted ↓", "true →", "rows: predicted", "columns are true",
    "actual across, predicted down", "decision (rows) / truth (columns)",
    "actual ->", "true >", "truth ⟶", "predicted ▼", "predicted > true",
]  # fmt: skip
SAYS_NOTHING = [
    "predicted / predicted", "true \\ true", "true predicted true", "rows predicted true",
    "rows: true, rows: predicted", "rows: true, columns: true", "predicted rows and columns",
    "predicted |", "predicted /", "predicted \\", "<- predicted", "predicted ←", "predicted &rarr;", "true ↑",
    "true <= predicted",
]  # fmt: skip


def written(tmp_path, corner, values):
    file = tmp_path / "costs.csv"
    cells = [[corner, *CLASSES], *([name, *map(str, row)] for name, row in zip(CLASSES, values, strict=True))]
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows(cells)
    return file


@pytest.mark.parametrize("corner", UPRIGHT)
def test_a_first_cell_that_leaves_lines_the_true_classes(tmp_path, corner):
    assert CostMatrix.read(written(tmp_path, corner, VALUES)) == MATRIX


@pytest.mark.parametrize("corner", TURNED)
def test_a_first_cell_that_makes_lines_decisions(tmp_path, corner):
    assert CostMatrix.read(written(tmp_path, corner, np.transpose(VALUES))) == MATRIX
    with pytest.raises(UserError, match="the cost of bad as good is 'much'"):
        CostMatrix.read(written(tmp_path, corner, [[0, "much", 50], [1, 0, 20], [2, 1, -1]]))


@pytest.mark.parametrize("corner", SAYS_NOTHING)
def test_a_first_cell_that_contradicts_itself(tmp_path, corner):
    file = written(tmp_path, corner, VALUES)
    with pytest.raises(UserError) as error:
        CostMatrix.read(file)
    assert f"the first cell, {corner!r}, does not show what the lines are; write 'true' or" in str(error.value)


def test_the_name_of_a_pandas_index(tmp_path):
    import pandas

    turned = pandas.DataFrame([[0, 5], [1, 0]], index=pandas.Index(["good", "bad"], name="predicted"))
    turned.set_axis(["good", "bad"], axis=1).to_csv(tmp_path / "costs.csv")
    assert str(CostMatrix.read(tmp_path / "costs.csv")) == "cost good as bad=1 bad as good=5"


def test_what_pandas_writes(tmp_path):
    import pandas

    pandas.DataFrame(VALUES, index=CLASSES, columns=CLASSES).to_csv(tmp_path / "costs.csv")
    assert CostMatrix.read(str(tmp_path / "costs.csv")) == MATRIX


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "names 0 classes"),
        (
            ";a;b\na;0;1\nb;1;0\n",
            "after a first cell, its first line must name two or more, separated by commas",
        ),
        (",a,b\na,0,1\n", "has no line for class 'b'"),
        (",a,b\na,0,1\nB,1,0\n", "unknown class 'B'; known: a, b"),
        (",a,b\na,0,1\na,1,0\n", "class 'a' occurs in two lines"),
        (",a,b\na,0\nb,1,0\n", "class 'a' has 1 costs of 2"),
        (",a,b\na,0,much\nb,1,0\n", "the cost of a as b is 'much'; it must be a finite number"),
        (",a,b\na,0,\nb,1,0\n", "the cost of a as b is ''"),
        (",a,b\na,0,nan\nb,1,0\n", "the cost of a as b is 'nan'"),
        (",a,a\na,0,1\n", "the classes of a cost matrix are a, a; it needs two or more, each once"),
        (",a,b\na,1,0\nb,1,0\n", "a as b costs 0, less than a as a (1)"),
    ],
)
def test_bad_files(tmp_path, text, message):
    file = tmp_path / "costs.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        CostMatrix.read(file)
    assert message in str(error.value)


@pytest.mark.parametrize("path", ["nowhere.csv", ".", "a\0b"])
def test_no_file(path):
    with pytest.raises(UserError, match="cannot be read"):
        CostMatrix.read(path)


def test_no_text(tmp_path):
    file = tmp_path / "costs.csv"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        CostMatrix.read(file)


@pytest.mark.parametrize("values", [VALUES, np.array(VALUES), np.array(VALUES, np.float32)], ids=["lists", "i8", "f4"])
def test_the_order_of_the_classes_is_asked_for(values):
    order = [2, 0, 1]
    found = CostMatrix(CLASSES, values).for_classes([CLASSES[k] for k in order])
    np.testing.assert_array_equal(found, np.array(VALUES, np.float64)[np.ix_(order, order)])
    assert found.dtype == np.float64


def test_numbers_can_be_classes():
    assert CostMatrix([0, 1], [[0, 1], [5, 0]]).for_classes(np.array([1, 0])).tolist() == [[0, 5], [1, 0]]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MATRIX.for_classes(["good", "bad"]), "but here are good, bad; both need the same, each once"),
        (lambda: MATRIX.for_classes(["good", "bad", "bad", "very bad"]), "both need the same, each once"),
        (lambda: MATRIX.for_classes(["good", "bad", "verybad"]), "did you mean 'very bad'?"),
        (lambda: CostMatrix(CLASSES, VALUES[:2]), "a cost matrix of 3 classes needs as many rows"),
        (lambda: CostMatrix(CLASSES, [[0, 1], [1, 0, 1], [1, 1, 0]]), "a cost matrix of 3 classes needs as many rows"),
        (lambda: CostMatrix(CLASSES, 7), "a cost matrix of 3 classes needs as many rows"),
        (lambda: CostMatrix(["a"], [[0]]), "it needs two or more"),
        (lambda: CostMatrix("ab", [[0, np.nan], [1, 0]]), "the cost of a as b is nan"),
        (lambda: CostMatrix("ab", [[0, 5], [0, 0]]), "b costs 0 whatever it is taken for"),
        (lambda: CostMatrix("ab", [[0, 5], [1, 2]]), "b as a costs 1, less than b as b (2); rows are true classes"),
    ],
)
def test_what_is_made_by_hand_is_checked(make, message):
    with pytest.raises(UserError) as error:
        make()
    assert message in str(error.value)
