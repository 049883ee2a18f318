"use strict";
// One person's Discord: a server with its channels, the private chat with the bot, and answers only they can see.

const STYLES = { 1: "primary", 2: "secondary", 3: "success", 4: "danger" };
const HASH = "M8 3 6.5 17M13.5 3 12 17M3.5 7.5h14M2.5 12.5h14";
const LOCK = "M5 9h10v7.5H5zM7 9V6.5a3 3 0 0 1 6 0V9";
const TOGETHER = 7 * 60;

class Channel {
  constructor(server, { id, name, topic, closed }) {
    Object.assign(this, { server, id, name, topic, closed, shown: new Map(), unread: 0 });
    const dm = id === "dm";
    this.tab = pressable(dm ? "channel person" : "channel", "", () => server.go(id));
    this.tab.append(dm ? avatar(20) : icon(closed ? LOCK : HASH, 16), element("span", "", name), element("span", "badge"));
    this.log = element("div", "posts");
    this.log.setAttribute("role", "log");
    this.log.setAttribute("aria-live", "polite");
    this.log.tabIndex = 0;
    this.log.append(this.beginning());
  }

  beginning() {
    const dm = this.id === "dm", made = element("div", "beginning");
    const round = element("div", "round");
    round.append(dm ? avatar(40) : icon(this.closed ? LOCK : HASH, 28));
    const welcome = dm ? this.name : `Welcome to #${this.name}!`;
    const words = dm ? `This is the beginning of your private chat with ${this.name}.`
      : `This is the start of the ${this.closed ? "private " : ""}#${this.name} channel.`;
    made.append(round, element("h3", "", welcome), element("p", "", `${words} Type / to see what you can ask.`));
    return made;
  }

  show(message) {
    const before = this.shown.get(message.id);
    const previous = before ? before.previous : [...this.shown.values()].at(-1)?.message;
    const made = message.deleted ? element("div", "post deleted") : this.post(message, previous);
    made.dataset.message = message.id;
    if (before) before.node.replaceWith(made);
    else {
      this.log.append(made);
      this.unread++;
    }
    this.shown.set(message.id, { node: made, message, previous });
  }

  post(message, previous) {
    const post = element("article", message.only ? "post only" : "post");
    const above = message.reply ? this.answered(message.reply) : message.command ? this.asked(message.command) : null;
    const joined = previous && !above && !previous.deleted && previous.author.name === message.author.name
      && previous.only === message.only && message.at - previous.at < TOGETHER;
    post.classList.toggle("joined", Boolean(joined));
    if (above) post.append(above);
    if (!joined) post.append(avatar(40), this.head(message));
    const body = element("div", "body");
    if (message.thinking) body.append(element("p", "thinking", `${message.author.name} is thinking`));
    if (message.text) body.append(this.words(message.text));
    body.append(...message.files.map((file) => this.file(file)), ...message.embeds.map((embed) => this.embed(embed)));
    body.append(...message.rows.map((parts) => this.row(message, parts)));
    if (message.only && !message.thinking) body.append(this.dismissing(post));
    post.append(body);
    return post;
  }

  head(message) {
    const head = element("p", "head");
    head.append(element("b", "", message.author.name));
    if (message.author.bot) head.append(element("span", "app", "APP"));
    head.append(element("time", "", clock(message.at)));
    return head;
  }

  words(text) {
    const made = element("div", "words");
    made.append(marked(text, this.server.of));
    return made;
  }

  answered(id) {
    const to = this.shown.get(id), head = to?.message.embeds[0];
    const button = pressable("above answered", "", () => pointOut(this.shown.get(id)?.node));
    const told = element("span", "told");
    told.append(marked(head?.title || head?.text || to?.message.text || "Message", this.server.of));
    button.append(avatar(16), element("b", "", to?.message.author.name || this.server.bot), told);
    return button;
  }

  asked({ who, words }) {
    const made = element("p", "above asked");
    made.append(element("span", "face", who[0]), element("b", "", who), " used ", element("span", "used", `/${words}`));
    return made;
  }

  dismissing(post) {
    const note = element("p", "note");
    const away = pressable("", "Dismiss message", () => post.remove());
    note.append(icon("M2 10s3-5 8-5 8 5 8 5-3 5-8 5-8-5-8-5M10 8a2 2 0 1 0 0 4 2 2 0 0 0 0-4", 15), "Only you can see this · ", away);
    return note;
  }

  file(file) {
    if (file.picture) return picture({ src: file.url, width: file.width, height: file.height, alt: file.alt || file.name });
    const made = link(file.url, "file");
    made.textContent = file.name;
    return made;
  }

  embed(embed) {
    const box = element("div", "embed");
    if (embed.colour !== null) box.style.borderInlineStartColor = `#${embed.colour.toString(16).padStart(6, "0")}`;
    if (embed.author) box.append(element("p", "by", embed.author));
    if (embed.title) {
      const title = element("p", "title");
      title.append(marked(embed.title, this.server.of));
      box.append(title);
    }
    if (embed.text) box.append(this.words(embed.text));
    if (embed.fields.length) box.append(this.fields(embed.fields));
    for (const shown of [embed.image, embed.thumbnail]) if (shown) box.append(this.file({ ...shown, picture: true, alt: shown.alt || "Chart" }));
    if (embed.footer) box.append(element("p", "footer", embed.footer));
    return box;
  }

