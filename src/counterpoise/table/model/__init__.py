"""A trained model and its directory: prediction, writing, reading and checks.

Other rooms start at `one.Model`, `several.MultilabelModel`, `bundle.write` and `loading.load`.
"""
