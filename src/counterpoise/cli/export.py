"""`counterpoise export`: the model in a format that other programs run."""

from pathlib import Path
from typing import Annotated

import typer

from counterpoise.cli.option_values import needs_table_extra
from counterpoise.cli.terminal import say


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that counterpoise train wrote.")],
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE", help="A new .onnx file.")],
    label: Annotated[str | None, typer.Option(help="The label to export, of a model of several labels.")] = None,
) -> None:
    """Write the model as ONNX: from a feature matrix to probabilities and decisions."""
    needs_table_extra()
    from counterpoise.table.model.onnx.export import export_onnx

    size = export_onnx(directory, onnx, label=label)
    say(f"{onnx}: {size / 1e6:.1f} MB; checked against the model; its metadata describe the input")
