"""No more than 96 pixels of a picture leave the server without a look that was counted."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from io import BytesIO
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from assent.console.words import WORDS
from assent.core.clock import rfc3339
from assent.db.pool import Pool, transaction
from assent.staff.sessions import LONGEST_SESSION, store_token
from tests.events import rows
from tests.fixtures.console import SignedIn
from tests.integration.album import Album
from tests.integration.console_pages import address, claimed, decide, mark_queue, new_case, send

WITHOUT_LOOK = 96  # pixels of the longer side
ROLES = ("viewer", "moderator", "senior", "policy", "privacy", "admin")
PLACES = ("", "veil/1", "veil/2", "veil/3", "veil/0", "picture", "look", "decide", "faces/0/veto", "?veil=3", "?look=x")


def longest_side(content: bytes) -> int:
    return max(Image.open(BytesIO(content)).size)


def ask(client: TestClient, case: UUID) -> str:
    """Asks for a look as a script does; the address of the picture."""
    answer = send(client, address(case, "look"), headers={"accept": "application/json"})
    assert answer.status_code == 200, answer.text
    path: str = answer.json()["look"]
    return path


def counted(pool: Pool) -> list[tuple[str, bool, int]]:
    return [tuple(row) for row in rows(pool, "SELECT category, grave, looks FROM exposure ORDER BY category, grave")]


def test_veils_are_shrunk_on_the_server(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    viewer = signed_in("viewer")
    for step, side in ((1, 24), (2, 96)):
        veil = viewer.get(address(case, f"veil/{step}"))
        assert (veil.headers["content-type"], veil.headers["cache-control"]) == ("image/jpeg", "no-store")
        assert longest_side(veil.content) == side
    assert counted(pool) == []


def test_a_look_is_counted_and_shown_once(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    path = ask(robin, case)
    assert counted(pool) == [("body", False, 1)]
    assert signed_in("moderator").get(path).status_code == 404  # somebody else's
    full = robin.get(path)
    assert longest_side(full.content) > WITHOUT_LOOK
    assert robin.get(path).status_code == 404
    assert counted(pool) == [("body", False, 1)]


def test_without_a_script_the_page_itself_shows_it(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    answer = send(robin, address(case, "look"))
    assert answer.status_code == 303
    page = robin.get(answer.headers["location"]).text
    found = re.search(r'href="(/console/looks/[A-Za-z0-9_-]{43})"', page)
    assert found
    assert longest_side(robin.get(found[1]).content) > WITHOUT_LOOK
    assert counted(pool) == [("body", False, 1)]


def test_a_look_is_over_after_a_minute_and_with_its_case(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    path = ask(robin, case)
    with transaction(pool) as conn:
        conn.execute("UPDATE look SET expires_at = now() - interval '1 second'")
    assert robin.get(path).status_code == 404
    path = ask(robin, case)
    decide(robin, case, claimed(robin, case))
    assert robin.get(path).status_code == 409
    assert send(robin, address(case, "look")).status_code == 409


def test_a_grave_queue_asks_for_a_new_sign_in(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    mark_queue(pool, "default", grave=True)
    robin = signed_in("moderator")
    assert ask(robin, case)
    assert counted(pool) == [("body", True, 1)]
    earlier = rfc3339(datetime.now(UTC) - timedelta(minutes=6))
    with transaction(pool) as conn:
        held = {"signed_in_at": earlier}
        token = store_token(conn, desk.keys, "session", LONGEST_SESSION, held, UUID(robin.headers["x-staff"]))
    robin.cookies.set("assent_console", token)
    answer = send(robin, address(case, "look"))
    assert (answer.status_code, WORDS["step_up"]["title"] in answer.text) == (403, True)
    assert robin.get(address(case, "veil/2")).status_code == 200
    assert counted(pool) == [("body", True, 1)]


def test_what_is_on_a_severe_list_is_shown_to_nobody(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    with transaction(pool) as conn:
        conn.execute("UPDATE review_case SET reason = 'hash-severe'")
    for role in ROLES:
        client = signed_in(role)
        for place in ("veil/1", "veil/2"):
            answer = client.get(address(case, place))
            assert "image/" not in answer.headers["content-type"]
        assert send(client, address(case, "look")).status_code in (403, 404)
    page = claimed(signed_in("senior"), case)
    assert "shown to nobody" in page
    assert "<svg" not in page
    assert counted(pool) == []


@pytest.mark.parametrize("role", ROLES)
def test_no_route_shows_more_without_a_look(desk: Album, signed_in: SignedIn, pool: Pool, role: str) -> None:
    case = new_case(desk)
    client = signed_in(role)
    for place in PLACES:
        path = address(case, place) if not place.startswith("?") else address(case) + place
        for answer in (client.get(path), client.post(path, data={"form": "0" * 64})):
            if answer.headers.get("content-type", "").startswith("image/"):
                assert longest_side(answer.content) <= WITHOUT_LOOK
    assert client.get(f"/console/looks/{'A' * 43}").status_code in (403, 404)
    assert counted(pool) == []
    if role not in ("moderator", "senior"):
        assert send(client, address(case, "look")).status_code == 403


def test_faces_stay_hidden_where_a_policy_tells_the_platform_of_none(
    desk: Album, signed_in: SignedIn, pool: Pool
) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    before = robin.get(ask(robin, case)).content
    with transaction(pool) as conn:
        conn.execute(
            "UPDATE decision SET audiences = jsonb_set(audiences, '{platform}',"
            " audiences -> 'platform' || '{\"faces\": false, \"matches\": false}')"
        )
    assert robin.get(ask(robin, case)).content == before
