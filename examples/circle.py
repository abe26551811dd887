"""The whole circle at Mastodon's API: a status, who is named in it, a report; consent withdrawn, the photo taken away.

The demo's platform is the server here, and Assent's source for it is set up as an admin sets it up.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from examples.cases import run
from examples.outcome import Check, Circle, is_same_face, matches_of
from examples.photos import Box
from examples.platform.instance import Account, Instance, Report, Webhook, issue_token
from examples.server import Assent, DemoFailed, Place

SOURCE = "mastodon"
SCOPES = "read write:reports admin:read:reports admin:write:reports"
REASON = "Many people are in it."  # of the rule `crowd` in console_policy.yaml
WITHIN_SECONDS = 60


def connect_mastodon(place: Place, instance: Instance, webhook: Webhook, bot: Account) -> None:
    """Adds the source with the webhook's secret, connects it with the bot's token, and switches acting on."""
    instance.webhook = webhook
    with TemporaryDirectory() as folder:
        secret, token = Path(folder) / "webhook.secret", Path(folder) / "bot.token"
        secret.write_text(webhook.secret)
        token.write_text(issue_token(instance, bot, SCOPES))
        tenant = ("--tenant", "demo")
        run(place, "platform", "add", SOURCE, "--platform", "mastodon", "--url", instance.url,
            "--secret-file", str(secret), *tenant)  # fmt: skip
        run(place, "platform", "connect", SOURCE, "--url", instance.url, "--token-file", str(token), *tenant)
        run(place, "actions", "on", SOURCE, *tenant)


def go_round(assent: Assent, instance: Instance, account: Account, consent: str, photo: bytes) -> Circle:
    """Posts the photo as the account, withdraws the consent, and edits the photo away. Raises DemoFailed."""
    token = issue_token(instance, account, "read write")
    with httpx2.Client(base_url=instance.url, headers={"authorization": f"Bearer {token}"}, timeout=20) as app:
        attachment = _posted(app, "/api/v2/media", files={"file": ("table.jpg", photo, "image/jpeg")})
        status = _posted(app, "/api/v1/statuses", data={"status": "Six at a table", "media_ids[]": [attachment["id"]]})
        media = f"status/{status['id']}/{attachment['id']}"
        feed = instance.feed
        _await(instance, lambda: media in feed.newest and bool(reports_on(instance, status["id"])), "report")
        named = matches_of(feed.newest[media])
        if assent.client.post(f"/v1/consents/{consent}/withdraw").is_error:
            raise DemoFailed("the consent could not be withdrawn")
        _await(instance, lambda: feed.newest[media].type == "tag.retracted", "retraction")
        retracted, stood = feed.newest[media], all(not one.resolved_at for one in reports_on(instance, status["id"]))
        app.put(f"/api/v1/statuses/{status['id']}", data={"status": "Six at a table, without them"}).raise_for_status()
        _await(instance, lambda: all(one.resolved_at for one in reports_on(instance, status["id"])), "resolving")
    return Circle(account.username, named, retracted, stood, tuple(reports_on(instance, status["id"])))


def check_circle(circle: Circle, account: Account, box: Box) -> list[Check]:
    """Whether all of it came out as it had to."""
    who, left, reports = f"@{account.username}", matches_of(circle.retracted), circle.reports
    named = set(circle.named) == {account.id} and is_same_face(circle.named[account.id], box)
    reported = len(reports) == 1 and REASON in reports[0].comment
    resolved = all(one.resolved_at for one in reports)
    return [
        Check(f"Posted at Mastodon's API: {who} named at their own face, nobody else", named, _named(circle.named)),
        Check("A rule asks for a report: one, on that post, with the reason", reported, f"{len(reports)} reports"),
        Check(
            f"{who} withdraws the consent: the name is retracted, the report stands",
            not left and circle.stood,
            f"{circle.retracted.type}, {_named(left)}",
        ),
        Check(
            "The photo is edited out of the post: its report is resolved",
            resolved,
            "resolved" if resolved else "still open",
        ),
    ]


def _named(matches: dict[str, Box]) -> str:
    return f"{len(matches)} named"


def reports_on(instance: Instance, status: str) -> list[Report]:
    return [one for one in list(instance.reports.values()) if status in one.statuses]


def _posted(app: httpx2.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = app.post(path, **body)
    if answer.is_error:
        raise DemoFailed(f"{path} was answered with {answer.status_code}")
    return dict(answer.json())


def _await(instance: Instance, holds: Callable[[], bool], what: str) -> None:
    """Waits until the platform's memory is so. Raises DemoFailed."""
    with instance.feed.changed:
        if not instance.feed.changed.wait_for(holds, WITHIN_SECONDS):
            raise DemoFailed(f"no {what} of a status within {WITHIN_SECONDS} s")
