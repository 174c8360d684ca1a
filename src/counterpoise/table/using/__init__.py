"""A trained model at work: on the rows of a table, as a service, and repair of another model's probabilities.

Other rooms start at `predict.predict_table`, `serve.serve` and `repair.repair_table`; `stream.blocks` reads a table in
blocks.
"""
