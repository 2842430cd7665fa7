// A picture in, what it says out: reading/reader.py.

import { NORMALIZATION, READER } from "./constants.js";
import { openPicture } from "./decode.js";
import { LearnedReader } from "./learned.js";
import { argmax } from "./numbers.js";
import { Recognizer } from "./recognizer.js";

const { BOX, SIDE } = NORMALIZATION;
const { THRESHOLD } = READER;

export class Reader {
  static async open() {
    const learned = await LearnedReader.open(Recognizer.open());
    return new Reader(learned.model, learned);
  }

  constructor(model, learned) {
    Object.assign(this, { model, learned });
  }

  // What a Blob says: { text, digits: [{ digit, probability, box, probabilities, image }], reason }; raises PictureError,
  // and an AbortError once the signal is given.
  async read(blob, signal) {
    const picture = await openPicture(blob);
    return (await this._inForm(picture)) ?? this.learned.read(picture, signal);
  }

  // The reading of a picture that is a digit in MNIST form already, where the model is sure of it.
  async _inForm(picture) {
    const image = asForm(picture);
    if (!image) return null;
    const { proba: [proba], isDigit: [isDigit] } = await this.model.answers([image.pixels]);
    const digit = argmax(proba);
    const probabilities = Array.from(proba, (p) => p * isDigit);
    const probability = probabilities[digit];
    if (probability < THRESHOLD) return null;
    const told = { digit, probability, box: image.box, probabilities, image: image.pixels };
    return { text: String(digit), digits: [told], reason: "" };
  }
}

// The picture, light on black, if it is a digit in MNIST form: 20 pixels long, its mass in the middle.
function asForm({ pixels, width, height }) {
  if (width !== SIDE || height !== SIDE) return null;
  for (let k = 0; k < pixels.length; k += 3) if (pixels[k] !== pixels[k + 1] || pixels[k] !== pixels[k + 2]) return null;
  const turned = pixels[0] > 127;
  const grey = Uint8Array.from({ length: SIDE * SIDE }, (_, k) => (turned ? 255 - pixels[3 * k] : pixels[3 * k]));
  let [mass, x, y, left, right, top, bottom] = [0, 0, 0, SIDE, -1, SIDE, -1];
  grey.forEach((value, k) => {
    if (!value) return;
    const [column, row] = [k % SIDE, Math.floor(k / SIDE)];
    [mass, x, y] = [mass + value, x + value * column, y + value * row];
    [left, right, top, bottom] = [Math.min(left, column), Math.max(right, column), Math.min(top, row), Math.max(bottom, row)];
  });
  const box = [left, top, right - left + 1, bottom - top + 1];
  const off = Math.max(Math.abs(x / mass - SIDE / 2), Math.abs(y / mass - SIDE / 2));
  return mass && Math.max(box[2], box[3]) === BOX && off <= 0.51 ? { pixels: grey, box } : null;
}
