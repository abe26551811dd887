"""Lists the console's routes with the permission that each needs: a route that is not listed opens for nobody."""

from __future__ import annotations

from collections.abc import Mapping

from assent.staff.roles import Permission

# By method and path as the router knows it. Routes that need no session (assets, sign-in) are not here. Of a case, the
# route asks once more, for the case's queue.
ROUTES: Mapping[str, Permission] = {
    "GET /console": "home",
    "POST /console/sign-out": "home",
    "GET /console/care": "home",
    "GET /console/cases/{case_id}/why": "see-cases",
    "GET /console/cases/{case_id}/similar": "see-cases",
    "GET /console/cases/{case_id}/similar/veil": "see-cases",
    "GET /console/cases/{case_id}/policies": "see-cases",
    "GET /console/cases/{case_id}/statement": "see-cases",
    "GET /console/clusters/{case_id}": "decide",
    "GET /console/clusters/{case_id}/veil": "see-cases",
    "POST /console/clusters/{case_id}": "decide",
    "POST /console/clusters/{case_id}/undo": "decide",
}
