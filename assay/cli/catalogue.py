"""`assay sources | views | training-sets | models | pins`: what there is, and one of them described."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from assay.cli.output import bold, err, json_option, out, print_json, print_table
from assay.errors import AssayError, nearest
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.kinds import Kind, own_name
from assay.store import Store, open_store

Listing = Callable[[Store], list[dict[str, Any]]]
Describing = Callable[[Store, str], dict[str, Any]]


def noun(name: str, listing: Listing, columns: Sequence[str], describing: Describing, explained: str) -> click.Group:
    """The group `assay NAME`, which lists, with `list` and `describe`."""

    def show(as_json: bool) -> None:
        entries = listing(open_store())
        if as_json:
            print_json(entries)
        elif not entries:
            out.print(f"There are no {name.replace('-', ' ')} yet.")
        else:
            rows = [[row[column] for column in columns] for row in entries]
            numbers = [column for column in columns if isinstance(entries[0][column], int)]
            print_table(columns, rows, right=numbers)

    @click.group(name, invoke_without_command=True, help=f"{explained} Without a command: list them.")
    @json_option
    @click.pass_context
    def group(ctx: click.Context, as_json: bool) -> None:
        if ctx.invoked_subcommand is None:
            show(as_json)

    @group.command("list", help=f"List {name.replace('-', ' ')}.\n\n\b\nExample:\n  assay {name} list --json")
    @json_option
    def list_(as_json: bool) -> None:
        show(as_json)

    one = {"training-sets": "router@1", "models": "router", "views": "order"}.get(name, "orders")

    @group.command(help=f"Describe one of the {name.replace('-', ' ')}.\n\n\b\nExample:\n  assay {name} describe {one}")
    @click.argument("name")
    @json_option
    def describe(name: str, as_json: bool) -> None:
        facts = describing(open_store(), name)
        if as_json:
            print_json(facts)
            return
        for key, value in facts.items():
            if not _is_table(value):
                text = ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else value
                out.print(f"{key}: {text}", highlight=False, markup=False, soft_wrap=True)
        for key, value in facts.items():
            if _is_table(value):
                out.print(bold(f"\n{key}"))
                print_table(list(value[0]), [list(row.values()) for row in value])

    return group


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


# -- sources -----------------------------------------------------------------------------------------------------------


def _source_row(store: Store, source: Any) -> dict[str, Any]:
    from assay.checks import contract_info

    info = contract_info(source.contract)
    return {
        "source": source.name,
        "reader": type(source.reader).__name__,
        "partitioning": str(source.partitioning),
        "contract": f"{info.name} {info.version}",
        "owner": info.owner or "",
        **_state(store, source.clean, "clean rows"),
    }


def _sources(store: Store) -> list[dict[str, Any]]:
    from assay.assets.declarations import declarations, sources
    from assay.assets.project import active_project

    for module in declarations(active_project()).broken:
        err.print(str(module), markup=False, highlight=False, soft_wrap=True)
    return [_source_row(store, source) for _, source in sorted(sources().items())]


def _source(store: Store, name: str) -> dict[str, Any]:
    from assay.assets.declarations import source
    from assay.checks import contract_info, contract_rules

    declared = source(name)
    columns = [
        {"column": column.name, "type": str(column.dtype), "nullable": column.nullable, "pii": column.pii or ""}
        for column in contract_info(declared.contract).columns
    ]
    rules = [{"rule": rule.name, "severity": rule.severity.value} for rule in contract_rules(declared.contract)]
    return {
        **_source_row(store, declared),
        "description": declared.description,
        "key": list(declared.key),
        "event_time": declared.event_time,
        "tables": [declared.raw, declared.clean, declared.quarantine],
        "columns": columns,
        "rules": rules,
    }


# -- views -------------------------------------------------------------------------------------------------------------


def _declared_views() -> dict[str, Any]:
    from assay.assets.declarations import declarations
    from assay.assets.project import active_project
    from assay.features.catalogue.catalogue import Declared

    return {item.name: item for item in declarations(active_project()).items if isinstance(item, Declared)}


def _view_row(store: Store, view: Any) -> dict[str, Any]:
    return {
        "view": view.name,
        "entity": view.entity.name,
        "keys": ", ".join(view.entity.keys),
        "features": len(view.features),
        "reads": ", ".join(view.sources()),
        "owner": view.owner,
        **_state(store, view.table, "rows"),
    }


def _views(store: Store) -> list[dict[str, Any]]:
    return [_view_row(store, view) for _, view in sorted(_declared_views().items())]


def _view(store: Store, name: str) -> dict[str, Any]:
    from assay.features.serving.on_demand.view import OnDemandView

    view = _one(name, _declared_views(), "view")
    features = [
        {"feature": f"{name}:{item.name}", "description": getattr(item, "description", "")} for item in view.features
    ]
    served = {"inputs": dict(view.transformation.inputs)} if isinstance(view, OnDemandView) else _served(view)
    return {**_view_row(store, view), "description": view.description, **served, "features": features}


def _served(view: Any) -> dict[str, Any]:
    age = view.max_age
    return {"event_time": view.event_time, "max_age": "for ever" if age is None else str(age)}


# -- training sets, models ---------------------------------------------------------------------------------------------


def _training_sets(store: Store) -> list[dict[str, Any]]:
    return [
        {
            "training set": f"{own_name(table)}@{commit.version}",
            "rows": commit.manifest["rows"],
            "made at": f"{commit.timestamp:%Y-%m-%d %H:%M}",
            "inputs": len(commit.manifest["inputs"]),
            "content": commit.manifest["content_digest"][:16],
        }
        for table in store.lake.tables(Kind.TRAINING.folder)
        for commit in _with_manifest(store, table)
        if commit.manifest
    ]


def _with_manifest(store: Store, table: str) -> Iterator[Commit]:
    state = store.table(table).at()
    return map(state.index.commit, state.index.with_section("manifest", state.version))


def _training_set(store: Store, name: str) -> dict[str, Any]:
    manifest = dict(store.load_training_set(name).manifest)
    inputs = [
        {"input": item["name"], "version": item["version"], "partitions": len(item["partitions"] or []) or "all"}
        for item in manifest["inputs"]
    ]
    return {"training set": name, "rows": manifest["rows"], "content": manifest["content_digest"], "inputs": inputs}


def _models(store: Store) -> list[dict[str, Any]]:
    return [
        {
            "model": model.name,
            "version": model.version,
            "training set": model.training_set,
            "sha256": model.sha256[:16],
            "made at": f"{model.created_at:%Y-%m-%d %H:%M}" if model.created_at else "",
        }
        for model in store.models()
    ]


def _model(store: Store, name: str) -> dict[str, Any]:
    tables = {own_name(table): table for table in store.lake.tables(Kind.MODELS.folder)}
    rows = store.table(_one(name, tables, "model")).scan().drop("artifact", strict=False).sort("created_at").collect()
    versions = [
        {"version": row["model_version"], "training set": row.get("training_set"), "sha256": row["sha256"]}
        | json.loads(row.get("metrics") or "{}")
        for row in rows.to_dicts()
    ]
    return {"model": name, "versions": versions}


# -- pins --------------------------------------------------------------------------------------------------------------


def _pins(store: Store) -> list[dict[str, Any]]:
    return [
        {
            "pin": pin["name"],
            "owner": pin["owner"],
            "snapshots": len(pin["snapshots"]),
            "expires": pin["expires_at"] or "never",
            "reason": pin["reason"],
        }
        for pin in (item.to_dict() for item in store.pins())
    ]


def _pin(store: Store, name: str) -> dict[str, Any]:
    pins = {item.name: item for item in store.pins()}
    pin = _one(name, pins, "pin")
    return {**pin.to_dict(), "snapshots": [str(item) for item in pin.snapshots]}


def _one(name: str, items: dict[str, Any], what: str) -> Any:
    if name not in items:
        there = f" There are: {', '.join(sorted(items))}." if items else " There are none."
        raise AssayError(f"There is no {what} {name!r}.{nearest(name, items)}{there}")
    return items[name]


def _state(store: Store, table: str, rows: str) -> dict[str, Any]:
    """Version and rows of a table, empty where it is not there yet."""
    if not store.table(table).exists():
        return {"version": "", rows: ""}
    state = store.table(table).at()
    return {"version": state.version, rows: state.rows()}


sources = noun(
    "sources",
    _sources,
    ("source", "reader", "partitioning", "contract", "owner", "version", "clean rows"),
    _source,
    "Declared sources: what is read, and what must hold of it.",
)
views = noun(
    "views",
    _views,
    ("view", "entity", "keys", "features", "reads", "version", "rows"),
    _view,
    "Declared feature views: features of an entity over time.",
)
training_sets = noun(
    "training-sets",
    _training_sets,
    ("training set", "rows", "made at", "inputs", "content"),
    _training_set,
    "Training sets in the lake, every version.",
)
models = noun(
    "models",
    _models,
    ("model", "version", "training set", "sha256", "made at"),
    _model,
    "Models in the lake, every version.",
)
pins = noun(
    "pins",
    _pins,
    ("pin", "owner", "snapshots", "expires", "reason"),
    _pin,
    "Leases that keep snapshots readable (to add and remove them: assay pin).",
)
