// Boxes in reading order: reading/layout.py.

import { LAYOUT } from "./constants.js";
import { argmax, greatestFirst, median } from "./numbers.js";

const { BESIDE, FAR } = LAYOUT;

// Which boxes stand in one row: rows from top to bottom, each from left to right.
export function rows(boxes) {
  if (!boxes.length) return [];
  const x = boxes.map(([left, , right]) => (left + right) / 2);
  const height = boxes.map(([, top, , bottom]) => bottom - top);
  const far = FAR * median(height);
  const row = [...boxes.keys()];
  for (const k of greatestFirst(x)) { // from the right, so that the neighbour's row is known
    const away = boxes.map((box, other) => (x[other] > x[k] && beside(boxes[k], box) ? x[k] - x[other] : -Infinity));
    const nearest = argmax(away);
    if (-away[nearest] < far) row[k] = row[nearest];
  }
  const lines = new Map();
  [...boxes.keys()].sort((a, b) => row[a] - row[b]).forEach((k) => lines.set(row[k], [...(lines.get(row[k]) ?? []), k]));
  const middle = (line) => line.reduce((total, k) => total + boxes[k][1] + boxes[k][3], 0) / line.length;
  return [...lines.values()].map((line) => line.sort((a, b) => x[a] - x[b])).sort((a, b) => middle(a) - middle(b));
}

function beside(one, other) {
  const shared = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  return shared >= BESIDE * Math.min(one[3] - one[1], other[3] - other[1]);
}
