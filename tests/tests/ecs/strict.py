"""Calls an operation of ECS: strict.py ENDPOINT OPERATION INPUT. Fails when the answer has what botocore's model has not."""

import json
import sys

import botocore.session
from botocore import xform_name


def unknown(shape, value, path):
    """Places in an answer that its shape does not know, or that are of another type."""
    kinds = {"structure": dict, "map": dict, "list": list, "string": str, "boolean": bool}
    numbers = {"integer": int, "long": int, "double": (int, float), "float": (int, float), "timestamp": (int, float)}
    wanted = kinds.get(shape.type_name) or numbers.get(shape.type_name)
    if wanted and (not isinstance(value, wanted) or (shape.type_name in numbers and isinstance(value, bool))):
        yield f"{path}: {value!r} is no {shape.type_name}"
    elif shape.type_name == "structure":
        for name, inner in value.items():
            if name not in shape.members:
                yield f"{path}.{name} is not known"
            elif inner is None:
                yield f"{path}.{name} is null"
            else:
                yield from unknown(shape.members[name], inner, f"{path}.{name}")
    elif shape.type_name == "list":
        for number, inner in enumerate(value):
            yield from unknown(shape.member, inner, f"{path}[{number}]")
    elif shape.type_name == "map":
        for key, inner in value.items():
            yield from unknown(shape.value, inner, f"{path}.{key}")
    elif shape.type_name == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{path}: {value!r} is none of {shape.enum}"


def main():
    endpoint, operation, given = sys.argv[1:]
    client = botocore.session.get_session().create_client("ecs", endpoint_url=endpoint)
    raw = {}
    client.meta.events.register("before-parse.ecs.*", lambda response_dict, **_: raw.update(response_dict))
    getattr(client, xform_name(operation))(**json.loads(given))
    answer = json.loads(raw["body"])
    shape = client.meta.service_model.operation_model(operation).output_shape
    problems = list(unknown(shape, answer, operation))
    if problems:
        sys.exit("\n".join(problems))
    print(json.dumps(answer))


main()
