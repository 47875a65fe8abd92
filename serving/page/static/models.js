// The operator's part of the page about the models. All HTML is rendered, and escaped, by the server.
"use strict";

const desk = document.getElementById("desk");
const said = document.getElementById("desk-status");
const dialog = document.getElementById("confirm");
const reason = document.getElementById("confirm-reason");
const LOOK = 1500; // milliseconds between looks at what runs
const SHADOWS = 5000; // and at what shadows and canaries have counted

function tell(text, bad = false) {
  said.textContent = text;
  said.classList.toggle("bad", bad);
}

async function call(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The gateway does not answer. Check that it runs, then try again.");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const error = new Error(problem.title ? `${problem.title}. ${problem.detail}` : `The gateway answered ${response.status}.`);
  error.status = response.status;
  throw error;
}

/** Put fresh HTML into an element; details and the focus stay as the reader has left them. */
function renew(element, html) {
  const open = new Map([...element.querySelectorAll("details[data-keep]")].map((each) => [each.dataset.keep, each.open]));
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const place = focused?.matches("summary")
    ? `details[data-keep="${focused.parentElement.dataset.keep}"] > summary`
    : focused?.matches("[aria-label]")
      ? `[aria-label="${focused.getAttribute("aria-label")}"]`
      : focused?.dataset.action && `[data-action="${focused.dataset.action}"][data-language="${focused.dataset.language}"]`;
  element.innerHTML = html;
  for (const each of element.querySelectorAll("details[data-keep]")) {
    if (open.has(each.dataset.keep)) each.open = open.get(each.dataset.keep);
  }
  if (place) element.querySelector(place)?.focus({ preventScroll: true });
}

async function renewParts(ids) {
  const page = new DOMParser().parseFromString(await (await call("GET", "/models")).text(), "text/html");
  for (const id of ids) {
    const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
    if (old && fresh && old.innerHTML !== fresh.innerHTML) renew(old, fresh.innerHTML);
  }
}

const renewLanguages = () => renewParts(["languages", "models"]);

/** What shadows and canaries count goes on being counted. */
async function renewShadows() {
  const ids = [...document.querySelectorAll(".counting")].map((each) => each.id);
  if (ids.length && !document.hidden) await renewParts(ids).catch(() => {}); // the next time may do
  setTimeout(renewShadows, SHADOWS);
}

/** What the registry did not tell in time it may tell now. */
async function awaitRegistry(tries) {
  if (!tries || !document.querySelector("[data-late]")) return;
  await new Promise((resolve) => setTimeout(resolve, 3000));
  await renewLanguages().catch(() => {});
  awaitRegistry(tries - 1);
}

const running = () => document.querySelector(".actions")?.dataset.running.split(" ").filter(Boolean) ?? [];
let timer = null;

async function look() {
  clearTimeout(timer);
  const before = running();
  try {
    const html = await (await call("GET", "/models/actions")).text();
    const list = document.getElementById("actions");
    if (list.innerHTML !== html) renew(list, html);
    const now = running();
    const ended = before.filter((id) => !now.includes(id));
    if (ended.length) {
      const item = document.getElementById(`action-${ended[0]}`);
      const text = (name) => item.querySelector(name)?.textContent ?? "";
      tell(`${text("strong")}: ${text(".action-message")}`, item.classList.contains("action--failed"));
      await renewLanguages();
    }
  } catch (error) {
    if (error.status === 401) return location.reload(); // the session has ended
    tell(error.message, true);
  }
  if (running().length) timer = setTimeout(look, LOOK);
}

function confirmed(button) {
  document.getElementById("confirm-title").textContent = button.dataset.title;
  document.getElementById("confirm-text").textContent = button.dataset.text;
  document.getElementById("confirm-why").hidden = button.dataset.action !== "rollback";
  reason.value = "";
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

async function order(button) {
  if (!(await confirmed(button))) return;
  const { action, language, champion } = button.dataset;
  const more = { ...(language && { language }), ...(champion && { champion }), ...(reason.value.trim() && { reason: reason.value }) };
  button.disabled = true;
  tell("");
  try {
    await call("POST", "/admin/actions", { action, ...more });
    await look();
  } catch (error) {
    if (error.status === 401) return location.reload();
    await look();
    tell(error.message, true);
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) order(button);
});
document.getElementById("confirm-no").addEventListener("click", () => dialog.close("no"));
document.getElementById("sign-in")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = document.getElementById("token");
  try {
    await call("POST", "/admin/session", { token: field.value });
    location.reload();
  } catch (error) {
    tell(error.message, true);
    field.value = "";
    field.focus();
  }
});
document.getElementById("sign-out")?.addEventListener("click", async () => {
  await call("DELETE", "/admin/session").catch(() => {});
  location.reload();
});
if (desk.dataset.signedIn === "yes" && running().length) timer = setTimeout(look, LOOK);
awaitRegistry(4);
setTimeout(renewShadows, SHADOWS);
