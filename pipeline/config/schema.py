"""The schema of params.yaml with a profile's values: every key and its range.

To add a key, add a line such as ``min_f1: Percent`` to its section here, and the value to params.yaml. The schema only
checks values and never converts them, since the fingerprint of a training is computed from the values in the files.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, model_validator

from multiner.pipeline.config.schema_kinds import (
    ConfiguredLanguage,
    Corpora,
    Count,
    Dropout,
    Folds,
    GrowingCorpusName,
    Label,
    LegName,
    Name,
    Percent,
    Points,
    Positive,
    Section,
    Share,
    TrainingCorpora,
    TrainingCorpusName,
    Types,
    once,
    optional,
    where_shipped,
)
from multiner.pipeline.config.schema_system import (
    AirflowSection,
    DriftSection,
    KeepSection,
    NoticesSection,
    ServingSection,
    UsageSection,
)


class PullSection(Section):
    """``pull``."""

    mirrors: list[Name]


class Limit(Section):
    """``prepare.limit.<corpus>``."""

    train: Count | None = None
    dev: Count | None = None
    test: Count | None = None


class PrepareSection(Section):
    """``prepare``."""

    raw: Name
    heldout: Annotated[float, Field(gt=0, lt=1)]
    limit: dict[TrainingCorpusName, Limit]


class LauncherSection(Section):
    """``transformer.launcher``."""

    processes: Count
    nodes: Count


class TransformerSection(Section):
    """``transformer``."""

    encoder: Name
    max_pieces: Annotated[int, Field(ge=8, le=512)]
    batch_pieces: Count
    accumulate: Count
    start: ConfiguredLanguage | None
    start_epochs: Count
    epochs: Count
    repeat: dict[TrainingCorpusName, Count]
    recase: dict[TrainingCorpusName, Annotated[float, Field(ge=0, le=0.5)]]
    patience: Annotated[int, Field(ge=0)]
    learning_rate: Positive
    head_learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    warmup: Share
    dropout: Dropout
    freeze_embeddings: bool
    checkpoint_seconds: Annotated[float, Field(ge=0)]
    precision: Literal["auto", "bf16", "fp16", "fp32"]
    threads: Count
    launcher: LauncherSection


class BatchWords(Section):
    """``spacy.batch_words``."""

    start: Count
    stop: Count


class SpacySection(Section):
    """``spacy``."""

    pipeline: Name | None
    width: Count
    depth: Count
    epochs: Count
    patience: Annotated[int, Field(ge=0)]
    dropout: Dropout
    batch_words: BatchWords
    vectors_rows: Count


class ExportSection(Section):
    """``export``."""

    precision: Literal["int8", "fp32"]


class EnsembleSection(Section):
    """``ensemble``."""

    legs: Annotated[list[LegName], Field(min_length=1), AfterValidator(once)]
    weight_step: Annotated[float, Field(ge=0.01, le=1)]
    folds: Folds


@optional
class OwnTransformer(TransformerSection):
    """``languages.<code>.transformer``: values that replace those of the section for this language."""


@optional
class OwnSpacy(SpacySection):
    """``languages.<code>.spacy``: likewise, and the name of the language's vectors."""

    vectors: Name | None


class OwnShipped(Section):
    """``languages.<code>.shipped``."""

    pipeline: Annotated[Name | None, AfterValidator(where_shipped)]


class OwnEnsemble(Section):
    """``languages.<code>.ensemble``."""

    folds: Folds = 0


class Language(Section):
    """``languages.<code>``."""

    types: Types
    train_on: TrainingCorpora
    report_on: Corpora
    transformer: OwnTransformer
    spacy: OwnSpacy
    shipped: OwnShipped
    ensemble: OwnEnsemble


class GrowingCorpusSection(Section):
    """``growing.<corpus>``: a corpus that `ner pull` takes new texts into."""

    language: ConfiguredLanguage
    source: Name | None = None
    types: dict[Name, Label | None] = Field(default_factory=dict)
    heldout: Annotated[float, Field(ge=0, le=0.5)] = 0.0


class SearchRange(Section):
    """A range of a parameter: from ``low`` to ``high``, drawn by logarithm or not, or one of ``choices``."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: Annotated[list[Any], Field(min_length=2)] | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> SearchRange:
        if (self.choices is None) == (self.low is None) or (self.low is None) != (self.high is None):
            raise ValueError("give low and high, or choices")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and not (self.low or 0) > 0:
            raise ValueError("log needs a low above 0")
        return self


class SearchSection(Section):
    """``search``: the parameters of the section transformer that `ner search` tries, each with its range."""

    transformer: Annotated[dict[str, SearchRange], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_parameters(self, info: ValidationInfo) -> SearchSection:
        for key, span in self.transformer.items():
            for value in span.choices or (span.low, span.high):
                try:
                    OwnTransformer.model_validate({key: value}, context=info.context)
                except ValidationError as error:
                    if error.errors()[0]["type"] == "extra_forbidden":
                        raise ValueError(f"the transformer has no parameter {key}") from None
                    raise ValueError(f"{key} cannot be {value!r}: {error.errors()[0]['msg']}") from None
        return self


class TuneSection(Section):
    """``tune``: how `ner tune` continues a model on examples."""

    held_out: Annotated[float, Field(gt=0, lt=1)]
    replay: Annotated[float, Field(ge=0, lt=1)]
    repeat: Count
    epochs: Count
    patience: Annotated[int, Field(ge=0)]
    learning_rate: Positive
    head_learning_rate: Positive
    fit_from: Count


class EvaluateSection(Section):
    """``evaluate``."""

    bootstrap: Count
    worst_sentences: Annotated[int, Field(ge=0)]


class PromotionSection(Section):
    """``promotion``."""

    max_possible_loss: Annotated[float, Field(ge=0)] | None
    max_certain_loss: Annotated[float, Field(ge=0)] | None
    bootstrap: Count
    min_f1: Percent
    max_below_best: Annotated[float, Field(ge=0)] | None
    max_latency_ms: Positive
    golden_share: Share
    min_behaviour: Points | None
    behaviour_must: Percent | None
    approval: bool
    approval_hours: Positive


NOT_IN_PROFILES = (
    "profile",
    "seed",
    "airflow",
    "drift.schedule",
    "keep.schedule",
    "notices",
    "languages.*.types",
    "languages.*.train_on",
    "languages.*.report_on",
    "languages.*.spacy.vectors",
    "spacy.vectors_rows",
)
"""Keys that DVC, Airflow or a stage reads from params.yaml alone; a profile's value would have no effect."""


class Params(Section):
    """The parameters of a workspace under a profile."""

    profile: Name
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    pull: PullSection
    languages: Annotated[dict[Annotated[str, Field(pattern="^[a-z]{2,3}$")], Language], Field(min_length=1)]
    growing: dict[GrowingCorpusName, GrowingCorpusSection]
    prepare: PrepareSection
    transformer: TransformerSection
    spacy: SpacySection
    export: ExportSection
    ensemble: EnsembleSection
    search: SearchSection
    tune: TuneSection
    evaluate: EvaluateSection
    promotion: PromotionSection
    serving: ServingSection
    drift: DriftSection
    airflow: AirflowSection
    usage: UsageSection
    notices: NoticesSection
    keep: KeepSection

    @model_validator(mode="after")
    def _languages_of_growing_corpora(self) -> Params:
        for code, language in self.languages.items():
            for name in language.train_on:
                if name in self.growing and (own := self.growing[name].language) != code:
                    raise ValueError(f"languages.{code}.train_on names {name}, a growing corpus of {own}")
        return self
