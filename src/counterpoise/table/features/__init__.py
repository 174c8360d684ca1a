"""From columns to the numbers that learners take: the schema of a table, learned once and applied to all later rows.

Other rooms start at `learning.learn_schema` and `matrix.to_matrix`; `cells.read_rows` reads new rows as training did.
"""
