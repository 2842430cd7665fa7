"""What a model is, as a page that people read: README.md in the form of Hugging Face, made from the model's card."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnistry.data.mnist_c import CORRUPTIONS
from mnistry.reading import recognizer
from mnistry.settings import MnistryError, write_atomic

BUNDLED = Path(recognizer.__file__).parent / "bundled"
MARK = "# Written by mnistry from the model's card, and written anew by it."
REPOSITORY = "https://github.com/OWNER/mnistry"
DATASETS = {"mnist": ("ylecun/mnist", "MNIST"), "digits": ("sklearn-digits", "scikit-learn's 1 797 small digits")}
PARTS = {
    "hsf4": "first half of them, by students",
    "hsf0": "second half, by employees",
    "without_wrong_labels": "without the 15 known wrong labels",
}
Card = Mapping[str, Any]
Result = tuple[str, str, str, Sequence[tuple[str, float]]]  # a data set's name, its id, its split; metrics


def model_page(card: Card, file: str) -> str:
    """The page of a model that `mnistry export` writes to `file`; `card` is what the .json file beside it holds."""
    name, test = card["recipe"], card["test"]
    low, high = test["accuracy_interval"]
    return f"""{_front_matter(f"mnistry-{name}", card["dataset"], _results(card))}
# {name}: reads a handwritten digit

{_sentence(card["summary"])} Trained by [mnistry]({REPOSITORY}) on {DATASETS[card["dataset"]][1]}.
**{test["accuracy"]:.2%} of {test["n"]:,} test digits** are right (95 % interval {low:.2%} to {high:.2%}); they were
read once, at the end. The file answers as the trained model does: that was proven on all of them.

## Use

With ONNX Runtime alone: a digit in the form of MNIST's (28x28, 0 = paper, 255 = ink, centred by mass).

```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
images = np.zeros((1, 28, 28), np.uint8)
probabilities = session.run(["probabilities"], {{"images": images}})[0]  # float32 (n, 10)
print(probabilities.argmax(axis=1))
```

With mnistry: any picture, which is brought to that form first.

```python
import mnistry

print(mnistry.Reader("{file}").read("photo.jpg").text)
```

{_technical(card)}

## Figures

{_figures(card)}

## Limits

{card["limits"]}

## How it was trained

{card["n"]["train"]:,} digits to learn from, {card["n"]["validation"]:,} held back to watch the learning; seed
{card["seed"]}; finished {card["finished"][:10]}. Settings:

```json
{json.dumps(card["settings"], indent=1)}
```

Versions: {", ".join(f"{package} {version}" for package, version in card["versions"].items())}.

## Licence and data

The network and mnistry are under the MIT licence. The data: {card["data_licence"]}; its SHA-256 is
`{card["dataset_sha256"]}`.
"""


def bundled_page(cards: Mapping[str, Card]) -> str:
    """The page of the models that come with the package, made from their cards by name; `reader` is among them."""
    reader = cards["reader"]
    data = [text for card in cards.values() for text in card.get("data", ())]
    learnt = [
        f"{DATASETS[reader['dataset']][1]} training digits ({reader['data_licence']})",
        "what mnistry draws: letters, doodles and stains that are no digit",
        *dict.fromkeys(data),
    ]
    return f"""{_front_matter("mnistry-reader", reader["dataset"], _results(reader))}
# mnistry's reader: digits in people's own pictures

ONNX models that work together in [mnistry]({REPOSITORY}): they find the digits in a picture, read each of them, and can
say that something is no digit. `reader.onnx` reads **{reader["test"]["accuracy"]:.2%} of MNIST's
{reader["test"]["n"]:,} test digits** right. How well all together read people's pictures, and how that was measured:
[results]({REPOSITORY}/blob/main/docs/results.md).

## Use

```python
import mnistry

reading = mnistry.Reader().read("photo.jpg")  # or bytes, an array, a Pillow image
print(reading.text, [(digit.probability, digit.box) for digit in reading.digits])
```

Reading needs NumPy, Pillow and ONNX Runtime, no network. The models on their own take tensors:

{"".join(_section(name, card) for name, card in cards.items())}## What they have learnt from

