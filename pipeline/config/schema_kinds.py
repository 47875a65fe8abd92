"""Kinds of values in params.yaml: ranges, names of a known set, schedules, and sections with optional keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from ipaddress import ip_network
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, HttpUrl, Tag, ValidationInfo

from multiner.pipeline.config.corpora import Corpus, published

M = TypeVar("M", bound=BaseModel)
LEGS = ("transformer", "spacy", "shipped")  # as in multiner.pipeline.models, which would import numpy
CATALOGUE = "catalogue"  # key of the corpora in the context of a validation


class Section(BaseModel):
    """A mapping with exactly these keys; values are not converted to their types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def closest(name: Any, names: Iterable[str]) -> str | None:
    """The one of ``names`` that a misspelt ``name`` probably stands for; None where none is similar."""
    return next(iter(get_close_matches(str(name), list(names), 1)), None)


def _one_of(what: str, names: Callable[[Any], Iterable[str]]) -> AfterValidator:
    """Accepts only the names that ``names`` returns for the parameters being checked; ``what`` they are names of."""

    def check(value: str, info: ValidationInfo) -> str:
        choices = sorted(names(info.context))
        if value in choices:
            return value
        similar = closest(value, choices)
        hint = f"did you mean {similar}?" if similar else f"choose among {', '.join(choices)}"
        raise ValueError(f"unknown {what} {value!r}; {hint}")

    return AfterValidator(check)


def _configured(params: Any) -> list[str]:
    """The configured languages; the parameters may be malformed."""
    languages = params.get("languages")
    return [str(code) for code in languages] if isinstance(languages, dict) else []


def _catalogue(params: Any) -> Mapping[str, Corpus]:
    """The corpora of the workspace, the published ones included."""
    corpora: Mapping[str, Corpus] = (params or {}).get(CATALOGUE, published())
    return corpora


def _languages(params: Any) -> set[str]:
    """The languages that a parameter may name: the configured ones and those of the corpora."""
    return {*_configured(params), *(corpus.language for corpus in _catalogue(params).values())}


def _labels(params: Any) -> set[str]:
    """The entity types that some corpus has."""
    return {label for corpus in _catalogue(params).values() for label in corpus.labels}


def _type_sets(params: Any) -> set[str]:
    """The sets of types that some corpus has a map to."""
    return {name for corpus in _catalogue(params).values() for name in corpus.type_sets}


def _training_corpora(params: Any) -> set[str]:
    """The corpora that training may use: those of the catalogue and the growing ones."""
    growing = params.get("growing")
    return {*_catalogue(params), *(growing if isinstance(growing, dict) else ())}


def unlike_published(value: str, info: ValidationInfo) -> str:
    """Accepts names that no corpus of the catalogue, and no other folder of data/raw, has."""
    corpora = _catalogue(info.context)
    if value in {*corpora, *(corpus.folder for corpus in corpora.values()), "packages"}:
        raise ValueError("data/raw has something else of this name; choose another one")
    return value


def optional(section: type[M]) -> type[M]:
    """A class decorator: makes the inherited keys of a section optional."""
    for base in section.__bases__:
        for name in getattr(base, "model_fields", ()):
            section.model_fields[name].default = None
    section.model_rebuild(force=True)
    return section


def where_shipped(value: str | None, info: ValidationInfo) -> str | None:
    """Accepts a pipeline, or None where ``ensemble.legs`` has other legs, too."""
    ensemble = (info.context or {}).get("ensemble")
    legs = ensemble.get("legs") if isinstance(ensemble, dict) else None
    if value is None and legs == ["shipped"]:
        raise ValueError("no pipeline, and ensemble.legs has no other leg; name one, or add a leg there")
    return value


def bare(value: HttpUrl) -> HttpUrl:
    """Accepts addresses without credentials, which would be logged, and without query and fragment."""
    if value.username or value.password or value.query or value.fragment:
        raise ValueError("write an address such as http://host:9001, without credentials, query and fragment")
    return value


def quantity(value: int | float | str) -> int | float | str:
    """Accepts amounts as Kubernetes writes them: ``2``, ``0.5``, ``500m``, ``8Gi``."""
    if not re.fullmatch(r"\d+(\.\d+)?(m|[kMGT]i?)?", str(value)) or not re.search("[1-9]", str(value)):
        raise ValueError("write an amount such as 2, 500m or 8Gi")
    return value


def once(value: list[str]) -> list[str]:
    """Accepts lists without repetition."""
    if repeated := sorted({each for each in value if value.count(each) > 1}):
        raise ValueError(f"named twice: {', '.join(repeated)}")
    return value


def switch_or_auto(value: Any) -> Any:
    """Accepts true, false and auto."""
    if not isinstance(value, bool) and value != "auto":
        raise ValueError(f"{value!r} is not true, false or auto")
    return value


def count_or_auto(value: Any) -> Any:
    """Accepts whole numbers from 1 on, and auto."""
    if value != "auto" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{value!r} is not a whole number from 1 on, or auto")
    return value


def cron(value: str) -> str:
    """Accepts cron expressions that some date fulfils."""
    from croniter import CroniterError, croniter  # Airflow reads schedules with it, too

    try:
        croniter({"@quarterly": "0 0 1 */3 *"}.get(value, value)).get_next()  # the one preset that only Airflow has
    except CroniterError as error:
        raise ValueError(
            f'"{value}" is no schedule ({error}); write a cron expression such as "0 3 * * 1", a preset such as '
            '"@weekly", or null for none'
        ) from None
    return value


def _folds(value: int) -> int:
    """Accepts 0 (no folds), or 2 and more."""
    if value == 1:
        raise ValueError("one fold leaves nothing to train on; give 0 for none, or 2 or more")
    return value


def network(value: str) -> str:
    """Takes an address, or a network such as 10.0.0.0/8."""
    try:
        ip_network(value)
    except ValueError:
        raise ValueError(f"{value!r} is no address and no network, such as 127.0.0.1 or 10.0.0.0/8") from None
    return value


Count = Annotated[int, Field(ge=1)]
Quantity = Annotated[int | float | str, AfterValidator(quantity)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Points = Annotated[float, Field(ge=-100, le=100)]
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(min_length=1)]
Network = Annotated[str, AfterValidator(network)]
LanguageCode = Annotated[str, _one_of("language", _languages)]
CorpusName = Annotated[str, _one_of("corpus", _catalogue)]
TrainingCorpusName = Annotated[str, _one_of("corpus", _training_corpora)]
GrowingCorpusName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,39}$"), AfterValidator(unlike_published)]
ConfiguredLanguage = Annotated[str, _one_of("language", _configured)]
LegName = Annotated[str, _one_of("leg", lambda _: LEGS)]
Label = Annotated[str, _one_of("entity type", _labels)]
TypeSet = Annotated[str, _one_of("set of types", _type_sets)]
Folds = Annotated[int, Field(ge=0), AfterValidator(_folds)]
Types = Annotated[
    Annotated[list[Label], Field(min_length=1), AfterValidator(once), Tag("<list>")] | Annotated[TypeSet, Tag("<set>")],
    Discriminator(lambda value: "<set>" if isinstance(value, str) else "<list>"),
]
Corpora = Annotated[list[CorpusName], Field(min_length=1), AfterValidator(once)]
TrainingCorpora = Annotated[list[TrainingCorpusName], Field(min_length=1), AfterValidator(once)]
Url = Annotated[HttpUrl, AfterValidator(bare)]
