"""A recipe and a data set in, a finished run out; and the search for better settings. Adds ONNX, Optuna and Ray.

The steps in order: `plan` says what a run is made from, `train` does the work, `export` writes ONNX, `metrics`
measures, `circumstances` says on which machine, `runs` keeps it; `tune` searches with `study`, `trial`, `worker_pool`
and `ray_pool`. Begin reading in `train`.
"""
