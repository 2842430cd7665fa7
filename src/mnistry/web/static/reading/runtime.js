// ONNX Runtime with one thread, from this site's own folder.

import * as ort from "../../onnxruntime/ort.wasm.bundle.min.mjs";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { wasm: new URL("../../onnxruntime/ort-wasm-simd-threaded.wasm", import.meta.url).href };
ort.env.logLevel = "error";

// A session of one of the site's ONNX files: `answers({ name: tensor })` gives { name: { data, dims } }.
export async function session(name) {
  const file = await fetch(new URL(`../../models/${name}.onnx`, import.meta.url)).catch(() => null);
  if (!file) throw new Error("the model could not be fetched. Load the page again once there is a network.");
  if (!file.ok) throw new Error(`the file ${name}.onnx of this site is missing.`);
  const opened = await ort.InferenceSession.create(new Uint8Array(await file.arrayBuffer()), { logSeverityLevel: 3 });
  return { outputs: opened.outputNames, answers: (inputs, names) => opened.run(inputs, names) };
}

export const bytes = (data, dims) => new ort.Tensor("uint8", data, dims);
export const floats = (data, dims) => new ort.Tensor("float32", data, dims);

// The rows (n, width) of a tensor.
export function rowsOf({ data, dims: [n, width] }) {
  return Array.from({ length: n }, (_, k) => data.subarray(k * width, (k + 1) * width));
}
