// The figures of the status page as they change. Without this file the page shows them as they were when it was loaded.
"use strict";

const TONES = ["good", "wait", "bad"];
const AGAIN = 60_000;
let fetching = false;

function show(told) {
  for (const one of document.querySelectorAll("[data-text]")) {
    const text = told.texts[one.dataset.text];
    // Only what differs: screen readers read a text that is written again.
    if (text !== undefined && one.textContent !== text) one.textContent = text;
  }
  for (const one of document.querySelectorAll("[data-tone]")) {
    const tone = told.tones[one.dataset.tone];
    if (tone && !one.classList.contains(tone)) {
      one.classList.remove(...TONES);
      one.classList.add(tone);
    }
  }
}

async function renew() {
  fetching = true;
  try {
    // Everybody hears of it at once; not everybody asks at once.
    await new Promise((done) => setTimeout(done, Math.random() * 500));
    const answer = await fetch("/", { cache: "no-store" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const fresh of page.querySelectorAll("main > section[id]")) {
      const shown = document.getElementById(fresh.id);
      if (!shown || shown.innerHTML === fresh.innerHTML) continue;
      shown.innerHTML = fresh.innerHTML;
      if (fresh.dataset.shape) shown.dataset.shape = fresh.dataset.shape;
    }
    say("It renews itself.");
  } catch {
    // The next event asks again.
  } finally {
    fetching = false;
  }
}

function say(text) {
  document.getElementById("live").textContent = text;
}

function listen() {
  const stream = new EventSource("/live");
  stream.onopen = () => say("It renews itself.");
  stream.onmessage = (event) => {
    const told = JSON.parse(event.data);
    show(told);
    if (told.shape !== document.getElementById("top").dataset.shape && !fetching) void renew();
  };
  stream.onerror = () => {
    say("The connection is interrupted; it is tried again.");
    // A refused stream is not tried again by the browser.
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN);
  };
}

listen();
