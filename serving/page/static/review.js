// The operator's queue: a text in doubt is corrected as on the page of texts, then accepted or discarded.
import { answerOf, say } from "./answer.js";
import { startCorrecting } from "./correcting.js";
import { startExports } from "./exports.js";
import { startFilters } from "./filters.js";
import { startNames } from "./names.js";
import { startTips } from "./tips.js";

async function order(path, body) {
  try {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(path, options);
    if (response.ok || response.status === 401) return location.reload(); // 401: the session has ended
    const problem = await response.json();
    say(`${problem.title}. ${problem.detail}`);
  } catch {
    say("The server did not answer. Nothing has changed; try again.");
  }
}

function startText(result, language) {
  const filters = startFilters(result);
  startExports(result, filters);
  startTips(result);
  const showNoName = startNames(result);
  const makeButtons = startCorrecting(result, (html) => {
    result.innerHTML = html;
    dress();
  });
  function dress() {
    showNoName();
    filters.apply();
    makeButtons();
  }
  dress();
  document.getElementById("accept").addEventListener("click", () => {
    const { text, model, entities } = answerOf(result);
    order("/review/accept", { text, language, model, entities });
  });
  document.getElementById("discard").addEventListener("click", () => {
    order("/review/discard", { language, text: answerOf(result).text });
  });
}

const doubt = document.getElementById("doubt");
const result = document.getElementById("result");
if (result) startText(result, doubt.dataset.language);
document.querySelector(".corrections")?.addEventListener("click", ({ target }) => {
  if (target.dataset.discard) order("/review/discard", { language: doubt.dataset.language, id: target.dataset.discard });
});
