"""The network that finds digits: how it learns from scenes, and its ONNX file.

Begin with `learn.py`.
"""
