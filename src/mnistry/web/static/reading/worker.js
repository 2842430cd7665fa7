// The reader in a thread of its own, so that drawing is never held up: { id, what, blob } in, { id, told } or
// { id, problem } out.

import { PictureError } from "./decode.js";
import { explain } from "./saliency.js";
import { Reader } from "./reader.js";

const opened = Reader.open();
opened.then(() => postMessage({ id: "opened" }), () => {}); // why it failed is told to whoever asks for a reading
const work = { read: (reader, blob) => reader.read(blob), explain };

addEventListener("message", async ({ data: { id, what, blob } }) => {
  try {
    postMessage({ id, told: await work[what](await opened, blob) });
  } catch (problem) {
    const words = problem instanceof PictureError ? problem.message : `This browser cannot read here: ${problem.message}`;
    postMessage({ id, problem: words });
  }
});
