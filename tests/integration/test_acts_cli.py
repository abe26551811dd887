"""`assent platform` connects, `assent actions` switches, lists and tries again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from assent.core.settings import Settings
from tests.acting import Acting
from tests.command import assent, environment_of, failing
from tests.platform_api import TOKEN, Api, Fault
from tests.web import Answer


def listed(environment: dict[str, str], *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in assent(environment, "actions", "list", *words).splitlines()]


def test_from_the_token_to_the_first_report(acting: Acting, api: Api, settings: Settings, tmp_path: Path) -> None:
    environment = environment_of(settings)
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    said = assent(environment, "platform", "connect", "social", "--url", f"{api.url}/", "--token-file", token)
    assert said == "social is connected. What policies ask for is a dry run until: assent actions on social\n"
    acting.decide("social", "status/1/1", ["report"])
    acting.settle()
    assert [(row["act"], row["state"]) for row in listed(environment)] == [("report", "dry-run")]
    assert assent(environment, "actions", "on", "social") == "Assent acts at the platform of social.\n"
    api.faults = iter([Fault(Answer(422))])
    acting.decide("social", "status/1/1", ["report"])
    acting.settle()
    (row,) = listed(environment, "--state", "failed")
    assert (row["media"], row["last_answer"]) == (["status/1/1"], "POST /api/v1/reports answered HTTP 422")
    assert assent(environment, "actions", "retry", row["id"]) == "1 actions are tried again\n"
    acting.settle()
    assert [row["state"] for row in listed(environment)] == ["done"]
    assert len(api.reports) == 1
    assert assent(environment, "actions", "off", "social") == "Assent does nothing at the platform of social.\n"
    shown = assent(environment, "actions", "status")
    assert "mastodon" in shown
    assert TOKEN not in shown


def test_what_is_not_connected_is_not_switched_on(acting: Acting, settings: Settings) -> None:
    assert "platform is not connected" in failing(environment_of(settings), "actions", "on", "platform")
    assert acting.rows() == []
