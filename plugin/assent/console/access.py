"""Lists the console's routes with the permission that each needs: a route that is not listed opens for nobody."""

from __future__ import annotations

from collections.abc import Mapping

from assent.staff.roles import Permission

# By method and path as the router knows it. Routes that need no session (assets, sign-in) are not here. Of a case, the
# route asks once more, for the case's queue.
ROUTES: Mapping[str, Permission] = {
    "GET /console": "home",
    "POST /console/sign-out": "home",
    "GET /console/settings": "home",
    "POST /console/settings": "home",
    "GET /console/queues/{queue}": "see-cases",
    "POST /console/queues/{queue}/next": "decide",
    "GET /console/cases/{case_id}": "see-cases",
    "GET /console/cases/{case_id}/veil/{step}": "see-cases",
    "POST /console/cases/{case_id}/look": "see-pictures",
    "GET /console/looks/{token}": "see-pictures",
    "POST /console/cases/{case_id}/claim": "decide",
    "POST /console/cases/{case_id}/extend": "decide",
    "POST /console/cases/{case_id}/leave": "decide",
    "POST /console/cases/{case_id}/note": "decide",
    "POST /console/cases/{case_id}/faces/{face}/veto": "decide",
    "POST /console/cases/{case_id}/decide": "decide",
    "POST /console/cases/{case_id}/undo": "decide",
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
    "GET /console/log": "read-own-log",
    "GET /console/log/{leaf}": "read-own-log",
    "GET /console/system": "read-system",
}
