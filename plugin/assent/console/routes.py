"""Joins the routes of the console's pages."""

from __future__ import annotations

from assent.console.account import router as account
from assent.console.care import router as care
from assent.console.case import router as case
from assent.console.clusters import router as clusters
from assent.console.decide import router as decide
from assent.console.desk import router as desk
from assent.console.evidence import router as evidence
from assent.console.log import router as log
from assent.console.pictures import router as pictures
from assent.console.provider import router as provider
from assent.console.queues import router as queues
from assent.console.set_up import router as set_up
from assent.console.settings import router as settings
from assent.console.sign_in import router as sign_in
from assent.console.system import router as system
from assent.console.team import router as team

CONSOLE_ROUTERS = (
    *(desk, sign_in, provider, set_up, account, team, settings),
    *(queues, case, pictures, decide, evidence, clusters, care, log, system),
)
