"""Renders the pages on which somebody shows who they are, and the one that gives back what was under way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi.responses import HTMLResponse

from assent.console.pages import render_page
from assent.console.unsent_form import UnsentForm
from assent.db.pool import Conn
from assent.http.state import AppState
from assent.staff.passkeys import list_passkeys, make_challenge, signing_options
from assent.staff.sessions import StaffSession, form_token
from assent.staff.sign_in import has_password, is_provided

_WITHIN = re.compile(r"/console(?:[/?][\x21-\x5b\x5d-\x7e]*)?")
_TECHNICAL = re.compile(r"[0-9a-f-]{32,}|[A-Za-z0-9_-]{43}")  # keys and tokens: nobody typed them
DESK = "/console"


def console_path(path: str) -> str:
    """Returns a path of the console as it was given; the desk's for any other address."""
    return path if _WITHIN.fullmatch(path) and "/.." not in path else DESK


def render_sign_in(conn: Conn, state: AppState, at: str, hidden: Mapping[str, str], **shown: Any) -> HTMLResponse:
    """Renders the sign-in. `hidden`: `to`, where it leads, `unsent`, a sealed form; `shown`: status, wrong, name."""
    options = signing_options(at, make_challenge(conn, state.keystore))
    ways = {
        "passkey": options,
        "password": True,
        "named": True,
        "name": shown.get("name", ""),
        "provider": provider_host(state),
    }
    fields = {"to": console_path(hidden.get("to", "")), "unsent": hidden.get("unsent", "")}
    return render_page("sign_in", shown.get("status", 200), ways=ways, hidden=fields, wrong=shown.get("wrong", ""))


def render_step_up(
    conn: Conn, state: AppState, at: str, session: StaffSession, hidden: Mapping[str, str], **shown: Any
) -> HTMLResponse:
    """Renders the page on which the owner of a session shows once more who they are, in a way that they have."""
    staff = session.staff
    keys = state.keystore.tenant(staff.tenant)
    known = [key.id for key in list_passkeys(conn, keys, staff.id)]
    provided = is_provided(conn, keys, staff.id)
    ways = {
        "passkey": signing_options(at, make_challenge(conn, state.keystore), known) if known else None,
        "password": has_password(conn, keys, staff.id),
        "named": False,
        "name": staff.name,
        "provider": provider_host(state) if provided else None,
    }
    fields = {
        "to": console_path(hidden.get("to", "")),
        "unsent": hidden.get("unsent", ""),
        "form": session.form,
        "again": "yes",
    }
    status, wrong = shown.get("status", 200), shown.get("wrong", "")
    return render_page("sign_in_again", status, ways=ways, hidden=fields, wrong=wrong, called=staff.name)


def render_unsent(form: UnsentForm, token: str) -> HTMLResponse:
    """Renders what was about to be sent, for one click in the session of this token."""
    shown = {
        name: tuple(value for value in values if not _TECHNICAL.fullmatch(value))
        for name, values in form.fields.items()
    }
    return render_page("sign_in_unsent", path=form.path, fields=form.fields, shown=shown, form=form_token(token))


def render_go(url: str) -> HTMLResponse:
    """Renders a page that leads on by itself, without a redirect."""
    return render_page("sign_in_go", url=url)


def provider_host(state: AppState) -> str | None:
    """Returns the identity provider's host, as it is named on the pages; None where there is none."""
    issuer = state.settings.oidc_issuer
    return issuer and urlsplit(issuer).netloc
