"""Small servers that speak what we call of Mastodon's and Discourse's APIs, with the traps of both; on real sockets."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from assent.core.settings import AllowedHost
from tests.platform_reads import READS
from tests.web import Answer, at_once

Fields = Mapping[str, list[str]]
TOKEN, KEY = "mastodon-token", "discourse-key"


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request: `answer` comes instead of its own, after it took effect or without any."""

    answer: Answer
    took_effect: bool = False
    before: Callable[[], object] = at_once  # the answer


@dataclass
class Api:
    """A platform's memory, what was asked of it, and what goes wrong next."""

    url: str
    port: int
    asked: list[str] = field(default_factory=list)  # method and path
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    faults: Iterator[Fault | None] = field(default_factory=lambda: iter(()))
    lock: threading.Lock = field(default_factory=threading.Lock)
    # Mastodon
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    invisible: set[str] = field(default_factory=set)  # statuses that our account may not see
    gone: set[str] = field(default_factory=set)  # statuses, posts and accounts
    statuses: dict[str, str] = field(default_factory=dict)  # with the account of each
    blocked_by: set[str] = field(default_factory=set)  # accounts that block ours
    reports: list[dict[str, Any]] = field(default_factory=list)
    trends: dict[str, str] = field(default_factory=dict)
    strikes: list[tuple[str, str]] = field(default_factory=list)
    # Discourse
    posts: dict[str, dict[str, Any]] = field(default_factory=dict)
    flags: list[tuple[str, str, str]] = field(default_factory=list)  # post, type, by
    page: int = 50  # posts of one list
    restored: list[str] = field(default_factory=list)
    perform_offers: tuple[str, ...] = ("agree_and_keep", "disagree", "ignore_and_do_nothing")

    @property
    def allowed(self) -> AllowedHost:
        return AllowedHost.parse(f"127.0.0.1:{self.port}@127.0.0.0/8")

    def changed(self) -> list[str]:
        """The requests that were to change something."""
        return [line for line in self.asked if not line.startswith("GET")]

    def answer(self, method: str, path: str, query: Fields, form: Fields) -> tuple[int, Any]:
        for pattern, handler in ROUTES.items():
            verb, _, shape = pattern.partition(" ")
            if verb == method and (match := re.fullmatch(shape, path)):
                return handler(self, match, query, form)
        return 404, {"error": "Record not found"}


def account(api: Api, number: str) -> dict[str, Any]:
    empty = {"id": number, "suspended": False, "silenced": False, "sensitized": False}
    return api.accounts.setdefault(number, empty)


def post(api: Api, number: str) -> dict[str, Any]:
    empty = {"id": int(number), "topic_id": 77, "post_number": 2, "hidden": False, "deleted_at": None}
    return api.posts.setdefault(number, empty)


def create_report(api: Api, _match: re.Match[str], _query: Fields, form: Fields) -> tuple[int, Any]:
    number, statuses = form["account_id"][0], form.get("status_ids[]", [])
    if number in api.gone or {*statuses} & (api.invisible | api.gone):
        return 404, {"error": "Record not found"}
    if form.get("category") == ["violation"] or len(form["comment"][0]) > 1000:
        return 422, {"error": "Validation failed"}
    report = {
        "id": str(len(api.reports) + 1),
        "action_taken": False,
        "created_at": datetime.now(UTC).isoformat(),
        "comment": form["comment"][0],
        "status_ids": statuses,
        "target_account": {"id": number},
    }
    api.reports.append(report)
    return 200, report


def list_reports(api: Api, _match: re.Match[str], query: Fields, _form: Fields) -> tuple[int, Any]:
    resolved = query.get("resolved") == ["true"]
    number = query["target_account_id"][0]
    before = int(query.get("max_id", ["999999"])[0])
    found = [
        one
        for one in reversed(api.reports)
        if one["action_taken"] == resolved and one["target_account"]["id"] == number and int(one["id"]) < before
    ]
    return 200, found[: int(query["limit"][0])]


