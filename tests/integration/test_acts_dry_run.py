"""Until the operator connects a source and switches it on, what policies ask for is only written down."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from assent.core.errors import BadRequest, NotFound
from assent.core.values import Action
from assent.db.pool import transaction
from assent.outbox.connections import connect_platform, list_connections, switch_actions
from assent.platforms.calls import ActCredentials
from tests.acting import Acting
from tests.events import leaves, rows
from tests.platform_api import Api, Fault
from tests.web import Answer


def switch(acting: Acting, on: bool) -> None:
    with transaction(acting.pool) as conn:
        switch_actions(conn, acting.keys, "social", on)


def test_nothing_is_called_before_it_is_switched_on(acting: Acting, api: Api) -> None:
    switch(acting, on=False)
    acting.decide("social", "status/1/1", ["report"])
    acting.settle()
    assert (acting.states(), api.asked) == (["dry-run"], [])
    switch(acting, on=True)
    acting.settle()
    assert (acting.states(), api.asked) == (["dry-run"], [])  # what is over stays over
    acting.decide("social", "status/1/1", ["report"])
    acting.settle()
    assert (acting.states(), len(api.reports)) == (["done"], 1)


def count(act: str, state: str) -> float:
    values = {"platform": "mastodon", "act": act, "state": state}
    return REGISTRY.get_sample_value("assent_platform_acts_total", values) or 0.0


def test_what_came_of_acts_is_counted_once_by_platform_and_act(acting: Acting, api: Api) -> None:
    cases = [("social", True, "done"), ("social", False, "dry-run"), ("social", True, "failed")]
    for n, (source, on, state) in enumerate(cases):
        acting.connect(source, api.url, on=on)
        api.gone = {"7"} if state == "failed" else set()
        before = count("report", state)
        acting.decide(source, f"status/{n}/1", ["report"])
        api.faults = iter([Fault(Answer(500))])
        acting.settle()
        acting.settle()
        assert count("report", state) == before + 1, state


def test_without_a_connection_it_is_a_dry_run_too(acting: Acting, api: Api) -> None:
    with transaction(acting.pool) as conn:
        conn.execute("DELETE FROM platform_connection")
    acting.decide("social", "status/1/1", ["report"])
    acting.settle()
    acting.decide("social", "status/1/1", [], Action.allow)
    acting.settle()
    assert (acting.states(), api.asked) == (["undone"], [])


def test_switched_off_undoing_waits(acting: Acting, api: Api) -> None:
    acting.decide("social", "status/1/1", ["report"])
    acting.settle()
    switch(acting, on=False)
    acting.decide("social", "status/1/1", [], Action.allow)
    (outcome,) = acting.step()
    assert (outcome.state, outcome.because) == ("undoing", "acting is switched off")
    assert len(api.asked) == 1
    switch(acting, on=True)
    acting.settle()
    assert api.reports[0]["action_taken"]


def test_the_switch_in_the_table_is_believed_by_nobody(acting: Acting, api: Api) -> None:
    switch(acting, on=False)
    with transaction(acting.pool) as conn:
        conn.execute("UPDATE platform_connection SET acting = true")
    acting.decide("social", "status/1/1", ["report"])
    acting.settle()
    assert (acting.states(), api.asked) == (["dry-run"], [])
    with transaction(acting.pool) as conn:  # nor is another source's connection
        conn.execute(
            "UPDATE platform_connection SET sealed = (SELECT sealed FROM platform_connection WHERE source = 'app')"
        )
    acting.decide("social", "status/2/1", ["report"])
    acting.settle()
    assert (acting.states(), api.asked) == (["dry-run", "failed"], [])
    assert len(leaves(acting.pool, "seal.broken")) == 1


def test_the_token_lies_nowhere_in_the_clear(acting: Acting) -> None:
    sealed = rows(acting.pool, "SELECT sealed FROM platform_connection")
    assert sealed
    assert not any(b"token" in bytes(one) or b"127.0.0.1" in bytes(one) for (one,) in sealed)


@pytest.mark.parametrize(
    ("source", "credentials", "error"),
    [
        ("nobody", ActCredentials("https://social.example", "t"), NotFound),
        ("social", ActCredentials("social.example", "t"), BadRequest),
        ("social", ActCredentials("https://social.example", ""), BadRequest),
        ("social", ActCredentials("https://social.example", "two\nlines"), BadRequest),
        ("forum", ActCredentials("https://forum.example", "key"), BadRequest),
    ],
)
def test_a_connection_that_cannot_be_one_is_refused(
    acting: Acting, source: str, credentials: ActCredentials, error: type[Exception]
) -> None:
    with pytest.raises(error), transaction(acting.pool) as conn:
        connect_platform(conn, acting.keys, source, credentials)


def test_connecting_anew_switches_off(acting: Acting) -> None:
    acting.connect("social", "https://other.example", on=False)
    with transaction(acting.pool) as conn:
        listed = {row["source"]: (row["connected"], row["acting"]) for row in list_connections(conn, "default")}
    assert listed == {"social": (True, False), "forum": (True, True), "app": (True, True), "platform": (False, False)}
    assert len(leaves(acting.pool, "platform.connected")) == 4
    assert [leaf["on"] for leaf in leaves(acting.pool, "action.switched")] == [True, True, True]
