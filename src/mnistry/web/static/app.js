// The page: reads while you draw, shows what was read and why, and keeps what you correct.

import { createPad, element, WIDTH } from "./pad.js";
import { explainPicture, prepared, readPicture, ReadingError } from "./reader.js";
import { Answer } from "./answer.js";
import { Kept } from "./kept.js";
import { Teaching } from "./teach.js";

const SCALE = 0.4; // 320 pixels across: larger is read no better, and later
const EXAMPLES = [
  ["seven.png", "a 7"],
  ["number.png", "2026"],
  ["rows.png", "two rows of digits"],
  ["paper.jpg", "digits on yellow paper"],
  ["board.jpg", "chalk on a board"],
  ["pencil.jpg", "faint pencil"],
  ["star.png", "a star, which is no digit"],
];

const find = (id) => document.getElementById(id);
const pad = createPad(find("pad"), { onchange: padChanged, label: "Drawing pad" });
const answer = new Answer(pad.stage, correct);
const kept = new Kept(toast);
const teaching = new Teaching(toast);
const frame = element("div", { class: "picture", hidden: "" });
const hint = element("p", { class: "hint", "aria-hidden": "true" }, "Write here");
pad.stage.append(frame, hint, answer.overlay);

let source = null; // { blob, width, height, drawn }: what is being read, or was
let asked = null; // the AbortController of the request that is under way
let waiting = false; // the pad changed while a request was under way
let opening = false; // the pad is emptied for a picture
let explained = null;

// --- Reading ---

// `whole`: a stroke has ended; otherwise one is being drawn, and is read as often as answers come.
function padChanged(_, whole) {
  hint.hidden = !pad.blank || !frame.hidden;
  if (opening) return;
  if (!pad.blank) closePicture();
  if (pad.blank) forget();
  else if (asked && !whole) waiting = true;
  else readPad();
}

async function readPad() {
  const request = begin();
  const started = performance.now();
  const blob = await pad.picture(SCALE);
  if (request.signal.aborted) return;
  source = { blob, width: WIDTH * SCALE, height: pad.height * SCALE, drawn: true };
  await read(request);
  if (!request.signal.aborted) performance.measure("reading", { start: started });
  if (waiting && asked === null) {
    waiting = false;
    readPad();
  }
}

function begin() {
  asked?.abort();
  asked = new AbortController();
  waiting = false;
  busy(true);
  return asked;
}

async function read(request) {
  try {
    const reading = await readPicture(source.blob, request.signal);
    if (!request.signal.aborted) answer.show(reading, source);
  } catch (problem) {
    if (problem.name === "AbortError") return;
    if (!(problem instanceof ReadingError)) throw problem;
    answer.fail(problem.message);
  } finally {
    if (asked === request) {
      asked = null;
      busy(waiting);
    }
  }
  stopExplaining();
}

function busy(yes) {
  find("answer").setAttribute("aria-busy", String(yes));
}

function forget() {
  asked?.abort();
  asked = null;
  busy(false);
  source = null;
  stopExplaining();
  answer.clear();
}

// --- Pictures ---

async function openPicture(file) {
  const request = begin();
  const made = await prepared(file);
  if (request.signal.aborted) return;
  opening = true;
  pad.clear();
  opening = false;
  source = { ...made, drawn: false };
  stopExplaining();
  answer.clear(); // the last reading is not this picture's
  showPicture(made);
  await read(request);
}

function showPicture({ blob, shown }) {
  const back = element("button", { type: "button", class: "button", id: "back" }, "Back to the pad");
  back.addEventListener("click", () => {
    closePicture();
    forget();
    pad.canvas.focus();
  });
  const picture = shown ? element("img", { alt: "Your picture" }) : element("p", {}, "The browser cannot show this picture.");
  if (shown) {
    picture.src = URL.createObjectURL(blob);
    picture.addEventListener("load", () => URL.revokeObjectURL(picture.src), { once: true });
  }
  frame.replaceChildren(picture, back);
  frame.hidden = false;
  hint.hidden = true;
}

function closePicture() {
  if (frame.hidden) return;
  frame.hidden = true;
  frame.replaceChildren();
  hint.hidden = !pad.blank;
}

function pictureOf(transfer) {
  return [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));
}

for (const [button, input] of [["choose", "file"], ["photograph", "camera"]]) {
  find(button).addEventListener("click", () => find(input).click());
  find(input).addEventListener("change", () => {
    const [file] = find(input).files;
    if (file) openPicture(file);
    find(input).value = "";
  });
}

addEventListener("paste", (event) => {
  const file = pictureOf(event.clipboardData);
  if (file) openPicture(file);
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  find("drop").hidden = ![...event.dataTransfer.types].includes("Files");
});
addEventListener("dragleave", (event) => event.relatedTarget ?? (find("drop").hidden = true));
addEventListener("drop", (event) => {
  event.preventDefault();
  find("drop").hidden = true;
  const file = pictureOf(event.dataTransfer);
  if (file) openPicture(file);
  else toast("That is no picture.");
});

for (const [name, words] of EXAMPLES) {
  const picture = element("img", { src: `static/examples/${name}`, alt: words, loading: "lazy" });
  const button = element("button", { type: "button", class: "example" }, picture);
  button.addEventListener("click", async () => {
    const file = await fetch(picture.src).then((answer) => answer.blob()).catch(() => null);
    if (file) openPicture(file);
    else toast("This example could not be fetched.");
  });
  find("examples").append(element("li", {}, button));
}

// --- What decided ---

find("explain").addEventListener("click", async () => {
  if (explained) return stopExplaining();
  const request = (explained = new AbortController());
  find("explain").setAttribute("aria-pressed", "true");
  try {
    const heat = await explainPicture(answer.source.blob, request.signal);
    if (!request.signal.aborted) answer.heat(heat);
  } catch (problem) {
    if (problem.name !== "AbortError") toast(problem.message);
  }
});

function stopExplaining() {
  explained?.abort();
  explained = null;
  find("explain").setAttribute("aria-pressed", "false");
  answer.heat(null);
}

// --- Correcting ---

// The picture is the one whose reading is shown: another may be on its way.
function correct(label, read) {
  kept.add(answer.source.blob, label, read);
}

let toastTimer;
function toast(text, undo = null) {
  find("toast-text").textContent = text;
  find("toast-undo").hidden = !undo;
  find("toast-undo").onclick = () => {
    undo();
    find("toast").hidden = true;
  };
  find("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (find("toast").hidden = true), 6000);
}

kept.open().then((open) => {
  answer.correctable = open;
  if (open) teaching.open();
});
document.documentElement.dataset.ready = "yes";
