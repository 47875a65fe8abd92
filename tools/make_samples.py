"""Write the bundled sample corpora, ``data/samples``: the same files on every run.

Run: python tools/make_samples.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from samples.english import write_english
from samples.russian import write_russian

if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "data" / "samples"
    write_english(target)
    write_russian(target)
