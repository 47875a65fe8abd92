"""The picture of the architecture: an SVG of the packages and their imports, each only downwards."""

from __future__ import annotations

import re
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import grimp
import networkx as nx

PACKAGE = re.compile(r"multiner\.((?:pipeline|serving)\.\w+|\w+)")
ROW, HEIGHT, GAP, LETTER = 58, 26, 16, 7.2  # from row to row, of a box, between boxes, of a letter; in pixels
ROUNDS = 24  # of sorting the rows
COLOURS = {"pipeline": "#dbe9f6", "serving": "#fbe6cf", "": "#e2efda"}  # "": modules beside the two
Place = tuple[float, float]


def imports() -> nx.DiGraph:
    """Which package imports which; a module outside of packages counts as one."""
    modules = grimp.build_graph("multiner", exclude_type_checking_imports=True, cache_dir=None)
    graph = nx.DiGraph()
    for importer in modules.modules:
        for imported in modules.find_modules_directly_imported_by(importer):
            if (one := package(importer)) and (other := package(imported)) and one != other:
                graph.add_edge(one, other)
    return graph


def package(module: str) -> str:
    """The package of a module, such as ``pipeline.text`` or ``loading``; empty for the packages that hold them."""
    match = PACKAGE.match(module)
    return match[1] if match and match[1] not in ("pipeline", "serving") else ""


def boxes(graph: nx.DiGraph) -> nx.DiGraph:
    """A node (a frozen set) for each package, or for packages that import each other, without imports that follow."""
    condensed = nx.condensation(graph)
    members = {node: frozenset(data["members"]) for node, data in condensed.nodes(data=True)}
    return nx.relabel_nodes(nx.transitive_reduction(condensed), members)


def label(box: frozenset[str]) -> str:
    """The text in a box: ``pipeline.text``, or ``serving.gateway, operator``."""
    first, *others = sorted(box)
    return ", ".join([first, *(name.rpartition(".")[2] for name in others)])


def picture(root: Path | None = None) -> str:
    """The SVG."""
    graph = boxes(imports())
    rows = _rows(graph)
    places = _places(rows)
    width = max(x + _width(node) / 2 for node, (x, _) in places.items()) + GAP
    lines = [f'<path d="{_curve([places[node] for node in path])}"/>' for path in _paths(graph, rows)]
    shapes = [_shape(node, *places[node]) for row in rows for node in row if isinstance(node, frozenset)]
    return (
        f'<svg class="architecture" viewBox="0 0 {width:.0f} {len(rows) * ROW:.0f}" role="img" '
        'aria-label="Packages and their imports" xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" '
        f'font-size="12">\n<g fill="none" stroke="#8a8a8a">{"".join(lines)}</g>\n{"".join(shapes)}\n</svg>'
    )


def _ranks(graph: nx.DiGraph) -> dict[frozenset[str], int]:
    """The row of each box, from 0 at the top; as far down as its imports permit."""
    depth: dict[frozenset[str], int] = {}
    for box in reversed(list(nx.topological_sort(graph))):
        depth[box] = 1 + max((depth[other] for other in graph[box]), default=-1)
    return {box: max(depth.values()) - value for box, value in depth.items()}


def _paths(graph: nx.DiGraph, rows: list[list]) -> list[list]:
    """Each arrow as the nodes that it runs through, a point in every row between its boxes."""
    ranks = _ranks(graph)
    return [
        [one, *((one, other, row) for row in range(ranks[one] + 1, ranks[other])), other] for one, other in graph.edges
    ]


def _rows(graph: nx.DiGraph) -> list[list]:
    """The boxes, and the points that arrows run through, from top to bottom and left to right; few arrows cross."""
    ranks = _ranks(graph)
    rows: list[list] = [[] for _ in range(max(ranks.values()) + 1)]
    for box in sorted(ranks, key=label):
        rows[ranks[box]].append(box)
    near: dict = {}
    for path in _paths(graph, rows):
        for node in path[1:-1]:
            rows[node[2]].append(node)
        for one, other in pairwise(path):
            near.setdefault(one, []).append(other)
            near.setdefault(other, []).append(one)
    for turn in range(ROUNDS):
        for index in range(len(rows))[:: 1 if turn % 2 else -1]:
            places = _places(rows)
            neighbour = index + (-1 if turn % 2 else 1)

            def centre(node: object, places: dict = places, row: float = neighbour * ROW + HEIGHT) -> float:
                around = [places[each][0] for each in near.get(node, ()) if places[each][1] == row]
                return fmean(around or [places[node][0]])

            rows[index].sort(key=centre)
    return rows


def _places(rows: list[list]) -> dict:
    """The centre of each node; rows are centred."""
    widths = [sum(map(_width, row)) + GAP * (len(row) - 1) for row in rows]
    places = {}
    for number, row in enumerate(rows):
        x = GAP + (max(widths) - widths[number]) / 2
        for node in row:
            places[node] = (x + _width(node) / 2, number * ROW + HEIGHT)
            x += _width(node) + GAP
    return places


def _width(node: object) -> float:
    return LETTER * len(label(node)) + 14 if isinstance(node, frozenset) else 2


def _curve(points: list[Place]) -> str:
    """A smooth line from the lower edge of the first box to the upper edge of the last one."""
    (x, y), *others = points
    steps = [f"M{x:.0f} {y + HEIGHT / 2:.0f}"]
    for next_x, next_y in others:  # between rows; then straight down where it passes the boxes of a row
        start, end = y + HEIGHT / 2, next_y - HEIGHT / 2
        steps.append(f"C{x:.0f} {(start + end) / 2:.0f} {next_x:.0f} {(start + end) / 2:.0f} {next_x:.0f} {end:.0f}")
        steps.append(f"V{next_y + HEIGHT / 2:.0f}")
        x, y = next_x, next_y
    return "".join(steps[:-1])


def _shape(box: frozenset[str], x: float, y: float) -> str:
    """A box with its label."""
    top = min(box).partition(".")[0]
    width = _width(box)
    return (
        f'<rect x="{x - width / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{width:.0f}" height="{HEIGHT}" rx="4" '
        f'fill="{COLOURS.get(top, COLOURS[""])}" stroke="#555"/>'
        f'<text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle" fill="#111">{escape(label(box))}</text>'
    )
