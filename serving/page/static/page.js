// The page works without this; with it, answers come without a reload. All HTML is rendered, and escaped, by the server.
import { startCorrecting } from "./correcting.js";
import { startExports } from "./exports.js";
import { startFiles } from "./files.js";
import { startFilters } from "./filters.js";
import { startTips } from "./tips.js";

const form = document.getElementById("form");
const text = document.getElementById("text");
const count = document.getElementById("count");
const notice = document.getElementById("notice");
const submit = document.getElementById("submit");
const result = document.getElementById("result");
const limit = Number(text.dataset.limit);
const filters = startFilters(result);
let asking = null;

function showCount() {
  const length = Array.from(text.value).length;
  count.textContent = length
    ? `${length.toLocaleString("en")} of ${limit.toLocaleString("en")} characters`
    : `Up to ${limit.toLocaleString("en")} characters`;
  count.classList.toggle("over", length > limit);
}

function fill(value) {
  text.focus();
  text.select();
  // a command can be undone with Ctrl+Z, so that nothing that was typed is lost
  if (!document.execCommand("insertText", false, value)) text.value = value;
  text.setSelectionRange(0, 0);
  text.scrollTop = 0;
  showCount();
}

function showProblem(title, detail) {
  const box = document.createElement("section");
  box.className = "card problem";
  box.setAttribute("role", "alert");
  box.append(Object.assign(document.createElement("h2"), { textContent: title }));
  box.append(Object.assign(document.createElement("p"), { textContent: detail }));
  result.replaceChildren(box);
}

function showAnswer(html) {
  result.innerHTML = html;
  dress();
}

function dress() {
  filters.apply();
  makeButtons();
}

async function ask() {
  if (asking) asking.abort();
  const mine = (asking = new AbortController());
  submit.setAttribute("aria-busy", "true");
  result.setAttribute("aria-busy", "true");
  try {
    const response = await fetch("/", {
      method: "POST",
      headers: { "X-Fragment": "1" },
      body: new URLSearchParams(new FormData(form)),
      signal: mine.signal,
    });
    if (!(response.headers.get("content-type") || "").startsWith("text/html")) throw new Error(`status ${response.status}`);
    showAnswer(await response.text());
    result.focus({ preventScroll: true });
    const smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    result.scrollIntoView({ behavior: smooth ? "smooth" : "auto", block: "nearest" });
  } catch (error) {
    if (error.name !== "AbortError") showProblem("The server did not answer", "Check that it runs, then try again.");
  } finally {
    if (asking === mine) {
      asking = null;
      submit.removeAttribute("aria-busy");
      result.removeAttribute("aria-busy");
    }
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  notice.textContent = "";
  ask();
});
text.addEventListener("input", showCount);
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
for (const link of document.querySelectorAll("[data-example]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    fill(link.dataset.example);
    form.querySelector('input[name="language"][value="auto"]').checked = true;
    form.requestSubmit();
  });
}

startFiles({ form, notice, limit, fill });
startExports(result, filters);
startTips(result);
const makeButtons = startCorrecting(result, showAnswer);
showCount();
dress();