def resolve_report(api: Api, match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    for report in api.reports:
        if report["id"] == match[1]:
            report["action_taken"] = True
            return 200, report
    return 404, {"error": "Record not found"}


def decide_trend(api: Api, match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    if match[1] in api.gone:
        return 404, {"error": "Record not found"}
    api.trends[match[1]] = match[2]
    return 200, {"id": match[1]}


def read_account(api: Api, match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    return (404, {"error": "Record not found"}) if match[1] in api.gone else (200, account(api, match[1]))


STATES = {"sensitive": "sensitized", "silence": "silenced", "suspend": "suspended"}


def act_on_account(api: Api, match: re.Match[str], _query: Fields, form: Fields) -> tuple[int, Any]:
    account(api, match[1])[STATES[form["type"][0]]] = True
    api.strikes.append((match[1], form["type"][0]))
    for report in api.reports:
        if report["target_account"]["id"] == match[1]:
            report["action_taken"] = True
    return 200, {}


def undo_on_account(api: Api, match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    account(api, match[1])[STATES[match[2]]] = False
    return 200, account(api, match[1])


def read_post(api: Api, match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    if match[1] in api.gone:
        return 404, {"errors": ["not found"]}
    ours = [{"id": int(kind), "acted": True} for name, kind, by in api.flags if name == match[1] and by == "assent"]
    return 200, {**post(api, match[1]), "actions_summary": ours}


def flag_post(api: Api, _match: re.Match[str], _query: Fields, form: Fields) -> tuple[int, Any]:
    name, kind = form["id"][0], form["post_action_type_id"][0]
    if any(one[0] == name and one[2] == "assent" for one in api.flags):
        return 403, {"errors": ["You have flagged this post before"]}
    if kind in ("6", "7", "10") and "message" not in form:
        return 422, {"errors": ["message"]}
    api.flags.append((name, kind, "assent"))
    if form.get("queue_for_review") == ["true"]:
        post(api, name)["hidden"] = True
    return 200, post(api, name)


def review_queue(api: Api, _match: re.Match[str], query: Fields, _form: Fields) -> tuple[int, Any]:
    assert query["status"] == ["pending"]
    reviewables = [
        {
            "id": 1000 + int(name),
            "post_id": int(name),
            "version": 3,
            "reviewable_score_ids": [n for n, one in enumerate(api.flags) if one[0] == name],
            "bundled_action_ids": ["bundle"],
        }
        for name in sorted({one[0] for one in api.flags})
    ]
    offered = [{"id": f"post-{name}", "server_action": name} for name in api.perform_offers]
    bundle = {"id": "bundle", "action_ids": [one["id"] for one in offered]}
    return 200, {"reviewables": reviewables, "bundled_actions": [bundle], "actions": offered}


def perform(api: Api, match: re.Match[str], query: Fields, _form: Fields) -> tuple[int, Any]:
    if query.get("version") != ["3"]:
        return (422 if "version" not in query else 409), {"errors": ["version"]}
    name = str(int(match[1]) - 1000)
    api.flags[:] = [one for one in api.flags if one[0] != name]
    post(api, name)["hidden"] = False
    return 200, {"success": "OK"}


def unhide(api: Api, match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    post(api, match[1])["hidden"] = False
    return 200, None


def delete_post(api: Api, match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    post(api, match[1])["deleted_at"] = "2026-01-02T03:04:05Z"
    return 200, None


def recover_post(api: Api, match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    post(api, match[1])["deleted_at"] = None
    api.restored.append(match[1])
    return 200, post(api, match[1])


def take_callback(_api: Api, _match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    return 204, None


Handler = Callable[[Api, re.Match[str], Fields, Fields], tuple[int, Any]]
ROUTES: dict[str, Handler] = {
    r"POST /api/v1/reports": create_report,
    r"GET /api/v1/admin/reports": list_reports,
    r"POST /api/v1/admin/reports/(\w+)/resolve": resolve_report,
    r"POST /api/v1/admin/trends/statuses/(\w+)/(reject|approve)": decide_trend,
    r"GET /api/v1/admin/accounts/(\w+)": read_account,
    r"POST /api/v1/admin/accounts/(\w+)/action": act_on_account,
    r"POST /api/v1/admin/accounts/(\w+)/un(sensitive|silence|suspend)": undo_on_account,
    r"GET /posts/(\d+)\.json": read_post,
    r"POST /post_actions\.json": flag_post,
    r"GET /review\.json": review_queue,
    r"PUT /review/(\d+)/perform/disagree(?:_and_restore)?\.json": perform,
    r"PUT /posts/(\d+)/unhide": unhide,
    r"DELETE /posts/(\d+)\.json": delete_post,
    r"PUT /posts/(\d+)/recover": recover_post,
    r"POST /callback": take_callback,
    **READS,
}


def allowed_in(path: str, headers: Mapping[str, str]) -> bool:
    if path.startswith("/api/"):
        return headers.get("authorization") == f"Bearer {TOKEN}"
    return path == "/callback" or (headers.get("api-key"), headers.get("api-username")) == (KEY, "assent")


class Handling(BaseHTTPRequestHandler):
    """Answers for the memory of its server."""

    def _handle(self) -> None:
        api: Api = self.server.api  # type: ignore[attr-defined]  # `platform_api` sets it
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        parts = urlsplit(self.path)
        is_form = headers.get("content-type", "").startswith("application/x-www-form")
        form = parse_qs(body.decode()) if is_form else {}
        with api.lock:
            api.asked.append(f"{self.command} {self.path}")
            api.headers.append(headers)
            api.bodies.append(body)
            fault = next(api.faults, None)
            status, value = 401, {"error": "The access token is invalid"}
            if allowed_in(parts.path, headers) and (fault is None or fault.took_effect):
                status, value = api.answer(self.command, parts.path, parse_qs(parts.query), form)
        if fault is not None:
            fault.before()
            self._give(fault.answer)
            return
        text = b"" if value is None else json.dumps(value).encode()
        self._give(Answer(status, {"content-type": "application/json"}, text))

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def _give(self, answer: Answer) -> None:
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            return
        self.send_response(answer.status)
        for name, value in {"content-length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def platform_api() -> Iterator[Api]:
    """A server that is both platforms, and takes callbacks."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handling)
    api = Api(f"http://127.0.0.1:{server.server_port}", server.server_port)
    server.api = api  # type: ignore[attr-defined]  # read by its handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
