"""The two networks that find digits, and what their answers count.

`run` trains all, `learn` is the training, `crops` what the verifier sees, `onnx` writes the files, and `trust` fits the
weights of their answers. Begin reading in `run`.
"""
