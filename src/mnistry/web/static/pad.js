// The pad: strokes of mouse, pen, finger or keys, as curves; undo, redo, clear; the drawing as a picture.
//
//   const pad = createPad(element, { onchange: (pad) => ... });   a canvas with its tools, or
//   const pad = new Pad(canvas, { onchange });                     the canvas alone.
//
// Lengths are in units: the pad is WIDTH of them wide, whatever its size on the screen. It needs nothing but a browser.

export const WIDTH = 800;
const NEAREST = 1.5; // units: points nearer than this to the last one are left out
const KEY_STEP = 12; // units that an arrow key moves the pen, and a third of that with Shift
const PALM_MS = 1000; // for how long after a pen touches are taken for a palm

export class Pad {
  constructor(canvas, { onchange = () => {}, pen = 28 } = {}) {
    this.canvas = canvas;
    this.pen = pen;
    this.strokes = [];
    this._onchange = onchange;
    this._past = [];
    this._future = [];
    this._now = null; // the stroke that is being drawn
    this._cursor = null; // where the keys have moved the pen
    this._penSeen = -Infinity;
    this._listen();
    this._fit();
    new ResizeObserver(() => this._fit()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  get height() {
    return Math.round((WIDTH * this.canvas.clientHeight) / Math.max(1, this.canvas.clientWidth));
  }

  get empty() {
    return this.strokes.length === 0;
  }

  // Nothing is drawn, nor being drawn.
  get blank() {
    return this.empty && !this._now;
  }

  get canUndo() {
    return this._past.length > 0;
  }

  get canRedo() {
    return this._future.length > 0;
  }

  undo() {
    this._step(this._past, this._future);
  }

  redo() {
    this._step(this._future, this._past);
  }

  clear() {
    if (!this.empty) this._change([]);
  }

  // Puts other strokes in place of those that are there: [{ pen, points: [[x, y, pressure], ...] }, ...].
  replace(strokes) {
    this._change(strokes);
  }

  // The drawing as a PNG of WIDTH * scale pixels across, black on white, whatever the colours on the screen.
  async picture(scale = 0.6) {
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(WIDTH * scale);
    canvas.height = Math.round(this.height * scale);
    const brush = canvas.getContext("2d");
    brush.fillStyle = "#fff";
    brush.fillRect(0, 0, canvas.width, canvas.height);
    brush.scale(scale, scale);
    for (const stroke of this._all()) drawStroke(brush, stroke, "#000");
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  draw() {
    const brush = this.canvas.getContext("2d");
    const scale = this.canvas.width / WIDTH;
    brush.setTransform(1, 0, 0, 1, 0, 0);
    brush.clearRect(0, 0, this.canvas.width, this.canvas.height);
    brush.setTransform(scale, 0, 0, scale, 0, 0);
    const ink = getComputedStyle(this.canvas).color;
    for (const stroke of this._all()) drawStroke(brush, stroke, ink);
    if (this._cursor && document.activeElement === this.canvas) this._drawCursor(brush, ink);
  }

  _all() {
    return this._now ? [...this.strokes, this._now] : this.strokes;
  }

  _drawCursor(brush, ink) {
    brush.beginPath();
    brush.arc(this._cursor[0], this._cursor[1], this.pen / 2 + 6, 0, 2 * Math.PI);
    brush.lineWidth = 3;
    brush.setLineDash(this._now ? [] : [7, 6]);
    brush.strokeStyle = ink;
    brush.stroke();
    brush.setLineDash([]);
  }

  _change(strokes) {
    this._past.push(this.strokes);
    this._future = [];
    this.strokes = strokes;
    this._changed(true);
  }

  _step(from, to) {
    if (!from.length) return;
    to.push(this.strokes);
    this.strokes = from.pop();
    this._changed(true);
  }

  // `whole`: a stroke has ended, or the strokes are others; otherwise one is being drawn.
  _changed(whole) {
    this._soon();
    this._onchange(this, whole);
  }

  _soon() {
    if (this._frame) return;
    this._frame = requestAnimationFrame(() => {
      this._frame = null;
      this.draw();
    });
  }

  _fit() {
    const ratio = devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * ratio);
    const height = Math.round(this.canvas.clientHeight * ratio);
    if (!width || (this.canvas.width === width && this.canvas.height === height)) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.draw();
  }

  _listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => this._down(event));
    canvas.addEventListener("pointermove", (event) => this._move(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(name, (event) => event.pointerId === this._pointer && this._up());
    }
    canvas.addEventListener("keydown", (event) => this._key(event));
    canvas.addEventListener("focus", () => this._soon());
    canvas.addEventListener("blur", () => {
      if (this._pointer === undefined) this._up();
      this._soon();
    });
  }

  _down(event) {
    if (event.pointerType === "pen") this._penSeen = event.timeStamp;
    const palm = event.pointerType === "touch" && event.timeStamp - this._penSeen < PALM_MS;
    if (this._now || event.button !== 0 || !event.isPrimary || palm) return;
    this.canvas.setPointerCapture?.(event.pointerId);
    this._pointer = event.pointerId;
    this._cursor = null;
    this._begin(this._place(event));
    this._changed(false);
  }

  _move(event) {
    if (event.pointerId !== this._pointer || !this._now) return;
    if (event.pointerType === "pen") this._penSeen = event.timeStamp;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this._to(this._place(each));
    this._changed(false);
  }

  _up() {
    this._pointer = undefined;
    if (!this._now) return;
    const stroke = this._now;
    this._now = null;
    this._change([...this.strokes, stroke]);
  }

  _begin(point) {
    this._now = { pen: this.pen, points: [point] };
    this._soon();
  }

  _to(point) {
    const last = this._now.points.at(-1);
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) >= NEAREST) this._now.points.push(point);
  }

  // Pens tell their pressure; a mouse has none, and a finger's says little.
  _place(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = WIDTH / box.width;
    const pressure = event.pointerType === "pen" && event.pressure > 0 ? event.pressure : 0.5;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale, pressure];
  }

  _key(event) {
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key === "z") event.shiftKey ? this.redo() : this.undo();
      else if (key === "y") this.redo();
      else return;
    } else if (key === "delete" || key === "backspace") {
      this.clear();
    } else if (key === " " || key === "enter") {
      this._penByKey();
    } else if (key.startsWith("arrow")) {
      this._moveByKey(key.slice(5), event.shiftKey ? KEY_STEP / 3 : KEY_STEP);
    } else return;
    event.preventDefault();
  }

  _penByKey() {
    this._cursor ??= [WIDTH / 2, this.height / 2];
    if (this._now) this._up();
    else this._begin([...this._cursor, 0.5]);
    this._changed(false);
  }

  _moveByKey(way, step) {
    const [x, y] = this._cursor ?? [WIDTH / 2, this.height / 2];
    const across = way === "left" ? -step : way === "right" ? step : 0;
    const down = way === "up" ? -step : way === "down" ? step : 0;
    this._cursor = [Math.min(Math.max(x + across, 0), WIDTH), Math.min(Math.max(y + down, 0), this.height)];
    if (this._now) {
      this._to([...this._cursor, 0.5]);
      this._changed(false);
    }
    this._soon();
  }
}

