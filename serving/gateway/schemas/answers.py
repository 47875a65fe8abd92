"""Answers with entities, and the errors of the API, as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class LegSchema(BaseModel, extra="allow"):
    """The view of one member of the ensemble on the span."""

    start: int | None = None
    end: int | None = None
    label: str | None = None
    score: float | None = None


class EntitySchema(BaseModel, extra="allow"):
    """An entity: `text[start:end]`, counted in Unicode code points or in UTF-16 code units."""

    start: int
    end: int
    text: str
    label: str
    score: float | None = None
    legs: dict[str, LegSchema] | None = None
    language: str | None = Field(default=None, description="Its model's; left out where one model answered.")


class TokenSchema(BaseModel):
    """A token: `text[start:end]`, counted as the entities are."""

    start: int
    end: int
    text: str
    probabilities: dict[str, float] = Field(description="Of each type, and of `O`, no entity; they sum to 1.")
    language: str | None = Field(default=None, description="Its model's; left out where one model answered.")


class ModelSchema(BaseModel):
    """The version that answered."""

    name: str
    version: str


class NameSchema(BaseModel):
    """All mentions of a person, place or organisation in a text."""

    text: str = Field(description="Its fullest form.")
    label: str = Field(description="Its commonest type.")
    forms: list[str] = Field(description="The forms it is mentioned in, in their order.")
    mentions: list[int] = Field(description="Places of its mentions in the text's list of entities.")


class ResultSchema(BaseModel):
    """The entities of one text."""

    language: str = Field(description="The main one.")
    model: ModelSchema = Field(description="Of the main language.")
    models: dict[str, ModelSchema] | None = Field(
        default=None, description="By language, where more than one model answered; else left out."
    )
    entities: list[EntitySchema]
    tokens: list[TokenSchema] | None = Field(default=None, description="Left out unless asked for.")
    names: list[NameSchema] | None = Field(default=None, description="Left out unless asked for.")
    flags: list[Literal["mixed", "unsupported_script"]] | None = Field(
        default=None, description="Reasons to trust the answer less; left out where there are none."
    )


class EntitiesAnswer(BaseModel):
    """A result for each text, in their order."""

    results: list[ResultSchema]


class ProblemSchema(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    where: str | None = None


class StreamResultSchema(ResultSchema):
    """The answer to a line of a stream."""

    line: int
    id: str | int | None = None


class StreamProblemSchema(ProblemSchema):
    """Why a line of a stream has no result."""

    line: int
    id: str | int | None = None


class PredictionsAnswer(BaseModel):
    """An answer of `mlflow models serve`."""

    predictions: list[dict[str, Any]]
