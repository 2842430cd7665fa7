"""The search for better settings with Optuna, in processes of this machine or on a Ray cluster.

The steps in order: `tune` asks Optuna and starts trials, `study` keeps them, `trial` fits and measures one in a
process of its own, `worker_pool` and `ray_pool` hold those processes. Begin reading in `tune`.
"""
