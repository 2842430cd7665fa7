// What stands at each place where the locator has found something, its second look: reading/verifier.py.

import { VERIFIER } from "./constants.js";
import { bytes, floats, rowsOf, session } from "./runtime.js";

const { BATCH } = VERIFIER;

export class Verifier {
  static async open() {
    return new Verifier(await session("verifier"));
  }

  constructor(network) {
    this._network = network;
  }

  // For each box of the picture 13 probabilities, seen in the view that `best` names: ten digits, another sign, a mark
  // of a number, and none of these.
  async answers(views, boxes, best) {
    const found = [];
    for (const k of new Set(best)) {
      const chosen = [...boxes.keys()].filter((place) => best[place] === k);
      for (let start = 0; start < chosen.length; start += BATCH) {
        const part = chosen.slice(start, start + BATCH);
        const rows = await this._answers(views[k], part.map((place) => views[k].toView(boxes[place])));
        part.forEach((place, row) => (found[place] = rows[row]));
      }
    }
    return found;
  }

  async _answers({ pixels, width, height }, places) {
    const told = await this._network.answers({
      images: bytes(pixels, [1, height, width, 3]),
      boxes: floats(Float32Array.from(places.flat()), [places.length, 4]),
    });
    return rowsOf(told.classes);
  }
}
