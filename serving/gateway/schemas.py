"""The shapes of the API's requests and answers, as its OpenAPI document states them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from multiner.pipeline.text.languages import AUTO
from multiner.serving.http.payload import Offer
from multiner.serving.operator.model_schemas import ModelFacts


class EntitiesOptions(BaseModel, extra="forbid"):
    """What to leave out of an answer, and how to count."""

    language: str = Field(default=AUTO, description="`auto` (told by each sentence's script), or a language's code.")
    min_score: float = Field(default=0.0, ge=0, le=1, description="Entities with a lower score are left out.")
    types: list[str] | None = Field(default=None, description="Only entities of these types; null: of all.")
    legs: bool = Field(default=True, description="Whether entities tell what each member of the ensemble found.")
    tokens: bool = Field(default=False, description="Whether each token is told with its probabilities by type.")
    offsets: Literal["code_points", "utf16"] = Field(
        default="code_points", description="What `start` and `end` count: code points, or UTF-16 code units."
    )


class EntitiesRequest(EntitiesOptions):
    """What to find entities in."""

    text: str | list[str] = Field(description="A text, or a list of texts. Empty texts have no entities.")


class StreamRequest(EntitiesOptions):
    """A line of a stream, unless it is a string alone."""

    text: str
    id: Annotated[str, Field(max_length=200)] | Annotated[int, Field(gt=-(2**63), lt=2**63)] | None = Field(
        default=None, description="Comes back on the line of the answer."
    )


class LegView(BaseModel, extra="allow"):
    """What one member of the ensemble says about the span."""

    start: int | None = None
    end: int | None = None
    label: str | None = None
    score: float | None = None


class Entity(BaseModel, extra="allow"):
    """An entity: `text[start:end]`, counted in Unicode code points or in UTF-16 code units."""

    start: int
    end: int
    text: str
    label: str
    score: float | None = None
    legs: dict[str, LegView] | None = None
    language: str | None = Field(default=None, description="Whose model found it; left out where one model answered.")


class Token(BaseModel):
    """A token: `text[start:end]`, counted as the entities are."""

    start: int
    end: int
    text: str
    probabilities: dict[str, float] = Field(description="Of each type, and of `O`, no entity; they sum to 1.")
    language: str | None = Field(default=None, description="Whose model read it; left out where one model answered.")


class ModelName(BaseModel):
    """The version that answered."""

    name: str
    version: str


class Result(BaseModel):
    """The entities of one text."""

    language: str = Field(description="The main one.")
    model: ModelName = Field(description="Of the main language.")
    models: dict[str, ModelName] | None = Field(
        default=None, description="By language, where more than one model answered; else left out."
    )
    entities: list[Entity]
    tokens: list[Token] | None = Field(default=None, description="Left out unless asked for.")
    flags: list[Literal["mixed", "unsupported_script"]] | None = Field(
        default=None, description="Reasons to trust the answer less; left out where there are none."
    )


class EntitiesAnswer(BaseModel):
    """A result for each text, in their order."""

    results: list[Result]


class CorrectionRequest(BaseModel):
    """A text with all its entities as they should be."""

    text: str
    language: str = Field(description="A language's code.")
    model: ModelName = Field(description="What had answered.")
    entities: list[Entity] = Field(description="All that are right; offsets count code points; scores are ignored.")
    changed: list[dict[str, int]] | None = Field(
        default=None, description="Places (`start`, `end`) whose sentences are kept; null: all sentences."
    )


class Kept(BaseModel):
    """How many sentences were new to the review queue, and how many stood there already."""

    kept: int
    known: int


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    where: str | None = None


class StreamResult(Result):
    """The answer to a line of a stream."""

    line: int
    id: str | int | None = None


class StreamProblem(ProblemDetails):
    """Why a line of a stream was not answered."""

    line: int
    id: str | int | None = None


class RouteState(BaseModel):
    """What serves a language."""

    language: str
    state: Literal["live", "starting", "restarting", "absent", "failed"]
    name: str | None
    version: str | None
    since: str | None
    previous: str | None
    detail: str | None


class ShadowMeans(BaseModel):
    """Mean milliseconds of the calls that both answered; null where there were none."""

    live: float | None
    shadow: float | None


class ShadowState(BaseModel):
    """The challenger that answers copies of live calls, and how its answers differ from those of one live version."""

    name: str
    version: str
    state: Literal["starting", "live", "failed"]
    since: str | None
    against: str | None = Field(description="The live version it was compared with; null before the first call.")
    counted_since: str
    calls: int = Field(description="Calls that both answered; each may hold several texts.")
    different_calls: int
    texts: int
    different: int = Field(description="Texts that were answered differently.")
    differences: dict[Literal["only_live", "only_shadow", "other_type", "other_boundaries"], dict[str, int]]
    dropped_calls: int
    failed_calls: int
    mean_ms: ShadowMeans


class Health(BaseModel):
    """The state over all, and of each language."""

    status: Literal["ok", "starting", "degraded", "down"]
    languages: dict[str, RouteState]


class ModelState(RouteState, ModelFacts):
    """What serves a language, what its shadow found, and what the registry knows of it."""

    shadow: ShadowState | None = Field(description="null where no challenger is shadowed.")


class Models(BaseModel):
    """The state of each language, and what is known of its model."""

    models: list[ModelState]


class Predictions(BaseModel):
    """What `mlflow models serve` answers."""

    predictions: list[dict[str, Any]]


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema for use inside the OpenAPI document, which holds the models that it refers to."""
    found = model.model_json_schema(ref_template="#/components/schemas/{model}")
    found.pop("$defs", None)
    return found


def asked(model: type[BaseModel], offer: Offer, texts: Sequence[str] = ("text",)) -> dict[str, Any]:
    """The schema of a request with this gateway's languages, types and limits; ``texts`` are its fields of text."""
    found = schema(model)
    fields = found["properties"]
    if "language" in fields:
        fields["language"]["enum"] = [AUTO, *offer.languages]
    for shape in (shape for name in texts for shape in fields[name].get("anyOf", [fields[name]])):
        shape |= {"maxLength": offer.limits.characters} if shape["type"] == "string" else {}
        shape |= {"maxItems": offer.limits.texts} if shape["type"] == "array" else {}
    if known := offer.known_types(AUTO):
        fields["types"]["anyOf"][0]["items"]["enum"] = sorted(known)
    return found


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of an endpoint, for its OpenAPI entry."""
    texts = {
        400: "Malformed: not JSON in UTF-8, or not valid HTTP",
        403: "Sent by a page of another site",
        404: "There is no such language",
        409: "The live version cannot give tokens",
        408: "The body did not arrive in time",
        413: "Over a limit, which is named",
        414: "The address is too long",
        415: "The content type is not supported",
        421: "Addressed to a host that this is not",
        422: "Not what this takes; the place is named",
        429: "Too many requests are waiting; see Retry-After",
        431: "The headers are too large",
        502: "The model failed",
        503: "No model is live; see Retry-After",
        504: "The model took too long",
        507: "The review queue is full",
    }
    content = {"application/problem+json": {"schema": schema(ProblemDetails)}}
    return {code: {"content": content, "description": texts[code]} for code in codes}


def body(shapes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """An endpoint's body, for its OpenAPI entry: media types, each with its schema."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": shape} for kind, shape in shapes.items()}}}
