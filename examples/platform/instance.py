"""What the platform knows as a Mastodon server: accounts, tokens, attachments, statuses, reports, and its webhook."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import BytesIO
from typing import NamedTuple, TypeVar

from PIL import Image, UnidentifiedImageError

from examples.platform.feed import Feed, add_photo

VISIBILITIES = ("public", "unlisted", "private", "direct")
CATEGORIES = ("spam", "legal", "violation", "other")
# What an account can be made to suffer → what its admin account says of it then.
RESTRICTIONS = {"sensitive": "sensitized", "silence": "silenced", "suspend": "suspended"}
MAX_COMMENT = 1000  # characters
MAX_ATTACHMENTS = 4
Record = TypeVar("Record")


class ApiRefused(Exception):
    """The API answers with this status and `{"error": message}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Account:
    """A local account; `follows` are ids, `restricted` the values of RESTRICTIONS that hold."""

    id: str
    username: str
    created_at: datetime
    staff: bool = False
    follows: frozenset[str] = frozenset()
    avatar: str = ""  # path
    restricted: frozenset[str] = frozenset()


class Token(NamedTuple):
    account: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Attachment:
    """An uploaded image; a status takes it over when it is posted."""

    id: str
    account: str
    path: str
    size: tuple[int, int]  # pixels, width and height
    description: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """What the author of a status writes."""

    text: str
    media: tuple[str, ...] = ()
    visibility: str = "public"
    sensitive: bool = False
    spoiler_text: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Status:
    id: str
    account: str
    draft: Draft
    created_at: datetime
    edited_at: datetime | None = None
    trendable: bool | None = None


@dataclass(frozen=True, slots=True)
class Report:
    id: str
    account: str
    target: str
    statuses: tuple[str, ...]
    comment: str
    category: str
    created_at: datetime
    resolved_by: str = ""
    resolved_at: datetime | None = None


class Webhook(NamedTuple):
    """The webhook that its admin page shows: where events go, and the secret that the server made for it."""

    url: str
    secret: str


class Job(NamedTuple):
    """An event that has to be told; what is told is the record as it stands when the job runs."""

    due: float  # time.monotonic()
    tries: int
    event: str
    record: str


@dataclass(slots=True)
class Instance:
    """The server's memory. The feed's `changed` guards all of it; the feed serves its images."""

    url: str  # its address, without a slash at the end
    feed: Feed
    webhook: Webhook | None = None
    accounts: dict[str, Account] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    attachments: dict[str, Attachment] = field(default_factory=dict)
    statuses: dict[str, Status] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    open: bool = True
    # Ids are texts of numbers that grow, also from one start of the platform to the next.
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(int(time.time() * 1000) << 16))


def add_account(instance: Instance, username: str, *, staff: bool = False) -> Account:
    """Signs somebody up."""
    account = Account(_new_id(instance), username, _now(), staff)
    with instance.feed.changed:
        instance.accounts[account.id] = account
        _tell(instance, "account.created", account.id)
    return account


def issue_token(instance: Instance, account: Account, scopes: str) -> str:
    """Issues the access token that *Development* in the account's preferences shows, for scopes with spaces between."""
    token = secrets.token_urlsafe(32)
    with instance.feed.changed:
        instance.tokens[token] = Token(account.id, frozenset(scopes.split()))
    return token


def change_avatar(instance: Instance, account: Account, file: bytes) -> Account:
    """Gives the account a new avatar. Raises ApiRefused for a file that is no image."""
    path, _ = _take_image(instance, file)
    with instance.feed.changed:
        instance.feed.photos.pop(account.avatar, None)
        return _change_account(instance, replace(instance.accounts[account.id], avatar=path))


def attach(instance: Instance, account: Account, file: bytes, description: str) -> Attachment:
    """Takes an upload. Raises ApiRefused for a file that is no image."""
    path, size = _take_image(instance, file)
    attachment = Attachment(_new_id(instance), account.id, path, size, description)
    with instance.feed.changed:
        instance.attachments[attachment.id] = attachment
    return attachment


def post_status(instance: Instance, account: Account, draft: Draft) -> Status:
    """Posts a status. Raises ApiRefused."""
    with instance.feed.changed:
        status = Status(_new_id(instance), account.id, _checked(instance, account, draft), _now())
        _keep(instance, status)
        _tell(instance, "status.created", status.id)
    return status


def edit_status(instance: Instance, status: Status, draft: Draft) -> Status:
    """Changes a status; an image that it no longer has is gone. Raises ApiRefused."""
    with instance.feed.changed:
        account = instance.accounts[status.account]
        edited = replace(status, draft=_checked(instance, account, draft, status.id), edited_at=_now())
        _drop_attachments(instance, set(status.draft.media) - set(draft.media))
        _keep(instance, edited)
        _tell(instance, "status.updated", status.id)
    return edited


def delete_status(instance: Instance, status: Status) -> None:
    """Deletes a status and its images. No webhook tells of it."""
    with instance.feed.changed:
        instance.statuses.pop(status.id, None)
        _drop_attachments(instance, status.draft.media)
        instance.feed.changed.notify_all()


def set_trendable(instance: Instance, status: Status, trendable: bool) -> Status:
    """Lets a status into the trends, or keeps it out."""
    with instance.feed.changed:
        changed = instance.statuses[status.id] = replace(status, trendable=trendable)
        _tell(instance, "status.updated", status.id)
    return changed


def report(
    instance: Instance, by: Account, target: str, statuses: Sequence[str], comment: str, category: str
) -> Report:
    """Opens a report; each call opens a new one. Raises ApiRefused, also where `by` may not see one of the statuses."""
    if len(comment) > MAX_COMMENT or category not in CATEGORIES or category == "violation":  # it has no rules
        raise ApiRefused(422, "Validation failed: Comment or category is invalid")
    with instance.feed.changed:
        found(instance.accounts, target)
        for status in statuses:
            if visible_status(instance, by, status).account != target:
                raise ApiRefused(404, "Record not found")
        opened = Report(_new_id(instance), by.id, target, tuple(statuses), comment, category, _now())
        instance.reports[opened.id] = opened
        _tell(instance, "report.created", opened.id)
    return opened


def resolve_report(instance: Instance, by: Account, report_id: str, *, resolved: bool) -> Report:
    """Resolves a report, or opens it again. Raises ApiRefused."""
    with instance.feed.changed:
        one = found(instance.reports, report_id)
        by_whom, when = (by.id, _now()) if resolved else ("", None)
        changed = instance.reports[one.id] = replace(one, resolved_by=by_whom, resolved_at=when)
        _tell(instance, "report.updated", one.id)
    return changed


def restrict(instance: Instance, by: Account, account_id: str, kind: str) -> None:
    """Restricts an account, which resolves all reports about it. Raises ApiRefused."""
    if kind not in RESTRICTIONS:
        raise ApiRefused(422, "Validation failed: Type is not included in the list")
    with instance.feed.changed:
        account = found(instance.accounts, account_id)
        _change_account(instance, replace(account, restricted=account.restricted | {RESTRICTIONS[kind]}))
        for one in list(instance.reports.values()):
            if one.target == account.id and not one.resolved_at:
                resolve_report(instance, by, one.id, resolved=True)


def unrestrict(instance: Instance, account_id: str, kind: str) -> Account:
    """Takes a restriction back. Raises ApiRefused."""
    with instance.feed.changed:
        account = found(instance.accounts, account_id)
        return _change_account(instance, replace(account, restricted=account.restricted - {RESTRICTIONS[kind]}))


def visible_status(instance: Instance, viewer: Account | None, status_id: str) -> Status:
    """Returns a status that the viewer may see. Raises ApiRefused: 404 for any other."""
    status = found(instance.statuses, status_id)
    if not may_see(viewer, status):
        raise ApiRefused(404, "Record not found")
    return status


def may_see(viewer: Account | None, status: Status) -> bool:
    """Tells whether the viewer may see the status: staff see no more than others in this API."""
    if status.draft.visibility in ("public", "unlisted"):
        return True
    if viewer is None:
        return False
    return viewer.id == status.account or (status.draft.visibility == "private" and status.account in viewer.follows)


def found(records: dict[str, Record], record_id: str) -> Record:
    """Returns the record of that id. Raises ApiRefused."""
    try:
        return records[record_id]
    except KeyError:
        raise ApiRefused(404, "Record not found") from None


def _take_image(instance: Instance, file: bytes) -> tuple[str, tuple[int, int]]:
    try:
        with Image.open(BytesIO(file), formats=("JPEG", "PNG", "GIF", "WEBP")) as image:
            suffix, size = f".{(image.format or '').lower()}", image.size
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        raise ApiRefused(422, "Validation failed: File content type is invalid") from None
    return add_photo(instance.feed, suffix.lstrip(".") + suffix, file), size


def _checked(instance: Instance, account: Account, draft: Draft, status: str = "") -> Draft:
    """Returns the draft where its author may post it. Raises ApiRefused."""
    if not draft.text.strip() and not draft.media:
        raise ApiRefused(422, "Validation failed: Text can't be blank")
    if len(draft.media) > MAX_ATTACHMENTS or draft.visibility not in VISIBILITIES:
        raise ApiRefused(422, "Validation failed")
    for attachment in draft.media:
        one = instance.attachments.get(attachment)
        if one is None or one.account != account.id or one.status not in ("", status):
            raise ApiRefused(422, "Validation failed: Media could not be found")
    return draft


def _keep(instance: Instance, status: Status) -> None:
    instance.statuses[status.id] = status
    for attachment in status.draft.media:
        instance.attachments[attachment] = replace(instance.attachments[attachment], status=status.id)


def _drop_attachments(instance: Instance, attachments: Sequence[str] | set[str]) -> None:
    for attachment in attachments:
        gone = instance.attachments.pop(attachment)
        instance.feed.photos.pop(gone.path, None)


def _change_account(instance: Instance, account: Account) -> Account:
    instance.accounts[account.id] = account
    _tell(instance, "account.updated", account.id)
    return account


def _tell(instance: Instance, event: str, record: str) -> None:
    """Notes that an event has to be told, and wakes whoever waits for the platform to change."""
    if instance.webhook is not None:
        instance.jobs.append(Job(time.monotonic(), 0, event, record))
    instance.feed.changed.notify_all()


def _new_id(instance: Instance) -> str:
    return str(next(instance.ids))


def _now() -> datetime:
    return datetime.now(UTC)
