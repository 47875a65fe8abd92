// How far something is that takes long: a bar with words beside it, in the form.

const line = document.getElementById("progress");

// text says what is done; without `of` nobody knows how long it takes.
export function showProgress(text, part = 0, of = 0) {
  const bar = line.querySelector("progress");
  line.hidden = false;
  line.querySelector("span").textContent = text;
  if (of) [bar.max, bar.value] = [of, part];
  else bar.removeAttribute("value");
}

export function hideProgress() {
  if (line) line.hidden = true;
}
