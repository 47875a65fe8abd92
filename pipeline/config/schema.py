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
    Folds,
    LanguageCode,
    LegName,
    Name,
    Network,
    Percent,
    Points,
    Port,
    Positive,
    Share,
    Types,
    Url,
    cron,
    once,
    optional,
    switch_or_auto,
    where_shipped,
)


class Section(BaseModel):
    """A mapping with these keys and no others, each value of the very type that stands here."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Pull(Section):
    """``pull``."""

    mirrors: list[Name]


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

    encoder: Name
    max_pieces: Annotated[int, Field(ge=8, le=512)]
    batch_pieces: Count
    start: LanguageCode | None
    epochs: Count
    repeat: dict[CorpusName, Count]
    recase: dict[CorpusName, Annotated[float, Field(ge=0, le=0.5)]]
    patience: Annotated[int, Field(ge=0)]
    learning_rate: Positive
    head_learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    warmup: Share
    dropout: Dropout
    freeze_embeddings: bool
    checkpoint_seconds: Annotated[float, Field(ge=0)]
    precision: Literal["auto", "bf16", "fp32"]
    threads: Count


class BatchWords(Section):
    """``spacy.batch_words``."""

    start: Count
    stop: Count


class Spacy(Section):
    """``spacy``."""

    pipeline: Name | None
    width: Count
    depth: Count
    epochs: Count
    patience: Annotated[int, Field(ge=0)]
    dropout: Dropout
    batch_words: BatchWords
    vectors_rows: Count


class Export(Section):
    """``export``."""

    precision: Literal["int8", "fp32"]


class Ensemble(Section):
    """``ensemble``."""

    legs: Annotated[list[LegName], Field(min_length=1), AfterValidator(once)]
    weight_step: Annotated[float, Field(ge=0.01, le=1)]
    folds: Folds


@optional
class OwnTransformer(Transformer):
    """``languages.<code>.transformer``: what the language has of its own in place of the section's values."""


@optional
class OwnSpacy(Spacy):
    """``languages.<code>.spacy``: likewise, and the vectors, which no other language can use."""

    vectors: Name


class OwnShipped(Section):
    """``languages.<code>.shipped``."""

    pipeline: Annotated[Name | None, AfterValidator(where_shipped)]


class OwnEnsemble(Section):
    """``languages.<code>.ensemble``."""

    folds: Folds = 0


class Language(Section):
    """``languages.<code>``."""

    types: Types
    train_on: Corpora
    report_on: Corpora
    transformer: OwnTransformer
    spacy: OwnSpacy
    shipped: OwnShipped
    ensemble: OwnEnsemble


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


class Endpoint(Section):
    """``serving.endpoints.<code>``: where others serve the language's model, and its version if that is known."""

    url: Url
    version: Name | None = None


class Serving(Section):
    """``serving``."""

    host: Name
    port: Port
    hosts: list[Name]
    trusted_proxies: list[Network]
    mlflow_port: Port
    airflow_port: Port
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
    endpoints: dict[LanguageCode, Endpoint]
    shadow: bool
    shadow_share: Annotated[float, Field(gt=0, le=1)]

    @model_validator(mode="after")
    def _ports_differ(self) -> Serving:
        ports = [self.port, self.mlflow_port, self.airflow_port]
        if doubled := [port for port in ports if ports.count(port) > 1]:
            raise ValueError(f"port {doubled[0]} is given to two parts")
        return self


class Airflow(Section):
    """``airflow``."""

    schedule: Annotated[Name, AfterValidator(cron)] | None
    retries: Annotated[int, Field(ge=0)]
    retry_delay_seconds: Annotated[float, Field(ge=0)]
    busy_minutes: Positive
    task_timeout_minutes: Positive
    run_timeout_minutes: Positive


NOT_IN_PROFILES = (
    "profile",
    "seed",
    "airflow",
    "languages.*.types",
    "languages.*.train_on",
    "languages.*.report_on",
    "languages.*.spacy.vectors",
    "spacy.vectors_rows",
)
"""Keys that are read from params.yaml alone, by DVC, Airflow or a stage: in a profile's file they would go unseen."""


class Params(Section):
    """The parameters of a workspace under a profile."""

    profile: Name
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    pull: Pull
    languages: Annotated[dict[Annotated[str, Field(pattern="^[a-z]{2,3}$")], Language], Field(min_length=1)]
    prepare: Prepare
    transformer: Transformer
    spacy: Spacy
    export: Export
    ensemble: Ensemble
    evaluate: Evaluate
    promotion: Promotion
    serving: Serving
    airflow: Airflow
