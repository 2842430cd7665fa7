"""`mnistry train locator`: the locator, the verifier and what their answers count, trained one after the other."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mnistry.data.drawing.insets import enlarged
from mnistry.data.scenes import Scene, SceneMaker
from mnistry.models.locator.targets import SceneLike
from mnistry.reading.learned import LearnedReader
from mnistry.reading.reader import Reader
from mnistry.reading.recognizer import bundled, model_card
from mnistry.reading.verifier import Verifier
from mnistry.reading.views import view
from mnistry.settings import MnistryError, write_atomic
from mnistry.training.locator.cards import card, told
from mnistry.training.locator.crops import Cropper, joined, standardised
from mnistry.training.locator.learn import (
    LocatorSettings,
    Maker,
    Start,
    load_checkpoint,
    train_locator,
    train_verifier,
)
from mnistry.training.locator.onnx import locator_onnx, metadata, verifier_onnx
from mnistry.training.locator.trust import fit_trust
from mnistry.training.locator.unfold import load_between, load_file

KINDS = {  # weights of the kinds of scenes for the verifier: more of what stands alone
    "row": 0.17, "rows": 0.06, "amount": 0.15, "form": 0.06, "single": 0.2, "cropped": 0.13, "mnist": 0.06,
    "pad": 0.08, "mixed": 0.07, "scattered": 0.03, "clutter": 0.16, "huge": 0.02, "empty": 0.05,
}  # fmt: skip
FITTED_KINDS = {  # for the trust: as people's pictures are, which seldom hold nothing; MNIST's writers are known to all
    "row": 0.2, "rows": 0.08, "amount": 0.2, "form": 0.09, "single": 0.2, "cropped": 0.1, "mixed": 0.05,
    "scattered": 0.03, "clutter": 0.13,
}  # fmt: skip
LARGER = 0.05  # share of its scenes that are made two or three times as large
KNOWN = 0.3  # times as often as to learn from, MNIST's writers are asked for what the trust is fitted on
FITTED_LARGER = 0.25  # the same of the scenes that the trust is fitted on: people's pictures are seldom small
SIDE = 128  # pixels of a scene
SCENES = 1500  # of validation writers, that the trust is fitted on
EVERY = 200  # steps from checkpoint to checkpoint
BUNDLED = Path("bundled")  # as a start: the networks that come with mnistry
SEEN = 64  # scenes by which their batch norms are told apart from their convolutions again

Tell = Callable[[int, int, str], None]


@dataclass(frozen=True)
class LocatorRun:
    """What `train_all` trains with: a file of pen strokes, a folder of other writers' digits, the folder of a training
    whose weights are begun with (or BUNDLED), verifiers that teach the new one, how far locator and verifier go from
    the bundled ones to what they have learnt (None: all the way), steps of each network, the highest learning rate
    (None: each network's own, for weights that know nothing yet), seed."""

    strokes: Path | None = None
    writers: Path | None = None
    start: Path | None = None
    teachers: tuple[Path, ...] = ()
    shares: tuple[float, float] | None = None
    steps: int = 30_000
    verifier_steps: int = 40_000
    learning_rate: float | None = None
    seed: int = 0

    @classmethod
    def changed(cls, changes: Mapping[str, str], seed: int) -> "LocatorRun":
        """With settings by name, as `--set` gives them; raises MnistryError."""
        kinds: dict[str, Callable[[str], Any]] = {
            "strokes": _existing, "writers": _existing, "start": _trained, "teachers": _teachers,
            "shares": _shares, "steps": _steps, "verifier_steps": _steps, "learning_rate": _rate,
        }  # fmt: skip
        if unknown := set(changes) - set(kinds):
            raise MnistryError(f"locator has the settings {', '.join(kinds)}, not {', '.join(sorted(unknown))}.")
        run = cls(seed=seed, **{name: kinds[name](value) for name, value in changes.items()})
        if run.shares and run.start != BUNDLED:
            raise MnistryError("shares are of the way from the bundled networks: add --set start=bundled.")
        return run


@dataclass(frozen=True)
class CandidateScenes:
    """Makes the scenes that the verifier learns from."""

    maker: SceneMaker
    kinds: Mapping[str, float] = field(default_factory=lambda: KINDS)
    larger: float = LARGER

    def scene(self, random: np.random.Generator) -> Scene:
        """One scene of 128x128, or larger."""
        weights = np.array(list(self.kinds.values()))
        kind = list(self.kinds)[int(random.choice(len(weights), p=weights / weights.sum()))]
        scene = self.maker.scene(random, SIDE, SIDE, kind)
        if random.random() >= self.larger:
            return scene
        factor = int(random.integers(2, 4))
        return enlarged(scene, factor, factor * SIDE, factor * SIDE, cv2.INTER_CUBIC)


def train_all(run: LocatorRun, folder: Path, bfloat16: bool, tell: Tell | None = None) -> dict[str, Any]:
    """Train locator and verifier and fit the trust; `folder` then has `locator.onnx` and `verifier.onnx` with cards.

    Their checkpoints are in the folder as well, and the same call goes on from them. `tell` gets steps done, all steps
    and what is trained. Returns both cards. Raises MnistryError.
    """
    tell = tell or (lambda *_: None)
    folder.mkdir(parents=True, exist_ok=True)
    sources = partial(SceneMaker.training, strokes=run.strokes, writers=run.writers)
    settings = LocatorSettings(
        steps=run.steps, learning_rate=run.learning_rate or LocatorSettings.learning_rate, bfloat16=bfloat16,
        seed=run.seed, every=min(EVERY, run.steps), processes=1,
    )  # fmt: skip
    finder = train_locator(
        sources,
        settings,
        folder / "locator.npz",
        lambda told: tell(int(told["step"]), run.steps, "locator"),
        _start(run, "locator", lambda: np.stack([scene.image for scene in _some(sources(), run)])),
    )
    locator = locator_onnx(finder, {"steps": str(run.steps)})
    settings = replace(
        settings, steps=run.verifier_steps, batch_size=128, learning_rate=run.learning_rate or 0.002,
        weight_decay=0.02, processes=2, every=min(EVERY, run.verifier_steps),
    )  # fmt: skip
    model = train_verifier(
        partial(_candidate_scenes, sources),
        locator,
        settings,
        folder / "verifier.npz",
        lambda told: tell(int(told["step"]), run.verifier_steps, "verifier"),
        _start(run, "verifier", lambda: _seen(locator, _some(_candidate_scenes(sources), run))),
        [path.read_bytes() for path in run.teachers],
    )
    trust = fitted(locator, verifier_onnx(model), run, lambda done: tell(done, SCENES, "trust"))
    verifier = verifier_onnx(model, {"steps": str(run.verifier_steps), "trust": json.dumps(trust)})
    made = {"locator": (finder, locator), "verifier": (model, verifier)}
    return {name: _written(folder / name, *_on_the_way(name, *both, run), run) for name, both in made.items()}


def fitted(locator: bytes, verifier: bytes, run: LocatorRun, tell: Callable[[int], None]) -> dict[str, Any]:
    """The trust in these networks and the bundled recogniser, on scenes of writers whom none of the three knows."""
    maker = SceneMaker.validation(strokes=run.strokes, writers=run.writers)
    # The recogniser has learnt all of MNIST's training writers, so that they count less than the others.
    strangers = [replace(c, weight=c.weight * (KNOWN if c.name == "mnist" else 1.0)) for c in maker.crowds]
    some = CandidateScenes(replace(maker, crowds=strangers), FITTED_KINDS, FITTED_LARGER)
    random = np.random.default_rng(run.seed)

    def scenes() -> Iterator[Scene]:
        for done in range(SCENES):
            yield some.scene(random)
            tell(done + 1)

    return asdict(fit_trust(LearnedReader(locator, verifier, Reader(bundled())), scenes()))


def _start(run: LocatorRun, name: str, inputs: Callable[[], Any]) -> Start | None:
    """What gives a network the weights that it begins with."""
    if run.start is None:
        return None
    if run.start == BUNDLED:
        return lambda model: load_file(model, bundled(name), inputs())
    return partial(load_checkpoint, checkpoint=run.start / f"{name}.npz", weights_only=True)


def _some(maker: Maker, run: LocatorRun) -> list[SceneLike]:
    random = np.random.default_rng(run.seed)
    return [maker.scene(random) for _ in range(SEEN)]


def _seen(locator: bytes, scenes: list[SceneLike]) -> list[Any]:
    cropper, random = Cropper(locator), np.random.default_rng(0)
    crops = joined([cropper.crops(scene, random) for scene in scenes])
    return [standardised(crops.near), standardised(crops.far)]


def _candidate_scenes(sources: Callable[[], SceneMaker]) -> CandidateScenes:
    return CandidateScenes(sources())


def _on_the_way(name: str, model: Any, file: bytes, run: LocatorRun) -> tuple[Any, bytes]:
    """A network and its file, nearer to the bundled one where the run says so; the trust stays as fitted."""
    if run.shares is None:
        return model, file
    share, write = (run.shares[0], locator_onnx) if name == "locator" else (run.shares[1], verifier_onnx)
    load_between(model, bundled(name), file, share)
    return model, write(model, metadata(file))


def _written(path: Path, model: Any, data: bytes, run: LocatorRun) -> dict[str, Any]:
    made = card(path.name, data, model.count_params(), told(asdict(run)), _begun_with(run, path.name))
    write_atomic(path.with_suffix(".onnx"), data)
    write_atomic(path.with_suffix(".json"), f"{json.dumps(made, indent=1)}\n".encode())
    return made


def _begun_with(run: LocatorRun, name: str) -> dict[str, Any]:
    """The card of the network whose weights a training begins with; empty where there is none."""
    if run.start == BUNDLED:
        return model_card(name)
    path = run.start / f"{name}.json" if run.start else None
    return dict(json.loads(path.read_text("utf-8"))) if path and path.is_file() else {}


def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16 (Linux tells); emulated, it is slower than float32."""
    try:
        return "bf16" in Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False


def _existing(text: str) -> Path:
    if not Path(text).exists():
        raise MnistryError(f"{text} is not there: expected the file of pen strokes or the folder of other writers.")
    return Path(text)


def _trained(text: str) -> Path:
    if Path(text) != BUNDLED and not all((Path(text) / name).is_file() for name in ("locator.npz", "verifier.npz")):
        raise MnistryError(
            f"{text} has no training: expected `bundled`, or a folder with locator.npz and verifier.npz."
        )
    return Path(text)


def _teachers(text: str) -> tuple[Path, ...]:
    """Verifiers' files, parted by commas, each of which can say something."""
    paths, blank = tuple(Path(part.strip()) for part in text.split(",")), view(Image.new("RGB", (32, 32)), 1.0)
    for path in paths:
        try:
            Verifier(path.read_bytes()).answers([blank], np.array([[0, 0, 9, 9]], np.float32), np.zeros(1, np.intp))
        except Exception as problem:  # whatever ONNX Runtime raises at a file that is none, or another network's
            raise MnistryError(f"{path} is no teacher: expected the file of a verifier, verifier.onnx.") from problem
    return paths


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if 0 < rate <= 1:
        return rate
    raise MnistryError(f"Expected a learning rate above 0 and up to 1, not {text[:20]!r}.")


def _shares(text: str) -> tuple[float, float]:
    try:
        locator, verifier = (float(part) for part in text.split(","))
    except ValueError:
        locator = verifier = 0.0
    if 0 < locator <= 1 and 0 < verifier <= 1:
        return locator, verifier
    raise MnistryError(f"Expected two shares above 0 and up to 1, such as 0.5,0.3, not {text[:20]!r}.")


def _steps(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 10**7:
        return int(text)
    raise MnistryError(f"Expected a number of steps from 1 to 9999999, not {text[:20]!r}.")
