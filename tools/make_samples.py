"""Write the bundled sample corpora, ``data/samples``: the same files on every run.

Run: python tools/make_samples.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from samples.english import write_english
from samples.russian import write_russian

README = """# Samples

Invented sentences in the formats and under the file names of the three published corpora, so that the whole job can be
seen where no corpus can be had: `make demo`. Every person, company, event and message is made up, places aside.
Scores on them say nothing about real text.

Written by `python tools/make_samples.py`, the same on every run; change the words and templates in `tools/samples/`,
not these files.
"""

if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "data" / "samples"
    write_english(target)
    write_russian(target)
    (target / "README.md").write_text(README, encoding="utf-8", newline="\n")
