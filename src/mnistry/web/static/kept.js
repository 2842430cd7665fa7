// Corrected readings: kept by the service, listed with their pictures, deleted, exported and imported.

import { element } from "./pad.js";
import { ask } from "./reader.js";

const SHOWN = 60; // pictures of the list; all are exported
const find = (id) => document.getElementById(id);

export class Kept {
  constructor(toast) {
    this._toast = toast;
    find("import").addEventListener("click", () => find("import-file").click());
    find("import-file").addEventListener("change", () => this._import());
  }

  // Whether the service keeps corrections at all.
  async open() {
    try {
      await this._list();
      return true;
    } catch (problem) {
      if (problem.status !== 404) this._toast(problem.message);
      return false;
    }
  }

  async add(picture, label, read) {
    const query = new URLSearchParams({ label, read });
    try {
      const { id } = await ask(`corrections?${query}`, { method: "POST", body: picture });
      await this._list();
      this._toast(label === "?" ? "Kept: this is no digit." : `Kept: this is ${label.replaceAll("\n", " / ")}.`, () => this._delete(id));
    } catch (problem) {
      this._toast(problem.message);
    }
  }

  async _list() {
    const { corrections } = await ask("corrections");
    find("kept").hidden = corrections.length === 0 && !this._opened;
    this._opened ||= corrections.length > 0;
    find("export").hidden = corrections.length === 0;
    find("kept-words").textContent = corrections.length
      ? `${corrections.length} ${corrections.length === 1 ? "picture teaches" : "pictures teach"} it your hand.`
      : "None yet.";
    find("corrections").replaceChildren(...corrections.slice(0, SHOWN).map((each) => this._row(each)));
  }

  _row({ id, label, read }) {
    const shown = label.replaceAll("\n", " / ");
    const picture = element("img", { src: `corrections/${id}/picture`, alt: `Picture of ${shown}`, loading: "lazy" });
    const button = element("button", { type: "button", class: "forget" }, "\u00d7");
    button.setAttribute("aria-label", `Delete the correction ${shown}`);
    button.addEventListener("click", () => this._delete(id));
    const words = element("p", {}, element("strong", {}, shown));
    if (read && read !== label) words.append(" ", element("s", {}, read.replaceAll("\n", " / ")));
    return element("li", {}, picture, words, button);
  }

  async _delete(id) {
    try {
      await ask(`corrections/${id}`, { method: "DELETE" });
      await this._list();
    } catch (problem) {
      this._toast(problem.message);
    }
  }

  async _import() {
    const [file] = find("import-file").files;
    find("import-file").value = "";
    if (!file) return;
    try {
      const { added, known } = await ask("corrections/import", { method: "POST", body: file });
      await this._list();
      this._toast(`${added} added, ${known} known already.`);
    } catch (problem) {
      this._toast(problem.message);
    }
  }
}
