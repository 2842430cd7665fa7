// Boxes in reading order: reading/layout.py.

import { LAYOUT } from "./constants.js";
import { argmax, greatestFirst } from "./numbers.js";

const { ALIKE, BESIDE, FAR } = LAYOUT;

// Which boxes stand in one row: rows from top to bottom, each from left to right.
export function rows(boxes) {
  if (!boxes.length) return [];
  const x = boxes.map(([left, , right]) => (left + right) / 2);
  const near = (k, other, away) => (away > 0 && beside(boxes[k], boxes[other], away) ? -away : -Infinity);
  const following = (k) => boxes.map((_, other) => near(k, other, x[other] - x[k]));
  const before = (k) => boxes.map((_, other) => near(k, other, x[k] - x[other]));
  const row = [...boxes.keys()];
  for (const k of greatestFirst(x)) { // from the right, so that the neighbour's row is known
    const away = following(k);
    const next = argmax(away);
    if (away[next] > -Infinity && argmax(before(next)) === k) row[k] = row[next];
  }
  const lines = new Map();
  [...boxes.keys()].sort((a, b) => row[a] - row[b]).forEach((k) => lines.set(row[k], [...(lines.get(row[k]) ?? []), k]));
  const middle = (line) => line.reduce((total, k) => total + boxes[k][1] + boxes[k][3], 0) / line.length;
  return [...lines.values()].map((line) => line.sort((a, b) => x[a] - x[b])).sort((a, b) => middle(a) - middle(b));
}

function beside(one, other, away) {
  const shared = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  const heights = [one[3] - one[1], other[3] - other[1]];
  const higher = Math.max(...heights);
  return shared >= BESIDE * Math.min(...heights) && (away < FAR * higher || shared >= ALIKE * higher);
}