  fields(fields) {
    const grid = element("dl", "fields");
    for (const { name, value, inline } of fields) {
      const pair = element("div", inline ? "inline" : "");
      const term = element("dt"), told = element("dd");
      term.append(marked(name, this.server.of));
      told.append(marked(value, this.server.of));
      pair.append(term, told);
      grid.append(pair);
    }
    return grid;
  }

  // --- buttons and menus

  row(message, parts) {
    const row = element("div", "parts");
    row.append(...parts.map((part) => (part.options ? this.choice(message, part) : this.button(message, part))));
    return row;
  }

  button(message, part) {
    const words = [part.emoji, part.text].filter(Boolean).join(" ");
    if (part.url && isWeb(part.url)) {
      const made = leading(part.url, this.server.of, "part secondary leads", "part secondary");
      made.textContent = words;
      return made;
    }
    const made = pressable(`part ${STYLES[part.style] || "secondary"}`, words, () => this.use(made, message, part.id));
    made.disabled = part.off;
    return made;
  }

  choice(message, part) {
    const menu = element("select", "part choice");
    menu.setAttribute("aria-label", part.hint || "Choose");
    menu.disabled = part.off;
    menu.append(new Option(part.hint || "Make a selection", "", true, true));
    for (const { label, value, description } of part.options) menu.append(new Option(description ? `${label}: ${description}` : label, value));
    menu.options[0].hidden = true;
    menu.addEventListener("change", () => this.use(menu, message, part.id, [menu.value]));
    return menu;
  }

  async use(node, message, id, values) {
    node.setAttribute("aria-busy", "true");
    const told = await post("/discord/use", { user: this.server.user, message: message.id, id, values });
    node.removeAttribute("aria-busy");
    if (node.options) node.selectedIndex = 0;
    if (told?.text) toast(`${told.text}.`);
  }
}

class Server {
  constructor(user, of) {
    Object.assign(this, { user, of, tab: `d${user}`, channels: new Map(), current: "" });
    this.node = document.getElementById("server").content.firstElementChild.cloneNode(true);
    this.node.dataset.server = user;
    this.logs = this.node.querySelector(".logs");
    this.list = this.node.querySelector(".channels");
    this.people = this.node.querySelector(".people");
    this.composer = new Composer(this, this.node.querySelector(".compose"), this.node.querySelector(".picker"));
  }

  take(news) {
    if (news.name !== undefined) this.head(news);
    for (const message of news.messages) {
      const channel = this.channels.get(message.channel);
      const stay = !channel || !nearEnd(channel.log);
      channel?.show(message);
      if (!stay) channel.log.scrollTop = channel.log.scrollHeight;
    }
  }

  head(news) {
    Object.assign(this, { title: news.title, bot: news.bot, guild: news.guild, commands: news.commands });
    this.node.setAttribute("aria-label", `Discord of ${news.title}`);
    this.node.querySelector(".guild").textContent = news.name;
    this.node.querySelector(".me b").textContent = news.person;
    this.node.querySelector(".me .face").textContent = news.person[0];
    this.node.querySelector(".me small").textContent = news.roles.length ? news.roles.join(", ") : "no role";
    this.node.classList.toggle("online", news.online);
    const wanted = [...news.channels, { id: "dm", name: news.bot, topic: news.online ? "online" : "offline", closed: true }];
    for (const [id, channel] of this.channels) if (!wanted.some((one) => one.id === id)) this.remove(channel);
    for (const one of wanted) {
      if (!this.channels.has(one.id)) this.add(one);
      Object.assign(this.channels.get(one.id), one);
    }
    if (!this.channels.has(this.current)) this.go(wanted[0].id);
    else this.name();
    this.composer.refresh();
  }

  add(one) {
    const channel = new Channel(this, one);
    channel.log.hidden = true;
    this.channels.set(one.id, channel);
    (one.id === "dm" ? this.people : this.list).append(channel.tab);
    this.logs.append(channel.log);
  }

  remove(channel) {
    channel.tab.remove();
    channel.log.remove();
    this.channels.delete(channel.id);
  }

  go(id) {
    if (!this.channels.has(id)) return;
    this.current = id;
    for (const [number, { log, tab }] of this.channels) {
      log.hidden = number !== id;
      tab.setAttribute("aria-pressed", String(number === id));
    }
    this.composer.cancel();
    this.toEnd();
    this.name();
    mark();
  }

  name() {
    const { id, name, topic, closed } = this.channels.get(this.current);
    this.node.querySelector(".where .sign").replaceChildren(id === "dm" ? avatar(22) : icon(closed ? LOCK : HASH, 20));
    this.node.querySelector(".where h2").textContent = name;
    this.node.querySelector(".where .topic").textContent = topic;
  }

  toEnd() {
    const { log } = this.channels.get(this.current);
    log.scrollTop = log.scrollHeight;
  }

  get unread() {
    return [...this.channels.values()].reduce((sum, channel) => sum + channel.unread, 0);
  }

  mark(visible) {
    if (visible && this.current) this.channels.get(this.current).unread = 0;
    for (const { tab, unread } of this.channels.values()) badge(tab.querySelector(".badge"), unread);
  }

  offered() {
    return this.commands[this.current === "dm" ? "dm" : "server"];
  }
}
