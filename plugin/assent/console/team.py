"""Serves the team's pages: accounts with their roles and queues, links for new ones, disabling."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from assent.console import words
from assent.console.desk import inside
from assent.console.visit import ConsoleOrigin, ConsoleRoute, FormFields, SignedIn, Visit, one, read_session_form
from assent.core.errors import BadRequest
from assent.core.names import POLICY_NAME
from assent.db.pool import Conn, transaction
from assent.http.pages import go
from assent.staff.accounts import list_staff, read_staff
from assent.staff.roles import ROLES
from assent.staff.sign_in import is_provided
from assent.staff.team import MOST_NAME, change_team, make_link, make_link_for

router = APIRouter(prefix="/console/team", include_in_schema=False, route_class=ConsoleRoute)
_TEXTS = words.WORDS["team"]


@router.get("")
def show_team(me: SignedIn, said: str = "") -> Response:
    """Shows all accounts, and the form for another one."""
    with transaction(me.state.pool) as conn:
        team = list_staff(conn, me.keys)
    return inside("team", me, _TEXTS["title"], team=team, roles=list(ROLES), message=words.said(said))


@router.post("")
async def invite(request: Request, me: SignedIn, at: ConsoleOrigin) -> Response:
    """Makes a link for a new account, and shows it once."""
    fields = await read_session_form(request, me)
    name, roles, queues = one(fields, "name")[:MOST_NAME], fields.get("role", ()), _queues(fields)

    def make(conn: Conn) -> str:
        return make_link(conn, me.keys, me.by, roles, queues, name)

    return await run_in_threadpool(_link, me, at, name, make)


@router.get("/{account}")
def show_member(account: UUID, me: SignedIn) -> Response:
    """Shows an account, to be changed."""
    with transaction(me.state.pool) as conn:
        member = read_staff(conn, me.keys, account)
        provided = is_provided(conn, me.keys, account)
    title = _TEXTS["change_title"].format(name=member.name)
    shown: dict[str, Any] = {"here": "/console/team", "member": member, "provided": provided, "roles": list(ROLES)}
    return inside("team_member", me, title, **shown)


@router.post("/{account}")
async def change_member(request: Request, account: UUID, me: SignedIn) -> Response:
    """Gives an account other roles and queues; its sessions end."""
    fields = await read_session_form(request, me)
    changes = {"roles": fields.get("role", ()), "queues": _queues(fields)}
    return await run_in_threadpool(_change, me, account, changes, "account-changed")


@router.post("/{account}/disable")
async def disable_member(request: Request, account: UUID, me: SignedIn) -> Response:
    """Disables an account; its sessions end."""
    await read_session_form(request, me)
    return await run_in_threadpool(_change, me, account, {"disabled": True}, "account-disabled")


@router.post("/{account}/enable")
async def enable_member(request: Request, account: UUID, me: SignedIn) -> Response:
    """Lets an account sign in again."""
    await read_session_form(request, me)
    return await run_in_threadpool(_change, me, account, {"disabled": False}, "account-enabled")


@router.post("/{account}/link")
async def relink_member(request: Request, account: UUID, me: SignedIn, at: ConsoleOrigin) -> Response:
    """Makes a link with which an account gets another way to sign in, and shows it once."""
    await read_session_form(request, me)
    return await run_in_threadpool(_link, me, at, "", lambda conn: make_link_for(conn, me.keys, me.by, account))


def _change(me: Visit, account: UUID, changes: dict[str, Any], said: str) -> Response:
    with transaction(me.state.pool) as conn:
        change_team(conn, me.keys, me.by, account, changes)
    return go(f"/console/team?said={said}")


def _link(me: Visit, at: str, name: str, make: Callable[[Conn], str]) -> Response:
    with transaction(me.state.pool) as conn:
        token = make(conn)
    shown: dict[str, Any] = {
        "here": "/console/team",
        "called": name or _TEXTS["somebody"],
        "link": f"{at}/console/set-up/{token}",
    }
    return inside("team_link", me, _TEXTS["link_title"], **shown)


def _queues(fields: FormFields) -> list[str] | None:
    """Returns the queues that were typed, one a line; None, for all, where there is none."""
    names = sorted(set(one(fields, "queues").split()))
    if wrong := [name for name in names if not re.fullmatch(POLICY_NAME, name)]:
        raise BadRequest(f"{wrong[0]!r} is no queue's name")
    return names or None
