"""An empty variable is an unset one, for every setting; one that says something is never dropped."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from assent.cli.doctor import _proxies
from assent.core.settings import Settings

SET = {
    "ASSENT_DATABASE_URL": "postgresql://elsewhere/assent",
    "ASSENT_ANYONE_DECLARATION": " It is lawful here. ",
    "ASSENT_PORT": "8401",
    "ASSENT_KEEP_FOR_REDACTION": "true",
    "ASSENT_ALLOW_PRIVATE": "media.internal:443@10.1.0.0/16",
}


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ASSENT_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_value_is_unset(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable, value in SET.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv(f"ASSENT_{name.upper()}", " \t\n")
    field = Settings.model_fields[name]
    assert getattr(Settings(), name) == field.get_default(call_default_factory=True)


def test_where_all_are_empty_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    without = Settings()
    for name in Settings.model_fields:
        monkeypatch.setenv(f"ASSENT_{name.upper()}", "")
    assert Settings() == without


def test_what_is_set_counts_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SET.items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.anyone_declaration == " It is lawful here. "
    assert (settings.port, settings.keep_for_redaction, len(settings.allow_private)) == (8401, True, 1)
    assert settings.database_url is not None
    monkeypatch.setenv("ASSENT_PORT", "none")
    with pytest.raises(ValidationError):
        Settings()


def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSENT_PROXIES", "127.0.0.1, 10.1.0.0/16,2001:db8::/64")
    assert [str(network) for network in Settings().proxies] == ["127.0.0.1/32", "10.1.0.0/16", "2001:db8::/64"]
    for wrong in ("*", "proxy.internal", "10.1.2.3/16"):
        monkeypatch.setenv("ASSENT_PROXIES", wrong)
        with pytest.raises(ValidationError):
            Settings()


def test_a_console_over_https_without_a_named_proxy_is_a_warning_of_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [finding.repair for finding in _proxies(Settings())] == [""]
    monkeypatch.setenv("ASSENT_CONSOLE_ORIGIN", "https://moderation.example.org")
    assert [(finding.ok, finding.repair) for finding in _proxies(Settings())] == [(True, "set ASSENT_PROXIES")]
    monkeypatch.setenv("ASSENT_PROXIES", "127.0.0.1")
    assert [(finding.detail, finding.repair) for finding in _proxies(Settings())] == [("127.0.0.1/32", "")]


@pytest.mark.parametrize("nothing", ["", "  "])
def test_an_empty_home_of_data_is_unset_too(monkeypatch: pytest.MonkeyPatch, nothing: str) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    without = Settings().data_dir
    monkeypatch.setenv("XDG_DATA_HOME", nothing)
    assert Settings().data_dir == without
