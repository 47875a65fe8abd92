// A file, dropped on the field or chosen with the button, becomes the text; the server reads it.
import { hideProgress, showProgress } from "./progress.js";

const KINDS = {
  txt: "text/plain",
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  pdf: "application/pdf",
};

export function startFiles({ form, notice, fill }) {
  const input = document.getElementById("file");
  const most = Number(input.dataset.bytes);
  let reading = null;

  function tell(message, bad) {
    notice.textContent = message;
    notice.classList.toggle("bad", bad);
  }

  function empty({ pages }) {
    const blank = (pages || []).filter(({ start, end }) => start === end).length;
    return blank ? ` ${blank} of its ${pages.length} pages have no text: they may be images.` : "";
  }

  async function take(files) {
    if (files.length !== 1) return tell("One file at a time, please. The text is as it was.", true);
    const [file] = files;
    const refuse = (why) => tell(`${file.name}: ${why} The text is as it was.`, true);
    // by its name first: browsers guess the type by what is installed
    const kind = KINDS[file.name.toLowerCase().split(".").pop()] || file.type;
    if (!Object.values(KINDS).includes(kind)) return refuse("only .txt, .docx and .pdf can be read.");
    if (file.size > most) return refuse(`the file is too large; at most ${most.toLocaleString("en")} bytes can be read.`);
    if (reading) reading.abort();
    const mine = (reading = new AbortController());
    tell("", false);
    showProgress(`Reading ${file.name} …`);
    try {
      const headers = { "Content-Type": kind };
      const response = await fetch("/v1/documents", { method: "POST", headers, body: file, signal: mine.signal });
      const answer = await response.json();
      if (!response.ok) return refuse(answer.detail);
      fill(answer.text);
      tell(`${file.name} is in the field.${empty(answer)}`, false);
    } catch (error) {
      if (error.name !== "AbortError") refuse("the server did not answer; try again.");
    } finally {
      if (reading === mine) {
        reading = null;
        hideProgress();
      }
    }
  }

  document.getElementById("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    if (input.files.length) await take([...input.files]);
    input.value = ""; // the same file can be chosen again
  });
  const holdsFiles = (event) => event.dataTransfer && event.dataTransfer.types.includes("Files");
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault(); // else the browser leaves the page for the file, wherever it is dropped
      form.classList.toggle("dropping", form.contains(event.target));
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) form.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    form.classList.remove("dropping");
    if (!holdsFiles(event)) return;
    event.preventDefault();
    if (form.contains(event.target)) take([...event.dataTransfer.files]);
  });
}
