"""A served model's memory does not grow with the words it has seen: words, strings and caches of every part."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.text.vocabulary import keep_small
from tests.e2e.trained.serving import served

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
TEXTS = 150  # of some 30 unique words each


@pytest.fixture(scope="module")
def texts(root: Path) -> dict[str, list[str]]:
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        from texts import invented
    finally:
        sys.path.pop(0)
    found: dict[str, list[str]] = {"en": [], "ru": []}
    for language, text in invented(seed=5):
        found[language].append(text)
        if min(map(len, found.values())) >= TEXTS:
            return found
    raise AssertionError("invented texts end")


def vocabularies(model: Any, language: str) -> dict[str, Any]:
    """spaCy's vocabularies in a served model, by what they belong to."""
    from multiner.pipeline.text.tokenizer import _tokenizer

    models = [
        (member, getattr(base, "model", base))
        for member, base in zip(model.ensemble.members, model.ensemble.models, strict=True)
    ]
    own = {member.name: base._nlp.vocab for member, base in models if hasattr(base, "_nlp")}
    return {"tokenizer": _tokenizer(language)[0].vocab} | own


def stores(model: Any, language: str) -> dict[str, Callable[[], int]]:
    """What counts the words and strings that a served model holds."""
    counts: dict[str, Callable[[], int]] = {}
    for name, vocab in vocabularies(model, language).items():
        counts[f"strings of {name}"] = partial(len, vocab.strings)
        counts[f"words of {name}"] = lambda vocab=vocab: sum(1 for _ in vocab)
    return counts


@pytest.mark.parametrize("language", ["en", "ru"])
def test_words_seen_once_leave_nothing_behind(trained: Workspace, texts: dict[str, list[str]], language: str) -> None:
    model = served(trained, language)
    warm_up, rest = texts[language][: TEXTS // 3], texts[language][TEXTS // 3 : TEXTS]
    for text in warm_up:
        model.answer(text)["entities"]
    counts = stores(model, language)
    before, resident = {name: count() for name, count in counts.items()}, psutil.Process().memory_info().rss
    for text in rest:
        model.answer(text)["entities"]
    assert len(before) == 2 * len(vocabularies(model, language)) >= 4
    assert {name: count() for name, count in counts.items()} == before
    assert psutil.Process().memory_info().rss - resident < 50e6
    answers = [model.answer(text)["entities"] for text in warm_up[:20]]
    for vocab in vocabularies(model, language).values():
        keep_small(vocab, most=0)
        assert len(vocab) == 0
    assert [model.answer(text)["entities"] for text in warm_up[:20]] == answers
