"""The report of a check: one HTML page that loads nothing from elsewhere, and its figures as JSON."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from multiner.pipeline.core.files import read_json, replace_folder, write_json
from multiner.pipeline.drift.check import DriftCheck
from multiner.pipeline.drift.comparison import Thresholds
from multiner.pipeline.drift.measures import measure_of
from multiner.pipeline.drift.sketch import Sketch

TEMPLATES = Path(__file__).parent / "templates"
FIGURES, PAGE = "drift.json", "index.html"
COLUMNS = 3  # plots beside each other


def write_report(folder: Path, outcome: DriftCheck, thresholds: Thresholds) -> None:
    """Write the page and the figures; the folder is whole or that of the check before."""
    with replace_folder(folder) as new:
        write_json(new / FIGURES, outcome.to_json())
        (new / PAGE).write_text(page(outcome, thresholds), encoding="utf-8")


def last_summary(folder: Path) -> str | None:
    """The last check in a line, with its day; None where there was none."""
    try:
        figures = read_json(folder / FIGURES)
        return f"{figures['summary']} (checked {figures['at'][:10]}, version {figures['version']})"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def page(outcome: DriftCheck, thresholds: Thresholds) -> str:
    """The page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    measures = list(dict.fromkeys(shift.measure for shift in outcome.shifts))
    image = b64encode(plot(outcome.sketches, measures)).decode() if measures else ""
    return environment.get_template("drift.html").render(outcome=outcome, thresholds=thresholds, image=image)


def plot(sketches: Mapping[str, Sketch], measures: Sequence[str]) -> bytes:
    """A PNG with a panel for each measure: the share of each bin in each sketch that has the measure."""
    # not with pyplot, which has global state and may need a display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(measures) // COLUMNS)
    figure = Figure(figsize=(5 * COLUMNS, 3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for panel, name in zip(panels, measures, strict=False):
        bins = measure_of(name).bins
        sides = {side: histogram for side, sketch in sketches.items() if sum(histogram := sketch.histogram(name))}
        for number, (side, histogram) in enumerate(sides.items()):
            width, total = 0.8 / len(sides), sum(histogram)
            places = [index + number * width - 0.4 + width / 2 for index in range(len(bins))]
            colour = f"C{list(sketches).index(side)}"
            panel.bar(places, [100 * weight / total for weight in histogram], width, label=side, color=colour)
        panel.set_xticks(range(len(bins)), bins, rotation=40, ha="right", fontsize=7)
        panel.set_title(measure_of(name).title, fontsize=9)
        panel.set_ylabel("% of texts", fontsize=8)
        panel.legend(fontsize=7)
    for panel in panels:
        panel.set_axis_off()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=90, metadata={"Software": None})
    return file.getvalue()
