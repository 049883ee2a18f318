"use strict";
// What all views are made of. Words that others wrote are only ever set as text.

const SVG = "http://www.w3.org/2000/svg";

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function pressable(className, text, act) {
  const made = element("button", className, text);
  made.type = "button";
  if (act) made.addEventListener("click", act);
  return made;
}

// A piece of code that a tap copies, as the app does it.
function copied(made, words) {
  const copy = async () => {
    await navigator.clipboard.writeText(words);
    toast("Copied.");
  };
  Object.assign(made, { tabIndex: 0, title: "Copy" });
  made.setAttribute("role", "button");
  made.addEventListener("click", copy);
  made.addEventListener("keydown", (event) => event.key === "Enter" && copy());
  return made;
}

function icon(path, size = 18) {
  const svg = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "path");
  for (const [name, value] of Object.entries({ viewBox: "0 0 20 20", width: size, height: size, "aria-hidden": "true" })) {
    svg.setAttribute(name, value);
  }
  for (const [name, value] of Object.entries({
    d: path, fill: "none", stroke: "currentColor", "stroke-width": "1.75", "stroke-linecap": "round", "stroke-linejoin": "round",
  })) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

function avatar(size) {
  const made = element("img", "avatar");
  Object.assign(made, { src: "mark.svg", alt: "", width: size, height: size });
  return made;
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
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

// What a link does for this person: most lead out of the page, those of the chats themselves lead to places on it.
function leading(url, of, className = "", inner = className) {
  const act = inside(url, of);
  return act ? pressable(inner, "", act) : link(url, className);
}

function inside(url, of) {
  const start = url.match(/^https:\/\/t\.me\/\w+\?start=([\w-]{1,64})$/);
  if (start) return () => { view(String(of)); chats.get(of).say(`/start ${start[1]}`); };
  if (/^https:\/\/t\.me\/\+/.test(url)) return () => openDoor(of, url);
  if (/^https?:\/\/[^/]+\/\$\w+$/.test(url)) return () => openInvoice(of, url);
  const place = url.match(/^https:\/\/discord\.com\/channels\/(?:\d+|@me)\/(\d+)/);
  if (place && servers.has(of)) return () => { view(servers.get(of).tab); servers.get(of).go(place[1]); };
  return null;
}

// A picture that grows when it is pressed.
function picture({ src, width, height, alt }) {
  const button = pressable("photo");
  const image = element("img");
  if (width && height) Object.assign(image, { width, height });
  Object.assign(image, { alt, src });
  button.append(image);
  button.addEventListener("click", () => {
    const dialog = document.getElementById("picture");
    dialog.querySelector("img").src = image.src;
    dialog.showModal();
  });
  return button;
}

function pointOut(node) {
  node?.scrollIntoView({ block: "center", behavior: "smooth" });
  node?.classList.add("found");
  setTimeout(() => node?.classList.remove("found"), 1600);
}

function nearEnd(log) {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 120;
}

function badge(node, number) {
  node.textContent = number ? String(Math.min(number, 99)) : "";
}
