// What was read: the text, the digits' boxes on the pad, and of one digit the probabilities and the 28x28.

import { element } from "./pad.js";

const SVG = "http://www.w3.org/2000/svg";
const SAY_AFTER = 700; // ms of quiet before a screen reader is told
const DOUBTED = 0.9; // a digit below this is said to be unsure
const find = (id) => document.getElementById(id);
const percent = (p) => (p > 0.9995 ? ">99.9" : p < 0.0005 ? "0" : (100 * p).toFixed(1)) + "\u202f%";

export class Answer {
  constructor(stage, correct) {
    this.stage = stage;
    this.overlay = document.createElementNS(SVG, "svg");
    this.overlay.setAttribute("class", "overlay");
    this.overlay.setAttribute("aria-hidden", "true");
    this.correctable = false;
    this._correct = correct;
    this._bars = [...Array(10).keys()].map((digit) => this._bar(digit));
    find("bars").append(...this._bars.map((bar) => bar.row));
    find("keys").append(...[..."0123456789"].map((digit) => this._key(digit, digit)), this._key("?", "no digit"));
    find("whole").addEventListener("submit", (event) => {
      event.preventDefault();
      const label = find("label").value.trim();
      if (/^[0-9?]+$/.test(label)) this._send(label);
    });
    this.clear();
  }

  // An empty pad says nothing.
  clear() {
    this.reading = null;
    this._words("", "");
    this._panels(false);
    this.overlay.replaceChildren();
    this._say("");
  }

  fail(sentence) {
    this.clear();
    this._words("", sentence);
    this._say(sentence);
  }

  show(reading, source) {
    const changed = reading.text !== this.reading?.text;
    const many = reading.digits.length;
    this.reading = reading;
    this.source = source;
    if (changed || this.chosen >= many) this.chosen = 0;
    if (!many) {
      this.clear();
      this._words("", source.drawn ? "" : "There is nothing written in this picture.");
      return;
    }
    this._words(reading.text, sentence(reading));
    this._panels(true);
    this._digits();
    this._choose(this.chosen);
    this._boxes();
    this._say(spoken(reading));
  }

  // Lays a heat map over the picture: { box: [x, y, w, h], image: data URL } of each digit, or takes it away.
  heat(map) {
    if (map && map.digits.length && !this.source.width) return;
    this.overlay.querySelectorAll("image").forEach((old) => old.remove());
    find("explain-words").hidden = !map;
    for (const { box, image } of map?.digits ?? []) {
      const laid = document.createElementNS(SVG, "image");
      const [x, y, width, height] = box;
      for (const [name, value] of Object.entries({ x, y, width, height, href: image, preserveAspectRatio: "none" })) {
        laid.setAttribute(name, value);
      }
      this.overlay.prepend(laid);
    }
  }

  _panels(open) {
    find("details").hidden = find("explain-row").hidden = !open;
    find("correct").hidden = !open || !this.correctable;
  }

  _words(text, words) {
    find("text").textContent = text;
    find("text").classList.toggle("long", text.length > 5);
    find("text").classList.toggle("none", /^[?\s]+$/.test(text));
    find("words").textContent = words;
  }

  _digits() {
    const { digits } = this.reading;
    const group = find("digits");
    group.hidden = digits.length < 2;
    const focused = [...group.children].indexOf(document.activeElement);
    group.replaceChildren(...digits.map((digit, k) => this._chip(digit, k)));
    group.children[focused]?.focus();
  }

  _chip(digit, k) {
    const picture = element("img", { src: digit.image, alt: "", width: "28", height: "28" });
    const name = digit.digit ?? "?";
    const chip = element("button", { type: "button", class: "chip" }, picture, element("span", {}, String(name)));
    chip.setAttribute("aria-label", `Digit ${k + 1}: ${name === "?" ? "no digit" : name}, ${percent(digit.probability)}`);
    chip.addEventListener("click", () => this._choose(k));
    return chip;
  }

