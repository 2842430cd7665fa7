// Where the digits of a picture are, and each digit's own ink: reading/locate.py.

import { LOCATE } from "./constants.js";
import { normalize } from "./normalization.js";
import { argmax, greatestFirst, sum } from "./numbers.js";
import { bytes, rowsOf, session } from "./runtime.js";
import { scales, view } from "./views.js";

const { ALWAYS, ASTRAY, BEST, CLEAR, COARSE, ENLARGED, FEW, INK, INSIDE, LARGEST, LIKELY, MOST, MOSTLY, MOST_PIXELS, PLACES, RIVAL, SAME, SMALLEST, SURE, SURELY } = LOCATE;
const { THIN, TWICE, WANTED } = LOCATE;
const sizeOf = ([left, top, right, bottom]) => Math.max(right - left, bottom - top);

export class Locator {
  static async open() {
    return new Locator(await session("locator"));
  }

  constructor(network) {
    this._network = network;
  }

  // What it says of views of a picture from coarse to fine, as long as something is too small to be read.
  async look(picture, signal) {
    const seen = [];
    const whole = [0, 0, picture.width, picture.height];
    const sizes = scales(picture.width, picture.height);
    let box = whole;
    for (const [k, scale] of sizes.entries()) {
      if (!box || (k && (box[2] - box[0]) * (box[3] - box[1]) * scale ** 2 > MOST_PIXELS)) break;
      await turn(); // so that somebody can say meanwhile that the answer is not wanted any more
      signal?.throwIfAborted();
      seen.push(await this.see(view(picture, scale, box)));
      const following = sizes[k + 1] ?? scale;
      const most = following <= 1 ? ALWAYS : ENLARGED;
      if (following * COARSE > 1 && picture.width * picture.height * following ** 2 > most) {
        box = closer(seen.at(-1), whole);
      }
    }
    return seen;
  }

  async see(look) {
    const told = await this._network.answers({ images: bytes(look.pixels, [1, look.height, look.width, 3]) });
    let peaks = rowsOf(told.digits).filter((row) => row[0] >= SURE);
    peaks = greatestFirst(peaks.map((row) => row[0])).slice(0, MOST).map((k) => peaks[k]);
    const corners = peaks.map((row) => row.subarray(1, 5));
    return {
      view: look, boxes: corners.map((four) => look.toPicture(four)), sizes: corners.map(sizeOf),
      sure: peaks.map((row) => row[0]), classes: peaks.map((row) => row.subarray(5)), tiny: told.tiny, ink: told.ink,
      centres: told.centres,
    };
  }
}

// After the messages that have come meanwhile.
function turn() {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(null);
  }).then(() => port1.close());
}

// The part of the picture that holds what is too small at this size, or null.
function closer({ view: look, boxes, sizes, sure, tiny }, whole) {
  const points = [];
  if (look.scale < 1) {
    const across = tiny.dims[1];
    tiny.data.forEach((p, k) => {
      if (!(p > WANTED)) return;
      const [x, y] = [(k % across) * 4 + 2, Math.floor(k / across) * 4 + 2];
      points.push(look.toPicture([x, y, x, y]));
    });
  }
  boxes.forEach((box, k) => sizes[k] < CLEAR && sure[k] > SURELY && points.push(box));
  if (!points.length) return null;
  const margin = (2 * CLEAR) / look.scale;
  const end = (which, values) => values.reduce((a, b) => which(a, b));
  const [left, top] = [0, 1].map((side) => end(Math.min, points.map((point) => point[side])) - margin);
  const [right, bottom] = [2, 3].map((side) => end(Math.max, points.map((point) => point[side])) + margin);
  const [, , width, height] = whole;
  if ((right - left) * (bottom - top) > MOSTLY * width * height) return whole;
  return [Math.max(left, 0), Math.max(top, 0), Math.min(right, width), Math.min(bottom, height)];
}

// All candidates of several views, each once, of many those that are sure enough, of very many the surest:
// [{ box, sure, classes, best }].
export function candidates(seen) {
  const found = agreed(seen);
  const order = apart(found.map(({ box }) => box), found.map(({ sure }) => sure), TWICE, 2);
  const many = order.filter((k) => found[k].sure >= LIKELY).length;
  return order.slice(0, Math.min(Math.max(many, FEW), PLACES)).map((k) => found[k]);
}

// All candidates; each is as sure as the views on the mean, among those that show its place at a fit size.
export function agreed(seen) {
  const own = seen.flatMap((one, origin) => one.boxes.map((box, k) => ({ box, origin, sure: one.sure[k], classes: one.classes[k] })));
  const votes = seen.map((one, k) => votesOf(one, k, own));
  return own.map(({ box, origin, sure, classes }, row) => {
    const heard = votes.map((vote, k) => (k === origin ? { box, sure, classes } : vote[row]));
    const weights = seen.map((one, k) => weightOf(one.view, box, k === origin));
    const shares = heard.map((one, k) => one.sure * weights[k]);
    const mixed = Array.from(classes, (_, c) => sum(heard.map((one, k) => one.sure && one.classes[c] * shares[k])));
    const total = sum(mixed);
    const count = sum(shares);
    const mean = Array.from(box, (_, side) => sum(heard.map((one, k) => (one.sure ? one.box[side] * shares[k] : 0))) / count);
    return { box: mean, sure: count / sum(weights), classes: mixed.map((p) => p / total), best: argmax(weights) };
  });
}

const NOT_FOUND = { sure: 0 };

