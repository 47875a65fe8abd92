// What pages with a form share: characters counted, Ctrl+Enter, examples, and answers that come without a reload.
// The pages work without it. All HTML is rendered, and escaped, by the server.

const form = document.getElementById("form");
const fields = [...form.querySelectorAll("textarea")];
const count = document.getElementById("count");
const submit = document.getElementById("submit");
const result = document.getElementById("result");
const limit = Number(count.dataset.limit);
let asking = null;

export { form, fields, result, limit };

export function showCount() {
  const length = fields.reduce((sum, field) => sum + Array.from(field.value).length, 0);
  const most = `${limit.toLocaleString("en")} ${count.dataset.unit}`;
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

async function ask(show, block) {
  if (asking) asking.abort();
  const mine = (asking = new AbortController());
  submit.setAttribute("aria-busy", "true");
  result.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(form.action, {
      method: "POST",
      headers: { "X-Fragment": "1" },
      body: new URLSearchParams(new FormData(form)),
      signal: mine.signal,
    });
    if (!(response.headers.get("content-type") || "").startsWith("text/html")) throw new Error(`status ${response.status}`);
    show(await response.text());
    result.focus({ preventScroll: true });
    const smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    result.scrollIntoView({ behavior: smooth ? "smooth" : "auto", block });
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

// show(html) puts an answer into the page; block: where it is scrolled to; fill(data) takes an example's attributes.
export function startForm({ show, block, fill }) {
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("formaction")) return; // a file: the browser's own way
    event.preventDefault();
    ask(show, block);
  });
  for (const field of fields) {
    field.addEventListener("input", showCount);
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
  }
  for (const link of document.querySelectorAll(".examples a")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      fill(link.dataset);
      showCount();
      form.requestSubmit();
    });
  }
  showCount();
}
