"""Says which single key does what on a case's page; an account may choose other letters, or none at all."""

from __future__ import annotations

from collections.abc import Mapping

from assent.staff.accounts import StaffSettings

# Action → key, as a browser names it (`KeyboardEvent.key`, small). Digits choose labels and are not to be changed.
USUAL_KEYS: Mapping[str, str] = {
    "look": " ", "veil": "v", "grey": "g", "boxes": "b", "zoom": "z", "nearer": "+", "farther": "-",
    "allow": "a", "label": "t", "limit": "l", "block": "k",
    "add": "q", "not_person": "w", "hide": "h",
    "escalate": "e", "skip": "s", "note": "n", "cluster": "c", "policies": "p", "undo": "u", "next": "j",
    "help": "?",
}  # fmt: skip
FIXED_KEYS = frozenset({"look", "nearer", "farther", "help"})  # no letters


def keys_of(settings: StaffSettings) -> dict[str, str]:
    """Returns the key of each action for one account; none where single letters do not act."""
    if not settings.keys:
        return {}
    return {action: settings.key_map.get(action, key) for action, key in USUAL_KEYS.items()}


def changed_keys(wanted: Mapping[str, str]) -> dict[str, str]:
    """Returns the keys that are not the usual ones. Raises ValueError, which names the key, where two actions share it.

    `wanted`: action → one letter. What is no letter, or fixed, is left as it is.
    """
    letters = {action: key.lower() for action, key in wanted.items() if len(key) == 1 and key.isalpha()}
    chosen = {action: letters.get(action, key) for action, key in USUAL_KEYS.items()}
    for action, key in chosen.items():
        if any(other != action and key == taken for other, taken in chosen.items()):
            raise ValueError(key)
    return {action: key for action, key in chosen.items() if action not in FIXED_KEYS and key != USUAL_KEYS[action]}
