"use strict";

const chats = new Map();
const tabs = document.querySelector(".tabs");
const SVG = "http://www.w3.org/2000/svg";

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
    if (!answer.ok) throw new Error();
    return await answer.json();
  } catch {
    toast("That did not work. Is the sandbox still running?");
    return null;
  }
}

// Narrow screens show one view at a time.
function view(name) {
  document.body.dataset.shown = name;
  for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.dataset.tab === name));
  for (const [user, chat] of chats) chat.node.classList.toggle("current", String(user) === name);
  chats.get(Number(name))?.toEnd();
  mark();
}

function addTab(name, text) {
  const tab = element("button", "", text);
  tab.type = "button";
  tab.dataset.tab = name;
  tab.append(element("span", "badge"));
  tab.addEventListener("click", () => view(name));
  tabs.append(tab);
}

function mark() {
  const narrow = matchMedia("(max-width: 59.99rem)").matches;
  for (const [user, chat] of chats) {
    if (!narrow || document.body.dataset.shown === String(user)) chat.unread = 0;
    const badge = tabs.querySelector(`[data-tab="${user}"] .badge`);
    badge.textContent = chat.unread ? String(Math.min(chat.unread, 99)) : "";
  }
}

function takeChat(news) {
  let chat = chats.get(news.chat);
  if (!chat) {
    chat = new Chat(news.chat, post);
    chat.node.classList.add(chats.size ? "small" : "large");
    chats.set(news.chat, chat);
    document.getElementById("chats").append(chat.node);
    addTab(String(news.chat), news.title);
    if (chats.size === 1) view(String(news.chat));
  }
  chat.take(news);
  if (chats.size === 1) document.body.classList.toggle("begun", news.started);
  mark();
}

function curve(closes) {
  const svg = document.createElementNS(SVG, "svg");
  const low = Math.min(...closes), high = Math.max(...closes);
  const points = closes.map((close, i) => {
    const x = (i / Math.max(1, closes.length - 1)) * 100;
    return `${x.toFixed(2)},${(26 - ((close - low) / (high - low || 1)) * 24).toFixed(2)}`;
  });
  svg.setAttribute("viewBox", "0 0 100 28");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  return svg;
}

function market({ symbol, closes, last }) {
  const row = element("div", "pair");
  row.append(element("b", "", symbol), curve(closes), element("span", "", last));
  return row;
}

function takeFacts(facts) {
  const label = document.getElementById("label");
  label.textContent = facts.label;
  label.classList.toggle("played", !facts.real);
  document.getElementById("real").textContent = facts.real
    ? "; the candles are Binance’s of 2023, played faster." : ". The candles are a simulated market.";
  document.getElementById("clock").textContent = facts.clock;
  document.getElementById("markets").replaceChildren(...facts.markets.map(market));
  document.getElementById("plan").textContent = facts.plan;
  document.getElementById("resting").hidden = !facts.waiting;
  for (const button of document.querySelectorAll("[data-deed][aria-pressed]")) {
    button.setAttribute("aria-pressed", String(button.dataset.deed === facts.pace));
  }
  const next = facts.steps.findIndex(({ done }) => !done);
  document.getElementById("steps").replaceChildren(...facts.steps.map(({ text, done }, i) => {
    const step = element("li", done ? "done" : i === next ? "next" : "", text);
    if (i === next) step.setAttribute("aria-current", "step");
    return step;
  }));
  const told = facts.told.map(({ at, text }) => {
    const row = element("li");
    row.append(element("time", "", at), element("span", "", text));
    return row;
  });
  document.getElementById("told").replaceChildren(...(told.length ? told : [element("li", "quiet", "Nothing yet.")]));
  const places = Object.entries(facts.links).map(([name, url]) => {
    const made = link(url);
    made.textContent = name;
    return made;
  });
  document.getElementById("links").replaceChildren(...places);
}

for (const button of document.querySelectorAll("[data-deed]")) {
  button.addEventListener("click", async () => {
    button.setAttribute("aria-busy", "true");
    const told = await post(`/deed/${button.dataset.deed}`, {});
    button.removeAttribute("aria-busy");
    if (told?.text) toast(told.text);
  });
}

addTab("panel", "What happens");
const source = new EventSource("/events");
const gone = document.getElementById("gone");
source.addEventListener("open", () => { gone.hidden = true; });
source.addEventListener("error", () => { gone.hidden = false; });
source.addEventListener("message", ({ data }) => {
  const news = JSON.parse(data);
  if (news.facts) takeFacts(news.facts);
  else takeChat(news);
});
addEventListener("resize", mark);
