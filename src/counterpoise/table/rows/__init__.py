"""Which rows learn, set the threshold and judge, and whether each part has rows enough for it.

Other rooms start at `split.split_rows`, `split.folds_of` and `enough.counts_of`; `within_memory.read_within` reads a
table that is larger than memory.
"""
