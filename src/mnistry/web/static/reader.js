// The one place where the page asks for a reading. A page without a server puts its own functions here.

export class ReadingError extends Error {}

const LONGEST = 1600; // pixels of a picture's longest side that are sent: digits need no more
const MOST_BYTES = 900_000; // the service takes 1 MiB

// What a picture (a Blob) says: { text, digits: [{ digit, probability, box, probabilities, image }], reason? }.
export function readPicture(blob, signal) {
  return ask("predict?detail=true", { method: "POST", body: blob, signal });
}

// How much each place of a picture decided, or null where the service cannot say.
export async function explainPicture(blob, signal) {
  return ask("explain", { method: "POST", body: blob, signal });
}

export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new ReadingError("The service does not answer. Is it still running?");
  }
  if (response.status === 204) return null;
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new ReadingError(told.error ?? "The service refuses."), { status: response.status });
  return told;
}

// A picture small enough to send; one that the browser cannot open is sent as it is.
export async function prepared(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return { blob: file, shown: false };
  const shrink = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  if (shrink === 1 && file.size <= MOST_BYTES) return { blob: file, shown: true, width: bitmap.width, height: bitmap.height };
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * shrink));
  canvas.height = Math.max(1, Math.round(bitmap.height * shrink));
  const brush = canvas.getContext("2d");
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.imageSmoothingQuality = "high";
  brush.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
  return { blob, shown: true, width: canvas.width, height: canvas.height };
}
