// Entities: all mentions of one are shown together, chosen in the list or in the text; Escape ends it.

export function startNames(result) {
  let shown = null; // the number of the entity

  const mentions = () => [...result.querySelectorAll(`mark[data-group="${shown}"]:not(.off)`)];

  function show(group) {
    shown = group;
    for (const mark of result.querySelectorAll("mark")) mark.classList.toggle("same", mark.dataset.group === shown);
    for (const link of result.querySelectorAll("a[data-group]")) {
      if (link.dataset.group === shown) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  // To the first mention; if the entity is shown already, to the one after that with the focus or the latest visited.
  let visited = null;
  function visit(group) {
    const all = group === shown ? mentions() : (show(group), mentions());
    visited = all[(all.indexOf(visited) + 1) % all.length];
    visited.focus({ preventScroll: true });
    const smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    visited.scrollIntoView({ behavior: smooth ? "smooth" : "auto", block: "center" });
  }

  result.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-group]");
    const mark = event.target.closest("mark:not(.off)");
    if (link) {
      event.preventDefault();
      visit(link.dataset.group);
    } else if (mark && getSelection().isCollapsed) {
      visited = mark;
      show(mark.dataset.group);
    }
  });
  result.addEventListener("keydown", (event) => {
    if (event.target.tagName !== "MARK" || !["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    visited = event.target;
    show(event.target.dataset.group);
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && shown) show(null);
  });

  return () => show(null); // for a new answer
}
