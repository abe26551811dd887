"""Sends the platform's admin webhooks as Mastodon does: signed, with no delivery's id, and repeated where need be."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx2

from examples.platform.entities import Entity, admin_account_entity, admin_report_entity, moment, status_entity
from examples.platform.instance import Instance, Job, Webhook

MAX_RETRIES = 16
REPEATED = frozenset({401, 408, 429})  # of the 4xx; after any other the event is dropped for ever
NOT_REPEATED = frozenset({501})  # of the 5xx


def make_webhook(url: str) -> Webhook:
    """Makes a webhook; its secret is made here, as Mastodon makes it."""
    return Webhook(url, secrets.token_hex(20))


@contextmanager
def delivering(instance: Instance) -> Iterator[None]:
    """Sends what has to be told, in a thread of its own, until the block ends."""
    thread = threading.Thread(target=_deliver, args=(instance,), name="webhooks")
    thread.start()
    try:
        yield
    finally:
        with instance.feed.changed:
            instance.open = False
            instance.feed.changed.notify_all()
        thread.join()


def sign(body: bytes, secret: str) -> str:
    """Writes the X-Hub-Signature of a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def body_of(instance: Instance, event: str, record: str) -> bytes | None:
    """Writes the event with its record as it stands now; None where the record is gone."""
    entity = _entity(instance, event.partition(".")[0], record)
    if entity is None:
        return None
    told = {"event": event, "created_at": moment(datetime.now(UTC)), "object": entity}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _entity(instance: Instance, kind: str, record: str) -> Entity | None:
    if kind == "status":
        status = instance.statuses.get(record)
        return status_entity(instance, status) if status else None
    if kind == "report":
        return admin_report_entity(instance, instance.reports[record])
    return admin_account_entity(instance, instance.accounts[record])


def _deliver(instance: Instance) -> None:
    changed = instance.feed.changed
    with httpx2.Client(timeout=30) as client:
        while True:
            with changed:
                changed.wait_for(lambda: not instance.open or _is_due(instance), _pause(instance))
                if not instance.open:
                    return
                if not _is_due(instance):
                    continue
                job = min(instance.jobs)
                instance.jobs.remove(job)
                webhook, body = instance.webhook, body_of(instance, job.event, job.record)
            if webhook and body and not _is_done(client, webhook, body) and job.tries < MAX_RETRIES:
                with changed:
                    instance.jobs.append(_again(job))


def _is_due(instance: Instance) -> bool:
    return any(job.due <= time.monotonic() for job in instance.jobs)


def _pause(instance: Instance) -> float | None:
    with instance.feed.changed:
        return max(0.0, min(instance.jobs).due - time.monotonic()) if instance.jobs else None


def _again(job: Job) -> Job:
    """Postpones a job; Mastodon waits 15 seconds longer each time."""
    return Job(time.monotonic() + job.tries**4 + 1, job.tries + 1, job.event, job.record)


def _is_done(client: httpx2.Client, webhook: Webhook, body: bytes) -> bool:
    """Posts one delivery; false where it has to come again."""
    headers = {
        "content-type": "application/json",
        "digest": "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode(),
        "x-hub-signature": sign(body, webhook.secret),
    }
    try:
        status = client.post(webhook.url, content=body, headers=headers).status_code
    except httpx2.TransportError:
        return False
    if status < 300 or status in NOT_REPEATED:
        return True
    return 400 <= status < 500 and status not in REPEATED
