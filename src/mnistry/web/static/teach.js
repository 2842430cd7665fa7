// The button that teaches the model the corrections: how far it is, what came of it, and the way back.

import { ask } from "./reader.js";

const EVERY = 1000; // milliseconds between two questions how far it is
const find = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(2)} %`;

export class Teaching {
  constructor(toast) {
    this._toast = toast;
    find("teach-start").addEventListener("click", () => this._ask("POST"));
    find("teach-undo").addEventListener("click", () => this._ask("DELETE"));
  }

  open() {
    return this._ask("GET");
  }

  async _ask(method) {
    try {
      this._show(await ask("finetune", { method }));
    } catch (problem) {
      this._toast(problem.message);
      if (this._learning) setTimeout(() => this.open(), EVERY);
    }
  }

  _show({ possible, state, share, told, taught }) {
    this._learning = state === "learning";
    find("teach").hidden = !possible && !taught;
    find("teach-start").hidden = !possible;
    find("teach-start").disabled = this._learning;
    find("teach-undo").hidden = !taught || this._learning;
    find("teach-share").hidden = !this._learning;
    find("teach-share").value = share;
    const words = this._learning ? `${told[0].toUpperCase()}${told.slice(1)}\u2026` : told || (taught ? figures(taught) : HINT);
    if (find("teach-words").textContent !== words) find("teach-words").textContent = words;
    if (this._learning) setTimeout(() => this.open(), EVERY);
  }
}

const HINT = "It learns from these pictures together with MNIST: a minute or two.";

// What the model in use was taught, in words.
function figures({ corrections, mnist }) {
  const { held_back: held, all } = corrections;
  const gain = ({ n, before, after }) => `${before} of ${n} were read right before, ${after} are after`;
  const judged = held ? `Of the pictures held back to judge it, ${gain(held)}. ` : "";
  const known = `Of all ${all.n} corrections, ${all.before} were read right before, ${all.after} are now. `;
  return `${judged}${known}MNIST's test digits: ${percent(mnist.before)} before, ${percent(mnist.after)} now.`;
}
