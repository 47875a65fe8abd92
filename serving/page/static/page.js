// The page works without this; with it, answers come without a reload. All HTML is rendered, and escaped, by the server.
"use strict";

const form = document.getElementById("form");
const text = document.getElementById("text");
const count = document.getElementById("count");
const submit = document.getElementById("submit");
const result = document.getElementById("result");
const limit = text.maxLength;
let asking = null;

function showCount() {
  const length = Array.from(text.value).length;
  count.textContent = length
    ? `${length.toLocaleString("en")} of ${limit.toLocaleString("en")} characters`
    : `Up to ${limit.toLocaleString("en")} characters`;
}

function showProblem(title, detail) {
  const box = document.createElement("section");
  box.className = "card problem";
  box.setAttribute("role", "alert");
  box.append(Object.assign(document.createElement("h2"), { textContent: title }));
  box.append(Object.assign(document.createElement("p"), { textContent: detail }));
  result.replaceChildren(box);
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
    result.innerHTML = await response.text();
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
    text.value = link.dataset.example;
    form.querySelector('input[name="language"][value="auto"]').checked = true;
    showCount();
    form.requestSubmit();
  });
}
result.addEventListener("change", (event) => {
  const type = event.target.dataset.type;
  if (!type) return;
  for (const element of result.querySelectorAll("mark, tr")) {
    if (element.dataset.type === type) element.classList.toggle("off", !event.target.checked);
  }
});

showCount();
