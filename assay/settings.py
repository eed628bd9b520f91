"""Where things are: from arguments, the environment (`ASSAY_*`), or `.env` in the project's folder. Nothing is created."""

import getpass
import os
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

PROJECT_FILE = "pyproject.toml"
PROJECT_TABLE = re.compile(r"^\s*\[tool\.assay[\].]", re.MULTILINE)


def project_folder(chosen: str | Path = "") -> Path | None:
    """The project's folder: the chosen one, or the nearest at or above the working directory that holds a project.

    Args:
        chosen: a folder, or the name of a package or an installed project (which has no folder here); empty: look upward
            from the working directory, like git.

    Returns:
        An absolute path, or None where there is no project.
    """
    if chosen:
        return Path(chosen).resolve() if Path(chosen).is_dir() else None
    return folder_above(Path.cwd())


def folder_above(start: Path) -> Path | None:
    """The nearest folder, from `start` upward, whose pyproject.toml has a table `[tool.assay]`."""
    for folder in (start, *start.parents):
        try:
            text = (folder / PROJECT_FILE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if PROJECT_TABLE.search(text):
            return folder
    return None


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


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):  # a container's user may have no name
        return ""


class Settings(BaseSettings):
    """All settings, each with a default that works on one machine with nothing installed beside Assay.

    URLs that can carry a password are secrets: they print as stars.
    """

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore", frozen=True)

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
    lineage_db: SecretStr = Field(default=SecretStr(""), description="SQLAlchemy URL (default: SQLite in HOME)")
    openlineage_url: SecretStr = Field(
        default=SecretStr(""), description="also send events to this OpenLineage endpoint"
    )
    openlineage_transport: SecretStr = Field(
        default=SecretStr(""),
        description="or by this transport of the OpenLineage client: its configuration as JSON, or a YAML file's path",
    )
    crm_url: SecretStr = Field(
        default=SecretStr(""), description="database of the support desk's customers (default: SQLite)"
    )
    embedding_model: str = Field(
        default="", description="a sentence-transformers model path (default: the bundled MiniLM)"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto, cpu or cuda")
    console: str = Field(
        default="assay.web:create_router",
        description="the console behind the lineage API: module:function, or nothing to serve the API alone",
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
        return (init_settings, env_settings, *of_project, file_secret_settings)

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
    def crm_database_url(self) -> str:
        return self.crm_url.get_secret_value() or f"sqlite:///{(self.landing_path / 'customers.db').resolve()}"

    @property
    def lake_options(self) -> dict[str, str]:
        return {key: value.get_secret_value() for key, value in self.storage_options.items()}
