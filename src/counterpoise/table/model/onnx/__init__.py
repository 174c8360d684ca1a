"""A trained model as one ONNX file.

Other rooms start at `export.export_onnx`.
"""
