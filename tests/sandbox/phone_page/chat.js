"use strict";
// One chat on the page. Text from the bot is only ever set as text; formatting comes from Telegram's entities.

const TAGS = {
  bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", pre: "pre", blockquote: "blockquote",
  expandable_blockquote: "blockquote", spoiler: "span", mention: "span", hashtag: "span", cashtag: "span",
};

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function isWeb(url) {
  try {
    return ["http:", "https:"].includes(new URL(url).protocol);
  } catch {
    return false;
  }
}

function link(url, className = "") {
  const made = element("a", className);
  made.href = url;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
}

// The text as nodes: it is cut wherever an entity begins or ends, and each piece is wrapped in all entities over it.
function formatted(text, entities, say) {
  const cuts = new Set([0, text.length]);
  for (const { offset, length } of entities) cuts.add(offset).add(offset + length);
  const places = [...cuts].sort((a, b) => a - b);
  const whole = document.createDocumentFragment();
  for (let i = 0; i + 1 < places.length; i++) {
    const piece = text.slice(places[i], places[i + 1]);
    const over = entities.filter((e) => e.offset <= places[i] && e.offset + e.length >= places[i + 1]);
    let node = document.createTextNode(piece);
    for (const entity of over.reverse()) {
      const around = wrapper(entity, text.slice(entity.offset, entity.offset + entity.length), say);
      around.append(node);
      node = around;
    }
    whole.append(node);
  }
  return whole;
}

function wrapper(entity, covered, say) {
  if (entity.type === "bot_command") {
    const button = element("button", "command");
    button.type = "button";
    button.addEventListener("click", () => say(covered));
    return button;
  }
  const url = entity.type === "text_link" ? entity.url : entity.type === "url" ? covered : "";
  if (url && isWeb(url)) return link(url);
  return element(TAGS[entity.type] || "span", entity.type);
}

class Chat {
  constructor(user, post) {
    this.user = user;
    this.post = post;
    this.shown = new Map();
    this.unread = 0;
    this.node = document.getElementById("chat").content.firstElementChild.cloneNode(true);
    this.node.dataset.chat = user;
    this.log = this.node.querySelector(".log");
    this.menu = this.node.querySelector(".menu");
    this.form = this.node.querySelector("form");
    this.opener = this.node.querySelector(".open-menu");
    this.opener.addEventListener("click", () => this.toggleMenu(this.menu.hidden));
    this.node.querySelector(".start").addEventListener("click", () => this.say("/start"));
    this.node.addEventListener("keydown", (event) => event.key === "Escape" && this.toggleMenu(false));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.form.elements.text.value.trim();
      if (text) this.say(text);
      this.form.reset();
    });
  }

  say(text) {
    this.toggleMenu(false);
    this.post("/say", { chat: this.user, text });
  }

  toggleMenu(open) {
    this.menu.hidden = !open;
    this.opener.setAttribute("aria-expanded", String(open));
    if (open) this.menu.querySelector("button")?.focus({ preventScroll: true });
  }

  take(news) {
    this.title = news.title;
    this.bot = news.bot;
    this.node.setAttribute("aria-label", `Chat of ${news.title}`);
    const large = this.node.classList.contains("large");
    this.node.querySelector("h2").textContent = large ? news.bot.name : `${news.title}’s chat`;
    this.node.querySelector(".sub").textContent = large ? "bot" : news.about;
    this.node.querySelector(".seat").textContent = large ? news.about : "";
    this.node.classList.toggle("fresh", !news.started);
    this.fillMenu(news.menu);
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 120;
    for (const message of news.messages) this.show(message);
    this.greet(news);
    if (atEnd) this.toEnd();
  }

  toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
  }

  greet(news) {
    this.log.querySelector(".greeting")?.remove();
    if (this.shown.size) return;
    const card = element("div", "greeting");
    card.append(element("h3", "", "What can this bot do?"), element("p", "", news.bot.about || "Press Start to find out."));
    this.log.append(card);
  }

  fillMenu(commands) {
    const known = commands.map((c) => c.command + c.description).join("\n");
    if (known === this.known) return;
    this.known = known;
    this.menu.replaceChildren(...commands.map(({ command, description }) => {
      const button = element("button");
      button.type = "button";
      button.append(element("span", "", description), element("code", "", `/${command}`));
      button.addEventListener("click", () => this.say(`/${command}`));
      return button;
    }));
  }

  show(message) {
    const made = message.deleted ? element("div", "row deleted") : this.row(message);
    made.dataset.message = message.id;
    const before = this.shown.get(message.id);
    if (before) before.node.replaceWith(made);
    else {
      this.log.append(made);
      if (!message.mine) this.unread++;
    }
    this.shown.set(message.id, { node: made, message });
  }

  row(message) {
    const row = element("div", message.mine ? "row mine" : "row");
    const bubble = element("div", message.photo ? "bubble with-photo" : "bubble");
    if (message.reply !== null) bubble.append(this.quote(message.reply));
    if (message.photo) bubble.append(this.photo(message.photo));
    const text = element("div", "text");
    text.append(formatted(message.text, message.entities, (words) => this.say(words)));
    const at = new Date(message.at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    text.append(element("time", "", message.edited ? `edited ${at}` : at));
    bubble.append(text);
    row.append(bubble);
    message.buttons.forEach((buttons, line) => row.append(this.keys(message, buttons, line)));
    return row;
  }

  quote(id) {
    const quoted = this.shown.get(id)?.message;
    const button = element("button", "quote");
    button.type = "button";
    if (quoted?.photo) {
      const small = element("img");
      small.src = `/photo/${quoted.photo.id}`;
      small.alt = "";
      button.append(small);
    }
    const words = element("span");
    words.append(element("b", "", quoted?.mine ? "You" : this.bot.name), element("span", "", quoted?.text.split("\n")[0] || "Message"));
    button.append(words);
    button.addEventListener("click", () => {
      const node = this.shown.get(id)?.node;
      node?.scrollIntoView({ block: "center", behavior: "smooth" });
      node?.classList.add("found");
      setTimeout(() => node?.classList.remove("found"), 1600);
    });
    return button;
  }

  photo(photo) {
    const button = element("button", "photo");
    const image = element("img");
    button.type = "button";
    image.width = photo.width;
    image.height = photo.height;
    image.alt = "Chart: candles with entry, target and stop";
    image.src = `/photo/${photo.id}`;
    button.append(image);
    button.addEventListener("click", () => {
      const dialog = document.getElementById("picture");
      dialog.querySelector("img").src = image.src;
      dialog.showModal();
    });
    return button;
  }

  keys(message, buttons, line) {
    const row = element("div", "keys");
    buttons.forEach(({ text, url }, place) => row.append(this.key(message, text, url, line, place)));
    return row;
  }

  key(message, text, url, line, place) {
    const start = url && url.match(/^https:\/\/t\.me\/(\w+)\?start=([\w-]{1,64})$/);
    if (url && isWeb(url) && !start) {
      const made = link(url, "key leads");
      made.textContent = text;
      return made;
    }
    const made = element("button", "key", text);
    made.type = "button";
    made.addEventListener("click", async () => {
      if (start) return this.say(`/start ${start[2]}`);
      made.setAttribute("aria-busy", "true");
      const told = await this.post("/press", { chat: this.user, message: message.id, row: line, place });
      made.removeAttribute("aria-busy");
      if (told?.text) toast(told.text);
    });
    return made;
  }
}
