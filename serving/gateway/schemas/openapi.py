"""How an endpoint's entry in the OpenAPI document states its requests, its answers and its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from multiner.pipeline.text.languages import AUTO
from multiner.serving.gateway.schemas.answers import ProblemSchema
from multiner.serving.gateway.schemas.protocols import InferenceError
from multiner.serving.http.entity_requests import Offer


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
