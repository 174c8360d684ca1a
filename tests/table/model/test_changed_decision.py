"""A saved decision, encoding or layer that was changed so that it makes no sense is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from counterpoise.errors import UserError
from counterpoise.table import load
from counterpoise.table.model import bundle
from counterpoise.table.tensors import arrays_of, bytes_of

pytestmark = pytest.mark.slow


@pytest.fixture
def saved(blended):
    return blended


@pytest.fixture
def copy(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "model"))


def refused(path, words):
    with pytest.raises(UserError, match=words):
        load(path)


def rewritten(path, change):
    """decision.json changed by somebody who knows how to seal it."""
    facts = json.loads((path / "decision.json").read_text(encoding="utf-8"))
    facts.pop(bundle.SEAL)
    change(facts)
    (path / "decision.json").write_text(bundle.to_json(bundle.sealed(facts)), encoding="utf-8")


def of_member(**changes):
    return lambda facts: facts["members"][0].update(changes)


def referring(**changed):
    """Change what ages of a date count to."""
    reference = {"column": "day", "own": False, "day": "2024-01-31", "ahead": 0, "short": [0] * 10} | changed
    return lambda facts: facts["schema"].update(reference=reference)


def parted(**changed):
    """Change the parts of the first column."""
    return lambda facts: facts["columns"]["size"]["parts"].update(changed)


def of_column(place=0, **changes):
    return lambda facts: facts["schema"]["columns"][place].update(changes)


def of_recipe(**changes):
    return lambda facts: facts["members"][0]["recipe"].update(changes)


def named(name):
    return lambda facts: facts["files"].update({name: "0" * 64})


CHANGES = [
    (lambda facts: facts.update(format=99), r"newer Counterpoise \(format 99; .* pip install --upgrade counterpoise"),
    (lambda facts: facts.update(format="new"), "newer Counterpoise"),
    (lambda facts: facts.update(format=2), r"older Counterpoise \(format 2\); train again"),
    (named("../secret"), "outside of the directory: '../secret'"),
    (named("0-lightgbm/../../secret"), "outside of the directory"),
    (named("/etc/passwd"), "outside of the directory: '/etc/passwd'"),
    (named("./model.txt"), "a name that training does not give"),
    (named("././report.html"), "a name that training does not give"),
    (named("0-lightgbm//model.txt"), "a name that training does not give"),
    (named("0-lightgbm\\model.txt"), "a name that training does not give"),
    (named("C:model.txt"), "a name that training does not give"),
    (named("report.html\n"), "a name that training does not give"),
    (named(".hidden"), "a name that training does not give"),
    (named("decision.json"), "a name that training does not give"),
    (named("Report.html"), "names a file twice"),
    (named("0-LightGBM/model.txt"), "names a file twice"),
    (lambda facts: facts["files"].pop("report.html"), "does not name report.html"),
    (
        lambda facts: facts["files"].pop("0-lightgbm/model.txt"),
        "does not name 0-lightgbm/model.txt, which is a file of",
    ),
    (lambda facts: facts["files"].update({"report.html": 5}), "files.report.html is 5; it must be text"),
    (lambda facts: facts.pop("schema"), "decision.json lacks 'schema'"),
    (lambda facts: facts.pop("files"), "files is None; it must be an object"),
    (lambda facts: facts.update(files=[1]), "files is a list; it must be an object"),
    (lambda facts: facts.update(kind="other"), "kind is 'other'"),
    (lambda facts: facts.update(classes=3), "classes is 3; it must be a list"),
    (lambda facts: facts.update(classes=["no"]), "classes has 1 values"),
    (lambda facts: facts.update(classes=["no", 1]), r"classes\[1\] is 1; it must be of the type of the others"),
    (lambda facts: facts.update(classes=["yes", "yes"]), "a class twice"),
    (lambda facts: facts.update(positive="maybe"), "positive is 'maybe'; it must be one of classes"),
    (lambda facts: facts.update(threshold="nan"), "threshold is 'nan'; it must be a finite number"),
    (lambda facts: facts.update(threshold=-1), "threshold is -1; it must be a finite number of at least 0"),
    (lambda facts: facts.update(threshold=True), "threshold is True"),
    (lambda facts: facts.update(threshold=1.1), "threshold is 1.1"),
    (lambda facts: facts.update(threshold=10**400), "threshold is a whole number of 15 digits or more"),
    (lambda facts: facts.update(threshold={"no": 0.5, "yes": 0.5}), "threshold is an object"),
    (lambda facts: facts.update(goal="world peace"), "goal"),
    (lambda facts: facts.update(promised="yes"), "promised is 'yes'; it must be true or false"),
    (lambda facts: facts["counts"].update(yes=0), "counts.yes is 0; it must be a whole number from 1"),
    (lambda facts: facts["counts"].pop("yes"), "counts lacks 'yes'"),
    (lambda facts: facts["columns"]["size"].update(deviation=-1), "columns.size.deviation is -1"),
    (lambda facts: facts["columns"]["size"].pop("mean"), "columns.size lacks 'mean'"),
    (lambda facts: facts.update(members=[]), "members has 0 values"),
    (of_member(learner="os.system"), "there is no learner 'os.system'"),
    (of_member(learner="catboost"), "names 0-lightgbm/model.txt, which is not a file of the model|does not name"),
    (of_member(share=1000), "share is 1000; it must be a finite number above 0 and at most 1"),
    (of_member(share=-1), "share is -1"),
    (of_member(share=0.5), "shares that sum to 0.9"),
    (of_member(share=None), "share is None"),
    (of_member(more=1), "has 'more', which means nothing there"),
    (of_member(recipe={"family": "exec"}), "recipe.family is 'exec'; it must be 'sigmoid'"),
    (of_recipe(family="softmax"), "recipe.family is 'softmax'; it must be 'sigmoid', since there are 2 classes"),
    (of_recipe(pos_weight="5"), "recipe.pos_weight is '5'; it must be a number"),
    (of_recipe(pos_weight=-5), "recipe: pos_weight is -5; it must be at least 0"),
    (of_recipe(pos_weight=0), "recipe: .* has no posterior"),
    (of_recipe(robustness=1), "recipe: .* has no posterior"),
    (of_recipe(scale=[1, 2, 3]), "recipe: it is for 3 classes, and there are 2"),
    (of_recipe(nonsense=1), "recipe: unknown sigmoid parameter 'nonsense'"),
    (lambda facts: facts["schema"]["columns"].pop(), "does not fit the columns"),
    (lambda facts: facts["schema"].update(columns=[]), "columns has 0 values"),
    (of_column(kind="picture"), "kind is 'picture'; it must be one of"),
    (of_column(name="kind"), "two columns of one name"),
    (of_column(name=5), "name is 5; it must be text"),
    (of_column(rare=2), "rare is 2"),
    (of_column(4, form="%d.%m.%Y"), "form is '%d.%m.%Y'; it must be one of"),
    (of_column(figures={"decimal": ";", "thousands": "", "unit": ""}), "figures.decimal is ';'; it must be one of"),
    (of_column(figures={"decimal": ".", "thousands": ".", "unit": ""}), "decimal and thousands are the same"),
    (of_column(figures={"decimal": ".", "thousands": "", "unit": "x"}), "figures.unit is 'x'; it must be one of"),
    (of_column(4, zone="Mars/Olympus"), "zone is 'Mars/Olympus'; it must be the name of a time zone"),
    (of_column(4, zone="../etc"), "zone is '../etc'"),
    (of_column(dated=[" age"]), r"columns\[0\].dated does not fit a column of kind 'number'"),
    (of_column(4, dated=[" age"]), "reference is null, and there are ages that count to it"),
    (of_column(4, dated=[" since size"]), "dated names 'size', which is not a date"),
    (of_column(4, dated=["month"]), r"dated\[0\] is 'month'; it must be text of the form"),
    (referring(column="size"), "reference names 'size', which is not a date"),
    (referring(day="soon"), "reference.day is 'soon'; it must be a day such as 2024-01-31"),
    (referring(own=True), "reference: own, day and short do not fit each other"),
    (referring(ahead=10**9), "reference.ahead is 1000000000; it must be a whole number"),
    (parted(rows=[[1, 2]]), "rows has 1 values; it must have at least 2"),
    (parted(rows=[[1, 2]] * 3), "parts: edges .or codes. and rows do not fit each other, or the classes"),
    (parted(edges=[2.0, 1.0], rows=[[1, 2]] * 4), "holds edges or codes that are not in their order"),
    (parted(edges=[], rows=[[0, 0]] * 2), "parts holds no rows"),
    (of_column(categories=["a"]), "categories does not fit a column of kind 'number'"),
    (of_column(2, categories=[]), "categories does not fit a column of kind 'category'"),
    (of_column(2, categories=["oak", "oak", "fir"]), "categories holds a value twice"),
    (of_column(2, categories=["oak", 5, "fir"]), r"categories\[1\] is 5; it must be text"),
    (of_column(kind="text", unit="words", found=[" x"]), "does not name text.safetensors"),
    (
        lambda facts: facts.update(
            classes=["a", "b", "c"], positive=None, counts={"a": 1, "b": 1, "c": 1}, threshold={"a": 1, "b": 1, "c": 1}
        ),
        "threshold has values that sum to 3; they must sum to 1",
    ),
    (
        lambda facts: facts.update(
            classes=["a", "b", "c"],
            positive=None,
            counts={"a": 1, "b": 1, "c": 1},
            threshold={"a": 0.5, "b": 0, "c": 0.5},
        ),
        "threshold.b is 0",
    ),
]


@pytest.mark.parametrize("change, words", CHANGES)
def test_a_decision_that_makes_no_sense(copy, change, words):
    rewritten(copy, change)
    refused(copy, words)


def reencoded(path, change):
    """encoding.json changed likewise."""
    place = path / "1-logistic" / "encoding.json"
    data = json.loads(place.read_bytes())
    change(data)
    place.write_text(json.dumps(data))
    rewritten(path, lambda facts: facts["files"].update({"1-logistic/encoding.json": fingerprint_of(place)}))


def fingerprint_of(place):
    return bundle.fingerprint(place.read_bytes())


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda data: data["numbers"].__setitem__(0, -1), r"numbers\[0\] is -1; it must be a whole number from 0"),
        (lambda data: data["numbers"].__setitem__(0, 99), r"numbers\[0\] is 99; it must be the place of a feature"),
        (lambda data: data["numbers"].__setitem__(0, 2), r"numbers\[0\] is 2; it must be the place of a feature"),
        (lambda data: data["numbers"].__setitem__(1, data["numbers"][0]), "numbers holds a value twice"),
        (
            lambda data: data["deviation"].__setitem__(0, float("nan")),
            r"deviation\[0\] is nan, which is not a JSON number",
        ),
        (lambda data: data["deviation"].__setitem__(0, 0), r"deviation\[0\] is 0"),
        (lambda data: data["deviation"].__setitem__(0, -1.5), r"deviation\[0\] is -1.5"),
        (lambda data: data["deviation"].__setitem__(0, 1e-310), r"deviation\[0\] is 1e-310"),
        (lambda data: data["tail"].__setitem__(0, -1), r"tail\[0\] is -1"),
        (lambda data: data.update(mean=data["mean"][:1]), "mean has 1 values; it must have"),
        (lambda data: data["middle"].pop(), "middle has . values"),
        (lambda data: data["middle"].__setitem__(0, "1"), r"middle\[0\] is '1'"),
        (lambda data: data["values"].append([2, 300_000_000]), "a feature that is a category, and one of its codes"),
        (lambda data: data["values"].append([0, 0]), "a feature that is a category, and one of its codes"),
        (lambda data: data["values"].append([2]), r"values\[\d\] has 1 values; it must have 2"),
        (lambda data: data["values"].append(data["values"][0]), "values holds a value twice"),
        (lambda data: data["missing"].append(2), "must be the place of a feature that is a number"),
        (lambda data: data["names"].pop(), "names has"),
        (lambda data: data.pop("names"), " lacks 'names'"),
        (lambda data: data.update(more=[]), " has 'more'"),
    ],
)
def test_an_encoding_that_makes_no_sense(copy, change, words):
    reencoded(copy, change)
    refused(copy, r"1-logistic/encoding\.json.*" + words)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda arrays: arrays.pop("0.0.bias"), "a weight and a bias of each layer"),
        (lambda arrays: arrays.update({"0.0.more": np.zeros(1, np.float32)}), "a weight and a bias of each layer"),
        (lambda arrays: arrays.update({"0.2.weight": np.zeros(1, np.float32)}), "a weight and a bias of each layer"),
        (lambda arrays: arrays.update({"0.0.bias": np.zeros(2, np.float32)}), r"0\.0\.bias is float32 of shape \(2,\)"),
        (lambda arrays: arrays.update({"0.0.bias": np.zeros(1)}), r"0\.0\.bias is float64"),
        (lambda arrays: arrays.update({"0.0.bias": np.full(1, np.nan, np.float32)}), "a number that is not finite"),
        (lambda arrays: arrays.update({"0.0.weight": arrays["0.0.weight"].T}), r"0\.0\.weight is float32 of shape"),
        (lambda arrays: arrays.update({"0.0.weight": arrays["0.0.weight"][:1]}), r"0\.0\.weight is float32 of shape"),
    ],
)
def test_layers_that_make_no_sense(copy, change, words):
    place = copy / "1-logistic" / "network.safetensors"
    arrays = arrays_of(place.read_bytes(), "")
    change(arrays)
    place.write_bytes(bytes_of(arrays))
    rewritten(copy, lambda facts: facts["files"].update({"1-logistic/network.safetensors": fingerprint_of(place)}))
    refused(copy, r"1-logistic/network\.safetensors.*" + words)
