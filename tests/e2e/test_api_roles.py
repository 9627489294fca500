"""Who may what: every operation of the OpenAPI document, with each role, at its own service's things and at another's, which are there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from console.api import openapi
from console.api.access import ROLES
from console.api.table import OPERATIONS
from tests.e2e.api_parts import WAIT_S, Answer, Served
from tests.e2e.world import World

DOCUMENT = json.loads(openapi.document(OPERATIONS))
CASES = [
    (method.upper(), path, told) for path, methods in DOCUMENT["paths"].items() for method, told in methods.items()
]
NO_SERVICE = {
    "getOpenapi",
    "livez",
    "readyz",
    "metrics",
    "listServices",
    "listAudit",
    "listTokens",
    "listErasures",
    "createErasure",
    "getSettings",
}
"""Operations that name no service: they answer everybody, with what that one may see."""
LISTS = {"listRuns", "listRecordings", "listPushes", "listCaptures"}
"""That name one in a parameter."""
BODIES: dict[str, Any] = {
    "createRun": {"base": "released", "branch": "next"},
    "createRecording": {},
    "hookRun": {"branch": "feature/a"},
    "createToken": {"name": "made by a test", "role": "viewer"},
}


class Things(NamedTuple):
    """What is there of one service."""

    service: str
    run: str
    other: str
    """The run to compare it with: itself."""
    finding: str
    recording: str
    token: str
    exchange: str


class Stage(NamedTuple):
    """A server, what is there of both services, and a token of each role for `shop` alone."""

    served: Served
    shop: Things
    depot: Things
    tokens: dict[str, str]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One server for all cells; each service has a run with findings, a recording, and a token."""
    world = World(tmp_path_factory.mktemp("roles"))
    served = Served(world, exchanges=8)
    there = [things(served, service) for service in ("shop", "depot")]
    yield Stage(served, *there, {role: served.token(role, "shop") for role in ROLES})
    for process in world.started:
        process.kill()
        process.wait(10)


def things(served: Served, service: str) -> Things:
    """Make one of each thing."""
    run = served.run(service)
    assert served.ended(run)["state"] == "finished"
    finding = served.ask("GET", f"/api/v1/runs/{run}/findings").json["findings"][0]["id"]
    recording = served.ask("POST", "/api/v1/recordings", {"service": service}).json["recording"]
    exchange = served.ask("GET", f"/api/v1/runs/{run}/exchanges?limit=1").json["exchanges"][0]["exchange"]
    return Things(service, run, run, finding, recording, served.token("viewer", service).split("_")[1], exchange)


def call(stage: Stage, case: tuple[str, str, dict[str, Any]], at: Things, token: str | None) -> Answer:
    """The operation at things of one service."""
    method, path, told = case
    name = told["operationId"]
    if name == "revokeToken":  # it ends what it is called at
        at = at._replace(token=stage.served.token("viewer", at.service).split("_")[1])
    query = f"?service={at.service}" if name in LISTS else ""
    body = {**BODIES[name], "service": at.service} if name in BODIES else None
    if name == "createToken":
        body = {**BODIES[name], "services": [at.service]}
    if name == "createErasure":
        body = {"tokens": ["0123456789abcdef"]}
    if name == "decideFinding":
        body = {"decision": "bug", "note": "said by a test"}
    return stage.served.ask(method, path.format(**at._asdict()) + query, body, token=token)


def good(told: dict[str, Any]) -> set[int]:
    """What a caller who may is answered: as asked, or that the state of the thing does not allow it."""
    return {int(status) for status in told["responses"] if status.startswith("2") or status == "409"}


