"""A trained model as one ONNX file: from its feature matrix to honest probabilities and decisions.

The input is the matrix that `counterpoise.table.features.schema` makes of a table, in double precision, so that values
and thresholds compare exactly as in the model. The metadata of the file describe each of its columns in JSON.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError, refuse_missing
from counterpoise.table.files import refuse_existing, whole_file
from counterpoise.table.learners.lightgbm import LightGBMTrees
from counterpoise.table.learners.network import Network
from counterpoise.table.learners.symmetric import Symmetric
from counterpoise.table.learners.xgboost import XGBoostTrees
from counterpoise.table.model.loading import load
from counterpoise.table.model.one import Member, Model
from counterpoise.table.model.onnx.graph import TREES, Graph, Value, encoded, network, posterior
from counterpoise.table.model.onnx.trees import of_lightgbm, of_symmetric, of_xgboost

INPUT, PROBABILITY, DECISION = "features", "probabilities", "decision"
METADATA = "counterpoise"
_OPSET, _TREES_OPSET = 18, 5
_TIE = 1e-9
"""A probability is often the threshold itself, and the order of a sum decides its last digit."""
_ROWS_TO_CHECK = 500
_TOLERANCE = 1e-5


def export_onnx(directory: str | Path, out: str | Path, *, label: str | None = None) -> int:
    """Write a model as ONNX, and check on made-up rows that it gives the model's probabilities.

    Parameters
    ----------
    directory
        Directory that `counterpoise train` wrote.
    out
        Path of a new file.
    label
        For a model of several labels, the label whose model is written.

    Returns
    -------
    int
        Its size in bytes.

    Raises
    ------
    UserError
        If `onnx` or `onnxruntime` is not installed, the file exists, the label is missing or none of the model's, or a
        member's loss has a posterior that is not written in ONNX.
    """
    installed()
    place = Path(out)
    refuse_existing(place, streams=True)
    model = load(directory).for_label(label, str(Path(directory)))
    data = to_onnx(model)
    check(model, data)
    with whole_file(place) as partial:
        partial.write_bytes(data)
    return len(data)


def to_onnx(model: Model) -> bytes:
    """The model as ONNX, unchecked.

    Input "features": double (N, F), NaN for what is missing. Outputs "probabilities": double (N, C), and "decision":
    int64 (N,), the place of the class. Metadata "counterpoise": JSON with the features, classes and threshold.
    """
    from onnx import TensorProto, helper

    graph = Graph()
    features = Value(graph, INPUT)
    parts = [posterior(_logits(features, one), one.recipe, one.label) * one.share for one in model.members]
    mixed = parts[0]
    for part in parts[1:]:
        mixed = mixed + part
    mixed = mixed.call("Identity", name=PROBABILITY)
    threshold = model.decision.threshold
    if isinstance(threshold, float):
        flagged = mixed.columns([1]).call("Squeeze", graph.constant([1], np.int64))
        reached = flagged.call("GreaterOrEqual", threshold * (1 - _TIE))
        reached.call("Cast", to=TensorProto.INT64, name=DECISION)
    else:
        (mixed / threshold).call("ArgMax", axis=1, keepdims=0, name=DECISION)
    rows, classes = "rows", len(model.classes)
    made = helper.make_graph(
        graph.nodes,
        "counterpoise",
        [helper.make_tensor_value_info(INPUT, TensorProto.DOUBLE, [rows, len(model.schema.features)])],
        [
            helper.make_tensor_value_info(PROBABILITY, TensorProto.DOUBLE, [rows, classes]),
            helper.make_tensor_value_info(DECISION, TensorProto.INT64, [rows]),
        ],
        graph.constants,
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(TREES, _TREES_OPSET)]
    proto = helper.make_model(made, opset_imports=opsets, producer_name="counterpoise", ir_version=9)
    helper.set_model_props(proto, {METADATA: json.dumps(described(model), ensure_ascii=False)})
    return bytes(proto.SerializeToString())


def described(model: Model) -> dict[str, Any]:
    """The description of the feature matrix for those who fill it: plain data.

    A number or a flag is itself; a category is its place in the list; what is missing or no category is NaN. A date is,
    as the names of its features say, its age in days (to the day of the table or, of a time, to its end; or to the
    row's own time: see the reference), the days since another date, its month (1 to 12), weekday (1: Monday) and hour
    in its zone, 1 where it is known, or its days since 1970. What text becomes only
    `counterpoise.table.features.matrix.to_matrix` computes. A form says how dates were written that were text.
    """
    threshold = model.decision.threshold
    columns = [
        {
            "name": column.name,
            "kind": column.kind,
            "features": model.schema.features_of[column.name],
            "categories": list(column.categories),
            "form": column.form,
            "zone": column.zone,
        }
        for column in model.schema.columns
    ]
    return {
        "features": model.schema.features,
        "columns": columns,
        "reference": None if model.schema.reference is None else model.schema.reference.to_dict(),
        "classes": list(model.classes),
        "target": model.target,
        "goal": str(model.decision.goal),
        "threshold": threshold if isinstance(threshold, float) else threshold.tolist(),
    }


def check(model: Model, data: bytes) -> None:
    """Raise `UserError` if ONNX Runtime gives other probabilities than the model, on rows around its splits."""
    import onnxruntime  # type: ignore[import-untyped]

    matrix = made_up_rows(model)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (found,) = session.run([PROBABILITY], {INPUT: matrix})
    apart = float(np.abs(found - model.probability(matrix)).max())
    if not apart <= _TOLERANCE:
        raise UserError(
            f"the exported model gives probabilities that are {apart:.2g} from the model's; ONNX Runtime "
            f"{onnxruntime.__version__} may not know all of its operators: pip install --upgrade onnxruntime"
        )


def made_up_rows(model: Model) -> NDArray[np.float64]:
    """Rows (N, F) of numbers of all sizes, of known and unknown codes, and of missing values."""
    rng = np.random.default_rng(0)
    size = (_ROWS_TO_CHECK, len(model.schema.features))
    matrix = np.round(rng.normal(size=size) * 10.0 ** rng.uniform(-2, 6, size), 3)
    for place, categories in model.schema.categories.items():
        matrix[:, place] = rng.integers(0, len(categories) + 2, _ROWS_TO_CHECK)
    matrix[rng.random(size) < 0.2] = np.nan
    return matrix


def installed() -> None:
    """Raise `UserError` if a package that an export needs is not installed."""
    refuse_missing(("onnx", "onnxruntime"), "onnx")


def _logits(features: Value, member: Member) -> Value:
    """(N, 1) of two classes, else (N, C)."""
    fitted = member.fitted
    if isinstance(fitted, LightGBMTrees):
        return of_lightgbm(fitted.booster, member.label).sums(features) + np.atleast_1d(fitted.start)
    if isinstance(fitted, XGBoostTrees):
        ensemble, start = of_xgboost(fitted.booster)
        return ensemble.sums(features.cast(np.float32).cast(np.float64)) + start
    if isinstance(fitted, Network):
        return network(encoded(features, fitted.encoding), fitted.steps[-1])
    if isinstance(fitted, Symmetric):
        return of_symmetric(fitted).sums(features.cast(np.float32).cast(np.float64)) + fitted.start
    raise UserError(f"{member.label} cannot be exported as ONNX")
