"""The OpenAPI document names every command, what it takes, and everything that may be answered."""

from __future__ import annotations

from statewright import MemoryStore
from statewright.http import create_app
from tests.http.shop import Order, asked, shop

PROBLEMS = {"400", "403", "404", "409", "412", "413", "415", "422", "428", "500", "501", "503", "504"}
"""Of a command; 401 comes with a token."""


async def test_every_command_is_named_with_its_schema_and_its_problems() -> None:
    """Each command has a path and a name of its own, its payload's schema, and each problem as such."""
    executor = shop(MemoryStore())
    async with asked(create_app([executor], console=False)) as client:
        document = (await client.get("/openapi.json")).json()

    assert document["openapi"].startswith("3.1.")
    assert {schema.name for schema in Order._definition.commands} == {"Open", "AddItem", "Place", "Break", "Remind"}
    for schema in Order._definition.commands:
        route = document["paths"][f"/order/{{id}}/commands/{schema.name}"]["post"]
        payload = route["requestBody"]["content"]["application/json"]["schema"]
        assert route["operationId"] == f"order_{schema.name}"
        assert payload["properties"].keys() == schema.type.model_fields.keys()
        assert {parameter["name"] for parameter in route["parameters"]} == {
            *("id", "If-Match", "If-None-Match", "Idempotency-Key")
        }
        assert route["responses"].keys() == {"200", "201", *PROBLEMS}
        for status in PROBLEMS:
            assert route["responses"][status]["content"].keys() == {"application/problem+json"}


async def test_the_row_of_each_reading_is_there() -> None:
    """What can be read is named, with what is answered instead."""
    async with asked(create_app([shop(MemoryStore())], console=False)) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]

    rows = {
        "/order": {"200"},
        "/order/{id}": {"200", "304", "404"},
        "/order/{id}/commands": {"200"},
        "/order/{id}/history": {"200"},
        "/order/{id}/at/{version}": {"200", "404"},
        "/order/{id}/stream": {"200", "404", "410"},
        "/order/stream": {"200", "410"},
        "/order/definition": {"200"},
        "/healthz": {"200"},
        "/readyz": {"200", "503"},
    }
    for path, statuses in rows.items():
        assert statuses <= paths[path]["get"]["responses"].keys(), path
