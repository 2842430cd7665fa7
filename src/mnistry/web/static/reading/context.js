// How a candidate fits what else stands in its picture: reading/context.py.

import { CONTEXT } from "./constants.js";
import { overlap } from "./locate.js";
import { sum } from "./numbers.js";

const { NEAR, OTHER } = CONTEXT;

// Of boxes that are each so `likely` something three numbers each: how many times it is half or twice as large as what
// stands in the picture for the most part, less than 0; how surely something of its height stands beside it; how surely
// nothing else stands there at all.
export function context(boxes, likely) {
  const off = octaves(boxes, likely);
  return boxes.map((box, k) => {
    let [beside, most] = [0, 0];
    boxes.forEach((other, place) => {
      const { same, inside } = overlap(box, other);
      if (!(same < OTHER && inside < 0.5)) return;
      most = Math.max(most, likely[place]);
      beside = Math.max(beside, likely[place] * commonHeight(box, other));
    });
    return [-off[k], beside, 1 - most];
  });
}

// How many octaves each is away from the usual size, the median in which each counts as much as it is long.
function octaves(boxes, likely) {
  const sizes = boxes.map(([left, top, right, bottom]) => Math.max(right - left, bottom - top));
  const weights = sizes.map((size, k) => size * likely[k]);
  const order = [...sizes.keys()].sort((a, b) => sizes[a] - sizes[b]);
  let left = sum(weights) / 2;
  const usual = sizes[order.find((k) => (left -= weights[k]) <= 0)];
  return sizes.map((size) => Math.abs(Math.log2(size / usual)));
}

// The share of both heights that is common to two boxes that stand near each other, 0 for others.
function commonHeight(one, other) {
  const [first, second] = [one[3] - one[1], other[3] - other[1]];
  const gap = Math.max(one[0], other[0]) - Math.min(one[2], other[2]);
  if (!(gap < NEAR * Math.max(first, second))) return 0;
  const common = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  return Math.max(common, 0) / (first + second - common);
}
