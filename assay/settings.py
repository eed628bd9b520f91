"""Where things are: from arguments, the environment (`ASSAY_*`), or `.env` in the project's folder. Nothing is created."""

import getpass
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from assay.errors import AssayError
from assay.project_folder import project_folder

SECRETS_DIR = "ASSAY_SECRETS_DIR"


class _ProjectEnv(DotEnvSettingsSource):
    """`.env` of the project. Relative paths in it start at its folder, wherever the command is called."""

    def __init__(self, settings_cls: type[BaseSettings], folder: Path) -> None:
        super().__init__(settings_cls, env_file=folder / ".env", env_file_encoding="utf-8")
        self.folder = folder

    def __call__(self) -> dict[str, Any]:
        values = super().__call__()
        for name in ("home", "landing", "lake"):
            if values.get(name) and "://" not in str(values[name]):
                values[name] = str(self.folder / values[name])
        return values


class _SecretFiles(EnvSettingsSource):
    """Files of the folder ASSAY_SECRETS_DIR, each named like a variable (`ASSAY_CONNECTIONS__ERP__URL`, in any case)."""

    def _load_env_vars(self) -> dict[str, str | None]:
        folder = Path(os.environ[SECRETS_DIR])
        if not folder.is_dir():
            raise FileNotFoundError(f"{SECRETS_DIR}={folder}: there is no such folder.")
        files = (file for file in sorted(folder.iterdir()) if file.name.upper().startswith("ASSAY_") and file.is_file())
        return {file.name.lower(): file.read_text(encoding="utf-8").strip() for file in files}


def given_variables(project: str = "") -> dict[str, list[str]]:
    """The variables of ours that are set, by where they come from, in the order in which one hides the next. No values.

    Args:
        project: As the setting of that name.
    """
    folder, secrets = project_folder(project), os.environ.get(SECRETS_DIR)
    places: dict[str, Iterable[str]] = {"the environment": os.environ}
    if folder is not None:
        places[str(folder / ".env")] = _ProjectEnv(Settings, folder).env_vars
    if secrets:
        places[f"{SECRETS_DIR}={secrets}"] = _SecretFiles(Settings).env_vars
    seen, given = set[str](), dict[str, list[str]]()
    for place, variables in places.items():
        names = {name.upper() for name in variables if name.upper().startswith("ASSAY_")} - seen
        seen |= names
        if names:
            given[place] = sorted(names)
    return given


class Connection(BaseModel):
    """A database that sources read, or where files lie. URL and options are secrets: they print as stars."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: SecretStr
    options: dict[str, SecretStr] = Field(default_factory=dict)


def url_setting(name: str) -> str:
    """The name of the setting that holds a connection's URL."""
    return f"ASSAY_CONNECTIONS__{name.upper()}__URL"


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):  # a container's user may have no name
        return ""


