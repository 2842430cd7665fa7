"""Every setting of the neural recipes, declared once.

The constructor of `NeuralClassifier` and its checks, the recipes' rows, `mnistry models`, `--set`, the limits of a
search and docs/settings.md (by `python -m mnistry.models.neural_settings`) are made from these fields. A new setting is
one line; its default changes nothing, so that the runs made before it are still the same work.
"""

import json
from dataclasses import dataclass, field, fields
from typing import Any

from mnistry.models.setting import Interval, Setting

SHARE = Interval(0, 1)
BELOW_1 = Interval(0, 1, below=True)
PIXELS = Interval(0, 14)


def _setting(*declared: Any, **more: Any) -> Any:
    setting = Setting(*declared, **more)
    return field(default=setting.default, kw_only=True, metadata={"setting": setting})


@dataclass(eq=False)
class NeuralSettings:
    """How a network is trained; not frozen, because scikit-learn sets an estimator's settings one by one."""

    width: int = _setting(24, "filters of the first convolution, or units of the dense layer", Interval(1, 10**6))
    epochs: int = _setting(8, "times through the training digits", Interval(1, 10**6))
    batch_size: int = _setting(128, "digits in one step", Interval(1, 10**9))
    optimizer: str = _setting("adam", "how weights are changed; muon is for one epoch", ("adam", "muon"))
    learning_rate: float = _setting(0.01, "the highest learning rate of the optimizer", Interval(0, above=True))
    schedule: str = _setting("cosine", "cosine raises the learning rate and lowers it to 0", ("constant", "cosine"))
    warm_up: float = _setting(
        0.2, "share of the steps in which it rises", BELOW_1, when=lambda s: s["schedule"] == "cosine"
    )
    weight_decay: float = _setting(0.01, "how fast weights shrink, as a share of the learning rate", Interval(0))
    beta_2: float = _setting(0.999, "how long Adam remembers squared gradients", BELOW_1)
    label_smoothing: float = _setting(
        0.0, "share of each label that is spread over all ten digits", BELOW_1,
        when=lambda s: s["outliers"] or not s["teacher"],
    )  # fmt: skip
    rotation: float = _setting(0.0, "turns training digits by up to this angle", Interval(0, 180), "degrees")
    shift: float = _setting(0.0, "moves training digits by up to this distance", PIXELS, "pixels")
    zoom: float = _setting(0.0, "enlarges or shrinks training digits by up to this share", SHARE)
    shear: float = _setting(0.0, "slants training digits by up to this share of their height", SHARE)
    elastic: float = _setting(0.0, "bends training digits by up to this distance", PIXELS, "pixels")
    erase: int = _setting(0, "side of a square of paper laid on each training digit", PIXELS, "pixels")
    stroke: float = _setting(0.0, "widens or thins strokes; at 1 by up to a pixel on either side", SHARE)
    blur: float = _setting(0.0, "softens training digits by up to this share", SHARE)
    european: float = _setting(0.0, "share of 0, 1, 4, 7 and 9 that are redrawn as Europeans write them", SHARE)
    neighbours: float = _setting(0.0, "share of digits with a piece of another digit hanging on them", SHARE)
    spoilt: float = _setting(0.0, "share of training images that are spoilt as bad photos are", SHARE)
    outliers: float = _setting(
        0.0, "pictures of what is no digit for each digit; for networks with a second output", Interval(0, 10),
        when=lambda s: s["outliers"],
    )  # fmt: skip
    ema: float = _setting(0.0, "momentum of the running mean of the weights, which is kept; 0 keeps the last", BELOW_1)
    bfloat16: bool = _setting(False, "compute in bfloat16; the weights stay float32")
    teacher: str = _setting("", "the ONNX file, or the recipe, whose answers are learnt; empty: the labels")
    temperature: float = _setting(
        2.0, "softens the teacher's answers", Interval(0, 100, above=True),
        when=lambda s: s["teacher"] and not s["outliers"],
    )  # fmt: skip
    views: int = _setting(
        8, "changed copies of each digit that the teacher sees", Interval(1, 1000), when=lambda s: s["teacher"]
    )
    patience: int = _setting(0, "epochs without a lower validation loss before training stops; 0: never", Interval(0))
    best_epoch: bool = _setting(False, "keep the weights of the epoch with the lowest validation loss")


NEURAL: dict[str, Setting] = {one.name: one.metadata["setting"] for one in fields(NeuralSettings)}


def settings_page() -> str:
    """docs/settings.md: a table of the settings, in Markdown."""
    rows = [f"| `{key}` | `{json.dumps(s.default)}` | {s.takes} | {s.doc} |" for key, s in NEURAL.items()]
    return "\n".join([
        "# Settings of the neural recipes", "",
        "`mnistry models RECIPE` shows a recipe's own values, `--set KEY=VALUE` changes one for a run.",
        "This page is made by `python -m mnistry.models.neural_settings`.", "",
        "| setting | default | takes | what it does |", "|---|---|---|---|", *rows, "",
    ])  # fmt: skip


if __name__ == "__main__":
    print(settings_page(), end="")
