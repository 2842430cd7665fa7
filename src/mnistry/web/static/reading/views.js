// A picture at several sizes, coarse to fine, on a margin of its own paper: reading/views.py.

import { VIEWS } from "./constants.js";
import { median, rint } from "./numbers.js";
import { BILINEAR, BOX, resized } from "./resize.js";

const { COARSEST, FINEST, LARGER, MARGIN, STRIDE, WIDEST } = VIEWS;

// { pixels (height, width, 3), scale, corner, end }: a place p of the picture is at (p - corner) * scale + MARGIN.
class View {
  constructor(paper, scale, corner, end) {
    Object.assign(this, paper, { scale, corner, end });
  }

  toPicture([left, top, right, bottom]) {
    const [x, y] = this.corner;
    const place = (value, from) => (value - MARGIN) / this.scale + from;
    return [place(left, x), place(top, y), place(right, x), place(bottom, y)];
  }

  toView([left, top, right, bottom]) {
    const [x, y] = this.corner;
    const point = (value, from) => (value - from) * this.scale + MARGIN;
    return [point(left, x), point(top, y), point(right, x), point(bottom, y)];
  }
}

export function scales(width, height) {
  if (height <= COARSEST) {
    const first = Math.min(COARSEST / height, LARGER, ((WIDEST * COARSEST ** 2) / (width * height)) ** 0.5);
    return [first, 2 * first];
  }
  const steps = rint(Math.log2(height / COARSEST));
  return [...Array.from({ length: Math.max(steps, 0) }, (_, k) => 2 ** (k - steps)), 1, FINEST];
}

// The part left, top, right, bottom of a picture at one size.
export function view(picture, scale, box) {
  const left = Math.max(Math.trunc(box[0]), 0);
  const top = Math.max(Math.trunc(box[1]), 0);
  const right = Math.min(Math.ceil(box[2]), picture.width);
  const bottom = Math.min(Math.ceil(box[3]), picture.height);
  const [width, height] = [right - left, bottom - top].map((side) => Math.max(1, rint(side * scale)));
  const seen = resized(cropped(picture, left, top, right, bottom), width, height, scale < 1 ? BOX : BILINEAR);
  return new View(onPaper(seen), scale, [left, top], [right, bottom]);
}

function cropped(picture, left, top, right, bottom) {
  const width = right - left;
  const height = bottom - top;
  if (width === picture.width && height === picture.height) return picture;
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * picture.width + left) * 3;
    pixels.set(picture.pixels.subarray(from, from + width * 3), y * width * 3);
  }
  return { pixels, width, height };
}

// With a margin of the colour that most of the border has.
function onPaper({ pixels, width, height }) {
  const [across, down] = [width, height].map((side) => Math.ceil((side + 2 * MARGIN) / STRIDE) * STRIDE);
  const colour = [0, 1, 2].map((channel) => Math.trunc(median(border(pixels, width, height, channel))));
  const paper = new Uint8Array(across * down * 3);
  for (let k = 0; k < across * 3; k++) paper[k] = colour[k % 3];
  for (let y = 1; y < down; y++) paper.copyWithin(y * across * 3, 0, across * 3);
  for (let y = 0; y < height; y++) {
    paper.set(pixels.subarray(y * width * 3, (y + 1) * width * 3), ((y + MARGIN) * across + MARGIN) * 3);
  }
  return { pixels: paper, width: across, height: down };
}

function border(pixels, width, height, channel) {
  const values = [];
  const last = (height - 1) * width;
  for (let x = 0; x < width; x++) values.push(pixels[x * 3 + channel], pixels[(last + x) * 3 + channel]);
  for (let y = 0; y < height; y++) {
    values.push(pixels[y * width * 3 + channel], pixels[(y * width + width - 1) * 3 + channel]);
  }
  return values;
}
