"""Kinds of values in params.yaml: ranges, names that are known here, schedules, sections whose keys may be left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from ipaddress import ip_network
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Discriminator, Field, HttpUrl, Tag, ValidationInfo

from multiner.pipeline.config.corpora import CORPORA
from multiner.pipeline.config.type_maps import TYPE_SETS

M = TypeVar("M", bound=BaseModel)
LEGS = ("transformer", "spacy", "shipped")  # of multiner.pipeline.models, which takes numpy to import
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


def optional(section: type[M]) -> type[M]:
    """A class decorator: what the section inherits may be left out."""
    for base in section.__bases__:
        for name in getattr(base, "model_fields", ()):
            section.model_fields[name].default = None
    section.model_rebuild(force=True)
    return section


def where_shipped(value: str | None, info: ValidationInfo) -> str | None:
    """Takes a pipeline, or none where no such leg is wanted."""
    ensemble = (info.context or {}).get("ensemble")
    legs = ensemble.get("legs") if isinstance(ensemble, dict) else None
    if value is None and isinstance(legs, list) and "shipped" in legs:
        raise ValueError("no pipeline; name one, or leave shipped out of ensemble.legs")
    return value


def bare(value: HttpUrl) -> HttpUrl:
    """Takes addresses without credentials, which would be logged, and without query and fragment."""
    if value.username or value.password or value.query or value.fragment:
        raise ValueError("write an address such as http://host:9001, without credentials, query and fragment")
    return value


def once(value: list[str]) -> list[str]:
    """Takes lists without repetition."""
    if doubled := sorted({each for each in value if value.count(each) > 1}):
        raise ValueError(f"named twice: {', '.join(doubled)}")
    return value


def switch_or_auto(value: Any) -> Any:
    """Takes true, false and auto."""
    if not isinstance(value, bool) and value != "auto":
        raise ValueError(f"{value!r} is not true, false or auto")
    return value


def cron(value: str) -> str:
    """Takes what cron understands, and that comes to pass some day."""
    from croniter import CroniterError, croniter  # Airflow's own reader of schedules

    try:
        croniter({"@quarterly": "0 0 1 */3 *"}.get(value, value)).get_next()  # Airflow's one preset beyond cron's
    except CroniterError as error:
        raise ValueError(
            f'"{value}" is no schedule ({error}); write a cron expression such as "0 3 * * 1", a preset such as '
            '"@weekly", or null for none'
        ) from None
    return value


def _folds(value: int) -> int:
    """Takes no folds, or two and more."""
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
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Points = Annotated[float, Field(ge=-100, le=100)]
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(min_length=1)]
Network = Annotated[str, AfterValidator(network)]
LanguageCode = Annotated[str, _one_of("language", _languages)]
CorpusName = Annotated[str, _one_of("corpus", lambda _: CORPORA)]
LegName = Annotated[str, _one_of("leg", lambda _: LEGS)]
Label = Annotated[str, _one_of("entity type", lambda _: LABELS)]
TypeSet = Annotated[str, _one_of("set of types", lambda _: TYPE_SETS)]
Folds = Annotated[int, Field(ge=0), AfterValidator(_folds)]
Types = Annotated[
    Annotated[list[Label], Field(min_length=1), AfterValidator(once), Tag("<list>")] | Annotated[TypeSet, Tag("<set>")],
    Discriminator(lambda value: "<set>" if isinstance(value, str) else "<list>"),
]
Corpora = Annotated[list[CorpusName], Field(min_length=1), AfterValidator(once)]
Url = Annotated[HttpUrl, AfterValidator(bare)]
