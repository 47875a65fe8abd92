// Corrections of names, and names that were missed, sent to the review queue; only where the server keeps one.
// Gives what makes the names of a new answer buttons.
import { answerOf, say, toPoints, toUnits } from "./answer.js";

export function startCorrecting(result, showAnswer) {
  const dialog = document.getElementById("corrector");
  if (!dialog) return () => {};
  const form = document.getElementById("correction");
  const passage = document.getElementById("passage");
  const problem = document.getElementById("correction-problem");
  const notName = document.getElementById("no-name");
  let at = null; // the answer, the name that is corrected (none: a missed one), and where the passage begins in the text

  // The name that is selected in the passage: offsets in code points of the text; null where nothing is.
  function chosen() {
    const { value, selectionStart: from, selectionEnd: to } = passage;
    const name = value.slice(from, to);
    if (!name.trim()) return null;
    const start = at.start + toPoints(value, from + name.length - name.trimStart().length);
    return { start, end: start + Array.from(name.trim()).length, text: name.trim() };
  }

  const overlapped = (place) =>
    at.answer.entities.filter((each) => each !== at.entity && each.start < place.end && place.start < each.end);

  function showChosen() {
    const place = chosen();
    document.getElementById("chosen").textContent = place ? place.text : "– nothing selected";
    const replaced = place ? overlapped(place).map((each) => `“${each.text}”`) : [];
    document.getElementById("replaces").textContent = replaced.length ? `in place of ${replaced.join(", ")}` : "";
  }

  // For the name of this number, or, where it is null, for a missed one; `selected` in UTF-16 code units of the text.
  function open(number, selected = null) {
    const answer = answerOf(result);
    const { text } = answer;
    const entity = number ? answer.entities[number - 1] : null;
    const [from, to] = entity ? [toUnits(text, entity.start), toUnits(text, entity.end)] : selected || [0, 0];
    const whole = !entity && !selected;
    const first = from ? text.lastIndexOf("\n", from - 1) + 1 : 0; // the passage is the lines it stands in
    const end = text.indexOf("\n", to);
    at = { answer, entity, start: toPoints(text, first) };
    passage.value = text.slice(first, whole || end < 0 ? text.length : end);
    document.getElementById("corrector-title").textContent = entity ? `Correct “${entity.text}”` : "Mark a missed name";
    notName.hidden = !entity;
    for (const radio of form.elements.label) {
      radio.parentElement.hidden = !answer.types.includes(radio.value);
      radio.checked = radio.value === (entity ? entity.label : answer.types[0]);
    }
    problem.textContent = "";
    dialog.showModal();
    passage.focus();
    passage.setSelectionRange(from - first, to - first);
    showChosen();
  }

  async function send(entities, changed, focusAt) {
    if (dialog.ariaBusy === "true") return;
    const { text, language, model } = at.answer;
    problem.textContent = "";
    dialog.ariaBusy = "true";
    try {
      const response = await fetch(dialog.dataset.path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ text, language, model, entities, changed }),
      });
      if (!response.ok) {
        const told = await response.json();
        problem.textContent = `${told.title}. ${told.detail}`;
        return;
      }
      showAnswer(await response.text());
    } catch {
      problem.textContent = "The server did not answer. Nothing was kept; try again.";
      return;
    } finally {
      dialog.ariaBusy = "false";
    }
    dialog.close();
    const index = answerOf(result).entities.findIndex((each) => each.start === focusAt);
    (document.getElementById(`name-${index + 1}`) || result).focus();
    say(dialog.dataset.thanks);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const place = chosen();
    if (!place) {
      problem.textContent = "Select the name in the text first.";
      passage.focus();
      return;
    }
    const gone = new Set([at.entity, ...overlapped(place)]);
    const made = { ...place, label: form.elements.label.value, score: null, corrected: true };
    const rest = at.answer.entities.filter((each) => !gone.has(each));
    const changed = [made, ...gone].filter(Boolean).map(({ start, end }) => ({ start, end }));
    send([...rest, made], changed, place.start);
  });
  notName.addEventListener("click", () => {
    const { start, end } = at.entity;
    send(at.answer.entities.filter((each) => each !== at.entity), [{ start, end }], -1);
  });
  document.getElementById("cancel").addEventListener("click", () => dialog.close());
  // not readonly: then browsers show no caret, and the arrow keys would not move it
  passage.addEventListener("beforeinput", (event) => event.preventDefault());
  for (const name of ["select", "keyup", "pointerup"]) passage.addEventListener(name, showChosen);

  // What is selected in the text as it is read, in UTF-16 code units of the text; null where nothing is.
  function selection() {
    const reading = result.querySelector(".reading");
    const { rangeCount, isCollapsed } = getSelection();
    const range = rangeCount && !isCollapsed ? getSelection().getRangeAt(0) : null;
    if (!range || !reading.contains(range.commonAncestorContainer)) return null;
    const length = (container, offset) => {
      const before = document.createRange();
      before.setStart(reading, 0);
      before.setEnd(container, offset);
      const copy = before.cloneContents();
      for (const tag of copy.querySelectorAll(".tag")) tag.remove();
      return copy.textContent.length;
    };
    return [length(range.startContainer, range.startOffset), length(range.endContainer, range.endOffset)];
  }

  result.addEventListener("mousedown", (event) => {
    if (event.target.id === "missed") event.preventDefault(); // the selection stays
  });
  const offered = () => Boolean(document.getElementById("missed")); // not for a text longer than a request may be

  result.addEventListener("click", ({ target }) => {
    const mark = target.closest("mark:not(.off)");
    if (target.id === "missed") {
      const selected = selection();
      target.focus(); // to come back to
      open(null, selected);
    }
    if (target.dataset.correct) open(target.dataset.correct);
    else if (mark && offered() && !selection()) open(mark.dataset.number);
  });
  result.addEventListener("keydown", (event) => {
    if (event.target.tagName !== "MARK" || !["Enter", " "].includes(event.key) || !offered()) return;
    event.preventDefault();
    open(event.target.dataset.number);
  });

  return () => {
    for (const mark of offered() ? result.querySelectorAll("mark") : []) {
      mark.setAttribute("role", "button");
      mark.setAttribute("aria-haspopup", "dialog");
    }
  };
}