class Settings(BaseSettings):
    """All settings, each with a default that works on one machine with nothing installed beside Assay.

    URLs that can carry a password are secrets: they print as stars.
    """

    model_config = SettingsConfigDict(
        env_prefix="ASSAY_", env_nested_delimiter="__", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    project: str = Field(
        default="",
        description="folder, package or installed name of the project (default: found from the working directory upward)",
    )
    actor: str = Field(
        default="",
        description="who works with the lake: recorded with every commit, event and decision (default: your user name)",
    )
    home: Path = Field(default=Path("var"), description="folder for everything Assay keeps (in the project's folder)")
    lake: str = Field(default="", description="root of the tables: a folder or s3://… (default: HOME/lake)")
    landing: Path | None = Field(default=None, description="where upstreams drop files (default: HOME/landing)")
    lineage_db: SecretStr = Field(
        default=SecretStr(""), description="SQLAlchemy URL or a file's path, such as index.db (default: SQLite in HOME)"
    )
    openlineage_url: SecretStr = Field(
        default=SecretStr(""), description="also send events to this OpenLineage endpoint"
    )
    openlineage_transport: SecretStr = Field(
        default=SecretStr(""),
        description="or by this transport of the OpenLineage client: its configuration as JSON, or a YAML file's path",
    )
    namespace: str = Field(
        default="assay",
        pattern=r"^[a-z][a-z0-9._-]*$",
        description="the namespace of our tables and jobs in events that are sent there: one for each lake",
    )
    connections: dict[str, Connection] = Field(
        default_factory=dict,
        description="databases and places of files by name: ASSAY_CONNECTIONS__ERP__URL is the SQLAlchemy URL of "
        "`Rows(…, connection='erp')`; ASSAY_CONNECTIONS__DROPS__URL, such as s3://bucket/prefix, with "
        "ASSAY_CONNECTIONS__DROPS__OPTIONS as JSON, is where `Files(…, connection='drops')` lie",
    )
    push_tokens: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="the token with which an upstream sends records of a source: ASSAY_PUSH_TOKENS__ORDERS",
    )
    serve_token: SecretStr = Field(
        default=SecretStr(""), description="the token that `assay serve` asks for (default: none, on this machine only)"
    )
    embedding_model: str = Field(
        default="", description="a sentence-transformers model path (default: the bundled MiniLM)"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto, cpu or cuda")
    console: str = Field(
        default="assay.web:create_router",
        description="the console behind the lineage API: module:function, or nothing to serve the API alone",
    )
    console_url: str = Field(
        default="",
        description="where people open the console: for links from the Dagster UI (default: as `assay up` serves both)",
    )
    dagster_url: str = Field(
        default="http://127.0.0.1:3000", description="where people open the Dagster UI: for links from the console"
    )
    history_days: int = Field(
        default=90, ge=0, description="how many days of Dagster's history `assay maintain` keeps (0: all)"
    )
    in_memory_mb: int = Field(
        default=256,
        ge=0,
        description="how large a batch may be to be validated in memory (MB: 16 bytes a value, and what was delivered); with "
        "the extra `spill` a larger one is in files below HOME/scratch meanwhile",
    )
    storage_options: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="options of an object store, as JSON",
        validation_alias=AliasChoices("storage_options", "ASSAY_STORAGE_OPTIONS"),
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings
        given = init_settings.init_kwargs.get("project") if isinstance(init_settings, InitSettingsSource) else None
        folder = project_folder(given or os.environ.get("ASSAY_PROJECT", ""))
        of_project = (_ProjectEnv(settings_cls, folder),) if folder else ()
        secrets = (_SecretFiles(settings_cls),) if os.environ.get(SECRETS_DIR) else ()
        return (init_settings, env_settings, *of_project, *secrets, file_secret_settings)

    @field_validator("connections", mode="before")
    @classmethod
    def _connections(cls, values: Any) -> Any:
        """By lower-case name; a URL alone will do (`ASSAY_CONNECTIONS__ERP=…`)."""
        if not isinstance(values, dict):
            return values
        return {str(name).lower(): {"url": url} if isinstance(url, str) else url for name, url in values.items()}

    @field_validator("push_tokens", mode="before")
    @classmethod
    def _push_tokens(cls, values: Any) -> Any:
        return {str(name).lower(): token for name, token in values.items()} if isinstance(values, dict) else values

    @field_validator("landing")
    @classmethod
    def _landing(cls, landing: Path | None) -> Path | None:
        """A folder: of an address Path would make a folder of a strange name, in which nothing ever lies."""
        if landing is not None and re.match(r"[a-z][a-z0-9+.-]*:/", str(landing)):
            raise ValueError(
                "ASSAY_LANDING is a folder of this machine. For files in an object store declare Files(…, connection='drops'), "
                "and set ASSAY_CONNECTIONS__DROPS__URL to their address."
            )
        return landing

    @model_validator(mode="before")
    @classmethod
    def _home_in_the_project(cls, values: dict[str, Any]) -> dict[str, Any]:
        folder = project_folder(values.get("project", ""))
        # Seen from the folder itself, paths stay short.
        if values.get("home") is None and folder is not None and folder != Path.cwd():
            return values | {"home": folder / "var"}
        return values

    @property
    def acting(self) -> str:
        """Who works with the lake: the setting, or the operating system's user; nobody where it has no name."""
        return self.actor or _user_name()

    @property
    def lake_uri(self) -> str:
        return self.lake or str(self.home / "lake")

    @property
    def landing_path(self) -> Path:
        return self.landing or self.home / "landing"

    @property
    def lineage_url(self) -> str:
        return self.lineage_db.get_secret_value() or f"sqlite:///{(self.home / 'lineage.db').resolve()}"

    @property
    def forward_to(self) -> str:
        """Where events are delivered besides the local store; empty: nowhere."""
        return self.openlineage_transport.get_secret_value() or self.openlineage_url.get_secret_value()

    @property
    def lake_options(self) -> dict[str, str]:
        return {key: value.get_secret_value() for key, value in self.storage_options.items()}


def lake_options_here() -> dict[str, str]:
    """The options of the object store, as this process's settings have them: for a lake that comes from another process."""
    return Settings().lake_options


def pickled(settings: Settings) -> dict[str, Any]:
    """The settings by which another process opens the same store: with absolute paths, and without secrets, which it reads again
    from its own settings. Raises AssayError where they would be others, since they were given as arguments."""
    values = {name: getattr(settings, name) for name in settings.model_fields_set if name not in SECRETS}
    values |= {"home": settings.home.resolve(), "actor": settings.actor}
    if settings.lake and "://" not in settings.lake:
        values["lake"] = str(Path(settings.lake).expanduser().resolve())
    if settings.landing is not None:
        values["landing"] = settings.landing.resolve()
    again = Settings(**values)
    given = sorted(name for name in SECRETS if getattr(again, name) != getattr(settings, name))
    if given:
        raise AssayError(
            f"The store cannot go to another process: {', '.join(given)} may be secret, and is not pickled. Set it as "
            f"{', '.join(f'ASSAY_{name.upper()}' for name in given)} instead of passing it to assay.open()."
        )
    return values


SECRETS = (
    "lineage_db",
    "openlineage_url",
    "openlineage_transport",
    "connections",
    "push_tokens",
    "serve_token",
    "storage_options",
)
"""Settings that may hold a secret."""
