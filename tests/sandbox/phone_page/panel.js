"use strict";
// What is happening beside the chats, and what a visitor may set going.

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
  document.getElementById("more").hidden = !facts.shop;
  for (const button of document.querySelectorAll("[data-deed][aria-pressed]")) {
    button.setAttribute("aria-pressed", String(button.dataset.deed === facts.pace));
  }
  takeSteps(facts.steps);
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

function takeSteps(steps) {
  const next = steps.findIndex(({ done }) => !done);
  document.getElementById("steps").replaceChildren(...steps.map(({ text, done }, i) => {
    const step = element("li", done ? "done" : i === next ? "next" : "", text);
    if (i === next) step.setAttribute("aria-current", "step");
    return step;
  }));
}

for (const button of document.querySelectorAll("[data-deed]")) {
  button.addEventListener("click", async () => {
    button.setAttribute("aria-busy", "true");
    const told = await post(`/deed/${button.dataset.deed}`, {});
    button.removeAttribute("aria-busy");
    if (told?.text) toast(told.text);
  });
}