  _choose(k) {
    this.chosen = k;
    const digit = this.reading.digits[k];
    [...find("digits").children].forEach((chip, j) => chip.setAttribute("aria-pressed", String(j === k)));
    [...this.overlay.querySelectorAll("rect")].forEach((box, j) => box.classList.toggle("chosen", j === k));
    find("saw").src = digit.image;
    find("saw").alt = `The ${digit.digit ?? "shape"} as 28 by 28 pixels`;
    const best = Math.max(...digit.probabilities);
    this._bars.forEach(({ row, fill, value }, j) => {
      const p = digit.probabilities[j];
      fill.style.setProperty("--p", p);
      value.textContent = percent(p);
      row.classList.toggle("best", p === best && digit.digit !== null);
    });
    [...find("keys").children].forEach((key) => {
      key.classList.toggle("current", key.dataset.digit === String(digit.digit ?? "?"));
    });
    find("label").value = "";
    find("label").placeholder = this.reading.text.replaceAll("\n", "");
  }

  _boxes() {
    const { source, reading } = this;
    this.overlay.setAttribute("viewBox", `0 0 ${source.width || 1} ${source.height || 1}`);
    const several = reading.digits.length > 1 || !source.drawn;
    const boxes = several && source.width ? reading.digits.map((digit, k) => this._box(digit, k)) : [];
    this.overlay.replaceChildren(...boxes);
  }

  _box({ box: [x, y, width, height], digit }, k) {
    const made = document.createElementNS(SVG, "rect");
    const air = Math.max(4, Math.min(width, height) * 0.06);
    const place = { x: x - air, y: y - air, width: width + 2 * air, height: height + 2 * air, rx: 8 };
    for (const [name, value] of Object.entries(place)) made.setAttribute(name, value);
    made.classList.toggle("chosen", k === this.chosen);
    made.classList.toggle("none", digit === null);
    return made;
  }

  _bar(digit) {
    const fill = element("span", { class: "bar-fill" });
    const value = element("span", { class: "bar-value" });
    const name = element("span", { class: "bar-name" }, String(digit));
    return { fill, value, row: element("li", { class: "bar" }, name, element("span", { class: "bar-track" }, fill), value) };
  }

  _key(digit, text) {
    const key = element("button", { type: "button", class: "key", "data-digit": digit }, text);
    key.addEventListener("click", () => this._send(this._withChosen(digit)));
    return key;
  }

  // The text with the chosen digit put right.
  _withChosen(digit) {
    let k = -1;
    return [...this.reading.text].map((each) => (each !== "\n" && ++k === this.chosen ? digit : each)).join("");
  }

  _send(label) {
    this._correct(label, this.reading.text);
  }

  _say(text) {
    clearTimeout(this._saying);
    this._saying = setTimeout(() => (find("said").textContent = text), SAY_AFTER);
  }
}

function sentence({ digits, reason }) {
  const known = digits.filter(({ digit }) => digit !== null);
  if (!known.length) return digits.length > 1 ? "None of these looks like a digit." : "This does not look like a digit.";
  const least = known.reduce((a, b) => (b.probability < a.probability ? b : a));
  const strange = digits.length - known.length;
  const others = strange ? ` ${strange === 1 ? "One shape is" : `${strange} shapes are`} no digit.` : "";
  if (reason && !known.length) return reason;
  if (digits.length === 1) return (least.probability < DOUBTED ? "Not sure: " : "Sure: ") + percent(least.probability);
  if (least.probability < DOUBTED) return `Least sure of the ${least.digit}: ${percent(least.probability)}.${others}`;
  const sure = least.probability > 0.9995 ? "over\u00a099.9\u202f%" : `at least ${percent(least.probability)}`;
  return `${known.length} digits, each ${sure} sure.${others}`;
}

function spoken(reading) {
  const text = [...reading.text].join(" ").replaceAll("\n", ",").replaceAll("?", "unknown shape");
  return `${text}. ${sentence(reading)}`;
}