{_list(learnt)}

## Licence

The models and mnistry are under the MIT licence; the licences of the data stand with each above.
"""


def _section(name: str, card: Card) -> str:
    """One of several models: what it is, what it takes and gives, its figures, its limits."""
    measured = [(key.replace("_", " "), str(value)) for key, value in card.get("figures", {}).items()]
    figures = _figures(card) if "test" in card else _table(measured) if measured else ""
    parts = [f"### `{name}.onnx`", _sentence(card["summary"]), _technical(card), figures, f"Limits: {card['limits']}"]
    return "".join(f"{part}\n\n" for part in parts if part)


def write_bundled() -> None:
    """Write the page of the bundled models beside them; for whoever has made one of them anew."""
    write_atomic(BUNDLED / "README.md", bundled_page(bundled_cards()).encode())


def bundled_cards() -> dict[str, dict[str, Any]]:
    """The cards of the bundled models by name, `reader` first."""
    names = sorted((path.stem for path in BUNDLED.glob("*.json")), key=lambda name: (name != "reader", name))
    return {name: recognizer.model_card(name) for name in names}


def check_page(path: Path) -> None:
    """Raise MnistryError if somebody else's page stands there already, which must not be written over."""
    if path.exists() and MARK not in path.read_text("utf-8", "replace"):
        raise MnistryError(f"{path} is there already, and not from mnistry: choose another --out, or move it away.")


def _front_matter(name: str, dataset: str, results: Sequence[Result]) -> str:
    """The YAML that Hugging Face reads; strings are written as JSON, which YAML contains."""
    lines = [
        "---", MARK, "license: mit", "library_name: onnx", "pipeline_tag: image-classification",
        "tags: [onnx, mnistry, mnist, handwritten-digits, digit-recognition]",
    ]  # fmt: skip
    lines += [f"datasets: [{DATASETS[dataset][0]}]"] if dataset == "mnist" else []
    lines += ["metrics: [accuracy]", "model-index:", f"- name: {json.dumps(name)}", "  results:"]
    for title, identity, split, metrics in results:
        lines += [
            "  - task: {type: image-classification, name: Image Classification}",
            f"    dataset: {{type: {json.dumps(identity)}, name: {json.dumps(title)}, split: {split}}}",
            "    metrics:",
            *(f"    - {{type: {kind}, value: {value:.6g}}}" for kind, value in metrics),
        ]
    return "\n".join([*lines, "---"])


def _results(card: Card) -> list[Result]:
    identity, title = DATASETS[card["dataset"]]
    test = card["test"]
    found: list[Result] = [(title, identity, "test", [("accuracy", test["accuracy"]), ("brier_score", test["brier"])])]
    if mean := test.get("corruptions"):
        found.append((f"{title}, spoilt as in MNIST-C", "mnist-c", "test", [("accuracy", mean)]))
    return found


def _technical(card: Card) -> str:
    rows = [("input", f"`{card['input']}`"), ("output", f"`{card['output']}`")]
    rows += [
        ("parameters", f"{card['parameters']:,}"),
        ("file", f"{card['bytes']:,} bytes, SHA-256 `{card['sha256']}`"),
    ]
    return _table(rows)


def _figures(card: Card) -> str:
    test = card["test"]
    rows = [("test digits that are right", f"{test['accuracy']:.2%} of {test['n']:,}")]
    rows += [
        (PARTS.get(name, name), f"{part['accuracy']:.2%} of {part['n']:,}") for name, part in test["parts"].items()
    ]
    rows += [("loss (cross-entropy, nats)", f"{test['nll']:.4f}"), ("Brier score", f"{test['brier']:.4f}")]
    rows += [("expected calibration error", f"{test['ece']:.4f}")]
    if kept := test.get("kept"):
        rows += [(f"test digits that are kept, at a threshold of {test['threshold']}", f"{kept:.2%}")]
    if mean := test.get("corruptions"):
        rows += [(f"spoilt in {len(CORRUPTIONS)} ways as in MNIST-C, mean", f"{mean:.2%}")]
    return _table(rows)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _list(texts: Sequence[str]) -> str:
    return "\n".join(f"* {text}" for text in texts)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
