"""A recipe and a data set in, a finished run out; `search` looks for better settings. Adds ONNX, Optuna and Ray.

The steps in order: `plan` finds what a run is made from, `train` does the work, `runs` keeps it, `metrics` measures it,
`robustness` asks how far that holds, `export` writes ONNX by `onnx_graphs` and `onnx_weights`, with a `model_card`;
`finetune` teaches a model a hand, `locator` trains the networks that find digits; `circumstances` records where a run
was made, `processes` starts children. Begin in `train`.
"""
