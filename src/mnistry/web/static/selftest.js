// Reads the stored pictures here, and compares with what Python has read in them.

import { element } from "./pad.js";
import { SITE } from "./reading/constants.js";
import { readPicture } from "./reader.js";

const { MOST_BOX, MOST_PROBABILITY } = SITE; // pixels and probability that may differ

export async function compared(blob, expected) {
  const start = performance.now();
  const found = await readPicture(blob);
  const ms = performance.now() - start;
  const same = found.text === expected.text && found.digits.length === expected.digits.length;
  const far = (values) => (same ? Math.max(0, ...values) : Infinity);
  const pairs = same ? found.digits.map((digit, k) => [digit, expected.digits[k]]) : [];
  const box = far(pairs.flatMap(([one, other]) => one.box.map((side, k) => Math.abs(side - other.box[k]))));
  const probability = far(pairs.flatMap(([one, other]) => [
    Math.abs(one.probability - other.probability),
    ...one.probabilities.map((p, k) => Math.abs(p - other.probabilities[k])),
  ]));
  return { text: found.text, expected: expected.text, box, probability, ms, good: box <= MOST_BOX && probability <= MOST_PROBABILITY };
}

async function run() {
  const answers = await (await fetch("selftest.json")).json();
  const results = [];
  for (const [file, expected] of Object.entries(answers)) {
    const told = await compared(await (await fetch(file)).blob(), expected);
    results.push({ file, ...told });
    const cells = [file, told.expected, told.text, told.box, told.probability.toExponential(1), told.ms.toFixed(0)];
    document.getElementById("rows").append(element("tr", told.good ? {} : { class: "bad" }, ...cells.map((cell) => element("td", {}, String(cell)))));
  }
  const good = results.filter((each) => each.good).length;
  document.getElementById("verdict").textContent = `${good} of ${results.length} as in Python.`;
  document.documentElement.dataset.done = good === results.length ? "good" : "bad";
}

if (document.getElementById("rows")) run();
