// On every page: tells the style sheets that scripts run, and keeps the models' states in the header fresh.
"use strict";

async function refreshModels() {
  const list = document.getElementById("models");
  try {
    const html = await (await fetch("/")).text();
    const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("models");
    if (fresh) list.replaceWith(fresh);
    if (fresh && fresh.dataset.status === "ok") return;
  } catch {
    // the server is away: ask again later
  }
  setTimeout(refreshModels, 4000);
}

document.documentElement.classList.add("scripted");
if (document.getElementById("models").dataset.status !== "ok") setTimeout(refreshModels, 2000);
