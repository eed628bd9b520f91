"""A prediction as a line of the list of those that are affected."""

import polars as pl

from assay.features.storage.commit_metadata import Commit
from assay.features.tables.kinds import Kind, own_name
from assay.features.views.timestamps import INSTANT
from assay.lineage.predictions.find_prediction import ID
from assay.lineage.predictions.outputs import CONFIDENCE, EVENT_TIME, outputs_of

DIRECT, MODEL = "direct", "model"
SCHEMA = pl.Schema(
    {
        ID: pl.String(),
        "model": pl.String(),
        "model_version": pl.String(),
        EVENT_TIME: INSTANT,
        "keys": pl.String(),
        "answer": pl.String(),
        "owner": pl.String(),
        "affected": pl.String(),
        "through": pl.String(),
        "exact": pl.Boolean(),
    }
)


def listed(rows: pl.DataFrame, commit: Commit, owner: str) -> pl.DataFrame:
    described = commit.predictions
    keys = [name for name in (described.keys if described else ()) if name in rows.columns]
    answer = [name for name in (*outputs_of(commit, rows.columns), CONFIDENCE) if name in rows.columns]
    version = pl.col("model_version") if "model_version" in rows.columns else pl.lit("")
    return rows.select(
        pl.col(ID),
        pl.lit(own_name(commit.table)).alias("model"),
        version.cast(pl.String).alias("model_version"),
        pl.col(EVENT_TIME).cast(INSTANT),
        _json(rows, keys).alias("keys"),
        _json(rows, answer).alias("answer"),
        pl.lit(owner).alias("owner"),
        pl.when("__direct").then(pl.lit(DIRECT)).otherwise(pl.lit(MODEL)).alias("affected"),
        pl.when("__direct")
        .then(pl.col("__through"))
        .otherwise(pl.lit(Kind.MODELS.table(own_name(commit.table))))
        .alias("through"),
        (pl.col("__exact") | ~pl.col("__direct")).alias("exact"),
    )


def named_model() -> pl.Expr:
    """A model with its version as one name: `router@2`."""
    return pl.concat_str(
        "model", pl.when(pl.col("model_version") != "").then("@" + pl.col("model_version")).otherwise(pl.lit(""))
    )


def _json(rows: pl.DataFrame, names: list[str]) -> pl.Expr:
    if not names:
        return pl.lit("{}")
    return pl.struct(_plain(name, rows.schema[name]) for name in names).struct.json_encode()


def _plain(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column in types that JSON has; numbers that are none become null."""
    column = pl.col(name)
    if dtype.is_float():
        return pl.when(column.is_finite()).then(column).alias(name)
    if (dtype.is_numeric() and not dtype.is_decimal()) or dtype in (pl.String, pl.Boolean) or dtype.is_nested():
        return column
    return column.bin.encode("base64") if dtype == pl.Binary else column.cast(pl.String)
