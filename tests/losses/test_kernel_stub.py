"""The types that mypy reads of the compiled module are those that the module has."""

import ast
import enum
import re
from pathlib import Path

import counterpoise
import counterpoise._kernels as _kernels

STUB = ast.parse((Path(counterpoise.__file__).parent / "_kernels.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}


def public(names):
    return {name for name in names if not name.startswith("_")}


def test_names_of_the_module():
    functions = {node.name for node in STUB.body if isinstance(node, ast.FunctionDef)}
    constants = {node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign)}
    assert public(dir(_kernels)) == CLASSES.keys() | functions | constants


def test_members_of_enumerations():
    for name in ("Type", "Reduction"):
        found = getattr(_kernels, name)
        assert issubclass(found, enum.IntEnum)
        declared = {node.targets[0].id: node.value.value for node in CLASSES[name].body}
        assert declared == {member.name: member.value for member in found}


def test_keywords_of_methods():
    checked = 0
    for name, declared in CLASSES.items():
        for method in declared.body:
            if not isinstance(method, ast.FunctionDef) or not method.args.kwonlyargs:
                continue
            signature = getattr(getattr(_kernels, name), method.name).__doc__
            keywords = re.findall(r"(\w+):", signature.partition("*, ")[2].partition(") ->")[0])
            assert keywords == [argument.arg for argument in method.args.kwonlyargs], f"{name}.{method.name}"
            checked += 1
    assert checked == 5


def test_settings_of_xla_hold_each_parameter_of_the_recipe():
    from counterpoise.losses.kernel import parameters

    for softmax, recipe in ((True, counterpoise.softmax.focal()), (False, counterpoise.sigmoid.focal())):
        of_call = ["version", "reduction", "class_axis", "threads", "ignores", "ignore_index"]
        names = _kernels.xla_settings(softmax)
        assert names[: len(of_call)] == of_call
        assert set(names[len(of_call) :]) == parameters(recipe, 2).keys()
