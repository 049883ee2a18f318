"use strict";
// The page as a whole: its views, and what arrives for them.

const chats = new Map();
const servers = new Map();
const tabs = document.querySelector(".tabs");
const sides = document.querySelector(".sides");

let toasting;
function toast(text) {
  const shown = document.getElementById("toast");
  shown.textContent = text;
  shown.classList.add("shown");
  clearTimeout(toasting);
  toasting = setTimeout(() => shown.classList.remove("shown"), 4000);
}

async function post(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    if (answer.status === 409) return toast(await answer.text()), null;
    if (!answer.ok) throw new Error();
    return await answer.json();
  } catch {
    toast("That did not work. Is the sandbox still running?");
    return null;
  }
}

function windows() {
  return [...chats.values(), ...servers.values()];
}

// Narrow screens show one view at a time, middle ones one beside the first person's chat, wide ones all.
function view(name) {
  document.body.dataset.shown = name;
  const first = windows()[0];
  if (name !== first?.tab && name !== "panel") document.body.dataset.beside = name;
  for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.dataset.tab === name));
  for (const tab of sides.children) tab.setAttribute("aria-pressed", String(tab.dataset.tab === document.body.dataset.beside));
  for (const one of windows()) {
    one.node.classList.toggle("current", one.tab === name);
    one.node.classList.toggle("beside", one.tab === document.body.dataset.beside);
    if (one.tab === name) one.toEnd();
  }
  mark();
}

// `after` names the view behind whose tab this one stands; without it, it is the last.
function addTab(name, text, { large = false, after = "" } = {}) {
  for (const nav of large ? [tabs] : [tabs, sides]) {
    const tab = pressable("", text, () => {
      document.body.dataset.chosen = name;
      view(name);
    });
    tab.dataset.tab = name;
    tab.append(element("span", "badge"));
    const before = nav.querySelector(`[data-tab="${after}"]`);
    if (before) before.after(tab);
    else if (after) nav.prepend(tab);
    else nav.append(tab);
  }
}

function mark() {
  for (const one of windows()) {
    one.mark(one.node.offsetParent !== null);
    for (const nav of [tabs, sides]) {
      const shown = nav.querySelector(`[data-tab="${one.tab}"] .badge`);
      if (shown) badge(shown, one.unread);
    }
  }
}

function added(one, text, where = {}) {
  document.getElementById("chats").append(one.node);
  addTab(one.tab, text, where);
  const shown = document.body.dataset;
  if (!where.large && (!shown.beside || (where.after && !shown.chosen))) shown.beside = one.tab;
  view(where.large ? one.tab : shown.shown);
}

function takeChat(news) {
  let chat = chats.get(news.chat);
  if (!chat) {
    chat = new Chat(news.chat);
    chat.node.classList.add(chats.size ? "small" : "large");
    chats.set(news.chat, chat);
    added(chat, news.title, { large: chats.size === 1 });
  }
  chat.take(news);
  if (chats.size === 1) document.body.classList.toggle("begun", news.started);
}

function takeServer(news) {
  let server = [...servers.values()].find(({ user }) => user === news.server);
  if (!server) {
    server = new Server(news.server, news.of);
    servers.set(news.of, server);
    document.body.classList.add("with-discord");
    server.head(news);
    added(server, servers.size > 1 ? `${news.title} on Discord` : "Discord", { after: String(news.of) });
  }
  server.take(news);
}

addTab("panel", "What happens", { large: true });
const source = new EventSource("/events");
const gone = document.getElementById("gone");
source.addEventListener("open", () => { gone.hidden = true; });
source.addEventListener("error", () => { gone.hidden = false; });
source.addEventListener("message", ({ data }) => {
  const news = JSON.parse(data);
  if (news.facts) takeFacts(news.facts);
  else if (news.server) takeServer(news);
  else if (news.channel) chats.get(news.of)?.takePlace(news);
  else takeChat(news);
  mark();
});
addEventListener("resize", mark);
