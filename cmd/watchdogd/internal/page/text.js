"use strict";
// How numbers and lines are written. Nothing here, or in the other files, makes HTML of text.

const control = document.documentElement.dataset.control === "true"; // logs and actions are served here
const $ = (id) => document.getElementById(id);

// make returns an element with text and attributes.
function make(tag, text, attributes) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  for (const name in attributes) e.setAttribute(name, attributes[name]);
  return e;
}

// put sets the text of an element, if that changes it.
function put(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

const count = (n) => n === 0 ? "0" : n >= 1e6 ? (n / 1e6).toFixed(1) + "M" : n >= 1e4 ? (n / 1e3).toFixed(1) + "k" : n >= 10 ? String(Math.round(n)) : n >= 0.095 ? String(Number(n.toFixed(1))) : "<0.1";
const seconds = (s) => s === 0 || s === null ? "" : s < 0.001 ? Math.max(1, Math.round(s * 1e6)) + " µs" : s < 0.1 ? (s * 1e3).toFixed(1) + " ms" : s < 1 ? Math.round(s * 1e3) + " ms" : s < 100 ? s.toFixed(s < 10 ? 2 : 1) + " s" : Math.round(s) + " s";
const percent = (cores) => (cores * 100).toFixed(cores > 0 && cores < 0.1 ? 1 : 0) + " %";

function bytes(n) {
  if (!n) return "0";
  let unit = 0;
  for (; n >= 1024 && unit < 4; unit++) n /= 1024;
  return (n >= 100 || unit === 0 ? Math.round(n) : n.toFixed(1)) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][unit];
}

// lasting is how long something took, as coarse as a person wants it.
function lasting(s) {
  if (s < 1) return Math.round(s * 1000) + " ms";
  if (s < 60) return (s < 10 ? s.toFixed(1) : Math.round(s)) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + Math.round(s % 60) + " s";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
}

const clock = (t) => t.toLocaleTimeString([], { hour12: false });

// moment is a time of day, with the date when that is not today's.
function moment(t) {
  return t.toDateString() === new Date().toDateString() ? clock(t) : t.toLocaleDateString() + " " + clock(t);
}

// plain is a line without the colours of a terminal. Other control characters, and those that
// turn the direction of text around, are shown and not obeyed.
function plain(line) {
  return line
    .replace(/\x1b\[[0-9;:]*m/g, "")
    .replace(/[\x00-\x08\x0a-\x1f\x7f]/g, (c) => "\\x" + c.charCodeAt(0).toString(16).padStart(2, "0"))
    .replace(/[\x80-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
}

// kinds say how good a state is.
const kinds = { ready: "ok", starting: "warn", waiting: "warn", unready: "warn", stopping: "warn", backoff: "bad", "crash-loop": "bad", stopped: "off", exited: "off", idle: "off" };
const worst = ["bad", "warn", "off", "ok"];
