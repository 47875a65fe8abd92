// Two versions on a text: sent by a script, since browsers name no origin with a form where referrers are off.
"use strict";

const form = document.getElementById("compare");
form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  const result = document.getElementById("result");
  if (button.hasAttribute("aria-busy")) return;
  button.setAttribute("aria-busy", "true");
  result.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (response.status === 401) return location.reload(); // the session has ended
    result.innerHTML = await response.text();
  } catch {
    result.textContent = "The server did not answer. Check that it runs, then try again.";
  } finally {
    button.removeAttribute("aria-busy");
    result.removeAttribute("aria-busy");
  }
});
