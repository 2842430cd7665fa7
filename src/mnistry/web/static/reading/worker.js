// The reader in a thread of its own, so that drawing is never held up: { id, what, blob } in, { id, told } or
// { id, problem } out; { id, left } in once nobody waits for that answer any more.

import { PictureError } from "./decode.js";
import { explain } from "./saliency.js";
import { Reader } from "./reader.js";

const opened = Reader.open();
opened.then(warmUp, () => {}); // why it failed is told to whoever asks for a reading
const work = { read: (reader, blob, signal) => reader.read(blob, signal), explain };
const underWay = new Map(); // number of a question -> what ends the work on it

const warming = new AbortController();

// The browser compiles what runs often better and better: so that the first reading finds that done, a blank pad is
// looked at, until somebody asks.
async function warmUp({ learned }) {
  postMessage({ id: "opened" });
  const [width, height] = [320, 200];
  const blank = { pixels: new Uint8Array(3 * width * height).fill(255), width, height };
  for (let k = 0; k < 3; k++) await learned.locator.look(blank, warming.signal).catch(() => {});
}

addEventListener("message", async ({ data: { id, left, what, blob } }) => {
  if (left) return underWay.get(id)?.abort();
  warming.abort();
  const request = new AbortController();
  underWay.set(id, request);
  try {
    postMessage({ id, told: await work[what](await opened, blob, request.signal) });
  } catch (problem) {
    const words = problem instanceof PictureError ? problem.message : `This page cannot read: ${problem.message}`;
    postMessage({ id, problem: words });
  } finally {
    underWay.delete(id);
  }
});
