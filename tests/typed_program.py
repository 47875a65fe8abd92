"""A program of a user, which the type checker reads and nothing runs: the types that the public names have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

from multiner import (
    AsyncClient,
    Client,
    EndpointModel,
    Entity,
    Evaluation,
    LocalModel,
    NerError,
    Result,
    Scores,
    ServiceError,
    Training,
    evaluate,
    load,
    train,
)


def ask(texts: list[str]) -> None:
    """A client gives a result for a text, and a list for several."""
    with Client("http://127.0.0.1:8000") as client:
        assert_type(client.entities("Oslo", min_score=0.5), Result)
        assert_type(client.entities(texts), list[Result])
        assert_type(client.stream(texts), Iterator[Result])
        for entity in client.entities("Oslo").entities:
            assert_type(entity, Entity)
            assert_type((entity.start, entity.end, entity.text, entity.label), tuple[int, int, str, str])
            assert_type(entity.score, float | None)


async def ask_many(texts: list[str]) -> None:
    """So does the asynchronous client."""
    async with AsyncClient() as client:
        assert_type(await client.entities("Oslo"), Result)
        assert_type(await client.entities(texts), list[Result])


def predict(texts: list[str]) -> None:
    """A model has the same methods, wherever it runs."""
    assert_type(load(Path("model")), LocalModel)
    model = load("ner-en")
    assert_type(model, LocalModel | EndpointModel)
    assert_type(model.predict("Oslo"), Result)
    assert_type(model.predict(texts), list[Result])


def score(config: dict[str, Any]) -> float:
    """A training, its evaluation on a corpus, and the errors of both."""
    try:
        training = assert_type(train(config, "my-model", language="en"), Training)
        scores = assert_type(evaluate(training.model, "corpus.conllu"), Evaluation)
    except NerError as error:
        assert_type((error.message, error.remedy), tuple[str, str | None])
        return 0.0
    except ServiceError:
        return 0.0
    return assert_type(scores.overall, Scores).f1
