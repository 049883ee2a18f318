"use strict";
// One person's Telegram: the private chat with the bot, and the channels they are in.

const TAGS = {
  bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", pre: "pre", blockquote: "blockquote",
  expandable_blockquote: "blockquote", spoiler: "span", mention: "span", hashtag: "span", cashtag: "span",
};

// The text as nodes: it is cut wherever an entity begins or ends, and each piece is wrapped in all entities over it.
function formatted(text, entities, wrapper) {
  const cuts = new Set([0, text.length]);
  for (const { offset, length } of entities) cuts.add(offset).add(offset + length);
  const places = [...cuts].sort((a, b) => a - b);
  const whole = document.createDocumentFragment();
  for (let i = 0; i + 1 < places.length; i++) {
    const over = entities.filter((e) => e.offset <= places[i] && e.offset + e.length >= places[i + 1]);
    let node = document.createTextNode(text.slice(places[i], places[i + 1]));
    for (const entity of over.reverse()) {
      const around = wrapper(entity, text.slice(entity.offset, entity.offset + entity.length));
      around.append(node);
      node = around;
    }
    whole.append(node);
  }
  return whole;
}

class Room {
  constructor(chat, id, name, sub) {
    Object.assign(this, { chat, id, name, sub, shown: new Map(), unread: 0 });
    this.log = element("div", "log");
    this.log.setAttribute("role", "log");
    this.log.setAttribute("aria-live", "polite");
    this.log.tabIndex = 0;
    this.tab = pressable("", name, () => chat.go(id));
    this.tab.append(element("span", "badge"));
  }

  take(messages) {
    const stay = !nearEnd(this.log);
    for (const message of messages) this.show(message);
    if (!stay) this.toEnd();
  }

  toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
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
    if (message.photo) {
      const { id, width, height } = message.photo;
      bubble.append(picture({ src: `/photo/${id}`, width, height, alt: "Chart: candles with entry, target and stop" }));
    }
    const text = element("div", "text");
    text.append(formatted(message.text, message.entities, (entity, covered) => this.wrapper(entity, covered)));
    text.append(element("time", "", message.edited ? `edited ${clock(message.at)}` : clock(message.at)));
    bubble.append(text);
    row.append(bubble);
    message.buttons.forEach((buttons, line) => row.append(this.keys(message, buttons, line)));
    return row;
  }

  wrapper(entity, covered) {
    if (entity.type === "bot_command") return pressable("command", "", () => this.chat.say(covered));
    const url = entity.type === "text_link" ? entity.url : entity.type === "url" ? covered : "";
    if (url && isWeb(url)) return leading(url, this.chat.user, "", "command");
    const made = element(TAGS[entity.type] || "span", entity.type);
    return entity.type === "code" ? copied(made, covered) : made;
  }

  quote(id) {
    const quoted = this.shown.get(id)?.message;
    const button = pressable("quote", "", () => pointOut(this.shown.get(id)?.node));
    if (quoted?.photo) {
      const small = element("img");
      Object.assign(small, { src: `/photo/${quoted.photo.id}`, alt: "" });
      button.append(small);
    }
    const words = element("span");
    const name = quoted?.mine ? "You" : this.name;
    words.append(element("b", "", name), element("span", "", quoted?.text.split("\n")[0] || "Message"));
    button.append(words);
    return button;
  }

  keys(message, buttons, line) {
    const row = element("div", "keys");
    buttons.forEach(({ text, url }, place) => row.append(this.key(message, text, url, line, place)));
    return row;
  }

  key(message, text, url, line, place) {
    if (url && isWeb(url)) {
      const made = leading(url, this.chat.user, "key leads", "key");
      made.textContent = text;
      return made;
    }
    const made = pressable("key", text, async () => {
      made.setAttribute("aria-busy", "true");
      const told = await post("/press", { chat: this.chat.user, room: this.id, message: message.id, row: line, place });
      made.removeAttribute("aria-busy");
      if (told?.text) toast(told.text);
    });
    return made;
  }
}

class Chat {
  constructor(user) {
    this.user = user;
    this.tab = String(user);
    this.node = document.getElementById("chat").content.firstElementChild.cloneNode(true);
    this.node.dataset.chat = user;
    this.menu = this.node.querySelector(".menu");
    this.form = this.node.querySelector("form");
    this.strip = this.node.querySelector(".rooms");
    this.opener = this.node.querySelector(".open-menu");
    this.home = new Room(this, user, "SignalStack", "bot");
    this.rooms = new Map([[user, this.home]]);
    this.current = user;
    this.strip.append(this.home.tab);
    this.menu.before(this.home.log);
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
    this.go(this.user);
    post("/say", { chat: this.user, text });
  }

  toggleMenu(open) {
    this.menu.hidden = !open;
    this.opener.setAttribute("aria-expanded", String(open));
    if (open) this.menu.querySelector("button")?.focus({ preventScroll: true });
  }