// One stroke as a curve through the middles between its points, as wide as the pen was pressed.
export function drawStroke(brush, { pen, points }, ink) {
  brush.strokeStyle = brush.fillStyle = ink;
  brush.lineCap = brush.lineJoin = "round";
  const width = ([, , pressure]) => pen * (0.4 + 1.2 * pressure);
  if (points.length === 1) {
    brush.beginPath();
    brush.arc(points[0][0], points[0][1], width(points[0]) / 2, 0, 2 * Math.PI);
    brush.fill();
    return;
  }
  const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  for (let k = 1; k < points.length; k++) {
    const from = k === 1 ? points[0] : middle(points[k - 2], points[k - 1]);
    const to = middle(points[k - 1], points[k]);
    brush.beginPath();
    brush.moveTo(from[0], from[1]);
    brush.quadraticCurveTo(points[k - 1][0], points[k - 1][1], to[0], to[1]);
    if (k === points.length - 1) brush.lineTo(points[k][0], points[k][1]);
    brush.lineWidth = (width(points[k - 1]) + width(points[k])) / 2;
    brush.stroke();
  }
}

const TOOLS = [
  ["undo", "Undo", "Control+Z", "M9 7 4 12l5 5M4 12h10a6 6 0 0 1 0 12h-3"],
  ["redo", "Redo", "Control+Y", "m15 7 5 5-5 5M20 12H10a6 6 0 0 0 0 12h3"],
  ["clear", "Clear", "Delete", "M6 8h12M10 8V5h4v3M8 8l1 13h6l1-13M11 12v5M13 12v5"],
];

// A pad with its tools, inside `host`. `label` is what a screen reader says of it.
export function createPad(host, { onchange = () => {}, pen = 28, label = "Drawing pad" } = {}) {
  const canvas = element("canvas", { class: "pad-canvas", tabindex: "0", role: "application" });
  canvas.setAttribute("aria-label", `${label}. Arrow keys move the pen, space puts it down and lifts it, Delete clears.`);
  const stage = element("div", { class: "pad-stage" }, canvas);
  const thickness = element("input", { type: "range", min: "6", max: "48", value: String(pen), class: "pad-range" });
  thickness.setAttribute("aria-label", "Thickness of the pen");
  const dot = element("span", { class: "pad-dot", "aria-hidden": "true" });
  const tools = element("div", { class: "pad-tools", role: "toolbar", "aria-label": "Tools of the pad" });
  tools.append(element("label", { class: "pad-thickness" }, dot, thickness));
  host.append(stage, tools);
  const buttons = {};
  const pad = new Pad(canvas, { pen, onchange: (changed, whole) => (refresh(), onchange(changed, whole)) });
  for (const [name, text, keys, path] of TOOLS) {
    buttons[name] = toolButton(text, keys, path);
    buttons[name].addEventListener("click", () => pad[name]());
    tools.append(buttons[name]);
  }
  thickness.addEventListener("input", () => {
    pad.pen = Number(thickness.value);
    refresh();
  });
  function refresh() {
    buttons.undo.disabled = !pad.canUndo;
    buttons.redo.disabled = !pad.canRedo;
    buttons.clear.disabled = pad.empty;
    dot.style.setProperty("--pen", pad.pen);
  }
  refresh();
  return Object.assign(pad, { stage, tools });
}

function toolButton(text, keys, path) {
  const button = element("button", { type: "button", class: "tool", "aria-keyshortcuts": keys });
  button.title = `${text} (${keys.replace("Control", "Ctrl")})`;
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 24 28", "aria-hidden": "true" })) icon.setAttribute(name, value);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  icon.append(line);
  button.append(icon, element("span", { class: "tool-text" }, text));
  return button;
}

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
