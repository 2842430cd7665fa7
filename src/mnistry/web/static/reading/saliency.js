// Which ink each answer rests on: reading/saliency.py, as heat over the digits.

import { NORMALIZATION, SALIENCY } from "./constants.js";
import { argmax } from "./numbers.js";

const { SIDE: WHOLE } = NORMALIZATION;
const { AGAINST, FOR, LEAST_SCALE, MOST_EXPLAINED, SIDE, STEP } = SALIENCY;

// Of a Blob { digits: [{ digit, box, heat: { width, height, pixels } }] }: RGBA pixels over the box.
export async function explain(reader, blob, signal) {
  const { digits } = await reader.read(blob, signal);
  const told = [];
  for (const { digit, box, image } of digits.slice(0, MOST_EXPLAINED)) {
    told.push({ digit, box, heat: heat(image, await occlusion(reader.model, image, digit)) });
  }
  return { digits: told };
}

// How much the probability of the answer drops where a square of paper hides the digit, 28 * 28 values; where none was
// told, of what the recogniser says.
async function occlusion(model, image, digit) {
  const [drop, times] = [new Float32Array(WHOLE * WHOLE), new Float32Array(WHOLE * WHOLE)];
  const starts = [];
  for (let start = 1 - SIDE; start < WHOLE; start += STEP) starts.push(start);
  const squares = starts.flatMap((y) => starts.map((x) => square(y, x)));
  squares.forEach((places) => places.forEach((place) => times[place]++));
  const inked = squares.filter((places) => places.some((place) => image[place]));
  const hidden = inked.map((places) => {
    const copy = image.slice();
    places.forEach((place) => (copy[place] = 0));
    return copy;
  });
  const { proba } = await model.answers([...hidden, image]);
  const whole = proba.at(-1);
  const answer = digit ?? argmax(whole);
  inked.forEach((places, k) => places.forEach((place) => (drop[place] += whole[answer] - proba[k][answer])));
  return drop.map((value, place) => value / times[place]);
}

function square(top, left) {
  const places = [];
  for (let y = Math.max(top, 0); y < Math.min(top + SIDE, WHOLE); y++) {
    for (let x = Math.max(left, 0); x < Math.min(left + SIDE, WHOLE); x++) places.push(y * WHOLE + x);
  }
  return places;
}

// A digit's heat cut out along its ink: orange where ink spoke for the answer, blue against it.
function heat(image, drop) {
  const inked = [...image.keys()].filter((place) => image[place]);
  if (!inked.length) return { width: 1, height: 1, pixels: new Uint8ClampedArray(4) };
  const columns = inked.map((place) => place % WHOLE);
  const rows = inked.map((place) => Math.floor(place / WHOLE));
  const [left, right, top, bottom] = [Math.min(...columns), Math.max(...columns), Math.min(...rows), Math.max(...rows)];
  const [width, height] = [right - left + 1, bottom - top + 1];
  const scale = Math.max(drop.reduce((a, b) => Math.max(a, Math.abs(b)), 0), LEAST_SCALE);
  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let k = 0; k < width * height; k++) {
    const place = (top + Math.floor(k / width)) * WHOLE + left + (k % width);
    const strength = (Math.abs(drop[place]) / scale) * Math.sqrt(image[place] / 255);
    pixels.set([...(drop[place] > 0 ? FOR : AGAINST), Math.round(255 * strength)], 4 * k);
  }
  return { width, height, pixels };
}
