// Which names are shown: by type, by score, only the disputed. What is chosen holds for the answers that follow, too.
import { answerOf } from "./answer.js";

export function startFilters(result) {
  const wanted = { least: 0, disputed: false, off: new Set(), byName: null };

  // The entities of the answer, with what the filters say of each: `open`, all but the one by type let it pass.
  function judged(answer) {
    return answer.entities.map((entity, index) => {
      const mark = document.getElementById(`name-${index + 1}`);
      const scored = !wanted.least || (entity.score ?? 0) >= wanted.least / 100;
      const open = scored && (!wanted.disputed || !isOffered("disputed") || mark.classList.contains("disputed"));
      return { entity, mark, open, shown: open && !wanted.off.has(entity.label) };
    });
  }

  const isOffered = (id) => Boolean(document.getElementById(id));

  function apply() {
    const answer = answerOf(result);
    if (!answer || !answer.entities.length) return;
    const names = judged(answer);
    const shown = new Set();
    for (const [index, name] of names.entries()) {
      name.mark.classList.toggle("off", !name.shown);
      name.mark.tabIndex = name.shown ? 0 : -1;
      if (name.shown) shown.add(index + 1);
    }
    for (const row of result.querySelectorAll("tr[data-number]")) row.hidden = !shown.has(Number(row.dataset.number));
    for (const row of result.querySelectorAll("[data-numbers]")) {
      const left = row.dataset.numbers.split(" ").filter((number) => shown.has(Number(number)));
      row.hidden = !left.length;
      row.querySelector(".times").textContent = left.length;
      if (left.length) row.querySelector("a").href = `#name-${left[0]}`;
    }
    for (const box of result.querySelectorAll("[data-type]")) {
      box.checked = !wanted.off.has(box.dataset.type);
      const open = names.filter((name) => name.open && name.entity.label === box.dataset.type);
      box.parentElement.querySelector("b").textContent = open.length;
    }
    const all = names.length;
    const title = `${all} name${all === 1 ? "" : "s"}`;
    result.querySelector("#result-title").textContent = shown.size === all ? title : `${shown.size} of ${title}`;
    result.querySelector("#show-all").hidden = shown.size === all;
    result.querySelector("#least").value = wanted.least;
    result.querySelector("#least + output").textContent = `${wanted.least} %`;
    if (isOffered("disputed")) document.getElementById("disputed").checked = wanted.disputed;
    // until one of them is chosen, a long text has the shorter list
    if (wanted.byName !== null) result.querySelector(`[name="rows"][value="${wanted.byName ? "groups" : "mentions"}"]`).checked = true;
  }

  result.addEventListener("input", ({ target }) => {
    if (target.dataset.type) wanted.off[target.checked ? "delete" : "add"](target.dataset.type);
    else if (target.id === "least") wanted.least = Number(target.value);
    else if (target.id === "disputed") wanted.disputed = target.checked;
    else if (target.name === "rows") wanted.byName = target.value === "groups";
    else return;
    apply();
  });
  result.addEventListener("click", ({ target }) => {
    if (target.id !== "show-all") return;
    Object.assign(wanted, { least: 0, disputed: false });
    wanted.off.clear();
    apply();
    result.querySelector("#least").focus();
  });

  return {
    wanted,
    apply,
    // the entities that the filters leave
    left: (answer) => judged(answer).filter((name) => name.shown).map((name) => name.entity),
  };
}
