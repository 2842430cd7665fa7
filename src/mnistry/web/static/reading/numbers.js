// What NumPy and Python have and JavaScript has not.

// Halves to the even neighbour, as Python's `round` and NumPy's `rint`.
export function rint(value) {
  const near = Math.round(value);
  return near - value === 0.5 && near % 2 ? near - 1 : near;
}

export function argmax(values) {
  let best = 0;
  for (let k = 1; k < values.length; k++) if (values[k] > values[best]) best = k;
  return best;
}

export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

export const sum = (values) => values.reduce((a, b) => a + b, 0);

// The numbers of values from the greatest to the least; of equal ones the first comes first.
export function greatestFirst(values) {
  return [...values.keys()].sort((a, b) => values[b] - values[a] || a - b);
}
