"""A trained model and the directory that holds it: how it predicts, is written, read back and checked.

Other rooms start at `one.Model`, `several.MultilabelModel`, `bundle.write` and `loading.load`.
"""
