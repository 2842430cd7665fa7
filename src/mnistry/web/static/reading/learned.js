// Find candidates, look at each again, recognize its own ink, weigh the answers, lay out: reading/learned.py.

import { LEARNED, TRUST, VERIFIER } from "./constants.js";
import { rows } from "./layout.js";
import { apart, candidates, images, Locator } from "./locate.js";
import { argmax, sum } from "./numbers.js";
import { Verifier } from "./verifier.js";

const { FLOOR, LEAST } = LEARNED;
const { MARK, NOTHING, SIGN } = VERIFIER;

export class LearnedReader {
  static async open(model) {
    return new LearnedReader(...(await Promise.all([Locator.open(), Verifier.open(), model])));
  }

  constructor(locator, verifier, model) {
    Object.assign(this, { locator, verifier, model });
  }

  // Read a picture { pixels (h, w, 3), width, height, size }.
  async read(picture, signal) {
    const found = await this.find(picture, signal);
    if (!found.length) return { text: "", digits: [], reason: "no ink found" };
    const heard = found.map((one) => ({ ...one, ...combined(TRUST, one) }));
    const shown = heard.filter(({ joint, other }) => {
      const best = Math.max(...joint);
      return best >= TRUST.told || best + other >= TRUST.shown;
    });
    return laidOut(shown, [picture.size[0] / picture.width, picture.size[1] / picture.height]);
  }

  // What may stand in a picture, each place once, in no order: [{ box, sure, classes, verified, octaves, image, proba,
  // isDigit }].
  async find(picture, signal) {
    const seen = await this.locator.look(picture, signal);
    const places = candidates(seen);
    const boxes = places.map(({ box }) => box);
    const verified = await this.verifier.answers(seen.map((one) => one.view), boxes, places.map(({ best }) => best));
    const all = withOctaves(places.map((one, k) => ({ ...one, verified: verified[k] })));
    const found = withOctaves(apart(boxes, all.map((one) => stands(TRUST, one))).map((k) => all[k]));
    const forms = images(seen, found);
    const { proba, isDigit } = await this.model.answers(forms);
    return found.map((one, k) => ({ ...one, image: forms[k], proba: proba[k], isDigit: isDigit[k] }));
  }
}

// The probability that a digit or another sign stands at a candidate's place.
export function stands(trust, { octaves, sure, verified }) {
  return logistic(trust.stands, logit(sure), logit(1 - verified[NOTHING]), -octaves);
}

// With how many times each is half or twice as large as what stands in the picture for the most part.
export function withOctaves(found) {
  const sizes = found.map(({ box: [left, top, right, bottom] }) => Math.max(right - left, bottom - top));
  const weights = found.map(({ sure, verified }, k) => sizes[k] * sure * (1 - verified[NOTHING]));
  const order = [...sizes.keys()].sort((a, b) => sizes[a] - sizes[b]);
  let left = sum(weights) / 2;
  const usual = sizes[order.find((k) => (left -= weights[k]) <= 0)];
  return found.map((one, k) => ({ ...one, octaves: Math.abs(Math.log2(sizes[k] / usual)) }));
}

// The probabilities that it is each digit, `joint`, and that it is another sign, or a digit that is unclear, `other`.
export function combined(trust, heard) {
  const { verified } = heard;
  const there = stands(trust, heard);
  const digit = logistic(trust.digit, ...digitLogits(heard));
  const logits = labelLogits(heard).map((three) => sum(three.map((each, k) => each * trust.labels[k])));
  const most = Math.max(...logits);
  const mixed = logits.map((each) => Math.exp(each - most));
  const total = sum(mixed);
  const mark = verified[MARK] / (verified[SIGN] + verified[MARK] + FLOOR);
  const joint = mixed.map((p) => (there * digit * p) / total);
  return { joint, other: there * (1 - (1 - digit) * mark) - Math.max(...joint) };
}

function digitLogits({ classes, verified, isDigit }) {
  const digits = sum(verified.slice(0, SIGN));
  const others = verified[SIGN] + verified[MARK];
  return [logit(1 - classes[10]), logit((digits + FLOOR) / (digits + others + 2 * FLOOR)), logit(isDigit)];
}

// Logarithms of the probabilities of the ten digits: the locator's, the verifier's and the recogniser's.
function labelLogits({ classes, verified, proba, isDigit }) {
  const [located, looked] = [classes, verified].map((all) => {
    const own = Array.from(all.slice(0, 10));
    const total = sum(own) + FLOOR;
    return own.map((p) => Math.log(p / total + FLOOR));
  });
  return located.map((each, k) => [each, looked[k], isDigit * Math.log(proba[k] + FLOOR)]);
}

function logistic([bias, ...weights], ...logits) {
  return 1 / (1 + Math.exp(-(bias + sum(weights.map((weight, k) => weight * logits[k])))));
}

function logit(p) {
  const clipped = Math.min(Math.max(p, LEAST), 1 - LEAST);
  return Math.log(clipped / (1 - clipped));
}

function laidOut(shown, scale) {
  const lines = rows(shown.map(({ box }) => box)).map((line) => line.map((k) => digitOf(shown[k], scale)));
  const text = lines.map((line) => line.map(({ digit }) => digit ?? "?").join("")).join("\n");
  return { text, digits: lines.flat(), reason: /\d/.test(text) ? "" : "no digit recognised" };
}

function digitOf({ joint, box, image, proba }, [across, down]) {
  const guess = argmax(joint);
  const [left, top] = [box[0] * across, box[1] * down].map((side) => Math.max(Math.floor(side), 0));
  const [right, bottom] = [Math.ceil(box[2] * across), Math.ceil(box[3] * down)];
  return {
    digit: joint[guess] >= TRUST.told ? guess : null, probability: joint[guess],
    box: [left, top, right - left, bottom - top], probabilities: Array.from(proba), image,
  };
}
