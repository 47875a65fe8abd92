"""The picture of the architecture is that of the imports."""

from __future__ import annotations

import re
from pathlib import Path

import networkx as nx
import pytest

pytestmark = pytest.mark.usefixtures("generators")


def test_every_import_follows_from_the_arrows_and_every_arrow_is_an_import() -> None:
    import architecture

    graph = architecture.imports()
    boxes = architecture.boxes(graph)
    box_of = {name: box for box in boxes for name in box}
    assert set(box_of) == set(graph)
    assert len(boxes) > 25
    for one, other in graph.edges:
        assert nx.has_path(boxes, box_of[one], box_of[other]), (one, other)
    for one, other in boxes.edges:
        assert any(graph.has_edge(above, below) for above in one for below in other), (one, other)


def test_every_package_is_in_the_picture_and_lines_lead_downwards(root: Path) -> None:
    import architecture

    picture = architecture.picture()
    labels = " ".join(re.findall(r"<text [^>]*>([^<]+)</text>", picture))
    for top in ("pipeline", "serving"):
        for path in (root / top).glob("*/__init__.py"):
            assert path.parent.name in labels
    lines = re.findall(r'<path d="([^"]+)"', picture)
    assert len(lines) > 30
    for line in lines:
        heights = [float(numbers.split()[-1]) for numbers in re.findall(r"[MVC]([\d. ]+)", line)]
        assert heights == sorted(heights)
