// What is known of a name, shown beside it while the pointer is on it or it has the focus; Escape hides it.

export function startTips(result) {
  const tip = Object.assign(document.createElement("div"), { id: "tip", hidden: true });
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  let shownFor = null;

  function show(mark) {
    if (mark.title) {
      mark.dataset.tip = mark.title; // else the browser would show its own, too
      mark.removeAttribute("title");
    }
    hide();
    shownFor = mark;
    const [head, ...lines] = mark.dataset.tip.split("\n");
    tip.replaceChildren(Object.assign(document.createElement("b"), { textContent: head }));
    for (const line of lines) {
      const shown = Object.assign(document.createElement("span"), { textContent: line });
      shown.classList.toggle("differs", line.startsWith("≠"));
      tip.append(shown);
    }
    tip.hidden = false;
    mark.setAttribute("aria-describedby", "tip");
    const [box] = mark.getClientRects();
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(box.left, room)) + scrollX}px`;
    const above = box.top > tip.offsetHeight + 8;
    tip.style.top = `${(above ? box.top - tip.offsetHeight - 2 : mark.getBoundingClientRect().bottom + 2) + scrollY}px`;
  }

  function hide() {
    tip.hidden = true;
    if (shownFor) shownFor.removeAttribute("aria-describedby");
    shownFor = null;
  }

  const markOf = (target) => (target instanceof Element ? target.closest("mark:not(.off)") : null);
  for (const name of ["mouseover", "focusin"]) {
    result.addEventListener(name, ({ target }) => {
      const mark = markOf(target);
      if (mark && mark !== shownFor) show(mark);
    });
  }
  const left = ({ relatedTarget }) => {
    if (!relatedTarget || !(tip.contains(relatedTarget) || markOf(relatedTarget) === shownFor)) hide();
  };
  for (const name of ["mouseout", "focusout"]) result.addEventListener(name, left);
  tip.addEventListener("mouseleave", left);
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") hide();
  });
}
