"""`docs/console.md` says which role may open which route, as the code has it. `make matrix` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from assent.console.access import ROUTES
from assent.staff.roles import ROLES, STEP_UP, Permission, StaffRole

FILE = Path(__file__).parents[2] / "docs" / "console.md"
BEGIN = "<!-- The role matrix, written by `make matrix`. -->\n"
END = "<!-- Here ends the role matrix. -->\n"


def matrix() -> str:
    """Two tables: roles and what they permit, permissions and the routes that ask for them."""
    roles: tuple[StaffRole, ...] = get_args(StaffRole)
    permissions: tuple[Permission, ...] = get_args(Permission)
    lines = [f"| permission | {' | '.join(f'`{role}`' for role in roles)} |", "|---" * (len(roles) + 1) + "|"]
    for permission in permissions:
        mark = " †" if permission in STEP_UP else ""
        held = " | ".join("yes" if permission in ROLES[role] else "" for role in roles)
        lines.append(f"| `{permission}`{mark} | {held} |".replace("|  |", "| |").replace("|  |", "| |"))
    lines += [
        "",
        "† with a sign-in of the last five minutes only.",
        "",
        "| route below `/console` | permission |",
        "|---|---|",
    ]
    for route, permission in ROUTES.items():
        method, _, path = route.partition(" ")
        lines.append(f"| `{method} {path.removeprefix('/console') or '/'}` | `{permission}` |")
    return "\n".join(lines) + "\n"


def parts() -> tuple[str, str, str]:
    """The page before, between and behind the markers."""
    before, _, rest = FILE.read_text().partition(BEGIN)
    between, _, behind = rest.partition(END)
    return before, between, behind


def test_the_page_shows_the_matrix_of_the_code() -> None:
    assert parts()[1] == "\n" + matrix() + "\n", "make matrix"


if __name__ == "__main__":
    before, _, behind = parts()
    FILE.write_text(f"{before}{BEGIN}\n{matrix()}\n{END}{behind}")
