// The page works without this; with it, answers come without a reload and what belongs together lights up together.
// All HTML is rendered, and escaped, by the server.
"use strict";

const form = document.getElementById("form");
const fields = [...form.querySelectorAll("textarea")];
const count = document.getElementById("count");
const submit = document.getElementById("submit");
const result = document.getElementById("result");
const limit = Number(count.dataset.limit);
let asking = null;

function showCount() {
  const length = fields.reduce((sum, field) => sum + Array.from(field.value).length, 0);
  const most = `${limit.toLocaleString("en")} characters, both texts together`;
  count.textContent = length ? `${length.toLocaleString("en")} of ${most}` : `Up to ${most}`;
  count.classList.toggle("over", length > limit);
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
    const response = await fetch("/parallel", {
      method: "POST",
      headers: { "X-Fragment": "1" },
      body: new URLSearchParams(new FormData(form)),
      signal: mine.signal,
    });
    if (!(response.headers.get("content-type") || "").startsWith("text/html")) throw new Error(`status ${response.status}`);
    result.innerHTML = await response.text();
    result.focus({ preventScroll: true });
    const smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    result.scrollIntoView({ behavior: smooth ? "smooth" : "auto", block: "start" });
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

function light(element) {
  const key = element?.closest?.("[data-key]")?.dataset.key;
  for (const each of result.querySelectorAll("[data-key]")) each.classList.toggle("lit", each.dataset.key === key);
}

form.addEventListener("submit", (event) => {
  if (event.submitter && event.submitter.hasAttribute("formaction")) return; // the table as a file: the browser's own way
  event.preventDefault();
  ask();
});
for (const field of fields) {
  field.addEventListener("input", showCount);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}
for (const link of document.querySelectorAll("[data-ru]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    for (const field of fields) field.value = link.dataset[field.name];
    showCount();
    form.requestSubmit();
  });
}
for (const name of ["mouseover", "focusin"]) result.addEventListener(name, (event) => light(event.target));
for (const name of ["mouseleave", "focusout"]) result.addEventListener(name, () => light(null));
result.addEventListener("change", (event) => {
  if (event.target.name !== "shown") return;
  for (const element of result.querySelectorAll("[data-type]")) {
    if (element.dataset.type === event.target.value) element.classList.toggle("off", !event.target.checked);
  }
});
showCount();
