// Find candidates, look at each again, recognize its own ink, weigh the answers, lay out: reading/learned.py.

import { LEARNED, TRUST, VERIFIER } from "./constants.js";
import { context } from "./context.js";
import { rows } from "./layout.js";
import { apart, candidates, images, Locator, twice } from "./locate.js";
import { argmax, sum } from "./numbers.js";
import { Verifier } from "./verifier.js";

const { ASKED, FLOOR, LEAST } = LEARNED;
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
    let shown = heard.filter(isShown);
    if (!shown.length) shown = asked(heard).filter(isShown);
    return laidOut(shown, [picture.size[0] / picture.width, picture.size[1] / picture.height]);
  }

  // What may stand in a picture, each place once, in no order: [{ box, sure, classes, verified, around, image, proba,
  // isDigit }].
  async find(picture, signal) {
    const seen = await this.locator.look(picture, signal);
    const places = candidates(seen);
    const boxes = places.map(({ box }) => box);
    const verified = await this.verifier.answers(seen.map((one) => one.view), boxes, places.map(({ best }) => best));
    const all = inContext(places.map((one, k) => ({ ...one, verified: verified[k] })));
    const kept = apart(boxes, all.map((one) => stands(TRUST, one))).map((k) => all[k]);
    const inks = images(seen, kept);
    const again = twice(kept, inks);
    const found = inContext(kept.filter((_, k) => !again[k]));
    const forms = inks.filter((_, k) => !again[k]);
    const { proba, isDigit } = await this.model.answers(forms);
    return found.map((one, k) => ({ ...one, image: forms[k], proba: proba[k], isDigit: isDigit[k] }));
  }
}

// The probability that a digit or another sign stands at a candidate's place.
export function stands(trust, { around, sure, verified }) {
  return logistic(trust.stands, logit(sure), logit(1 - verified[NOTHING]), ...around);
}

// Candidates with their context.
function inContext(found) {
  const around = context(found.map(({ box }) => box), found.map(({ sure, verified }) => sure * (1 - verified[NOTHING])));
  return found.map((one, k) => ({ ...one, around: around[k] }));
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

function isShown({ joint, other }) {
  const best = Math.max(...joint);
  return best >= TRUST.told || best + other >= TRUST.shown;
}

// The same where nothing is shown, with better odds for the best: people seldom show a picture of nothing.
function asked(heard) {
  const likeliest = argmax(heard.map(({ joint }) => Math.max(...joint)));
  const raise = ASKED / (1 + (ASKED - 1) * Math.max(...heard[likeliest].joint));
  return heard.map((one, k) => (k === likeliest ? { ...one, joint: one.joint.map((p) => p * raise) } : one));
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

function digitOf({ joint, box, image }, [across, down]) {
  const guess = argmax(joint);
  const [left, top] = [box[0] * across, box[1] * down].map((side) => Math.max(Math.floor(side), 0));
  const [right, bottom] = [Math.ceil(box[2] * across), Math.ceil(box[3] * down)];
  return {
    digit: joint[guess] >= TRUST.told ? guess : null, probability: joint[guess],
    box: [left, top, right - left, bottom - top], probabilities: joint, image,
  };
}
