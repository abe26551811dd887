"""Defines the errors of the review console. They belong to the tree in `core/errors.py`."""

from __future__ import annotations

from assent.core.errors import AssentError, Forbidden


class SignedOut(AssentError):
    code, status = "signed_out", 401
    remedy = "Sign in to the review console again."


class RoleMissing(Forbidden):
    code = "role_missing"
    remedy = "Ask an administrator of the console for a role that may do this."


class StepUpNeeded(Forbidden):
    code = "step_up_needed"
    remedy = "Show once more that it is you: this needs a sign-in of the last five minutes."
