"""Label Studio's ML backend: a project that is connected to it gets predictions for its tasks.

Label Studio calls ``/health`` and ``/setup`` to connect, ``/predict`` for the tasks that a user selects or opens, and
``/webhook`` for whatever happens in the project. The shapes are those of ``label_studio/ml/api_connector.py`` and
``label_studio/ml/models.py`` of label-studio 1.23.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from multiner.pipeline.corpora.formats.label_studio import regions
from multiner.pipeline.corpora.uncertain_texts import doubt
from multiner.pipeline.text.languages import AUTO
from multiner.serving.gateway.label_config import LabelConfig, UnfitInterface, read_label_config
from multiner.serving.gateway.schemas import openapi
from multiner.serving.gateway.schemas.protocols import BackendEvent, BackendHealth, BackendPredictions, BackendSetup
from multiner.serving.http.entity_requests import Item, Options
from multiner.serving.http.payload import Limits, RequestModel, json_response, read_model, unless_gone
from multiner.serving.http.problems import Problem, invalid, too_large, unavailable
from multiner.serving.routing.inference_service import InferenceService

REQUESTS = 8  # as large as so many others may be: Label Studio sends all selected tasks at once, with their annotations
START_TRAINING = "START_TRAINING"
PREFIX = "/v1/{language}/label-studio"


class Task(RequestModel, extra="ignore", frozen=True):
    """A task of a project."""

    data: dict[str, Any] = Field(description="Its fields; the labelling interface says which one has the text.")


class PredictRequest(RequestModel, extra="ignore", frozen=True):
    """The tasks to predict."""

    tasks: list[Task]
    label_config: str = Field(description="The labelling interface of the project, in XML.")


class SetupRequest(RequestModel, extra="ignore", frozen=True):
    """A project to be connected; its access token is not used."""

    schema_: str = Field(alias="schema", default="", description="The labelling interface of the project, in XML.")


class Event(RequestModel, extra="ignore", frozen=True):
    """Something that happened in the project."""

    action: str = ""


def label_studio_router(service: InferenceService) -> APIRouter:
    """The endpoints of each language, and of ``auto``."""
    router, config = APIRouter(), service.config
    limits = Limits(REQUESTS * config.limits.texts, REQUESTS * config.limits.characters, config.limits.seconds)

    def languages_of(language: str) -> list[str]:
        """The languages whose models answer; Problem 404 for one that is not served."""
        if language not in (AUTO, *config.languages):
            raise Problem(404, "not-found", "Not Found", f"Languages are: {', '.join((AUTO, *config.languages))}.")
        return list(config.languages) if language == AUTO else [language]

    def model_version(language: str) -> str:
        """The live versions that answer, as predictions name them; Problem 503 where there is none."""
        states = [service.routes[code].describe() for code in languages_of(language)]
        if any(state["version"] is None for state in states):
            raise unavailable("A prediction has the version of its model, and none is live.")
        return ",".join(f"{state['name']}/{state['version']}" for state in states)

    def interface(value: str, language: str, where: str) -> LabelConfig | None:
        """The labelling interface; Problem 422 where it has no place for the entities of the language."""
        types = config.offer.types_of(language)
        try:
            return read_label_config(value, None if types is None else sorted(types))
        except UnfitInterface as error:
            raise invalid(f"The labelling interface does not fit. {error}", where) from None

    @router.get(f"{PREFIX}/health", response_model=BackendHealth, responses=openapi.problems(404, 503))
    async def health(language: str) -> Response:
        """Whether a model answers."""
        return json_response({"status": "UP", "model_class": model_version(language)})

    @router.post(
        f"{PREFIX}/setup",
        response_model=BackendSetup,
        openapi_extra=openapi.body({"application/json": openapi.schema(SetupRequest)}),
        responses=openapi.problems(400, 404, 408, 413, 415, 422, 503),
    )
    async def setup(request: Request, language: str) -> Response:
        """Connect a project: its labelling interface is checked, and nothing is kept."""
        version = model_version(language)
        body = await read_model(request, SetupRequest, config.limits)
        interface(body.schema_, language, "/schema")
        return json_response({"model_version": version})

    @router.post(
        f"{PREFIX}/predict",
        response_model=BackendPredictions,
        openapi_extra=openapi.body({"application/json": openapi.schema(PredictRequest)}),
        responses=openapi.problems(400, 404, 408, 413, 415, 422, 429, 502, 503, 504),
    )
    async def predict(request: Request, language: str) -> Response:
        """Predict the tasks of a project. A task whose text is missing or too long gets no prediction."""
        version = model_version(language)
        body = await read_model(request, PredictRequest, limits)
        labels = interface(body.label_config, language, "/label_config")
        if labels is None:
            raise invalid("The labelling interface is empty.", "/label_config")
        if len(body.tasks) > limits.texts:
            raise too_large(f"{len(body.tasks)} tasks; at most {limits.texts} are allowed in a request.", "/tasks")
        texts = [labels.text(task.data) for task in body.tasks]
        answers = await unless_gone(request, answered(texts, language))
        if body.tasks and not any(answers):
            _refuse(texts, labels, config.limits)
        return json_response(
            {
                "results": [
                    prediction(str(text), answer["entities"], labels, version) if answer else []
                    for text, answer in zip(texts, answers, strict=True)
                ]
            }
        )

    async def answered(texts: Sequence[str | None], language: str) -> list[dict[str, Any] | None]:
        """The result of each text, in groups within the limits of a request; None for those that have no text."""
        answers: list[dict[str, Any] | None] = [None] * len(texts)
        for group in _groups(texts, config.limits):
            items = [Item(str(texts[index]), language, Options()) for index in group]
            for index, answer in zip(group, await service.answer(items), strict=True):
                answers[index] = answer
        return answers

    @router.post(
        f"{PREFIX}/webhook",
        response_model=BackendEvent,
        openapi_extra=openapi.body({"application/json": openapi.schema(Event)}),
        responses=openapi.problems(400, 404, 408, 413, 415, 422),
    )
    async def webhook(request: Request, language: str) -> Response:
        """What happened in the project, which changes nothing here; training is not started from there."""
        languages_of(language)
        event = await read_model(request, Event, limits)
        if event.action == START_TRAINING:
            raise invalid(
                "Models are not trained from here: export the annotations, then: ner corpus import", "/action"
            )
        return json_response({"status": "ignored"})

    return router


def prediction(
    text: str, entities: Sequence[dict[str, Any]], labels: LabelConfig, model_version: str
) -> dict[str, Any]:
    """The prediction of a task. Its score is 1 less the doubt in the answer; Label Studio sorts tasks by it."""
    result = regions(text, labels.relabelled(entities), labels.from_name, labels.to_name)
    return {"model_version": model_version, "score": round(1 - doubt(entities), 4), "result": result}


def _groups(texts: Sequence[str | None], limits: Limits) -> Iterator[list[int]]:
    """The indices of the texts that fit into a request, in groups that do."""
    group: list[int] = []
    size = 0
    for index, text in enumerate(texts):
        if text is None or len(text) > limits.characters:
            continue
        if group and (len(group) == limits.texts or size + len(text) > limits.characters):
            yield group
            group, size = [], 0
        group.append(index)
        size += len(text)
    if group:
        yield group


def _refuse(texts: Sequence[str | None], labels: LabelConfig, limits: Limits) -> NoReturn:
    """Say why no task got a prediction."""
    if texts[0] is None:
        raise invalid(f"The task has no text in the field {labels.field!r} of its data.", "/tasks/0/data")
    raise too_large(f"{len(texts[0])} characters; at most {limits.characters} are allowed in a task.", "/tasks/0/data")
