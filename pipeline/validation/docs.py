"""Makes Great Expectations' pages independent of other servers, and writes an index page for them.

These pages load style sheets, scripts and pictures from public servers, and their index is empty without them. But the
pages are also read as MLflow artifacts and in closed networks, and no page should call other servers.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from html import escape
from pathlib import Path

from multiner.pipeline.validation.gate import FILES, Breach, SuiteResult

SHOWN_ROWS = 200
_FOREIGN = re.compile(
    r"<script\b.*?</script>"  # all scripts: they need libraries of other servers
    r"|<link\b[^>]*>"
    r"|<img\b[^>]*>"
    r"|<footer\b.*?</footer>"
    r"|<a\b[^>]*href=\"https?://[^>]*>(?=\s*</a>)",
    re.DOTALL | re.IGNORECASE,
)
_TITLE = re.compile(r"<title>.*?</title>", re.DOTALL)
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem 1.5rem 4rem;
  color: #1b1f24; background: #fff }
h1 { font-size: 1.6rem; margin: .5rem 0 } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem }
a { color: #0a58ca } code { font: .9em ui-monospace, monospace }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 }
th, td { border-bottom: 1px solid #d0d7de; padding: .35rem .75rem .35rem 0; text-align: left; vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.ok, i.text-success { color: #1a7f37 } .bad, i.text-danger { color: #b3261e }
i.text-success::before { content: "\\2713" }
i.text-danger::before { content: "\\2717"; font-weight: 600 }
.breach { border-left: 4px solid #b3261e; padding: .25rem 1rem; margin: 1rem 0; background: #fdf3f2 }
.breach ul { columns: 18rem; margin: .25rem 0 }
.card, .popover, .top, .cooltip .top, a[data-toggle=collapse], .collapse { display: none }
.ge-breadcrumbs { list-style: none; padding: 0; display: flex; gap: 1rem } .d-none.modal { display: none }
td table { width: auto } i { font-style: normal }
@media (prefers-color-scheme: dark) {
  body { background: #16191d; color: #e6e8eb } a { color: #7ab7ff } th, td { border-color: #3a4048 }
  .ok, i.text-success { color: #57c478 } .bad, i.text-danger { color: #ff8a80 } .breach { background: #2a1d1c }
}
"""


def finish(docs: Path, language: str, results: Sequence[SuiteResult]) -> None:
    """Make the pages below ``docs`` independent of other servers, and write our own index.html."""
    for page in docs.rglob("*.html"):
        page.write_text(standalone(page.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.rmtree(docs / "static", ignore_errors=True)
    (docs / "index.html").write_text(index(language, results), encoding="utf-8")


def standalone(page: str) -> str:
    """A page of Great Expectations without scripts and without content of other servers."""
    page = _FOREIGN.sub("", _TITLE.sub("", page))
    return page.replace("</head>", f"<title>Data Docs</title><style>{STYLE}</style></head>", 1)


def index(language: str, results: Sequence[SuiteResult]) -> str:
    """The index page: the breaches with their rows, then all suites."""
    breaches = [breach for result in results for breach in result.breaches]
    total = sum(result.expectations for result in results)
    verdict = (
        f'<p class="bad"><strong>{len(breaches)} of {total} expectations do not hold: the run stopped before '
        "training.</strong></p>"
        if breaches
        else f'<p class="ok"><strong>All {total} expectations hold.</strong></p>'
    )
    unreadable = any(result.name == FILES and not result.passed for result in results)
    skipped = " Parts with an unreadable file were not checked further." if unreadable else ""
    pages = {result.name: result.page for result in results}
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data Docs: {escape(language)}</title><style>{STYLE}</style></head><body>
<h1>Validation of the corpora: {escape(language)}</h1>
{verdict}
<p>Rows are shown by file and line below the folder of the raw corpora, without the corpora's text.{skipped}</p>
{"".join(_breach(breach, pages[breach.suite]) for breach in breaches)}
<h2>Suites</h2>
<table><tr><th>Suite</th><th class="n">Rows</th><th class="n">Expectations</th><th>Outcome</th></tr>
{"".join(_suite(result) for result in results)}
</table></body></html>
"""


def _breach(breach: Breach, page: str) -> str:
    rows = "".join(f"<li><code>{escape(row)}</code></li>" for row in breach.rows[:SHOWN_ROWS])
    more = breach.count - SHOWN_ROWS
    tail = f"<p>and {more:,} more</p>" if more > 0 else ""
    return (
        f'<section class="breach"><p><a href="{escape(page)}">{escape(breach.suite)}</a>: {escape(breach.message)}</p>'
        f"<ul>{rows}</ul>{tail}</section>\n"
    )


def _suite(result: SuiteResult) -> str:
    outcome = '<span class="ok">✓ passed</span>'
    if not result.passed:
        outcome = f'<span class="bad">✗ {len(result.breaches)} broken</span>'
    return (
        f'<tr><td><a href="{escape(result.page)}">{escape(result.name)}</a></td><td class="n">{result.rows:,}</td>'
        f'<td class="n">{result.expectations}</td><td>{outcome}</td></tr>\n'
    )
