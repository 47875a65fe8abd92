"""The reference of the HTTP API, from the OpenAPI document of the gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from multiner.pipeline.config.settings import Workspace


def document(root: Path) -> dict[str, Any]:
    """The OpenAPI document of a gateway that takes corrections, so that it names every endpoint."""
    from multiner.serving.gateway.app import create_app
    from multiner.serving.gateway.config import workspace_config
    from multiner.serving.operator.facts_reader import FactsReader

    own = Workspace.load(root=root)
    params = own.params | {"serving": own.params["serving"] | {"review": True}}
    with TemporaryDirectory(prefix="ner-docs-") as folder:
        workspace = replace(own, root=Path(folder), params=params)
        config = workspace_config(workspace, token="")
        try:
            return create_app(config, FactsReader(workspace)).openapi()
        finally:
            config.state.close()


def markdown(root: Path) -> str:
    """A section for each endpoint, then one for each schema."""
    own = document(root)
    return "\n\n".join([*_endpoints(own["paths"]), "## Schemas", *_schemas(own["components"]["schemas"])])


def _endpoints(paths: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in paths.items():
        for method, endpoint in methods.items():
            yield f"## `{method.upper()} {path}`"
            yield endpoint.get("description") or endpoint.get("summary", "")
            if rows := [
                f"| `{each['name']}` | {each['in']} | {kind(each['schema'])} | {cell(each.get('description', ''))} |"
                for each in endpoint.get("parameters", ())
            ]:
                yield "\n".join(["| parameter | in | type | meaning |", "|---|---|---|---|", *rows])
            bodies = endpoint.get("requestBody", {}).get("content", {})
            for media, body in bodies.items():
                yield f"Body, `{media}`: {kind(body.get('schema', {}))}."
                if "properties" in body.get("schema", {}):
                    yield _fields(body["schema"])
            rows = [
                f"| {status} | {cell(answer.get('description', ''))} | {_content(answer.get('content', {}))} |"
                for status, answer in endpoint["responses"].items()
            ]
            yield "\n".join(["| status | meaning | body |", "|---|---|---|", *rows])


def _schemas(schemas: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in sorted(schemas.items()):
        yield f"### {name}"
        yield schema.get("description", "")
        yield _fields(schema) if "properties" in schema else f"{kind(schema)}."


def _fields(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        f"| `{name}` | {kind(field)} | {'yes' if name in required else 'no'} | {cell(field.get('description', ''))} |"
        for name, field in schema["properties"].items()
    ]
    return "\n".join(["| field | type | required | meaning |", "|---|---|---|---|", *rows])


def _content(content: Mapping[str, Any]) -> str:
    return ", ".join(f"`{media}`: {kind(body.get('schema', {}))}" for media, body in content.items())


def kind(schema: Mapping[str, Any]) -> str:
    """The type of a schema, in words; other schemas are links."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(map(kind, choices)))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(inner := schema.get("additionalProperties"), dict):
        return f"object of {kind(inner)}"
    return str(schema.get("type", "any"))


def cell(text: str) -> str:
    """The text as a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
