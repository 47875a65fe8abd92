// A text file, dropped on the field or chosen with the button, becomes the text.

const BOMS = [
  ["utf-8", [0xef, 0xbb, 0xbf]],
  ["utf-16le", [0xff, 0xfe]],
  ["utf-16be", [0xfe, 0xff]],
];

// The characters of a file: UTF-8, or what its byte order mark names. Throws where it is no such text.
export function decode(bytes) {
  const [encoding] = BOMS.find(([, mark]) => mark.every((byte, at) => bytes[at] === byte)) || ["utf-8"];
  const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
  if (text.includes("\0")) throw new TypeError("NUL");
  return text.replace(/\r\n?/g, "\n");
}

export function startFiles({ form, notice, limit, fill }) {
  const input = document.getElementById("file");
  const most = limit.toLocaleString("en");

  function tell(message, bad) {
    notice.textContent = message;
    notice.classList.toggle("bad", bad);
  }

  async function take(files) {
    if (files.length !== 1) return tell("One file at a time, please. The text is as it was.", true);
    const [file] = files;
    const refuse = (why) => tell(`${file.name}: ${why} The text is as it was.`, true);
    // no encoding takes more than 4 bytes for a character, except for the line break CRLF, which counts as one
    if (file.size > 4 * limit + 4) return refuse(`the file is too large; at most ${most} characters can be read.`);
    let read;
    try {
      read = decode(new Uint8Array(await file.arrayBuffer()));
    } catch (error) {
      return refuse(
        error instanceof TypeError
          ? "this is no plain text in UTF-8, or in UTF-16 with a byte order mark. Save it as UTF-8."
          : "the file cannot be read.",
      );
    }
    const length = Array.from(read).length;
    if (length > limit) return refuse(`${length.toLocaleString("en")} characters; at most ${most} can be read.`);
    if (!read.trim()) return refuse("the file is empty.");
    fill(read);
    tell(`${file.name} is in the field.`, false);
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
