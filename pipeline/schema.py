"""What params.yaml may hold, under a profile: every key with its range, declared once.

A further key is a line in its section here, and one in params.yaml: ``min_f1: Annotated[float, Field(ge=0, le=100)]``.
Values are looked at and never changed: trainings are fingerprinted by what the files say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo, model_validator

from pipeline.corpora import CORPORA
from pipeline.corpora.labels import TYPE_SETS

T = TypeVar("T")
LEGS = ("transformer", "spacy", "shipped")  # of pipeline.legs, which takes numpy to import
LABELS = {label for corpus in CORPORA.values() for label in corpus.types.values() if label} | {
    label for maps in TYPE_SETS.values() for types in maps.values() for label in types.values() if label
}


def suggestion(name: Any, known: Iterable[str]) -> str | None:
    """Which of the known names was probably meant."""
    return next(iter(get_close_matches(str(name), list(known), 1)), None)


def _one_of(what: str, names: Callable[[Any], Iterable[str]]) -> AfterValidator:
    """Takes the names that ``names`` gives for the parameters that are being checked."""

    def check(value: str, info: ValidationInfo) -> str:
        known = sorted(names(info.context))
        if value in known:
            return value
        meant = suggestion(value, known)
        raise ValueError(
            f"unknown {what} {value!r}; " + (f"did you mean {meant}?" if meant else f"choose among {', '.join(known)}")
        )

    return AfterValidator(check)


def _configured(params: Any) -> list[str]:
    """The languages of parameters that may be malformed."""
    languages = params.get("languages")
    return [str(code) for code in languages] if isinstance(languages, dict) else []


def _languages(params: Any) -> set[str]:
    """Languages that may be named: the configured ones and those of our corpora, wanted at the moment or not."""
    return {*_configured(params), *(corpus.language for corpus in CORPORA.values())}


def _covers(value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Takes mappings that have a value for every configured language."""
    if missing := [code for code in _configured(info.context) if code not in value]:
        raise ValueError(f"no value for {', '.join(missing)}")
    return value


def _where_shipped(value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Takes what has a pipeline for every configured language, or anything where no such leg is wanted."""
    ensemble = info.context.get("ensemble")
    legs = ensemble.get("legs") if isinstance(ensemble, dict) else None
    wanted = isinstance(legs, list) and "shipped" in legs
    if missing := [code for code in _configured(info.context) if wanted and not value.get(code)]:
        raise ValueError(f"no pipeline for {', '.join(missing)}; name one, or leave shipped out of ensemble.legs")
    return value


def _once(value: list[str]) -> list[str]:
    if doubled := sorted({each for each in value if value.count(each) > 1}):
        raise ValueError(f"named twice: {', '.join(doubled)}")
    return value


def _others(value: dict[str, str | None]) -> dict[str, str | None]:
    if own := [code for code, start in value.items() if code == start]:
        raise ValueError(f"{own[0]} cannot start from its own weights")
    return value


def _switch_or_auto(value: Any) -> Any:
    if not isinstance(value, bool) and value != "auto":
        raise ValueError(f"{value!r} is not true, false or auto")
    return value


def _folds(value: int) -> int:
    if value == 1:
        raise ValueError("one fold leaves nothing to train on; give 0 for none, or 2 or more")
    return value


Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Points = Annotated[float, Field(ge=-100, le=100)]
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(min_length=1)]
LanguageCode = Annotated[str, _one_of("language", _languages)]
CorpusName = Annotated[str, _one_of("corpus", lambda _: CORPORA)]
LegName = Annotated[str, _one_of("leg", lambda _: LEGS)]
Label = Annotated[str, _one_of("entity type", lambda _: LABELS)]
TypeSet = Annotated[str, _one_of("set of types", lambda _: TYPE_SETS)]
Every = Annotated[dict[LanguageCode, T], AfterValidator(_covers)]
"""A value for each language."""
Each = Annotated[
    Annotated[T, Tag("<one>")] | Annotated[Every[T], Tag("<each>")],
    Discriminator(lambda value: "<each>" if isinstance(value, dict) else "<one>"),
]
"""One value for all languages, or one for each."""
Types = Annotated[
    Annotated[list[Label], Field(min_length=1), AfterValidator(_once), Tag("<list>")]
    | Annotated[TypeSet, Tag("<set>")],
    Discriminator(lambda value: "<set>" if isinstance(value, str) else "<list>"),
]
Corpora = Annotated[list[CorpusName], Field(min_length=1), AfterValidator(_once)]


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
    start: Annotated[dict[LanguageCode, LanguageCode | None], AfterValidator(_others)]
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

    pipeline: Annotated[dict[LanguageCode, Name | None], AfterValidator(_where_shipped)]


class Export(Section):
    """``export``."""

    precision: Literal["int8", "fp32"]


class Ensemble(Section):
    """``ensemble``."""

    legs: Annotated[list[LegName], Field(min_length=1), AfterValidator(_once)]
    weight_step: Annotated[float, Field(ge=0.01, le=1)]
    folds: dict[LanguageCode, Annotated[int, Field(ge=0), AfterValidator(_folds)]]


class Evaluate(Section):
    """``evaluate``."""

    bootstrap: Count
    worst_sentences: Annotated[int, Field(ge=0)]


class Promotion(Section):
    """``promotion``."""

    min_difference: Points
    min_difference_corpus: Points
    bootstrap: Count
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
    review: bool
    review_megabytes: Positive
    keep_previous: Annotated[Any, AfterValidator(_switch_or_auto)]
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
