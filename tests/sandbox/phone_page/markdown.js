"use strict";
// Discord's markdown as nodes; words are only ever set as text.

const MARKS = [["***", ["b", "i"]], ["**", ["b"]], ["__", ["u"]], ["~~", ["s"]], ["||", ["span"]], ["*", ["i"]], ["_", ["i"]]];
const RULES = [
  [/\\([^\w\s])/y, (found) => document.createTextNode(found[1])],
  [/```(?:\w+\n)?([\s\S]+?)```/y, (found) => element("pre", "", found[1])],
  [/`([^`\n]+)`/y, (found) => element("code", "", found[1])],
  [/\[((?:[^\]\\\n]|\\.)+)\]\(<?(https?:\/\/[^\s)>]+)>?\)/y, (found, of) => {
    const made = leading(found[2], of, "", "command");
    made.append(marked(found[1], of));
    return made;
  }],
  [/<t:(-?\d+)(?::\w)?>/y, (found) => element("span", "moment", new Date(found[1] * 1000).toLocaleString())],
  [/<@[!&]?\d+>|<#\d+>/y, (found) => element("span", "mention", found[0])],
  [/https?:\/\/[^\s<>]+[^\s<>.,;:!?)\]'"]/y, (found, of) => {
    const made = leading(found[0], of, "", "command");
    made.textContent = found[0];
    return made;
  }],
];

function marked(text, of) {
  const whole = document.createDocumentFragment();
  let words = "", at = 0;
  const put = (node) => {
    if (words) whole.append(words);
    words = "";
    whole.append(node);
  };
  while (at < text.length) {
    const begins = at === 0 || text[at - 1] === "\n";
    const found = (begins && line(text, at, of)) || rule(text, at, of) || emphasis(text, at, of);
    if (found) put(found.node);
    else words += text[at];
    at = found ? found.end : at + 1;
  }
  if (words) whole.append(words);
  return whole;
}

function line(text, at, of) {
  const form = /(#{1,3}|-#|>|[-*]) ([^\n]*)/y;
  form.lastIndex = at;
  const found = form.exec(text);
  if (!found) return null;
  const [, sign, rest] = found;
  const bullet = sign === "-" || sign === "*";
  const node = element("span", bullet ? "bullet" : sign === ">" ? "quoted" : sign === "-#" ? "fine" : "heading");
  node.append(bullet ? "• " : "", marked(rest, of));
  return { node, end: form.lastIndex };
}

function rule(text, at, of) {
  for (const [form, make] of RULES) {
    form.lastIndex = at;
    const found = form.exec(text);
    if (found) return { end: at + found[0].length, node: make(found, of) };
  }
  return null;
}

function emphasis(text, at, of) {
  for (const [mark, tags] of MARKS) {
    if (!text.startsWith(mark, at) || (mark === "_" && /\w/.test(text[at - 1] || " "))) continue;
    const begin = at + mark.length, end = closing(text, begin, mark);
    if (end <= begin) continue;
    let node = marked(text.slice(begin, end), of);
    for (const tag of [...tags].reverse()) {
      const around = element(tag, mark === "||" ? "spoiler" : "");
      around.append(node);
      node = around;
    }
    return { node, end: end + mark.length };
  }
  return null;
}

function closing(text, from, mark) {
  for (let at = from; at < text.length; at++) {
    if (text[at] === "\\" || (mark === "*" && text.startsWith("**", at))) at++;
    else if (text.startsWith(mark, at) && !/\s/.test(text[at - 1]) && (mark !== "_" || !/\w/.test(text[at + 1] || " "))) return at;
  }
  return -1;
}
