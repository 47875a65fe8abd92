"""What params.yaml may hold, under a profile: every key with its range, declared once.

A further key is a line in its section here, and one in params.yaml: ``min_f1: Percent``.
Values are looked at and never changed: trainings are fingerprinted by what the files say.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from multiner.pipeline.config.schema_kinds import (
    Corpora,
    CorpusName,
    Count,
    Dropout,
    Each,
    Every,
    LanguageCode,
    LegName,
    Name,
    Percent,
    Points,
    Port,
    Positive,
    Share,
    Types,
    folds,
    once,
    other_starts,
    switch_or_auto,
    where_shipped,
)


class Section(BaseModel):
    """A mapping with these keys and no others, each value of the very type that stands here."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Pull(Section):
    """``pull``."""

    mirrors: list[Name]


class Language(Section):
    """``languages.<code>``."""

    types: Types
    train_on: Corpora
    report_on: Corpora


class Limit(Section):
    """``prepare.limit.<corpus>``."""

    train: Count | None = None
    dev: Count | None = None
    test: Count | None = None


class Prepare(Section):
    """``prepare``."""

    raw: Name
    heldout: Annotated[float, Field(gt=0, lt=1)]
    limit: dict[CorpusName, Limit]


class Transformer(Section):
    """``transformer``."""

    encoder: Each[Name]
    max_pieces: Each[Annotated[int, Field(ge=8, le=512)]]
    batch_pieces: Each[Count]
    start: Annotated[dict[LanguageCode, LanguageCode | None], AfterValidator(other_starts)]
    epochs: Each[Count]
    repeat: dict[CorpusName, Count]
    recase: dict[CorpusName, Annotated[float, Field(ge=0, le=0.5)]]
    patience: Each[Annotated[int, Field(ge=0)]]
    learning_rate: Each[Positive]
    head_learning_rate: Each[Positive]
    weight_decay: Each[Annotated[float, Field(ge=0)]]
    warmup: Each[Share]
    dropout: Each[Dropout]
    freeze_embeddings: Each[bool]
    checkpoint_seconds: Each[Annotated[float, Field(ge=0)]]
    precision: Each[Literal["auto", "bf16", "fp32"]]
    threads: Each[Count]


class BatchWords(Section):
    """``spacy.batch_words``."""

    start: Count
    stop: Count


class Spacy(Section):
    """``spacy``."""

    pipeline: dict[LanguageCode, Name | None]
    width: Count
    depth: Count
    epochs: Every[Count]
    patience: Annotated[int, Field(ge=0)]
    dropout: Dropout
    batch_words: BatchWords
    vectors: Every[Name]
    vectors_rows: Count


class Shipped(Section):
    """``shipped``."""

    pipeline: Annotated[dict[LanguageCode, Name | None], AfterValidator(where_shipped)]


class Export(Section):
    """``export``."""

    precision: Literal["int8", "fp32"]


class Ensemble(Section):
    """``ensemble``."""

    legs: Annotated[list[LegName], Field(min_length=1), AfterValidator(once)]
    weight_step: Annotated[float, Field(ge=0.01, le=1)]
    folds: dict[LanguageCode, Annotated[int, Field(ge=0), AfterValidator(folds)]]


class Evaluate(Section):
    """``evaluate``."""

    bootstrap: Count
    worst_sentences: Annotated[int, Field(ge=0)]


class Promotion(Section):
    """``promotion``."""

    min_difference: Points
    min_difference_corpus: Points
    bootstrap: Count
    min_f1: Percent
    max_below_best: Annotated[float, Field(ge=0)] | None
    max_latency_ms: Positive
    golden_share: Share
    min_behaviour: Points | None
    behaviour_must: Percent | None


class Serving(Section):
    """``serving``."""

    host: Name
    port: Port
    hosts: list[Name]
    mlflow_port: Port
    airflow_port: Port
    docs_port: Port
    max_texts: Count
    max_characters: Count
    timeout_seconds: Positive
    queue: Annotated[int, Field(ge=0)]
    concurrency: Count
    connections: Annotated[int, Field(ge=16)]
    review: bool
    review_megabytes: Positive
    keep_previous: Annotated[Any, AfterValidator(switch_or_auto)]
    reconcile_seconds: Annotated[float, Field(ge=0)]
    shadow: bool
    shadow_share: Annotated[float, Field(gt=0, le=1)]

    @model_validator(mode="after")
    def _ports_differ(self) -> Serving:
        ports = [self.port, self.mlflow_port, self.airflow_port, self.docs_port]
        if doubled := [port for port in ports if ports.count(port) > 1]:
            raise ValueError(f"port {doubled[0]} is given to two parts")
        return self


class Airflow(Section):
    """``airflow``."""

    schedule: Name | None
    retries: Annotated[int, Field(ge=0)]
    retry_delay_seconds: Annotated[float, Field(ge=0)]
    busy_minutes: Positive
    task_timeout_minutes: Positive
    run_timeout_minutes: Positive


class Params(Section):
    """The parameters of a workspace under a profile."""

    profile: Name
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    pull: Pull
    languages: Annotated[dict[Annotated[str, Field(pattern="^[a-z]{2,3}$")], Language], Field(min_length=1)]
    prepare: Prepare
    transformer: Transformer
    spacy: Spacy
    shipped: Shipped
    export: Export
    ensemble: Ensemble
    evaluate: Evaluate
    promotion: Promotion
    serving: Serving
    airflow: Airflow
