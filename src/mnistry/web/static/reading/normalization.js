// The exact form of an MNIST digit: imaging/normalization.py.

import { NORMALIZATION } from "./constants.js";
import { rint } from "./numbers.js";

const { BOX, SIDE, SMALLEST } = NORMALIZATION;

// The ink of one digit, rows of `width`, 0 where there is paper, in the form in which MNIST keeps it: 28 * 28 bytes.
export function normalize(ink, width) {
  const { square, side } = squared(ink, width);
  if (!side) return new Uint8Array(SIDE * SIDE);
  const small = shares(shares(square, side, BOX), side, BOX);
  const most = small.reduce((a, b) => Math.max(a, b));
  return centred(small.map((value) => rint(value * (255 / most))));
}

// The ink without the paper around it, in the middle of a square of paper.
function squared(ink, width) {
  let [left, right, top, bottom] = [width, -1, Infinity, -1];
  ink.forEach((value, k) => {
    if (!value) return;
    const [x, y] = [k % width, Math.floor(k / width)];
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
  });
  if (right < 0) return { side: 0 };
  const [wide, high] = [right - left + 1, bottom - top + 1];
  const side = Math.max(wide, high, SMALLEST);
  const square = new Float64Array(side * side);
  const [x, y] = [side - wide, side - high].map((spare) => spare >> 1);
  for (let row = 0; row < high; row++) {
    const from = (top + row) * width + left;
    square.set(ink.subarray(from, from + wide), (y + row) * side + x);
  }
  return { square, side };
}

// Means over n equal shares of the rows (old, width), fractions counted; turned, so that twice is once for each side.
function shares(values, old, n) {
  const width = values.length / old;
  const made = new Float64Array(n * width);
  const until = new Float64Array(n + 1);
  for (let column = 0; column < width; column++) {
    let total = 0;
    for (let row = 0, share = 0; row < old; row++) {
      const value = values[row * width + column];
      for (; share <= n && Math.min(Math.trunc(share * (old / n)), old - 1) === row; share++) {
        until[share] = total + value * (share * (old / n) - row);
      }
      total += value;
    }
    for (let share = 0; share < n; share++) made[column * n + share] = (until[share + 1] - until[share]) * (n / old);
  }
  return made;
}

// The box of 20x20 in 28x28, its centre of mass at pixel (14, 14).
function centred(small) {
  const rows = new Float64Array(BOX);
  const columns = new Float64Array(BOX);
  small.forEach((value, k) => {
    rows[Math.floor(k / BOX)] += value;
    columns[k % BOX] += value;
  });
  const [top, left] = [offset(rows), offset(columns)];
  const image = new Uint8Array(SIDE * SIDE);
  small.forEach((value, k) => {
    if (value) image[(top + Math.floor(k / BOX)) * SIDE + left + (k % BOX)] = value;
  });
  return image;
}

// Where the box begins along one axis, so that no ink is pushed out of the picture.
function offset(mass) {
  const total = mass.reduce((a, b) => a + b);
  const centre = mass.reduce((a, b, k) => a + b * k, 0) / total;
  const first = mass.findIndex((value) => value > 0);
  const last = mass.findLastIndex((value) => value > 0);
  return Math.min(Math.max(Math.floor(SIDE / 2 - centre + 0.5), -first), SIDE - 1 - last);
}
