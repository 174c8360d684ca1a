"""`counterpoise export`: the model in a format that other programs run."""

from pathlib import Path
from typing import Annotated

import typer

from counterpoise.cli.option_values import needs_table_extra
from counterpoise.cli.terminal import say


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="What counterpoise train wrote.")],
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE", help="A new .onnx file.")],
    label: Annotated[str | None, typer.Option(help="Of a model of several labels: whose model.")] = None,
) -> None:
    """Write the model as ONNX: from a feature matrix to probabilities and decisions."""
    needs_table_extra()
    from counterpoise.table.model.onnx.export import export_onnx

    size = export_onnx(directory, onnx, label=label)
    say(f"{onnx}: {size / 1e6:.1f} MB; it gives what the model gives (checked); its metadata describe the input")
