// Stands in the place of reader.js on the site that has no server: the picture is read in this browser.

export class ReadingError extends Error {}

const KEEP_AFTER = 3000; // ms: the first reading goes before the copy that is read offline
const NO_START = "This browser cannot start the reader: load the page again, or take a newer browser.";
document.documentElement.dataset.reader = "loading";

const worker = new Worker(new URL("./reading/worker.js", import.meta.url), { type: "module" });
const waiting = new Map(); // number of a question -> what its answer is given to
let last = Promise.resolve();
let asked = 0;
let dead = false;

worker.addEventListener("message", ({ data: { id, told, problem } }) => {
  delete document.documentElement.dataset.reader;
  if (id === "opened") return setTimeout(keepAll, KEEP_AFTER);
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (problem) reject(new ReadingError(problem));
  else resolve(told);
});
worker.addEventListener("error", () => {
  dead = true;
  for (const { reject } of waiting.values()) reject(new ReadingError(NO_START));
  waiting.clear();
});

// What a picture (a Blob) says: { text, digits: [{ digit, probability, box, probabilities, image }], reason? }.
export async function readPicture(blob, signal) {
  const told = await inTurn("read", blob, signal);
  return { ...told, digits: told.digits.map((digit) => ({ ...digit, image: dataUrl(28, 28, grey(digit.image)) })) };
}

// How much each place of a picture decided.
export async function explainPicture(blob, signal) {
  const { digits } = await inTurn("explain", blob, signal);
  return { digits: digits.map(({ box, heat }) => ({ box, image: dataUrl(heat.width, heat.height, heat.pixels) })) };
}

// There is no service here that keeps corrections and learns from them.
export async function ask() {
  throw Object.assign(new ReadingError("There is no service behind this page."), { status: 404 });
}

// A picture as it is, with the size that it is shown at: it goes nowhere.
export async function prepared(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return { blob: file, shown: false };
  const { width, height } = bitmap;
  bitmap.close();
  return { blob: file, shown: true, width, height };
}

// One picture after the other; one that nobody waits for any more is left out.
function inTurn(what, blob, signal) {
  const turn = last.then(() => {
    signal?.throwIfAborted();
    if (dead) throw new ReadingError(NO_START);
    return new Promise((resolve, reject) => {
      const id = ++asked;
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, what, blob });
      signal?.addEventListener("abort", () => worker.postMessage({ id, left: true }));
    });
  });
  last = turn.catch(() => {});
  return turn;
}

function grey(image) {
  const pixels = new Uint8ClampedArray(4 * image.length);
  image.forEach((value, k) => pixels.set([value, value, value, 255], 4 * k));
  return pixels;
}

function dataUrl(width, height, pixels) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas.toDataURL();
}

// Once the reader's own files are here, all others are kept as well: from then on the page needs no network.
function keepAll() {
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("service-worker.js").catch(() => {});
}
