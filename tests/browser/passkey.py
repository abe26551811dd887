"""Gives browsers an authenticator of their own."""

from __future__ import annotations

from playwright.sync_api import CDPSession, Page

DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "automaticPresenceSimulation": True,
}


def device(page: Page, verified: bool = True) -> tuple[CDPSession, str]:
    """Gives the browser an authenticator, whose user it verifies or not."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": {**DEVICE, "isUserVerified": verified}})
    return session, made["authenticatorId"]
