"""Each route of the console has its permission in one table, or is one of the few that need no session."""

from __future__ import annotations

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from assent.console.access import ROUTES
from assent.console.routes import CONSOLE_ROUTERS
from assent.console.visit import visit

OPEN = {
    "GET /console/style.css",
    "GET /console/console.js",
    "GET /console/passkey.js",
    "GET /console/sign-in",
    "POST /console/sign-in",
    "GET /console/sign-in/provider",
    "POST /console/sign-in/provider",
    "GET /console/set-up/{token}",
    "POST /console/set-up/{token}",
}


def asks_who(dependant: Dependant) -> bool:
    return dependant.call is visit or any(map(asks_who, dependant.dependencies))


def test_each_route_has_its_permission() -> None:
    routes = [route for router in CONSOLE_ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    console = {
        f"{method} {route.path}": asks_who(route.dependant)
        for route in routes
        if route.path.startswith("/console")
        for method in route.methods or ()
    }
    assert {name for name, asks in console.items() if asks} == set(ROUTES)
    assert {name for name, asks in console.items() if not asks} == OPEN