// What one view says of each of all candidates: of the one of its own that is the same digit.
function votesOf(one, k, own) {
  if (!one.boxes.length) return own.map(() => NOT_FOUND);
  const nearest = own.map(({ box, origin }) => {
    if (origin === k) return { share: -1 };
    const same = one.boxes.map((other) => overlap(box, other).same);
    const place = argmax(same);
    return { place, share: same[place] };
  });
  const best = new Map(); // the largest share of those of one origin that are nearest to one box
  nearest.forEach(({ place, share }, row) => {
    const key = `${own[row].origin} ${place}`;
    best.set(key, Math.max(best.get(key) ?? -1, share));
  });
  return nearest.map(({ place, share }, row) => {
    const mutual = share >= best.get(`${own[row].origin} ${place}`);
    return share >= SAME && mutual ? { box: one.boxes[place], sure: one.sure[place], classes: one.classes[place] } : NOT_FOUND;
  });
}

function weightOf(look, box, isOrigin) {
  const size = sizeOf(box) * look.scale;
  let weight = shows(look, box) ? Math.exp(-(Math.log2(size / BEST) ** 2)) : 0;
  if (size < SMALLEST || size > LARGEST) weight *= 0.01;
  return isOrigin ? Math.max(weight, 1e-4) : weight;
}

// Whether a box is in the view, but for a tenth of its size.
function shows({ corner, end }, box) {
  const spare = 0.1 * sizeOf(box);
  return [0, 1].every((side) => Math.max(box[side], 0) + spare >= corner[side] && box[side + 2] - spare <= end[side]);
}

// The shared area of two boxes, as a share of both together, and of the smaller one.
export function overlap(one, other) {
  const wide = Math.max(Math.min(one[2], other[2]) - Math.max(one[0], other[0]), 0);
  const high = Math.max(Math.min(one[3], other[3]) - Math.max(one[1], other[1]), 0);
  const [area, second] = [one, other].map((box) => (box[2] - box[0]) * (box[3] - box[1]));
  const shared = wide * high;
  return { same: shared / (area + second - shared), inside: shared / Math.min(area, second) };
}

// The surest candidates, best first, of which none shares more than `most` with another or lies `within` it.
export function apart(boxes, sure, most = SAME, within = INSIDE) {
  const out = sure.map((p) => p < SURE);
  const kept = [];
  const broad = boxes.map(broadened);
  for (const k of greatestFirst(sure)) {
    if (out[k]) continue;
    kept.push(k);
    boxes.forEach((other, place) => {
      if (!out[place]) out[place] = overlap(broad[k], broad[place]).same > most || overlap(boxes[k], other).inside > within;
    });
  }
  return kept;
}

// A thin box made broader: two that are a stroke's width apart are around one stroke.
function broadened(box) {
  const half = [(box[2] - box[0]) / 2, (box[3] - box[1]) / 2];
  const least = THIN * Math.max(...half);
  const [x, y] = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  const [wide, high] = half.map((side) => Math.max(side, least));
  return [x - wide, y - high, x + wide, y + high];
}

// Each digit's own ink in MNIST form, 28 * 28 bytes, from the view that shows it best.
export function images(seen, found) {
  const near = found.map(({ box }) => grown(box, RIVAL));
  return found.map(({ best }, k) => {
    const rivals = found.filter((_, other) => other !== k && overlap(near[k], near[other]).same > 0);
    return ownInk(seen[best], [found[k], ...rivals].map(({ box }) => box));
  });
}

// Which of those found have no ink of their own in their forms, because it is that of one beside it.
export function twice(found, forms) {
  const near = found.map(({ box }) => grown(box, RIVAL));
  const inked = forms.map((form) => form.some((level) => level > 0));
  return found.map((_, k) => !inked[k] && near.some((box, other) => inked[other] && overlap(near[k], box).same > 0));
}

// The ink that points to the middle of the first box and not to that of a rival.
function ownInk({ view: look, ink, centres }, boxes) {
  const [left, top, right, bottom] = look.toView(grown(boxes[0], 0.1));
  const [height, width] = ink.dims;
  const [half, plane] = [centres.dims[2], centres.dims[1] * centres.dims[2]];
  const part = (from, to, most) => [Math.max(Math.floor(Math.trunc(from) / 2), 0), Math.min(Math.floor(Math.trunc(to) / 2) + 1, most >> 1)];
  const [[up, down], [first, last]] = [part(top, bottom, height), part(left, right, width)];
  const rivals = boxes.map((box) => {
    const [x, y] = look.toView([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, 0, 0]);
    return { x, y, size: sizeOf(box) * look.scale };
  });
  const across = Math.max(2 * (last - first), 0);
  const own = new Float32Array(across * Math.max(2 * (down - up), 0));
  for (let y = up; y < down; y++) {
    for (let x = first; x < last; x++) {
      const place = y * half + x;
      const [here, there] = [centres.data[place], centres.data[plane + place]];
      const [off, ...others] = rivals.map((one) => Math.hypot(here - one.x, there - one.y) / one.size);
      if (!(off < ASTRAY) || others.some((other) => other < off)) continue;
      for (const [row, column] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
        const value = ink.data[(2 * y + row) * width + 2 * x + column];
        if (value > INK) own[(2 * (y - up) + row) * across + 2 * (x - first) + column] = value;
      }
    }
  }
  return normalize(own, across);
}

function grown(box, share) {
  const more = share * sizeOf(box);
  return [box[0] - more, box[1] - more, box[2] + more, box[3] + more];
}
