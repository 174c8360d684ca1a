"""The table workflow on a real imbalanced table: which days in Seattle bring snow (23 of 1461).

The table comes with the package vega_datasets; nothing is downloaded. `make demo` runs this.
"""

import shutil
import sys
from pathlib import Path

from vega_datasets import local_data

from counterpoise.cli import main

OUT = Path("demo-report")

if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)  # this example's own output of an earlier run
    shutil.rmtree(f"{OUT}.unfinished", ignore_errors=True)
    table = local_data.seattle_weather.filepath
    print("What can this table show?\n")
    main(["audit", table, "--target", "weather"])
    print("\nWhich days bring snow?\n")
    words = ["train", table, "--target", "weather", "--positive", "snow", "--goal", "f1", "--out", str(OUT)]
    sys.exit(main(words))
