"""Defines the errors of the review console. They belong to the tree in `core/errors.py`."""

from __future__ import annotations

from assent.core.errors import AssentError, Forbidden


class SignedOut(AssentError):
    code, status = "signed_out", 401
    remedy = "Sign in to the review console again."


class SignInRefused(AssentError):
    code, status = "sign_in_refused", 401
    remedy = "Check name, password and code, or sign in in another way; after 20 wrong ones, wait 15 minutes."


class RoleMissing(Forbidden):
    code = "role_missing"
    remedy = "Ask an administrator of the console for a role that may do this."


class StepUpNeeded(Forbidden):
    code = "step_up_needed"
    remedy = "Show once more that it is you: this needs a sign-in of the last five minutes."


class SetUpLinkOver(AssentError):
    code, status = "set_up_link_over", 410
    remedy = "Ask for a new link: `assent console link` prints one, and so does the console's page of the team."


class LastAdmin(AssentError):
    code, status = "last_admin", 409
    remedy = "Give another account the role admin first."


class LastSignIn(AssentError):
    code, status = "last_sign_in", 409
    remedy = "Add another way to sign in first: the account would have none left."


class ProviderFailed(AssentError):
    code, status = "provider_failed", 502
    remedy = "Sign in in another way, or try again; the identity provider did not answer as it has to."
