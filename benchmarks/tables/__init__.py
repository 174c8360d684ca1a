"""`python -m benchmarks.tables`, and what other benchmarks on real tables share: the tables, split and encoded."""
