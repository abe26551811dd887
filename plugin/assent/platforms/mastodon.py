"""Reads the webhooks of Mastodon, without I/O: statuses with their boosts and edits, and avatars.

Mastodon names no delivery, and its body is the record's state when the job ran. So a status is known by its id and a
hash of what matters of it, whichever event brought it: a boost brings the status that it boosts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from assent.core.values import MediaRef, Visibility
from assent.platforms.delivery import (
    MAX_ALT,
    PREVIEW,
    STATES_FROM,
    Ignored,
    JsonFields,
    Parsed,
    PostedMedia,
    SourceSettings,
    as_delivery,
    hex_hmac,
    read_object,
    sub_id,
    sub_moment,
    sub_object,
    sub_objects,
    sub_text,
    verify_hex_hmac,
    web_address,
)

_VISIBILITY: dict[str, Visibility] = {
    "public": "public",
    "unlisted": "unlisted",
    "private": "followers",
    "limited": "followers",
    "direct": "direct",
}
_MOVING = ("gifv", "video", "audio")  # of these the still image is looked at
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")


def verify_mastodon(headers: Mapping[str, str], raw: bytes, live_secrets: Sequence[str]) -> None:
    """Checks `X-Hub-Signature`. Raises SignatureInvalid."""
    verify_hex_hmac(headers.get("x-hub-signature"), raw, live_secrets)


def sign_mastodon(raw: bytes, secret: str, _delivery: str) -> dict[str, str]:
    """Signs a body as Mastodon does."""
    return {"x-hub-signature": hex_hmac(raw, secret)}


def parse_mastodon(_headers: Mapping[str, str], raw: bytes, settings: SourceSettings) -> Parsed:
    """Reads a verified delivery. Of an account no more than its id and its images is taken."""
    body = read_object(raw)
    if body is None:
        return Ignored("unreadable")
    kind, _, change = sub_text(body, "event").partition(".")
    if kind == "report":  # our own come back, and so do those that an action of ours resolved
        return Ignored("report")
    subject = sub_object(body, "object")
    if not change or not sub_id(subject, "id"):
        return Ignored("template")
    at = sub_moment(body, "created_at")
    if kind == "status":
        return _status(subject, change, at, settings)
    return _account(subject, at) if kind == "account" else Ignored("unwanted")


def _status(subject: JsonFields, change: str, at: datetime | None, settings: SourceSettings) -> Parsed:
    status = sub_object(subject, "reblog") or subject
    number, author = sub_id(status, "id"), sub_id(sub_object(status, "account"), "id")
    if not number or not author or not isinstance(status.get("media_attachments"), list):
        return Ignored("template")
    visibility = _VISIBILITY.get(sub_text(status, "visibility"))
    if visibility is None or visibility not in settings.visibilities:
        return Ignored("visibility")
    media = list(_attachments(number, status))
    complete = len(media) == len(status["media_attachments"])  # one without an address yet was not taken away
    if settings.link_cards and (card := web_address(sub_object(status, "card").get("image"))):
        media.append(MediaRef(f"status/{number}/card", card))
    edited, language = sub_moment(status, "edited_at"), sub_text(status, "language")
    key = [
        *("status", number, bool(status.get("sensitive")), sub_text(status, "spoiler_text"), visibility),
        *(sub_text(status, "content"), sub_text(status, "edited_at"), [[m.id, m.url, m.alt] for m in media]),
    ]
    posted = PostedMedia(
        media,
        "media.updated" if change == "updated" else "media.created",
        "post",
        visibility,
        author=author,
        lang=language if _LANGUAGE.fullmatch(language) else None,
        revision=int((edited - STATES_FROM).total_seconds()) if edited and edited > STATES_FROM else 1,
        at=at,
        post=f"status/{number}" if complete else "",
        watched=visibility in ("public", "unlisted"),
    )
    return as_delivery(key, posted)


def _attachments(status: str, fields: JsonFields) -> Iterator[MediaRef]:
    for attachment in sub_objects(fields, "media_attachments"):
        number, moving = sub_id(attachment, "id"), attachment.get("type") in _MOVING
        names = ("preview_url", "preview_remote_url") if moving else ("url", "remote_url")
        here, origin = (web_address(attachment.get(name)) for name in names)
        # Mastodon's own proxy serves 30 remote files in ten minutes; their origin serves them all.
        url = origin if origin and (here is None or urlsplit(here).path.startswith("/media_proxy/")) else here
        if number and url:
            alt = sub_text(attachment, "description")[:MAX_ALT] or None
            yield MediaRef(f"status/{status}/{number}{PREVIEW if moving else ''}", url, alt)


def _account(subject: JsonFields, at: datetime | None) -> Parsed:
    # The object holds e-mail and IP addresses; what it has inside is the account as everybody sees it.
    account = sub_object(subject, "account")
    number = sub_id(account, "id")
    if not number:
        return Ignored("template")
    images = {name: web_address(account.get(name)) for name in ("avatar", "header")}
    media = [
        MediaRef(f"account/{number}/{name}", url)
        for name, url in images.items()
        if url and not urlsplit(url).path.endswith("/missing.png")  # nobody has chosen one
    ]
    key = ["account", number, [[m.id, m.url] for m in media]]
    posted = PostedMedia(media, "media.updated", "avatar", "public", author=number, at=at, post=f"account/{number}")
    return as_delivery(key, posted)
