"""A recipe and a data set in, a finished run out; and the search for better settings. Adds ONNX, Optuna and Ray.

The steps in order: `train` does the work, `runs` keeps it, `metrics` measures it, `export` writes ONNX; `tune` searches
with `study`, `trial`, `worker_pool` and `ray_pool`. Begin reading in `train`.
"""
