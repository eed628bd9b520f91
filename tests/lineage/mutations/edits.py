"""How files of a lake are changed by somebody who does not ask Assay: commits, data files, the lineage store."""

import hashlib
import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import polars as pl
from deltalake import CommitProperties, DeltaTable, write_deltalake

from tests.lineage.mutations.world import TABLE, World, actions

Change = Callable[[World], object]


def chain(*changes: Change) -> Change:
    """One after the other."""

    def do(world: World) -> None:
        for change in changes:
            change(world)

    return do


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# -- any file ----------------------------------------------------------------------------------------------------------


def flip(path: Path, at: float = 0.5) -> None:
    """One bit, at a share of the file."""
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def extend(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


# -- commits -----------------------------------------------------------------------------------------------------------


def write_actions(path: Path, items: list[dict[str, Any]]) -> None:
    """As our writer writes them, so that only the meaning differs."""
    path.write_text("\n".join(json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in items))


def edit_actions(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    items = actions(path)
    change(items)
    write_actions(path, items)


def edit_info(path: Path, key: str, value: Any) -> None:
    """A key of the commitInfo: another value, or what a function makes of the one that is there. None takes it away."""

    def change(items: list[dict[str, Any]]) -> None:
        info = next(item["commitInfo"] for item in items if "commitInfo" in item)
        before = info.get(key)
        after = value(before) if callable(value) else value
        assert after != before, f"{path} has this {key} already"
        info.pop(key, None)
        if after is not None:
            info[key] = after

    edit_actions(path, change)


def edit_json(path: Path, key: str, change: Callable[[Any], Any]) -> None:
    """A key of the commitInfo that holds JSON."""
    edit_info(path, key, lambda text: json.dumps(change(json.loads(text)), sort_keys=True))


def vouch_again(world: World, table: str, version: int) -> None:
    """The next commit vouches for the bytes that a commit has now."""
    digest = sha256(world.commit(table, version))
    edit_json(world.commit(table, version + 1), "assay.previous", lambda known: known | {str(version): digest})


def seal_again(world: World, table: str, version: int) -> None:
    """The seal has the digest that the commit has now."""
    path = world.seal(table, version)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": sha256(world.commit(table, version))}))


# -- data files --------------------------------------------------------------------------------------------------------


def rewrite(path: Path, *columns: pl.Expr, compression: Literal["zstd", "snappy"] = "zstd") -> None:
    """The rows of a data file with other values, under the same name."""
    content = io.BytesIO()
    pl.read_parquet(path, hive_partitioning=False).with_columns(*columns).write_parquet(
        content, compression=compression
    )
    path.write_bytes(content.getvalue())


def replace_data(world: World, table: str, version: int, *columns: pl.Expr) -> None:
    """Other rows in a file that is named by its content, and a commit that names it, with its size: all of it consistent."""
    old, path = world.data(table, version), world.commit(table, version)
    rewrite(old, *columns)
    new = old.with_name(f"{sha256(old)}.parquet")
    old.rename(new)

    def change(items: list[dict[str, Any]]) -> None:
        for item in items:
            if "add" in item:
                item["add"]["path"] = item["add"]["path"].rpartition("/")[0] + "/" + new.name
                item["add"]["path"] = item["add"]["path"].lstrip("/")
                item["add"]["size"] = new.stat().st_size

    edit_actions(path, change)


# -- what plain Delta clients do -----------------------------------------------------------------------------------------


def delta(world: World, table: str = TABLE) -> DeltaTable:
    return DeltaTable(str(world.lake / table))


def update(values: dict[str, str], where: str, table: str = TABLE) -> Change:
    return lambda world: delta(world, table).update(updates=values, predicate=where)


def stored_rows(world: World, table: str = TABLE) -> pl.DataFrame:
    """The rows of the latest version, as a plain client reads them."""
    return pl.DataFrame(delta(world, table).to_pyarrow_table())


def append(world: World, rows: pl.DataFrame, table: str = TABLE, **metadata: str) -> None:
    properties = CommitProperties(custom_metadata=metadata) if metadata else None
    write_deltalake(str(world.lake / table), rows.to_arrow(), mode="append", commit_properties=properties)


def overwrite(world: World, rows: pl.DataFrame, where: str | None = None, table: str = TABLE) -> None:
    write_deltalake(str(world.lake / table), rows.to_arrow(), mode="overwrite", predicate=where)


# -- the lineage store -------------------------------------------------------------------------------------------------


def sql(statement: str, *values: Any, rows: int | None = None) -> Change:
    """A statement in the lineage store; it must change some rows, or `rows`."""

    def do(world: World) -> None:
        world.close()
        connection = sqlite3.connect(world.lineage)
        changed = connection.execute(statement, values).rowcount
        connection.commit()
        connection.close()
        assert changed == rows if rows is not None else changed > 0, f"{changed} rows changed"

    return do


def without_store(world: World) -> None:
    world.close()
    world.lineage.unlink()
