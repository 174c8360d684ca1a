"""The option that names a cluster."""

from typing import Annotated

import typer

from counterpoise.cli.repeated import ADDRESS

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar=ADDRESS,
        help="Work on a Ray cluster: its address, or nothing for one that is started here.",
    ),
]