  take(news) {
    this.title = news.title;
    this.about = news.about;
    this.home.name = news.bot.name;
    this.home.tab.firstChild.data = news.bot.name;
    this.node.setAttribute("aria-label", `Chat of ${news.title}`);
    this.node.classList.toggle("fresh", !news.started);
    this.fillMenu(news.menu);
    this.home.take(news.messages);
    this.greet(news);
    this.name();
  }

  takePlace(news) {
    let room = this.rooms.get(news.channel);
    if (!news.inside) {
      room?.log.remove();
      room?.tab.remove();
      this.rooms.delete(news.channel);
      if (this.current === news.channel) this.go(this.user);
    } else {
      if (!room) {
        room = new Room(this, news.channel, news.name, "");
        room.log.hidden = true;
        this.rooms.set(news.channel, room);
        this.strip.append(room.tab);
        this.menu.before(room.log);
      }
      room.sub = `private channel, ${news.members} subscribers`;
      room.take(news.messages);
    }
    this.strip.hidden = this.rooms.size < 2;
    this.name();
  }

  go(id) {
    if (!this.rooms.has(id)) return;
    this.current = id;
    for (const [number, room] of this.rooms) room.log.hidden = number !== id;
    this.toggleMenu(false);
    this.form.hidden = id !== this.user;
    this.node.querySelector(".read-only").hidden = id === this.user;
    this.rooms.get(id).toEnd();
    this.name();
    mark();
  }

  // The header says whose phone this is, and which of its chats is open.
  name() {
    const large = this.node.classList.contains("large"), room = this.rooms.get(this.current);
    const others = `${this.title}’s chat`;
    this.node.querySelector("h2").textContent = large || room !== this.home ? room.name : others;
    this.node.querySelector(".sub").textContent = large || room !== this.home ? room.sub : this.about;
    this.node.querySelector(".seat").textContent = large ? this.about : "";
    for (const [number, { tab }] of this.rooms) tab.setAttribute("aria-pressed", String(number === this.current));
  }

  toEnd() {
    this.rooms.get(this.current).toEnd();
  }

  get unread() {
    return [...this.rooms.values()].reduce((sum, room) => sum + room.unread, 0);
  }

  mark(visible) {
    if (visible) this.rooms.get(this.current).unread = 0;
    for (const { tab, unread } of this.rooms.values()) badge(tab.querySelector(".badge"), unread);
  }

  greet(news) {
    this.home.log.querySelector(".greeting")?.remove();
    if (this.home.shown.size) return;
    const card = element("div", "greeting");
    card.append(element("h3", "", "What can this bot do?"), element("p", "", news.bot.about || "Press Start to find out."));
    this.home.log.append(card);
  }

  fillMenu(commands) {
    const known = commands.map((c) => c.command + c.description).join("\n");
    if (known === this.known) return;
    this.known = known;
    this.menu.replaceChildren(...commands.map(({ command, description }) => {
      const button = pressable("", "", () => this.say(`/${command}`));
      button.append(element("span", "", description), element("code", "", `/${command}`));
      return button;
    }));
  }
}

// Somebody opens an invite link: they see where it leads, and ask to be let in.
async function openDoor(user, url) {
  const about = await post("/door", { chat: user, link: url });
  if (!about) return;
  const sayWhy = (words) => { toast(words); };
  if (about.state === "invalid") return sayWhy("This invite link no longer works.");
  if (about.state === "inside") {
    view(String(user));
    return chats.get(user).go(about.room);
  }
  const dialog = document.getElementById("door");
  dialog.querySelector("h3").textContent = about.title;
  dialog.querySelector(".sub").textContent = `private channel, ${about.members} subscribers`;
  const ask = dialog.querySelector(".ask");
  ask.textContent = about.state === "asked" ? "Request sent" : about.asks ? "Request to join" : "Join channel";
  ask.disabled = about.state === "asked";
  ask.onclick = async () => {
    dialog.close();
    const { state } = await post("/knock", { chat: user, link: url }) || {};
    const words = {
      asked: "Your request to join was sent.", joined: `You are in ${about.title}.`, inside: `You are in ${about.title}.`,
      banned: "You cannot join: you were removed.", invalid: "This invite link no longer works.",
    };
    if (state) sayWhy(words[state]);
  };
  dialog.showModal();
}

// Somebody opens an invoice: they see what it asks, and pay or not.
async function openInvoice(user, url) {
  const about = await post("/invoice", { chat: user, link: url });
  if (!about) return;
  if (about.state === "invalid") return toast("This invoice does not exist.");
  const dialog = document.getElementById("invoice");
  dialog.querySelector("h3").textContent = about.title;
  dialog.querySelector(".sub").textContent = about.about;
  dialog.querySelector(".words").textContent = about.renews ? "Renewed every 30 days until you cancel." : "Paid once.";
  const ask = dialog.querySelector(".ask");
  ask.textContent = `Pay ★ ${about.stars}`;
  ask.onclick = async () => {
    dialog.close();
    const { text } = await post("/pay", { chat: user, link: url }) || {};
    if (text) toast(text === "paid" ? "Paid." : text);
  };
  dialog.showModal();
}
