"""Checks JSON against the schemas of an OpenAPI document: the parts of JSON Schema (2020-12) that it uses.

A property that the schema does not name is an error, and so is a keyword that is not known here.
"""

from collections.abc import Iterator
from typing import Any

KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
KNOWN = {"type", "title", "description", "properties", "required", "items", "anyOf", "$ref", "enum", "discriminator"}
KNOWN |= {"additionalProperties", "const", "default", "minItems", "maxItems", "prefixItems"}


def violations(value: Any, schema: dict[str, Any], document: dict[str, Any], at: str = "$") -> Iterator[str]:
    """What is wrong with `value`."""
    yield from (f"{at}: unknown keyword {name}" for name in schema.keys() - KNOWN)
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        yield from violations(value, document["components"]["schemas"][name], document, at)
        return
    if "anyOf" in schema:
        found = [list(violations(value, one, document, at)) for one in schema["anyOf"]]
        if all(found):
            yield min(found, key=len)[0]
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    kind = schema.get("type")
    if kind is not None and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{at}: {value!r} is no {kind}"
    elif kind == "object" and "properties" in schema:
        yield from (f"{at}: {name} is missing" for name in schema.get("required", ()) if name not in value)
        yield from (f"{at}: {name} is not described" for name in value.keys() - schema["properties"].keys())
        for name, one in schema["properties"].items():
            if name in value:
                yield from violations(value[name], one, document, f"{at}.{name}")
    elif kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        for name, one in value.items():
            yield from violations(one, schema["additionalProperties"], document, f"{at}.{name}")
    elif kind == "array" and isinstance(schema.get("items"), dict):
        for index, one in enumerate(value):
            yield from violations(one, schema["items"], document, f"{at}[{index}]")


def problems_of(path: str, status: int, value: Any, document: dict[str, Any]) -> list[str]:
    """What is wrong with the answer of a GET for `path`."""
    content = document["paths"][path]["get"]["responses"][str(status)]["content"]
    return list(violations(value, content["application/json"]["schema"], document))
