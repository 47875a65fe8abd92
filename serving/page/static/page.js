// The page works without this; with it, answers come without a reload. All HTML is rendered, and escaped, by the server.
import { startCorrecting } from "./correcting.js";
import { startExports } from "./exports.js";
import { startFiles } from "./files.js";
import { startFilters } from "./filters.js";
import { form, result, showCount, startForm } from "./form.js";
import { startNames } from "./names.js";
import { startTips } from "./tips.js";

const text = document.getElementById("text");
const notice = document.getElementById("notice");
const LONG = 100000;
const filters = startFilters(result);

function fill(value) {
  text.focus();
  text.select();
  // a command can be undone with Ctrl+Z, so that nothing that was typed is lost; it takes seconds for a long text
  if (value.length > LONG || !document.execCommand("insertText", false, value)) text.value = value;
  text.setSelectionRange(0, 0);
  text.scrollTop = 0;
  showCount();
}

function showAnswer(html) {
  result.innerHTML = html;
  dress();
}

function dress() {
  showNoName();
  filters.apply();
  makeButtons();
}

function fillExample(data) {
  fill(data.example);
  form.querySelector('input[name="language"][value="auto"]').checked = true;
}

form.addEventListener("submit", () => {
  notice.textContent = "";
});
startForm({ show: showAnswer, block: "nearest", fill: fillExample });
startFiles({ form, notice, fill });
startExports(result, filters);
startTips(result);
const showNoName = startNames(result);
const makeButtons = startCorrecting(result, showAnswer);
dress();
