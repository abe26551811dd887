"""Lists the console's routes with the permission that each needs: a route that is not listed opens for nobody."""

from __future__ import annotations

from collections.abc import Mapping

from assent.staff.roles import Permission

# By method and path as the router knows it. Routes that need no session (assets, sign-in) are not here. Of a case, the
# route asks once more, for the case's queue.
ROUTES: Mapping[str, Permission] = {
    "GET /console": "home",
    "POST /console/sign-out": "home",
    "GET /console/log": "read-own-log",
    "GET /console/log/{leaf}": "read-own-log",
    "GET /console/system": "read-system",
}
