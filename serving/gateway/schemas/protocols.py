"""Answers in the forms of other tools (Hugging Face, Label Studio, the Open Inference Protocol)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel


class EntityGroup(BaseModel):
    """An entity, as Hugging Face's pipeline for token classification groups it; offsets in Unicode code points."""

    entity_group: str = Field(description="The type.")
    score: float | None
    word: str
    start: int
    end: int


class LabelledToken(BaseModel):
    """A token with its label, as the same pipeline gives pieces of words if it aggregates nothing."""

    entity: str = Field(description="The label in IOB2, such as `B-PER`.")
    score: float = Field(description="The probability of the label's type.")
    index: int = Field(description="The token's number in the text, from 1 on.")
    word: str
    start: int
    end: int


class TokenClassificationAnswer(
    RootModel[list[EntityGroup] | list[LabelledToken] | list[list[EntityGroup] | list[LabelledToken]]]
):
    """The entities, or the tokens, of the text, or of each text of a list."""


class BackendHealth(BaseModel):
    """The backend answers."""

    status: Literal["UP"]
    model_class: str = Field(description="The live versions.")


class BackendSetup(BaseModel):
    """The project is connected."""

    model_version: str


class RegionValue(BaseModel):
    """Where an entity is: offsets in Unicode code points."""

    start: int
    end: int
    text: str
    labels: list[str]


class Region(BaseModel):
    """An entity, as Label Studio's editor shows it."""

    id: str
    from_name: str
    to_name: str
    type: Literal["labels"]
    value: RegionValue
    score: float | None = None


class TaskPrediction(BaseModel):
    """The prediction of a task."""

    model_version: str
    score: float
    result: list[Region]


class BackendPredictions(BaseModel):
    """The prediction of each task, in their order."""

    results: list[TaskPrediction | Annotated[list[Any], Field(max_length=0)]] = Field(
        description="An empty list for a task whose text is missing or too long."
    )


class BackendEvent(BaseModel):
    """The event was taken note of."""

    status: Literal["ignored"]


class InferenceError(BaseModel):
    """An error of the Open Inference Protocol."""

    error: str


class ServerMetadata(BaseModel):
    """The server, as the Open Inference Protocol describes it."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(BaseModel):
    """Whether the server answers."""

    live: bool


class ServerReady(ServerLive):
    """Whether every model answers; the protocol's text names the field `live`, its servers `ready`."""

    ready: bool


class ModelReady(BaseModel):
    """Whether a model answers."""

    name: str
    ready: bool


class TensorMetadata(BaseModel):
    """A tensor; -1 stands for any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """A model, as the Open Inference Protocol describes it."""

    name: str
    versions: list[str] | None = Field(default=None, description="The live one; left out where there is none.")
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OutputTensor(TensorMetadata):
    """The entities of each text, a list in JSON."""

    data: list[str]


class InferenceAnswer(BaseModel):
    """An answer of the Open Inference Protocol."""

    model_name: str
    model_version: str | None = Field(default=None, description="Left out where several models may answer.")
    id: str | None = Field(default=None, description="That of the request, if it had one.")
    outputs: list[OutputTensor]
