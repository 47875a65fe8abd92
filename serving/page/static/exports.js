// What the filters leave, as CSV and JSON, and the request for it as a command for curl.
import { answerOf, say } from "./answer.js";

const LONGEST_ARGUMENT = 100000; // bytes; Linux takes 131,072 in one argument

const key = (entity) => JSON.stringify([entity.text, entity.label]);

// A cell of CSV (RFC 4180). Spreadsheet programs would run what begins like a formula: such a text gets a ' before it;
// the same as in parallel_view.py.
export function cell(value) {
  const text = /^[=+\-@\t\r\n＝＋－＠]/u.test(value) ? `'${value}` : value;
  return `"${text.replaceAll('"', '""')}"`;
}

function times(entities) {
  const counts = new Map();
  for (const entity of entities) counts.set(key(entity), (counts.get(key(entity)) || 0) + 1);
  return counts;
}

export function toCsv(entities) {
  const counts = times(entities);
  const rows = entities.map((entity) =>
    [entity.start, entity.end, cell(entity.text), cell(entity.label), entity.score ?? "", counts.get(key(entity))].join(","),
  );
  return ["start,end,text,type,score,times", ...rows, ""].join("\r\n");
}

export function toJson(answer, entities) {
  const counts = [...times(entities)].map(([name, number]) => {
    const [text, label] = JSON.parse(name);
    return { text, label, times: number };
  });
  return `${JSON.stringify({ language: answer.language, model: answer.model, entities, counts }, null, 2)}\n`;
}

// A command for a POSIX shell. Control characters, which JSON need not escape, would steer the terminal it is pasted into.
export function toCurl(answer, wanted, origin) {
  const body = { text: answer.text, language: answer.asked };
  if (wanted.least) body.min_score = wanted.least / 100;
  const types = answer.types.filter((type) => !wanted.off.has(type));
  if (types.length < answer.types.length) body.types = types;
  const json = JSON.stringify(body).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  const quote = (value) => `'${value.replaceAll("'", "'\\''")}'`;
  const head = `curl -s ${quote(`${origin}/v1/entities`)} -H 'Content-Type: application/json'`;
  const long = new TextEncoder().encode(quote(json)).length > LONGEST_ARGUMENT;
  return long ? `${head} --data-binary @- <<'END'\n${json}\nEND\n` : `${head} --data-raw ${quote(json)}`;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // browsers give the clipboard to https and to this machine's own pages alone
    const field = Object.assign(document.createElement("textarea"), { value: text });
    const focused = document.activeElement;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    focused.focus();
    return done;
  }
  return true;
}

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

export function startExports(result, filters) {
  const makers = {
    // spreadsheet programs take a file for UTF-8 by its byte order mark
    csv: { type: "text/csv", mark: "\ufeff", make: (answer) => toCsv(filters.left(answer)) },
    json: { type: "application/json", mark: "", make: (answer) => toJson(answer, filters.left(answer)) },
    curl: { make: (answer) => toCurl(answer, filters.wanted, location.origin) },
  };
  result.addEventListener("click", async ({ target }) => {
    const kind = target.dataset.export;
    const answer = kind && answerOf(result);
    if (!answer) return;
    const { type, mark, make } = makers[kind];
    const name = kind === "curl" ? "The command" : `${filters.left(answer).length} names as ${kind.toUpperCase()}`;
    if ("save" in target.dataset) {
      save(`names.${kind}`, type, mark + make(answer));
      say(`${name}: saved as names.${kind}`);
    } else {
      say((await copy(make(answer))) ? `${name}: copied` : "The browser does not let this page copy.");
    }
  });
}
