// One digit in MNIST form -> its probabilities: reading/recognizer.py.

import { NORMALIZATION, RECOGNIZER } from "./constants.js";
import { bytes, rowsOf, session } from "./runtime.js";

const { BATCH } = RECOGNIZER;
const { SIDE } = NORMALIZATION;

export class Recognizer {
  static async open() {
    return new Recognizer(await session("reader"));
  }

  constructor(network) {
    this._network = network;
    this._names = ["probabilities", "digit"].filter((name) => network.outputs.includes(name));
  }

  // Of images, each 28 * 28 bytes: `proba`, ten probabilities each, and `isDigit`, that it is a digit at all.
  async answers(images) {
    const proba = [];
    const isDigit = [];
    for (let start = 0; start < images.length; start += BATCH) {
      const part = images.slice(start, start + BATCH);
      const data = new Uint8Array(part.length * SIDE * SIDE);
      part.forEach((image, k) => data.set(image, k * SIDE * SIDE));
      const told = await this._network.answers({ images: bytes(data, [part.length, SIDE, SIDE]) }, this._names);
      proba.push(...rowsOf(told.probabilities));
      isDigit.push(...(told.digit ? Array.from(told.digit.data, (p) => Math.min(p, 1)) : part.map(() => 1)));
    }
    return { proba, isDigit };
  }
}
