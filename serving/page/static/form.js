// What pages with a form share: characters counted, Ctrl+Enter, examples, and answers that come without a reload.
// The pages work without it. All HTML is rendered, and escaped, by the server.
import { hideProgress, showProgress } from "./progress.js";

const form = document.getElementById("form");
const fields = [...form.querySelectorAll("textarea")];
const count = document.getElementById("count");
const submit = document.getElementById("submit");
const result = document.getElementById("result");
const limit = Number(count.dataset.limit);
let asking = null;

export { form, fields, result, limit };

export function showCount() {
  const length = size();
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

const size = () => fields.reduce((sum, field) => sum + Array.from(field.value).length, 0);

// The answer to a text that is longer than a request may be: JSON lines that count its parts, the last with the HTML.
async function answerInParts(body) {
  let [rest, html] = ["", ""];
  const decoder = new TextDecoder();
  for (const reader = body.getReader(); ; ) {
    const { value, done } = await reader.read();
    const lines = (rest + decoder.decode(value, { stream: !done })).split("\n");
    rest = lines.pop();
    for (const line of lines.map(JSON.parse)) {
      if (line.of) showProgress(`Reading the text: ${Math.round((100 * line.part) / line.of)} %`, line.part, line.of);
      html = line.html || html;
    }
    if (done) break;
  }
  if (!html) throw new Error("the answer has no end");
  return html;
}

async function ask(show, block) {
  if (asking) asking.abort();
  const mine = (asking = new AbortController());
  submit.setAttribute("aria-busy", "true");
  result.setAttribute("aria-busy", "true");
  try {
    const long = form.dataset.long && size() > Number(form.dataset.request);
    if (long) showProgress("Reading the text …");
    const response = await fetch(long ? form.dataset.long : form.action, {
      method: "POST",
      headers: { "X-Fragment": "1" },
      body: new URLSearchParams(new FormData(form)),
      signal: mine.signal,
    });
    const type = response.headers.get("content-type") || "";
    if (type.startsWith("application/jsonl")) show(await answerInParts(response.body));
    else if (type.startsWith("text/html")) show(await response.text());
    else throw new Error(`status ${response.status}`);
    result.focus({ preventScroll: true });
    const smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    result.scrollIntoView({ behavior: smooth ? "smooth" : "auto", block });
  } catch (error) {
    if (error.name !== "AbortError") showProblem("The server did not answer", "Check that it runs, then try again.");
  } finally {
    if (asking === mine) {
      asking = null;
      hideProgress();
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
