"""The registry's part of an answer of ``GET /v1/models``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class PartSize(BaseModel):
    """The size of a part of a corpus."""

    documents: int
    sentences: int | None = None
    entities: int | None = None


class CorpusFacts(BaseModel):
    """A corpus that the version was trained on, or that its scores are reported on."""

    corpus: str
    title: str
    licence: str | None
    trained_on: bool
    parts: dict[str, PartSize] = Field(description="By `train`, `dev` and `test`.")


class DataFacts(BaseModel):
    """The data behind a version."""

    hash: str | None = Field(description="SHA-256 over the prepared documents.")
    corpora: list[CorpusFacts]
    sources: dict[str, str] = Field(description="Folders of raw data, with DVC's hash.")


class SystemScore(BaseModel):
    """One system on one part, in percent but for `ece` (0 to 1)."""

    f1: float
    precision: float
    recall: float
    ece: float | None = Field(description="Expected calibration error of the entities' scores.")


class Lead(BaseModel):
    """The ensemble's F1 minus its best leg's, in points, with the 95 % interval of a paired bootstrap."""

    against: str
    difference: float
    low: float
    high: float


class CorpusScores(BaseModel):
    """Strict span scores (exact bounds and type) on a test part."""

    corpus: str
    split: str
    documents: int | None
    entities: int | None
    systems: dict[str, SystemScore] = Field(description="`ensemble`, then each leg.")
    lead: Lead | None


class ScoresFrom(BaseModel):
    """The entities from a score on: their precision and recall, and their share of all entities, in percent."""

    precision: float
    recall: float
    share: float


class Threshold(BaseModel):
    """The score of the ensemble from which ``wanted`` percent of the entities are right, with 95 % confidence.

    It was found on the gate half of the development part, which nothing was fitted to.
    """

    corpus: str
    wanted: int = Field(description="Precision in percent.")
    score: float | None = Field(description="Null: not reached at any score.")
    gate: ScoresFrom | None
    test: ScoresFrom | None
    types: dict[str, float | None] = Field(description="The score of each type alone; null: not reached.")


class Bin(BaseModel):
    """A bin of a reliability diagram: all fields but `count` are between 0 and 1."""

    low: float
    high: float
    score: float
    accuracy: float
    count: int


class BehaviourFacts(BaseModel):
    """Pass rates of the behaviour suite at the last promotion, in percent."""

    cases: int
    overall: float
    must: float
    capabilities: dict[str, float]


class GateFacts(BaseModel):
    """The verdict of the gate before promotion."""

    passed: bool
    reasons: list[str]


class VersionFacts(BaseModel):
    """A registered version."""

    version: str
    aliases: list[str]
    created: str
    champion_since: str | None = Field(description="When it last became champion.")
    previous: str | None = Field(description="The champion before it, to which a rollback leads.")
    rolled_back: str | None = Field(description="When an operator went back from it.")
    gate: GateFacts | None = Field(description="Null: not judged yet.")


class SwitchFacts(BaseModel):
    """A switch of the champion."""

    at: str
    kind: Literal["promotion", "order", "rollback"] = Field(
        description="order: an operator made the version champion, without the gate's comparison."
    )
    from_version: str | None = Field(description="Null: there was no champion before.")
    to_version: str | None = Field(description="Null: not known; of a rollback before the journal began.")
    by: str | None = Field(description="Who or what switched; null: before the journal began.")
    reason: str | None = Field(description="Why, where a reason was given.")


class ModelFacts(BaseModel):
    """The registry's facts about a version; without facts, `registry` says why."""

    registry: str | None = Field(default=None, description="Why facts are missing or old; null: read just now.")
    described: str | None = Field(
        default=None, description="The version that the facts are of: the live one, else the champion."
    )
    aliases: list[str] = []
    created: str | None = None
    champion_since: str | None = None
    profile: str | None = None
    git_commit: str | None = None
    data: DataFacts | None = None
    scores: list[CorpusScores] = []
    thresholds: list[Threshold] = []
    reliability: dict[str, list[Bin]] = Field(default={}, description="Of the ensemble on test, by corpus.")
    behaviour: BehaviourFacts | None = None
    history: list[VersionFacts] = Field(default=[], description="All versions, the newest first.")
    switches: list[SwitchFacts] = Field(default=[], description="Switches of the champion, the newest first.")
    links: dict[str, str] = Field(
        default={}, description="Pages of MLflow and Airflow on the server's machine; paths are the gateway's."
    )
