"""The description of the service in the form that machines read: OpenAPI 3.1."""

from typing import Any

from counterpoise import __version__
from counterpoise.table.model.protocol import TrainedModel
from counterpoise.table.using.json_rows import row_schema

_JSON = "application/json"
_PLACE = {"type": "array", "items": {"type": ["string", "integer"]}}
_MISTAKE = {
    "type": "object",
    "properties": {"loc": _PLACE, "msg": {"type": "string"}, "type": {"type": "string"}},
    "required": ["loc", "msg", "type"],
}


def described(model: TrainedModel, most_rows: int) -> dict[str, Any]:
    """All that the service answers, as a document.

    Parameters
    ----------
    model
        The model that is served.
    most_rows
        Largest number of rows of a request.
    """
    health = {name: {"type": "string"} for name in ("status", "goal")}
    target = model.description.target
    health_schema = _object(health | {"target": target, "classes": {"type": "array", "items": {"type": "string"}}})
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Counterpoise: {model.description.title}", "version": __version__},
        "paths": {
            "/predict": {"post": _predict(model, most_rows)},
            "/health": {"get": _page("What is served", _JSON, health_schema)},
            "/openapi.json": {"get": _page("This description", _JSON, {"type": "object"})},
            "/": {"get": _page("The report of the training", "text/html", {"type": "string"})},
        },
    }


def _predict(model: TrainedModel, most_rows: int) -> dict[str, Any]:
    rows = {"type": "array", "items": row_schema(model.schema), "minItems": 1, "maxItems": most_rows}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    predicted = _object(
        {
            "probability": _object({str(name): share for name in model.classes}),
            "decision": model.description.decision,
        }
    )
    answered = _object({"predictions": {"type": "array", "items": predicted}})
    asked = _object({"rows": rows}) | {"additionalProperties": False}
    if model.schema.needs_day:
        day = {"type": "string", "format": "date"}
        asked["properties"]["as_of"] = {
            **day,
            "type": ["string", "null"],
            "description": "The day up to which ages of dates are counted; today (UTC) if absent",
        }
        answered = _object(answered["properties"] | {"as_of": day})
    answered["properties"]["warnings"] = {"type": "array", "items": {"type": "string"}}  # where a category is new
    refused = _object({"detail": {"type": "string"}})
    mistakes = _object({"detail": {"type": "array", "items": _MISTAKE}})
    return {
        "summary": model.description.summary,
        "requestBody": {"required": True, "content": {_JSON: {"schema": asked}}},
        "responses": {
            "200": _response("Predicted", _JSON, answered),
            "408": _response("The body did not arrive in time", _JSON, refused),
            "413": _response("Too many rows or bytes", _JSON, refused),
            "415": _response("The body is compressed", _JSON, refused),
            "422": _response("A row that cannot be used; detail names its place", _JSON, mistakes),
            "503": _response("Too many bodies arrive at once; try again", _JSON, refused),
        },
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _response(description: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _page(summary: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": _response(summary, kind, schema)}}
