"""The page at ``/models``: versions, data, scores and history of the live models; and the operator's desk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse

from multiner.pipeline.text.languages import language_name
from multiner.serving.gateway.schemas.states import CanarySchema, ShadowSchema
from multiner.serving.operator.facts_reader import LATE
from multiner.serving.operator.model_schemas import Bin, ModelFacts, VersionFacts
from multiner.serving.page.rendering import TEMPLATES, render, render_page

if TYPE_CHECKING:
    from multiner.serving.operator.authorization import Guard
    from multiner.serving.operator.desk import Desk
    from multiner.serving.operator.facts_reader import FactsReader
    from multiner.serving.routing.canary.course import Canary
    from multiner.serving.routing.inference_service import InferenceService
    from multiner.serving.routing.model_router import ModelRouter
    from multiner.serving.routing.shadow import Shadow

NO_STORE = {"Cache-Control": "no-store"}
SIDE = 200  # of a diagram, in its own units


@dataclass(frozen=True, slots=True)
class Point:
    """A bin in the diagram; ``x`` and ``y`` count its units from the upper left corner."""

    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Diagram:
    """A reliability diagram (Niculescu-Mizil and Caruana 2005): stated score to the right, share right upwards."""

    corpus: str
    ece: float | None
    points: tuple[Point, ...]

    @property
    def line(self) -> str:
        """The points as SVG's ``points``."""
        return " ".join(f"{point.x:g},{point.y:g}" for point in self.points)

    @property
    def summary(self) -> str:
        """The diagram in words, for screen readers."""
        error = f", expected calibration error {self.ece:.3f}" if self.ece is not None else ""
        ends = f", from {self.points[0].title} to {self.points[-1].title}" if self.points else ""
        return f"Reliability on {self.corpus}{error}{ends}"


def diagram(corpus: str, ece: float | None, bins: Sequence[Bin]) -> Diagram:
    """A corpus's bins as points."""
    points = [
        Point(
            round(one.score * SIDE, 1),
            round((1 - one.accuracy) * SIDE, 1),
            f"score {one.score:.2f}: {one.accuracy:.0%} of {one.count} right",
        )
        for one in bins
    ]
    return Diagram(corpus, ece, tuple(points))


def way_back(history: Sequence[VersionFacts]) -> tuple[VersionFacts | None, str | None, str | None]:
    """The champion, the version that a rollback leads to, and why there is none."""
    champion = next((each for each in history if "champion" in each.aliases), None)
    if champion is None:
        return None, None, "There is no champion."
    if champion.previous is None:
        return champion, None, f"There is no champion before version {champion.version}."
    target = next((each for each in history if each.version == champion.previous), None)
    if target is None:
        return champion, None, f"Version {champion.previous}, the champion before, is no longer there."
    if target.rolled_back:
        return champion, None, f"Version {target.version}, the champion before, was itself rolled back."
    return champion, target.version, None


def card(route: ModelRouter, facts: ModelFacts, shadow: Shadow | None, canary: Canary | None) -> dict[str, Any]:
    """A language's card for the template; no ``shadow`` or ``canary`` where challengers or champions have none."""
    comparison = shadow.describe() if shadow else None
    trial = canary.describe() if canary else None
    tried = trial["version"] if trial and trial["state"] in ("running", "failed") else None  # its end follows
    champion, back_to, why_not = way_back(facts.history)
    eces = {row.corpus: row.systems["ensemble"].ece for row in facts.scores if row.split == "test"}
    state = route.describe()
    latest = facts.switches[0].to_version if facts.switches else None
    return {
        "language": route.language,
        "title": language_name(route.language),
        "route": state,
        "waiting": route.queue.waiting,
        "in_flight": route.queue.in_flight,
        "facts": facts,
        "champion": champion,
        "back_to": back_to,
        "why_not_back": why_not,
        "diagrams": [diagram(corpus, eces.get(corpus), bins) for corpus, bins in facts.reliability.items()],
        "systems": list(dict.fromkeys(name for row in facts.scores for name in row.systems)),
        "shadowing": shadow is not None,
        "shadow": ShadowSchema.model_validate(comparison) if comparison else None,
        "trying_out": canary is not None,
        "canary": CanarySchema.model_validate(trial) if trial else None,
        "late": (facts.registry or "").startswith(LATE),
        "behind": bool(
            champion and state["state"] in ("live", "unloaded") and champion.version not in (state["version"], tried)
        ),
        "moved_elsewhere": bool(champion and latest and latest != champion.version),
    }


def moment(iso: str | None) -> str:
    """A time in UTC, for people."""
    return f"{datetime.fromisoformat(iso).astimezone(UTC):%-d %b %Y, %H:%M} UTC" if iso else ""


def span(seconds: float | None) -> str:
    """A duration, for people."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


TEMPLATES.filters |= {"moment": moment, "span": span}


def add_models_page(app: FastAPI, service: InferenceService, *, facts: FactsReader, desk: Desk, guard: Guard) -> None:
    """Add the page at ``/models``; the desk is on it after signing in."""

    @app.get("/models", include_in_schema=False)
    async def show(request: Request) -> HTMLResponse:
        """The page."""
        routes = list(service.routes.values())
        versions = [route.live.model.version if route.live else None for route in routes]
        pairs = zip(routes, versions, strict=True)
        rows = await asyncio.gather(*(facts.of(route.language, version) for route, version in pairs))
        shadows = [service.shadows.get(route.language) for route in routes]
        canaries = [service.canaries.get(route.language) for route in routes]
        signed_in = await guard.signed_in(request)
        return render_page(
            request,
            service,
            "models.html",
            headers=NO_STORE,
            cards=list(map(card, routes, rows, shadows, canaries)),
            signed_in=signed_in,
            actions=await desk.actions() if signed_in else [],
            without_airflow=desk.without_airflow if signed_in else None,
            side=SIDE,
        )

    @app.get("/models/actions", include_in_schema=False, dependencies=[Depends(guard)])
    async def actions() -> HTMLResponse:
        """The list of actions alone, for the page's script."""
        return HTMLResponse(render("actions.html", actions=await desk.actions()), headers=NO_STORE)
