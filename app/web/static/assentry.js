// Refreshes what the server rendered, and adds keys. Every action works without it.
"use strict";

const live = document.querySelector("[data-live]");
const news = document.getElementById("news");

function say(html) {
  news.replaceChildren(...html);
  news.hidden = html.length === 0;
}

function link(text, action) {
  const anchor = document.createElement("a");
  anchor.href = location.href;
  anchor.textContent = text;
  anchor.addEventListener("click", (event) => { event.preventDefault(); action(); });
  return anchor;
}

// Someone typing, pointing at, selecting in or tabbing through the live part is never disturbed.
function busy() {
  return live.querySelector("input:checked") || live.contains(document.activeElement) || live.matches(":hover");
}

async function fetchLive() {
  const answer = await fetch(live.dataset.live, { headers: { Accept: "text/html" } });
  if (answer.redirected || !answer.ok) { location.reload(); return null; }
  return await answer.text();
}

function show(text) {
  const parsed = new DOMParser().parseFromString(text, "text/html");
  live.replaceChildren(...parsed.body.childNodes);
  const counted = live.querySelector("[data-waiting]");
  if (counted) {
    live.dataset.count = counted.dataset.waiting;
    document.title = document.title.replace(/^(\(\d+\) )?/, counted.dataset.waiting > 0 ? `(${counted.dataset.waiting}) ` : "");
  }
  for (const part of live.querySelectorAll("template[data-into]")) {
    const place = document.getElementById(part.dataset.into);
    if (place) place.replaceChildren(...part.content.childNodes);
  }
  const version = live.querySelector("[data-version]");
  if (version) live.dataset.version = version.dataset.version;
  say([]);
}

async function refresh() {
  const text = await fetchLive();
  if (text === null) return;
  const parsed = new DOMParser().parseFromString(text, "text/html");
  const counted = parsed.querySelector("[data-waiting]");
  const version = parsed.querySelector("[data-version]");
  const same = counted ? counted.dataset.waiting === live.dataset.count : version && version.dataset.version === live.dataset.version;
  if (same && !counted) return;
  // Rows never move under a finger: a list that has some waits until somebody asks for the new one.
  const rows = (part) => [...part.querySelectorAll("li[data-id]")].map((row) => row.dataset.id).join();
  const stays = counted && rows(live) !== "";
  if (stays && same && rows(live) === rows(parsed)) return;
  if (!stays && !busy()) { show(text); return; }
  const more = counted ? Number(counted.dataset.waiting) - Number(live.dataset.count) : 0;
  if (same && more === 0 && !stays) return;
  say([link(more > 0 ? `${more} new – show` : "It changed – show", () => show(text))]);
}

let pending = false;
function soon() {
  if (pending) return;
  pending = true;
  setTimeout(() => { pending = false; refresh(); }, 250);
}

if (live && window.EventSource) {
  const source = new EventSource("/events");
  const wanted = live.dataset.id;
  source.addEventListener("change", (event) => {
    const change = JSON.parse(event.data);
    if (change.kind === "request" && (!wanted || change.id === wanted)) soon();
  });
  source.addEventListener("missed", soon);
  source.addEventListener("open", soon);
}

// --- keys ---

const HELP = [["j / k", "next, previous"], ["Enter", "open"], ["a / d", "prepare approval or denial"],
  ["Ctrl+Enter", "confirm what was prepared"], ["/", "search"], ["g", "to the inbox"], ["?", "this help"]];
let prepared = null;

function cards() { return [...document.querySelectorAll(".card, tbody a")]; }

function move(step) {
  const all = cards();
  if (!all.length) return;
  const now = all.indexOf(document.activeElement);
  all[Math.min(all.length - 1, Math.max(0, now + step))].focus();
}

function prepare(value) {
  const form = document.querySelector("[data-decide]");
  if (!form) return;
  prepared = form.querySelector(`button[value=${value}]`);
  form.querySelector("textarea").focus();
  form.scrollIntoView({ block: "nearest" });
  for (const button of form.querySelectorAll("button")) button.classList.toggle("selected", button === prepared);
  say([document.createTextNode(`${prepared.textContent}: Ctrl+Enter confirms`)]);
}

function help() {
  const dialog = document.createElement("dialog");
  dialog.className = "help";
  const list = document.createElement("dl");
  for (const [key, what] of HELP) {
    const dt = document.createElement("dt"); dt.textContent = key;
    const dd = document.createElement("dd"); dd.textContent = what;
    list.append(dt, dd);
  }
  const close = document.createElement("button");
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.append(list, close);
  document.body.append(dialog);
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (prepared && prepared.isConnected) { event.preventDefault(); prepared.form.requestSubmit(prepared); }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, dialog")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const keys = {
    j: () => move(1), k: () => move(-1), a: () => prepare("approve"), d: () => prepare("deny"),
    g: () => { location.href = "/"; }, "?": help,
    "/": () => { const box = document.querySelector("[data-search]"); if (box) box.focus(); else location.href = "/requests"; },
  };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});
