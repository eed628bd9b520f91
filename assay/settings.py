"""Where things are, from the environment (`ASSAY_*`) or from arguments. Nothing here touches the disk."""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """All settings, each with a default that works on one machine with nothing installed beside Assay.

    URLs that can carry a password are secrets: they print as stars.
    """

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore", frozen=True)

    home: Path = Field(default=Path("var"), description="folder for everything Assay keeps")
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
    device: str = Field(default="auto", description="auto, cpu or cuda")
    console: str = Field(
        default="assay.web:create_router",
        description="the console behind the lineage API: module:function, or nothing to serve the API alone",
    )
    storage_options: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="options of an object store, as JSON",
        validation_alias=AliasChoices("storage_options", "ASSAY_STORAGE_OPTIONS"),
    )

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
