"""The platform's half of Mastodon's API: as much as apps post and read by, and all that moderators' tools call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Depends, FastAPI, File, Form, Query, Request, Response
from fastapi.responses import JSONResponse

from examples.platform.entities import (
    Entity,
    account_entity,
    admin_account_entity,
    admin_report_entity,
    attachment_entity,
    relationship_entity,
    report_entity,
    status_entity,
)
from examples.platform.instance import (
    RESTRICTIONS,
    Account,
    ApiRefused,
    Draft,
    Instance,
    Report,
    Status,
    attach,
    change_avatar,
    delete_status,
    edit_status,
    found,
    may_see,
    post_status,
    report,
    resolve_report,
    restrict,
    set_trendable,
    unrestrict,
    visible_status,
)

VERSION, API_VERSION = "4.5.0+example", 7
MAX_PAGE = 100
MAX_BODY_BYTES = 21_000_000
Numbered = TypeVar("Numbered", Status, Report)
router = APIRouter()


def add_mastodon(app: FastAPI, instance: Instance) -> None:
    """Adds the API to the platform's app."""
    app.state.instance = instance
    app.include_router(router)

    @app.middleware("http")
    async def bound(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Refuses a body that says no length or is too long, before it is read."""
        length = request.headers.get("content-length", "" if "transfer-encoding" in request.headers else "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            return JSONResponse({"error": f"at most {MAX_BODY_BYTES} bytes"}, 413)
        return await call_next(request)

    @app.exception_handler(ApiRefused)
    async def refuse(_request: Request, refused: ApiRefused) -> Response:
        return JSONResponse({"error": str(refused)}, refused.status)


def instance_of(request: Request) -> Instance:
    """Returns the app's instance."""
    instance: Instance = request.app.state.instance
    return instance


def _viewer(request: Request, *scopes: str) -> Account | None:
    """Returns whose token came, None without one. Raises ApiRefused for a token that does not reach as far."""
    instance, header = instance_of(request), request.headers.get("authorization")
    if header is None:
        return None
    token = instance.tokens.get(header.removeprefix("Bearer "))
    if token is None:
        raise ApiRefused(401, "The access token is invalid")
    if not all(any(scope == one or scope.startswith(f"{one}:") for one in token.scopes) for scope in scopes):
        raise ApiRefused(403, "This action is outside the authorized scopes")
    account = instance.accounts[token.account]
    if "suspended" in account.restricted:
        raise ApiRefused(403, "Your login is currently disabled")
    return account


def _signed_in(*scopes: str, staff: bool = False) -> Callable[[Request], Account]:
    """Builds what a route depends on: whoever asks has these scopes, and is a moderator where it has to be."""

    def check(request: Request) -> Account:
        account = _viewer(request, *scopes)
        if account is None:
            raise ApiRefused(401, "The access token is invalid")
        if staff and not account.staff:
            raise ApiRefused(403, "This action is not allowed")
        return account

    return check


def _reader(request: Request) -> Account | None:
    return _viewer(request, "read:statuses")


def _draft(
    status: Annotated[str, Form()] = "",
    media: Annotated[Sequence[str], Form(alias="media_ids[]")] = (),
    visibility: Annotated[str, Form()] = "public",
    sensitive: Annotated[bool, Form()] = False,
    spoiler_text: Annotated[str, Form()] = "",
    language: Annotated[str, Form()] = "en",
) -> Draft:
    return Draft(status, tuple(media), visibility, sensitive or bool(spoiler_text), spoiler_text, language)


Here = Annotated[Instance, Depends(instance_of)]
Reader = Annotated[Account | None, Depends(_reader)]
Member = Annotated[Account, Depends(_signed_in("read:statuses"))]
User = Annotated[Account, Depends(_signed_in("read:accounts"))]
Follower = Annotated[Account, Depends(_signed_in("read:follows"))]
Owner = Annotated[Account, Depends(_signed_in("write:accounts"))]
Writer = Annotated[Account, Depends(_signed_in("write:statuses"))]
Uploader = Annotated[Account, Depends(_signed_in("write:media"))]
Reporter = Annotated[Account, Depends(_signed_in("write:reports"))]
ReportReader = Annotated[Account, Depends(_signed_in("admin:read:reports", staff=True))]
ReportWriter = Annotated[Account, Depends(_signed_in("admin:write:reports", staff=True))]
AccountReader = Annotated[Account, Depends(_signed_in("admin:read:accounts", staff=True))]
AccountWriter = Annotated[Account, Depends(_signed_in("admin:write:accounts", staff=True))]
TrendWriter = Annotated[Account, Depends(_signed_in("admin:write", staff=True))]
Written = Annotated[Draft, Depends(_draft)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]


@router.get("/api/v{edition}/instance/")
@router.get("/api/v{edition}/instance")
def read_instance(instance: Here, edition: Literal["1", "2"]) -> Entity:
    """Answers with the version of Mastodon whose API this is; libraries ask for it first."""
    host = instance.url.partition("://")[2]
    name = "uri" if edition == "1" else "domain"
    return {name: host, "title": "Example platform", "version": VERSION, "api_versions": {"mastodon": API_VERSION}}


@router.get("/api/v1/accounts/verify_credentials")
def verify_credentials(instance: Here, account: User) -> Entity:
    return account_entity(instance, account)


@router.patch("/api/v1/accounts/update_credentials")
def update_credentials(instance: Here, account: Owner, avatar: Annotated[bytes, File()]) -> Entity:
    return account_entity(instance, change_avatar(instance, account, avatar))


@router.get("/api/v1/accounts/relationships")
def read_relationships(
    instance: Here, account: Follower, ids: Annotated[Sequence[str], Query(alias="id[]")]
) -> list[Entity]:
    there = (instance.accounts.get(one) for one in ids)
    return [relationship_entity(account, one) for one in there if one]


@router.get("/api/v1/accounts/{account_id}")
def read_account(instance: Here, account_id: str) -> Entity:
    return account_entity(instance, found(instance.accounts, account_id))


@router.get("/api/v1/accounts/{account_id}/statuses")
def read_account_statuses(
    instance: Here, viewer: Reader, account_id: str, limit: Limit = 20, max_id: int | None = None
) -> list[Entity]:
    found(instance.accounts, account_id)
    return _timeline(instance, viewer, lambda one: one.account == account_id, limit, max_id)


@router.post("/api/v2/media")
def upload(
    instance: Here, account: Uploader, file: Annotated[bytes, File()], description: Annotated[str, Form()] = ""
) -> Entity:
    return attachment_entity(instance, attach(instance, account, file, description))


@router.get("/api/v1/media/{attachment_id}")
def read_attachment(instance: Here, account: Uploader, attachment_id: str) -> Entity:
    attachment = found(instance.attachments, attachment_id)
    if attachment.account != account.id or attachment.status:
        raise ApiRefused(404, "Record not found")
    return attachment_entity(instance, attachment)


@router.post("/api/v1/statuses")
def create_status(instance: Here, account: Writer, draft: Written) -> Entity:
    return status_entity(instance, post_status(instance, account, draft))


@router.get("/api/v1/statuses")
def read_statuses(
    instance: Here, viewer: Reader, ids: Annotated[Sequence[str], Query(alias="id[]", max_length=20)] = ()
) -> list[Entity]:
    """Answers with those of the statuses that there are, and nothing of the others."""
    there = (instance.statuses.get(one) for one in ids)
    return [status_entity(instance, one) for one in there if one and may_see(viewer, one)]


@router.get("/api/v1/statuses/{status_id}")
def read_status(instance: Here, viewer: Reader, status_id: str) -> Entity:
    return status_entity(instance, visible_status(instance, viewer, status_id))


@router.put("/api/v1/statuses/{status_id}")
def update_status(instance: Here, account: Writer, status_id: str, draft: Written) -> Entity:
    status = visible_status(instance, account, status_id)
    if status.account != account.id:
        raise ApiRefused(403, "This action is not allowed")
    return status_entity(instance, edit_status(instance, status, draft))


@router.delete("/api/v1/statuses/{status_id}")
def remove_status(instance: Here, account: Writer, status_id: str) -> Entity:
    status = found(instance.statuses, status_id)
    if status.account != account.id:
        raise ApiRefused(404, "Record not found")
    last = status_entity(instance, status)
    delete_status(instance, status)
    return {**last, "text": status.draft.text}


@router.get("/api/v1/timelines/public")
def read_public(instance: Here, viewer: Reader, limit: Limit = 20, max_id: int | None = None) -> list[Entity]:
    return _timeline(instance, viewer, lambda one: _is_open(instance, one), limit, max_id)


@router.get("/api/v1/timelines/home")
def read_home(instance: Here, account: Member, limit: Limit = 20, max_id: int | None = None) -> list[Entity]:
    shown = account.follows | {account.id}
    return _timeline(instance, account, lambda one: one.account in shown, limit, max_id)


@router.post("/api/v1/reports/")
@router.post("/api/v1/reports")
def create_report(
    instance: Here,
    by: Reporter,
    account_id: Annotated[str, Form()],
    statuses: Annotated[Sequence[str], Form(alias="status_ids[]")] = (),
    comment: Annotated[str, Form()] = "",
    category: Annotated[str, Form()] = "other",
) -> Entity:
    return report_entity(instance, report(instance, by, account_id, statuses, comment, category))


@router.get("/api/v1/admin/reports")
def read_reports(
    instance: Here,
    _staff: ReportReader,
    resolved: bool = False,
    target_account_id: str | None = None,
    limit: Limit = 100,
    max_id: int | None = None,
) -> list[Entity]:
    """Lists open reports, or resolved ones, the newest first."""
    wanted = (
        one
        for one in list(instance.reports.values())
        if bool(one.resolved_at) == resolved and target_account_id in (None, one.target)
    )
    return [admin_report_entity(instance, one) for one in _page(wanted, limit, max_id)]


@router.get("/api/v1/admin/reports/{report_id}")
def read_report(instance: Here, _staff: ReportReader, report_id: str) -> Entity:
    return admin_report_entity(instance, found(instance.reports, report_id))


@router.post("/api/v1/admin/reports/{report_id}/resolve")
def resolve(instance: Here, staff: ReportWriter, report_id: str) -> Entity:
    return admin_report_entity(instance, resolve_report(instance, staff, report_id, resolved=True))


@router.post("/api/v1/admin/reports/{report_id}/reopen")
def reopen(instance: Here, staff: ReportWriter, report_id: str) -> Entity:
    return admin_report_entity(instance, resolve_report(instance, staff, report_id, resolved=False))


@router.post("/api/v1/admin/trends/statuses/{status_id}/{verdict}")
def decide_trend(instance: Here, _staff: TrendWriter, status_id: str, verdict: str) -> Entity:
    if verdict not in ("approve", "reject"):
        raise ApiRefused(404, "Record not found")
    status = found(instance.statuses, status_id)
    return status_entity(instance, set_trendable(instance, status, verdict == "approve"))


@router.get("/api/v1/admin/accounts/{account_id}")
def read_admin_account(instance: Here, _staff: AccountReader, account_id: str) -> Entity:
    return admin_account_entity(instance, found(instance.accounts, account_id))


@router.post("/api/v1/admin/accounts/{account_id}/action")
def act_on_account(
    instance: Here, staff: AccountWriter, account_id: str, kind: Annotated[str, Form(alias="type")]
) -> Entity:
    restrict(instance, staff, account_id, kind)
    return {}


@router.post("/api/v1/admin/accounts/{account_id}/un{kind}")
def undo_on_account(instance: Here, _staff: AccountWriter, account_id: str, kind: str) -> Entity:
    if kind not in RESTRICTIONS:
        raise ApiRefused(404, "Record not found")
    return admin_account_entity(instance, unrestrict(instance, account_id, kind))


def _is_open(instance: Instance, status: Status) -> bool:
    """Tells whether a status is in the public timeline; those of limited accounts are not."""
    return status.draft.visibility == "public" and "silenced" not in instance.accounts[status.account].restricted


def _timeline(
    instance: Instance, viewer: Account | None, wanted: Callable[[Status], bool], limit: int, max_id: int | None
) -> list[Entity]:
    """Lists the wanted statuses that the viewer may see, the newest first."""
    suspended = {one.id for one in list(instance.accounts.values()) if "suspended" in one.restricted}
    statuses = (one for one in list(instance.statuses.values()) if wanted(one) and one.account not in suspended)
    return [
        status_entity(instance, one) for one in _page((one for one in statuses if may_see(viewer, one)), limit, max_id)
    ]


def _page(records: Iterable[Numbered], limit: int, max_id: int | None) -> list[Numbered]:
    """Returns the newest records with an id below `max_id`; ids grow."""
    below = [one for one in records if max_id is None or int(one.id) < max_id]
    return sorted(below, key=lambda one: -int(one.id))[:limit]
