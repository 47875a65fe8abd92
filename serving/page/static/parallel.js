// The page works without this; with it, answers come without a reload and what belongs together lights up together.
import { fields, result, startForm } from "./form.js";

function light(element) {
  const key = element?.closest?.("[data-key]")?.dataset.key;
  for (const each of result.querySelectorAll("[data-key]")) each.classList.toggle("lit", each.dataset.key === key);
}

function show(html) {
  result.innerHTML = html;
}

function fill(data) {
  for (const field of fields) field.value = data[field.name];
}

for (const name of ["mouseover", "focusin"]) result.addEventListener(name, (event) => light(event.target));
for (const name of ["mouseleave", "focusout"]) result.addEventListener(name, () => light(null));
result.addEventListener("change", (event) => {
  if (event.target.name !== "shown") return;
  for (const element of result.querySelectorAll("[data-type]")) {
    if (element.dataset.type === event.target.value) element.classList.toggle("off", !event.target.checked);
  }
});
startForm({ show, block: "start", fill });
