// A picture of any kind that the browser opens -> 8-bit RGB on paper, upright, no larger than needed: imaging/decode.py.

import { DECODE } from "./constants.js";

const { FAINTEST, LIGHT, LONGEST_SIDE, MOST_PIXELS, SAMPLED, STRIP, WORKING_SIDE } = DECODE;

export class PictureError extends Error {}

// A Blob as { pixels (h, w, 3), width, height, size: [width, height] of its own }; raises PictureError.
export async function openPicture(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" }).catch(() => null);
  if (!bitmap) throw new PictureError("The browser cannot open this picture: expected PNG, JPEG or WebP.");
  const { width, height } = bitmap;
  try {
    if (Math.max(width, height) > LONGEST_SIDE || width * height > MOST_PIXELS) {
      throw new PictureError(`This picture has ${width} x ${height} pixels: expected at most ${MOST_PIXELS / 1e6} million.`);
    }
    const share = Math.max(1, Math.ceil(Math.max(width, height) / WORKING_SIDE)); // pixels a side that become one
    const white = onPaper(bitmap, share, "#fff");
    const swallowed = isLight(bitmap) || contrast(white) < FAINTEST;
    const small = swallowed ? onPaper(bitmap, share, "#000") : white;
    return { ...small, size: [width, height] };
  } finally {
    bitmap.close();
  }
}

// Whether a picture is transparent for the most part, and what it shows nearly white: a dark edge is no ink.
function isLight(bitmap) {
  const small = Math.max(1, Math.floor(Math.max(bitmap.width, bitmap.height) / SAMPLED));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.ceil(side / small));
  const brush = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  brush.drawImage(bitmap, 0, 0, width, height);
  const { data } = brush.getImageData(0, 0, width, height);
  let [seen, off] = [0, 0];
  for (let k = 0; k < data.length; k += 4) {
    seen += data[k + 3];
    off += data[k + 3] * (255 - Math.min(data[k], data[k + 1], data[k + 2]));
  }
  return seen > 0 && seen < 128 * width * height && off < LIGHT * seen;
}

// On paper of one colour, averaged over squares, in strips: so no copy of a large picture is made.
function onPaper(bitmap, share, ground) {
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.ceil(side / share));
  const pixels = new Uint8Array(width * height * 3);
  const rows = share * Math.max(1, Math.floor(STRIP / (bitmap.width * share)));
  const canvas = new OffscreenCanvas(bitmap.width, Math.min(rows, bitmap.height));
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < bitmap.height; top += rows) {
    const high = Math.min(rows, bitmap.height - top);
    brush.fillStyle = ground;
    brush.fillRect(0, 0, canvas.width, high);
    brush.drawImage(bitmap, 0, -top);
    reduce(brush.getImageData(0, 0, bitmap.width, high), share, pixels.subarray((top / share) * width * 3));
  }
  return { pixels, width, height };
}

function reduce({ data, width, height }, share, made) {
  let to = 0;
  for (let y = 0; y < height; y += share) {
    const end = Math.min(y + share, height);
    for (let x = 0; x < width; x += share) {
      const right = Math.min(x + share, width);
      const n = (end - y) * (right - x);
      let [red, green, blue] = [n >> 1, n >> 1, n >> 1];
      for (let down = y; down < end; down++) {
        for (let k = (down * width + x) * 4, last = (down * width + right) * 4; k < last; k += 4) {
          red += data[k];
          green += data[k + 1];
          blue += data[k + 2];
        }
      }
      made[to++] = red / n;
      made[to++] = green / n;
      made[to++] = blue / n;
    }
  }
}

function contrast({ pixels }) {
  const low = [255, 255, 255];
  const high = [0, 0, 0];
  for (let k = 0; k < pixels.length; k++) {
    const channel = k % 3;
    if (pixels[k] < low[channel]) low[channel] = pixels[k];
    if (pixels[k] > high[channel]) high[channel] = pixels[k];
  }
  return Math.max(...high.map((value, channel) => value - low[channel]));
}
