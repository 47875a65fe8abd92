"""The OpenAPI document: the schemas of the API's answers, and how an endpoint's entry states them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel

from multiner.pipeline.text.languages import AUTO
from multiner.serving.http.entity_requests import Offer
from multiner.serving.operator.model_schemas import ModelFacts


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


class CanarySchema(BaseModel):
    """The latest new champion that got a share of the calls before it took over, or was rolled back."""

    version: str
    against: str = Field(description="The version before.")
    state: Literal["running", "passed", "failed", "rolled_back", "ended"] = Field(
        description="`failed`: the registry's alias is to be moved back; `ended`: by an order or another champion."
    )
    share: float = Field(description="Of the conversations, while it runs.")
    since: str
    ended: str | None
    reason: str | None = Field(description="Why it ended; while it runs, how far it is.")
    measures: list[str] = Field(description="What its calls have shown, each measure in words.")
    counts: dict[str, int]


class RouteSchema(BaseModel):
    """The state of a language's model."""

    language: str
    state: Literal["live", "starting", "restarting", "unloaded", "absent", "failed"]
    name: str | None
    version: str | None
    since: str | None
    previous: str | None
    detail: str | None
    canary: CanarySchema | None = Field(description="null: canaries are off, or there was none yet.")


class ShadowMeansSchema(BaseModel):
    """Mean milliseconds of the calls that both answered; null where there were none."""

    live: float | None
    shadow: float | None


class ShadowSchema(BaseModel):
    """A challenger that answers copies of live calls, and how its answers differ from the live version's."""

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
    mean_ms: ShadowMeansSchema


class LiveAnswer(BaseModel):
    """The gateway runs."""

    live: Literal[True]


class HealthAnswer(BaseModel):
    """The state of the gateway, and of each language."""

    status: Literal["ok", "starting", "degraded", "down"]
    languages: dict[str, RouteSchema]


class ModelStateSchema(RouteSchema, ModelFacts):
    """The state of a language's model and of its shadow, and the registry's facts about the version."""

    shadow: ShadowSchema | None = Field(description="null: there is no challenger.")


class ModelsAnswer(BaseModel):
    """The model of each language."""

    models: list[ModelStateSchema]


class PredictionsAnswer(BaseModel):
    """An answer of `mlflow models serve`."""

    predictions: list[dict[str, Any]]


class EntityGroup(BaseModel):
    """An entity, as Hugging Face's pipeline for token classification groups it; offsets in Unicode code points."""

    entity_group: str = Field(description="The type.")
    score: float | None
    word: str
    start: int
    end: int


class EntityGroups(RootModel[list[EntityGroup] | list[list[EntityGroup]]]):
    """The entities of the text, or of each text of a list."""


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


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema for the OpenAPI document, without references."""
    top = model.model_json_schema()
    definitions = top.pop("$defs", {})

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return whole(definitions[value["$ref"].rpartition("/")[2]])
        return {key: whole(each) for key, each in value.items()}

    return whole(top)


def request_schema(model: type[BaseModel], offer: Offer, texts: Sequence[str] = ("text",)) -> dict[str, Any]:
    """The schema of a request, with this gateway's languages, types and limits; ``texts`` are its fields of text."""
    top = schema(model)
    fields = top["properties"]
    if "language" in fields:
        fields["language"]["enum"] = [AUTO, *offer.languages]
    for shape in (shape for name in texts for shape in fields[name].get("anyOf", [fields[name]])):
        shape |= {"maxLength": offer.limits.characters} if shape["type"] == "string" else {}
        shape |= {"maxItems": offer.limits.texts} if shape["type"] == "array" else {}
    if types := offer.types_of(AUTO):
        fields["types"]["anyOf"][0]["items"]["enum"] = sorted(types)
    return top


def problems(*codes: int, form: type[BaseModel] = ProblemSchema) -> dict[int | str, dict[str, Any]]:
    """An endpoint's error answers, for its entry in the OpenAPI document."""
    descriptions = {
        400: "Malformed: not JSON in UTF-8, or not valid HTTP",
        403: "Sent by a page of another site",
        404: "There is no such language, model or version",
        409: "The live version cannot give tokens",
        408: "The body did not arrive in time",
        413: "Over a limit, which is named",
        414: "The address is too long",
        415: "The content type is not supported",
        421: "Addressed to another host",
        422: "Not valid; the place is named",
        429: "Too many requests are waiting, or documents being read; see Retry-After",
        431: "The headers are too large",
        502: "The model failed",
        503: "No model is live; see Retry-After",
        504: "The model took too long",
        507: "The review queue is full",
    }
    media_type = "application/problem+json" if form is ProblemSchema else "application/json"
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}}}
    return {code: {"content": content, "description": descriptions[code]} for code in codes}


def add_errors(document: dict[str, Any]) -> None:
    """Add the schemas of errors that :func:`problems` refers to.

    Each endpoint refers to them: generators of clients make one class for each schema that stands in an endpoint's
    entry, and two of one name are an error to them.
    """
    document["components"]["schemas"] |= {form.__name__: schema(form) for form in (ProblemSchema, InferenceError)}


def body(shapes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """An endpoint's body, for its entry in the OpenAPI document: a schema for each media type."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": shape} for kind, shape in shapes.items()}}}
