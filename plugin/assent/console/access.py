"""Lists the console's routes with the permission that each needs: a route that is not listed opens for nobody."""

from __future__ import annotations

from collections.abc import Mapping

from assent.staff.roles import Permission

# By method and path as the router knows it. Routes that need no session (assets, sign-in) are not here. Of a case, the
# route asks once more, for the case's queue.
ROUTES: Mapping[str, Permission] = {
    "GET /console": "home",
    "POST /console/sign-out": "home",
    "GET /console/step-up": "home",
    "POST /console/step-up": "home",
    "GET /console/account": "home",
    "POST /console/account/keys": "home",
    "POST /console/account/keys/{key}/name": "home",
    "POST /console/account/keys/{key}/remove": "home",
    "POST /console/account/password": "home",
    "POST /console/account/password/remove": "home",
    "POST /console/account/sessions": "home",
    "GET /console/team": "manage-team",
    "POST /console/team": "manage-team",
    "GET /console/team/{account}": "manage-team",
    "POST /console/team/{account}": "manage-team",
    "POST /console/team/{account}/disable": "manage-team",
    "POST /console/team/{account}/enable": "manage-team",
    "POST /console/team/{account}/link": "manage-team",
}
