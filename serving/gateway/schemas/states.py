"""Answers about the state of the gateway and of the models, as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from multiner.serving.operator.model_schemas import ModelFacts


class CanarySchema(BaseModel):
    """The latest new champion that got a share of the calls before it took over, or was rolled back."""

    version: str
    against: str = Field(description="The version before.")
    state: Literal["running", "passed", "failed", "rolled_back", "ended"] = Field(
        description="`failed`: the registry's alias is to be moved back; `ended`: by an order or another champion."
    )
    share: float = Field(description="Of the conversations, while it runs.")
    since: str
    ended: str | None
    reason: str | None = Field(description="Why it ended; while it runs, how far it is.")
    measures: list[str] = Field(description="What its calls have shown, each measure in words.")
    counts: dict[str, int]


class RouteSchema(BaseModel):
    """The state of a language's model."""

    language: str
    state: Literal["live", "starting", "restarting", "unloaded", "absent", "failed"]
    name: str | None
    version: str | None
    since: str | None
    previous: str | None
    detail: str | None
    canary: CanarySchema | None = Field(description="null: canaries are off, or there was none yet.")


class ShadowMeansSchema(BaseModel):
    """Mean milliseconds of the calls that both answered; null where there were none."""

    live: float | None
    shadow: float | None


class ShadowSchema(BaseModel):
    """A challenger that answers copies of live calls, and how its answers differ from the live version's."""

    name: str
    version: str
    state: Literal["starting", "live", "failed"]
    since: str | None
    against: str | None = Field(description="The live version it was compared with; null before the first call.")
    counted_since: str
    calls: int = Field(description="Calls that both answered; each may hold several texts.")
    different_calls: int
    texts: int
    different: int = Field(description="Texts that were answered differently.")
    differences: dict[Literal["only_live", "only_shadow", "other_type", "other_boundaries"], dict[str, int]]
    dropped_calls: int
    failed_calls: int
    mean_ms: ShadowMeansSchema


class LiveAnswer(BaseModel):
    """The gateway runs."""

    live: Literal[True]


class HealthAnswer(BaseModel):
    """The state of the gateway, and of each language."""

    status: Literal["ok", "starting", "degraded", "down"]
    languages: dict[str, RouteSchema]


class ModelStateSchema(RouteSchema, ModelFacts):
    """The state of a language's model and of its shadow, and the registry's facts about the version."""

    shadow: ShadowSchema | None = Field(description="null: there is no challenger.")


class ModelsAnswer(BaseModel):
    """The model of each language."""

    models: list[ModelStateSchema]
