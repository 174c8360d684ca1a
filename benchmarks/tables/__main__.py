"""`python -m benchmarks.tables`."""

import sys

from benchmarks.tables.comparison import main

sys.exit(main())
