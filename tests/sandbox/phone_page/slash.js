"use strict";
// The line at the bottom of Discord: "/" opens the list of commands, a chosen command asks for its options.

class Composer {
  constructor(server, form, picker) {
    Object.assign(this, { server, form, picker, chosen: null, active: 0, rows: [], asked: 0 });
    this.line = form.elements.text;
    this.fields = form.querySelector(".fields");
    form.querySelector(".slash").addEventListener("click", () => this.begin());
    form.querySelector(".cancel").addEventListener("click", () => this.cancel());
    this.line.addEventListener("input", () => this.list());
    form.addEventListener("keydown", (event) => this.key(event));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    form.addEventListener("focusout", () => setTimeout(() => {
      if (!server.node.contains(document.activeElement)) this.close();
    }, 150));
    this.cancel();
  }

  refresh() {
    this.line.placeholder = "Type / to ask SignalStack";
    if (this.listed) this.list();
  }

  begin() {
    this.cancel();
    this.line.value = "/";
    this.line.focus();
    this.list();
  }

  cancel() {
    this.chosen = null;
    this.form.classList.remove("asking");
    this.fields.replaceChildren();
    this.line.value = "";
    this.close();
  }

  close() {
    this.listed = false;
    this.picker.hidden = true;
    this.rows = [];
  }

  // --- the list

  list() {
    if (!this.line.value.startsWith("/")) return this.close();
    this.listed = true;
    const typed = this.line.value.slice(1).trim().toLowerCase();
    const found = this.server.offered().filter(({ words, about }) => words.includes(typed) || about.toLowerCase().includes(typed));
    found.sort((a, b) => Number(b.words.startsWith(typed)) - Number(a.words.startsWith(typed)));
    const rows = [];
    let group = null;
    for (const command of found) {
      if (command.group && command.group !== group) rows.push(element("p", "group", command.group));
      group = command.group;
      rows.push(this.command(command));
    }
    if (!found.length) rows.push(element("p", "group", this.server.offered().length ? "No such command" : "SignalStack offers no commands yet"));
    this.open(rows);
  }

  command(command) {
    const row = pressable("option", "", () => this.choose(command));
    const words = element("b", "", `/${command.words}`);
    for (const { name, required } of command.options) words.append(element("span", "needs", required ? name : `${name}?`));
    row.append(words, element("span", "", command.about));
    return row;
  }

  open(rows) {
    this.picker.replaceChildren(...rows);
    this.picker.hidden = false;
    this.picker.scrollTop = 0;
    this.rows = rows.filter((row) => row.classList.contains("option"));
    this.point(0);
  }

  point(place) {
    this.active = Math.max(0, Math.min(place, this.rows.length - 1));
    this.rows.forEach((row, at) => row.classList.toggle("active", at === this.active));
    this.rows[this.active]?.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    if (event.key === "Escape") return this.chosen && !this.rows.length ? this.cancel() : this.close();
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!this.rows.length) return;
      event.preventDefault();
      this.point(this.active + (event.key === "ArrowDown" ? 1 : -1));
    } else if ((event.key === "Enter" || (event.key === "Tab" && !this.chosen)) && this.rows.length) {
      event.preventDefault();
      this.rows[this.active].click();
    }
  }

  // --- a command and its options

  choose(command) {
    this.close();
    this.chosen = command;
    if (!command.options.length) return this.send();
    this.form.classList.add("asking");
    this.form.querySelector(".chosen").textContent = `/${command.words}`;
    this.fields.replaceChildren(...command.options.map((option) => this.field(option)));
    this.fields.querySelector("input, select").focus();
  }

  field(option) {
    const label = element("label", "field");
    label.title = option.about;
    const input = option.choices.length ? this.choices(option) : element("input");
    input.dataset.option = option.name;
    input.required = option.required;
    input.autocomplete = "off";
    if (option.number) input.inputMode = "numeric";
    if (!option.choices.length) {
      input.placeholder = option.about;
      input.addEventListener("input", () => delete input.dataset.value);
    }
    if (option.suggests) {
      input.addEventListener("input", () => this.suggest(input, option));
      input.addEventListener("focus", () => this.suggest(input, option));
    }
    label.append(element("span", "", option.required ? option.name : `${option.name} (optional)`), input);
    return label;
  }

  choices(option) {
    const menu = element("select");
    menu.append(new Option(option.required ? "Choose …" : "–", ""));
    option.choices.forEach(({ name }, place) => menu.append(new Option(name, String(place))));
    return menu;
  }

  async suggest(input, option) {
    const number = ++this.asked;
    await new Promise((resolve) => setTimeout(resolve, 150));
    if (number !== this.asked || !this.chosen) return;
    const { words } = this.chosen;
    const told = await post("/discord/suggest", { ...this.where(), words, option: option.name, value: input.value });
    if (number !== this.asked || !this.chosen || !told) return;
    this.open(told.choices.map(({ name, value }) => pressable("option", name, () => {
      input.value = name;
      input.dataset.value = value;
      this.asked++;
      this.close();
      input.focus({ preventScroll: true });
      this.asked++;
    })));
    this.picker.hidden = !told.choices.length;
  }

  where() {
    return { user: this.server.user, channel: this.server.current };
  }

  async send() {
    if (!this.chosen) {
      if (this.line.value.trim()) toast("Here one asks with commands: type / to see them.");
      return;
    }
    const options = {};
    for (const input of this.fields.querySelectorAll("[data-option]")) {
      const option = this.chosen.options.find(({ name }) => name === input.dataset.option);
      const value = input.options ? option.choices[Number(input.value)]?.value : input.dataset.value ?? input.value.trim();
      if (input.value !== "") options[option.name] = value;
    }
    const { words } = this.chosen, where = this.where();
    this.cancel();
    const told = await post("/discord/slash", { ...where, words, options });
    if (told?.text) toast(`${told.text}.`);
  }
}
