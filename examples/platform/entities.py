"""Writes the platform's records as Mastodon's API and webhooks do. A time is UTC with milliseconds, an id a text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any

from examples.platform.instance import RESTRICTIONS, Account, Attachment, Instance, Report, Status

Entity = Mapping[str, Any]
# Restrictions that everybody sees, and what of the account says so.
_SHOWN = {"silenced": "limited", "suspended": "suspended"}


def account_entity(instance: Instance, account: Account) -> Entity:
    """Writes an account as everybody sees it."""
    missing = f"{instance.url}/avatars/original/missing.png"
    avatar = instance.url + account.avatar if account.avatar else missing
    return {
        "id": account.id,
        "username": account.username,
        "acct": account.username,
        "display_name": account.username,
        "locked": False,
        "bot": False,
        "group": False,
        "discoverable": None,
        "created_at": moment(account.created_at.replace(hour=0, minute=0, second=0, microsecond=0)),
        "note": "",
        "url": f"{instance.url}/@{account.username}",
        "avatar": avatar,
        "avatar_static": avatar,
        "header": f"{instance.url}/headers/original/missing.png",
        "header_static": f"{instance.url}/headers/original/missing.png",
        "followers_count": sum(account.id in one.follows for one in list(instance.accounts.values())),
        "following_count": len(account.follows),
        "statuses_count": sum(one.account == account.id for one in list(instance.statuses.values())),
        "last_status_at": None,
        "emojis": [],
        "fields": [],
        **{name: True for state, name in _SHOWN.items() if state in account.restricted},
    }


def relationship_entity(viewer: Account, account: Account) -> Entity:
    """Writes how the viewer stands to an account; nobody here blocks or mutes anybody."""
    return {
        "id": account.id,
        "following": account.id in viewer.follows,
        "followed_by": viewer.id in account.follows,
        **dict.fromkeys(("blocking", "blocked_by", "muting", "requested", "domain_blocking", "endorsed"), False),
        "note": "",
    }


def admin_account_entity(instance: Instance, account: Account) -> Entity:
    """Writes an account as its moderators see it: with an e-mail address, which Assent does not read."""
    return {
        "id": account.id,
        "username": account.username,
        "domain": None,
        "created_at": moment(account.created_at),
        "email": f"{account.username}@mail.example",
        "ip": "192.0.2.7",
        "ips": [{"ip": "192.0.2.7", "used_at": moment(account.created_at)}],
        "locale": "en",
        "invite_request": None,
        "confirmed": True,
        "approved": True,
        "disabled": False,
        **{state: state in account.restricted for state in RESTRICTIONS.values()},
        "account": account_entity(instance, account),
    }


def attachment_entity(instance: Instance, attachment: Attachment) -> Entity:
    """Writes an attachment. The platform makes no smaller copies: its preview is the image itself."""
    url, (width, height) = instance.url + attachment.path, attachment.size
    dimensions = {"width": width, "height": height, "size": f"{width}x{height}", "aspect": width / height}
    return {
        "id": attachment.id,
        "type": "image",
        "url": url,
        "preview_url": url,
        "remote_url": None,
        "preview_remote_url": None,
        "text_url": None,
        "meta": {"original": dimensions, "small": dimensions},
        "description": attachment.description or None,
        "blurhash": None,
    }


def status_entity(instance: Instance, status: Status) -> Entity:
    """Writes a status."""
    author, draft = instance.accounts[status.account], status.draft
    attachments = [one for name in draft.media if (one := instance.attachments.get(name))]
    return {
        "id": status.id,
        "created_at": moment(status.created_at),
        "in_reply_to_id": None,
        "in_reply_to_account_id": None,
        "sensitive": draft.sensitive or "sensitized" in author.restricted,
        "spoiler_text": draft.spoiler_text,
        "visibility": draft.visibility,
        "language": draft.language,
        "uri": f"{instance.url}/users/{author.username}/statuses/{status.id}",
        "url": f"{instance.url}/@{author.username}/{status.id}",
        "replies_count": 0,
        "reblogs_count": 0,
        "favourites_count": 0,
        "edited_at": moment(status.edited_at) if status.edited_at else None,
        "content": f"<p>{escape(draft.text)}</p>" if draft.text else "",
        "reblog": None,
        "account": account_entity(instance, author),
        "media_attachments": [attachment_entity(instance, one) for one in attachments],
        "mentions": [],
        "tags": [],
        "emojis": [],
        "card": None,
        "poll": None,
    }


def report_entity(instance: Instance, report: Report) -> Entity:
    """Writes a report as whoever opened it sees it."""
    return {
        "id": report.id,
        "action_taken": report.resolved_at is not None,
        "action_taken_at": moment(report.resolved_at) if report.resolved_at else None,
        "category": report.category,
        "comment": report.comment,
        "forwarded": False,
        "created_at": moment(report.created_at),
        "status_ids": list(report.statuses),
        "rule_ids": None,
        "target_account": account_entity(instance, instance.accounts[report.target]),
    }


def admin_report_entity(instance: Instance, report: Report) -> Entity:
    """Writes a report as moderators see it; a status that was deleted is in it no more."""
    by = instance.accounts.get(report.resolved_by)
    statuses = [one for name in report.statuses if (one := instance.statuses.get(name))]
    return {
        "id": report.id,
        "action_taken": report.resolved_at is not None,
        "action_taken_at": moment(report.resolved_at) if report.resolved_at else None,
        "category": report.category,
        "comment": report.comment,
        "forwarded": False,
        "created_at": moment(report.created_at),
        "updated_at": moment(report.resolved_at or report.created_at),
        "account": admin_account_entity(instance, instance.accounts[report.account]),
        "target_account": admin_account_entity(instance, instance.accounts[report.target]),
        "assigned_account": None,
        "action_taken_by_account": admin_account_entity(instance, by) if by else None,
        "statuses": [status_entity(instance, one) for one in statuses],
        "rules": [],
    }


def moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