@pytest.mark.parametrize("role", [*ROLES, None])
@pytest.mark.parametrize("case", CASES, ids=[told["operationId"] for _, _, told in CASES])
def test_a_role_may_what_the_document_says_at_its_own_service_alone(
    stage: Stage, case: tuple[str, str, dict[str, Any]], role: str | None
) -> None:
    """Without a token 401; a lesser role 403; enough: at its own service as asked, at another's as if nothing were there."""
    told = case[2]
    needed = told["x-echolane-role"]
    token = stage.tokens[role] if role else None
    own, other = (call(stage, case, at, token) for at in (stage.shop, stage.depot))

    if needed is None and told["security"]:  # a signature is needed, and no token stands for it
        assert (own.status, other.status) == (401, 401)
    elif needed is None:
        assert own.status == other.status == 200
    elif role is None:
        assert (own.status, other.status) == (401, 401)
    elif ROLES.index(role) < ROLES.index(needed):
        assert (own.status, other.status) == (403, 403)
    else:
        assert own.status in good(told), own
        expected = good(told) if told["operationId"] in NO_SERVICE else {404}
        assert other.status in expected, other
        for text in (stage.depot.run, stage.depot.recording, stage.depot.token, '"depot"', 'service="depot"'):
            assert text not in own.body.decode()
            assert text not in other.body.decode().replace(f"`{text}`", "")


def test_no_operation_is_without_a_row_in_this_matrix() -> None:
    """Every operation of the table is in the document, and every parameter of a path is one that the matrix can fill."""
    assert len(CASES) == len(OPERATIONS)
    filled = set(Things._fields)
    for _, _, told in CASES:
        assert {one["name"] for one in told.get("parameters", []) if one["in"] == "path"} <= filled
        assert ({"token": []} in told["security"]) == (told["x-echolane-role"] is not None)


def test_an_admin_of_one_service_gives_access_to_no_other(stage: Stage) -> None:
    """Neither by naming it nor by naming none: the new token has the services of whoever made it, and what it may not see is not there."""
    admin = stage.tokens["admin"]
    body = {"name": "wide", "role": "admin"}
    made = stage.served.ask("POST", "/api/v1/tokens", body, token=admin)
    named = stage.served.ask("POST", "/api/v1/tokens", {**body, "services": ["shop", "depot"]}, token=admin)

    assert (made.status, made.json["token"]["services"]) == (201, ["shop"])
    assert named.status == 404
    assert stage.served.ask("DELETE", f"/api/v1/tokens/{admin.split('_')[1]}", token=admin).status == 409
    assert stage.served.ask("GET", f"/api/v1/runs/{stage.depot.run}", token=made.json["secret"]).status == 404
    assert stage.served.ask("GET", f"/runs/{stage.depot.run}", token=made.json["secret"]).status == 404
    page = stage.served.ask("GET", "/", token=made.json["secret"]).body.decode()
    assert stage.shop.run in page
    assert stage.depot.run not in page
    assert "depot" not in page


def test_erasing_over_the_api_is_for_admins_of_all_services_and_in_the_audit_log(stage: Stage) -> None:
    """What nobody has is erased to a receipt of nothing, told by a digest; a token of one service is refused and sees no receipt."""
    served, body = stage.served, {"tokens": ["0123456789abcdef"], "values": ["nobody-has-this-1"]}
    deadline = time.monotonic() + WAIT_S
    while (done := served.ask("POST", "/api/v1/erasures", body)).status == 409 and time.monotonic() < deadline:
        time.sleep(0.2)  # runs of the tests before this one may still go on, and they are waited for
    assert (done.status, done.json["erased"], done.json["remains"]) == (200, {}, []), done
    assert served.ask("POST", "/api/v1/erasures", {}).status == 409

    listed = served.ask("GET", "/api/v1/erasures").json["erasures"]
    assert done.json in listed
    entry = next(one for one in served.ask("GET", "/api/v1/audit").json["entries"] if one["status"] == 200)
    assert (entry["operation"], done.json["subject"] in entry["what"]) == ("createErasure", True)
    refused = served.ask("POST", "/api/v1/erasures", body, token=stage.tokens["admin"])
    assert (refused.status, served.ask("GET", "/api/v1/erasures", token=stage.tokens["admin"]).json) == (
        409,
        {"erasures": []},
    )
    told = str([listed, entry])
    assert "0123456789abcdef" not in told
    assert "nobody-has-this-1" not in told
