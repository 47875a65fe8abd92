// The answer on the page, as the API gave it: data-answer of the result. Offsets count code points, as the API's do.

export function answerOf(result) {
  const section = result.querySelector("[data-answer]");
  return section ? JSON.parse(section.dataset.answer) : null;
}

// Between offsets in code points and those of JavaScript's strings, which count UTF-16 code units.
export const toUnits = (text, points) => Array.from(text).slice(0, points).join("").length;
export const toPoints = (text, units) => Array.from(text.slice(0, units)).length;

let hiding = 0;
export function say(message) {
  const toast = document.getElementById("toast");
  toast.textContent = message;
  clearTimeout(hiding);
  hiding = setTimeout(() => (toast.textContent = ""), 5000);
}
