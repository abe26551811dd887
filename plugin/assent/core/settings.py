"""Reads the settings once at start from `ASSENT_…` variables; an empty one is unset. Secrets may come from files."""

from __future__ import annotations

import os
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from assent.core.errors import StoreUnsafe
from assent.core.processors import usable_processors


class AllowedHost(NamedTuple):
    """A private media host that may be fetched from: exact host name, port, and where it must resolve to."""

    host: str
    port: int
    network: IPv4Network | IPv6Network

    @classmethod
    def parse(cls, text: str) -> AllowedHost:
        """Parses `host:port@cidr`, for example `media.internal:443@10.1.0.0/16`. Raises ValueError otherwise."""
        address, _, cidr = text.strip().partition("@")
        host, _, port = address.rpartition(":")
        if not (host and port and cidr):
            raise ValueError(f"{text!r} is not host:port@cidr")
        return cls(host.strip("[]").lower(), int(port), ip_network(cidr))


def default_data_dir() -> Path:
    """Returns `/var/lib/assent` for root, else the XDG data folder. Raises StoreUnsafe where there is no home."""
    if os.geteuid() == 0:
        return Path("/var/lib/assent")
    if given := os.environ.get("XDG_DATA_HOME", "").strip():
        return Path(given) / "assent"
    try:
        home = Path.home()
    except RuntimeError as error:  # neither HOME nor an entry in the passwd file
        raise StoreUnsafe(f"uid {os.geteuid()} has no home folder: set ASSENT_DATA_DIR") from error
    return home / ".local" / "share" / "assent"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ASSENT_", frozen=True, extra="forbid")

    data_dir: Path = Field(default_factory=default_data_dir, description="Keys, converted models, embedded database.")
    database_url: SecretStr | None = Field(None, description="An existing PostgreSQL ≥ 15; embedded when unset.")
    root_key: SecretStr | None = Field(None, description="Base64 of 32 bytes; else the file below.")
    root_key_file: Path | None = Field(None, description="Default: keys/root.key in the data folder.")
    policy: Path | None = Field(None, description="Policy file; default: the shipped default.yaml.")
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8400, ge=1, le=65535, description="Port the API listens on.")
    metrics_host: str = Field("127.0.0.1", description="Address on which metrics are shown, for Prometheus alone.")
    metrics_port: int | None = Field(None, ge=1, le=65535, description="Port on which a worker shows its metrics.")
    api_metrics_port: int | None = Field(None, ge=1, le=65535, description="Port on which the API shows its metrics.")
    proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (), description="Comma-separated addresses or networks of the proxies whose X-Forwarded-… headers are believed."
    )
    threads: int = Field(
        default_factory=usable_processors,
        ge=1,
        description="Threads of each model session; default: the processors that this process may use.",
    )
    allow_private: Annotated[tuple[AllowedHost, ...], NoDecode] = Field(
        (), description="Comma-separated host:port@cidr that may be fetched from or delivered to despite being private."
    )
    accept_licence: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated words that accept a model's licence, as `assent models show` names them."
    )
    second_opinion: bool = Field(True, description="off: no network for whole pictures is asked about nudity as well.")
    lease_seconds: int = Field(30, ge=1, description="A worker silent for this long loses its jobs.")
    gallery_dir: Path = Field(Path("/dev/shm"), description="A tmpfs for the in-memory gallery.")  # noqa: S108 - memory
    unsafe_gallery_on_disk: bool = Field(False, description="Accept a gallery folder that is not in memory.")
    unsafe_unconfined_decoder: bool = Field(
        False, description="Decode strangers' files also where no seccomp filter confines the decoder."
    )
    anyone_declaration: str | None = Field(
        None, description="The deployer's own words that searching all uploads for scope `anyone` is lawful here."
    )
    notice: Path | None = Field(None, description="Text file that people read on their page before they agree.")
    media_page: str | None = Field(
        None, pattern=r"^https?://[^{}]*\{media\}[^{}]*$", description="The platform's page of a picture, with {media}."
    )
    keep_for_redaction: bool = Field(
        False, description="Keep a sealed copy of every picture, so that GET …/redacted has something to show."
    )
    keep_days: int = Field(30, ge=1, description="Kept copies, also those of pictures in review, go after this.")
    event_retention_days: int = Field(30, ge=1, description="Sealed event bodies are removed after this.")
    decision_retention_days: int = Field(
        90, ge=1, description="Decisions and messages that later ones replaced are removed after this."
    )
    console_origin: str | None = Field(
        None,
        pattern=r"^(https://[^/?#@\s]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?)$",
        description="Where moderators open the console, as https://host; unset: on this very machine only.",
    )
    oidc_issuer: str | None = Field(
        None,
        pattern=r"^(https://[^?#@\s]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/[^?#@\s]*)?)$",
        description="An OpenID Connect provider by which moderators sign in to the console.",
    )
    oidc_client_id: str = Field("", description="The console's id at that provider.")
    oidc_client_secret: SecretStr | None = Field(None, description="Its secret there; none for a public client.")
    oidc_roles: Annotated[tuple[tuple[str, str], ...], NoDecode] = Field(
        (), description="Comma-separated group=role: what the provider's groups may do in the console."
    )
    read: Literal["nothing", "codes", "text"] = Field(
        "nothing", description="What is read in pictures: QR codes, or these and text, which needs the extra `text`."
    )
    blocked_words: Path | None = Field(
        None, description="Folder of word lists (en.txt …) whose words are looked for in the text that is read."
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Lowest level logged.")

    @model_validator(mode="before")
    @classmethod
    def _unset_where_empty(cls, values: dict[str, Any]) -> dict[str, Any]:
        # Deployment files pass on `NAME=` for what nobody set; it declares, allows and names nothing.
        return {name: value for name, value in values.items() if not (isinstance(value, str) and not value.strip())}

    @field_validator("allow_private", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(AllowedHost.parse(part) for part in value.split(",") if part.strip())
        return value

    @field_validator("accept_licence", "proxies", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("oidc_roles", mode="before")
    @classmethod
    def _group_roles(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.strip().rpartition("=") for part in value.split(",") if part.strip()]
        if any(not group or not role for group, _, role in pairs):
            raise ValueError("each part is group=role")
        return tuple((group.strip(), role.strip()) for group, _, role in pairs)

    @cached_property
    def keys_dir(self) -> Path:
        return self.data_dir / "keys"

    @cached_property
    def models_dir(self) -> Path:
        return self.data_dir / "models"
