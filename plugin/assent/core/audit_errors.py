"""Defines the errors of signing the audit log. They belong to the tree in `core/errors.py`."""

from __future__ import annotations

from assent.core.errors import AssentError


class LogSetBack(AssentError):
    code, status = "log_set_back", 503
    remedy = (
        "Nothing is signed until this is settled. Where a backup was restored, `assent restore` or `assent keys import`"
        " begins a new epoch of the log; else keep database and keys folder, and find out who set the log back."
    )


class HeadNotRemembered(AssentError):
    code, status, retryable = "head_not_remembered", 503, True
    remedy = (
        "Make the keys folder writable for every process of Assent, with room on its disk; end one that is stopped."
    )
