"""Kinds of values in params.yaml: ranges, names that are known here, one value for all languages or one for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo

from multiner.pipeline.config.corpora import CORPORA
from multiner.pipeline.config.type_maps import TYPE_SETS

T = TypeVar("T")
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


def _covers(value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Takes mappings that have a value for every configured language."""
    if missing := [code for code in _configured(info.context) if code not in value]:
        raise ValueError(f"no value for {', '.join(missing)}")
    return value


def where_shipped(value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Takes what has a pipeline for every configured language, or anything where no such leg is wanted."""
    ensemble = info.context.get("ensemble")
    legs = ensemble.get("legs") if isinstance(ensemble, dict) else None
    wanted = isinstance(legs, list) and "shipped" in legs
    if missing := [code for code in _configured(info.context) if wanted and not value.get(code)]:
        raise ValueError(f"no pipeline for {', '.join(missing)}; name one, or leave shipped out of ensemble.legs")
    return value


def once(value: list[str]) -> list[str]:
    """Takes lists without repetition."""
    if doubled := sorted({each for each in value if value.count(each) > 1}):
        raise ValueError(f"named twice: {', '.join(doubled)}")
    return value


def other_starts(value: dict[str, str | None]) -> dict[str, str | None]:
    """Takes languages that start from others than themselves."""
    if own := [code for code, start in value.items() if code == start]:
        raise ValueError(f"{own[0]} cannot start from its own weights")
    return value


def switch_or_auto(value: Any) -> Any:
    """Takes true, false and auto."""
    if not isinstance(value, bool) and value != "auto":
        raise ValueError(f"{value!r} is not true, false or auto")
    return value


def folds(value: int) -> int:
    """Takes no folds, or two and more."""
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
    Annotated[list[Label], Field(min_length=1), AfterValidator(once), Tag("<list>")] | Annotated[TypeSet, Tag("<set>")],
    Discriminator(lambda value: "<set>" if isinstance(value, str) else "<list>"),
]
Corpora = Annotated[list[CorpusName], Field(min_length=1), AfterValidator(once)]
