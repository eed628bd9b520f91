"""A case of the conformance corpus, and what Assay and pandera really make of it."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl

from assay.checks import ColumnsError, Contract, Field, validate, validate_spilled
from assay.checks.contract.written_form import OPTIONS
from assay.errors import AssayError

#: Positions of the rows that do not meet the contract, or: the batch as a whole does not, the delivery's columns do not, the
#: contract itself cannot be, a rule has no verdict, the tool raises something of another kind, or it has no word for the rule.
Verdict = tuple[int, ...] | str
BATCH, DELIVERY, CONTRACT, UNKNOWN, CANNOT_SAY = "batch", "delivery", "contract", "unknown", "cannot say"
Columns = Mapping[str, tuple[Any, Mapping[str, Any]]]

_BEYOND_PANDERA = {"key", "exists_in", "canonical_unique", "not_empty", "no_email", "no_card_number", "naive_utc"}
_BEYOND_PANDERA |= {"required_if", "sequence", "per", "format", "normal", *OPTIONS}


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """columns: name -> (annotation, field options). truth: the verdict, written by hand. clean: column `v` of what stays.

    body: custom checks. given: more arguments of `validate`. lazy: the batch is a LazyFrame. drop: pandera is asked to drop
    invalid rows (Assay always does). Where pandera differs, `differences.py` says how and why.
    """

    name: str
    columns: Columns
    data: pl.DataFrame
    truth: Verdict
    clean: Sequence[Any] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    lazy: bool = False
    drop: bool = False


def column(annotation: Any, **options: Any) -> Columns:
    """The single column `v`."""
    return {"v": (annotation, options)}


def values(items: Sequence[Any], dtype: Any = None) -> pl.DataFrame:
    """A batch with the single column `v`."""
    return pl.DataFrame({"v": pl.Series(items, dtype=dtype, strict=True)})


@cache
def by_assay(case: Case, folder: Path | None = None) -> tuple[Verdict, list[Any] | None]:
    """The verdict, and column `v` of the clean rows. With a folder the batch is spilled there."""
    try:
        config = type("Config", (Contract.Config,), dict(case.config))
        contract = type("Case", (Contract,), _body(case, Field) | {"Config": config})
        batch = case.data.with_columns(_position=pl.int_range(pl.len())) if case.data.width else case.data
        batch = batch.lazy() if case.lazy else batch
        if folder is None:
            outcome = validate(batch, contract, **case.given)
            clean, quarantined = outcome.clean, outcome.quarantined
        else:
            outcome = validate_spilled(batch, contract, folder, **case.given)
            clean, quarantined = outcome.clean.collect(), outcome.quarantined.collect()
    except ColumnsError:
        return DELIVERY, None
    except AssayError:
        return CONTRACT, None
    stays = clean["v"].to_list() if "v" in clean.columns else None
    left = tuple(quarantined["_position"].to_list()) if quarantined.height else ()
    if not left and outcome.report.blocked:
        return BATCH, stays
    if not left and any(result.status == "unknown" for result in outcome.report.rules):
        return UNKNOWN, stays
    return left, stays


@cache
def by_pandera(case: Case) -> Verdict:
    """The verdict of `validate(lazy=True)`; with `drop` the rows that it drops."""
    options = [case.config.keys(), *(options.keys() for _, options in case.columns.values())]
    if case.given or any(_BEYOND_PANDERA & names for names in options):
        return CANNOT_SAY
    batch = case.data.with_columns(_position=pl.int_range(pl.len())) if case.drop else case.data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            config = type("Config", (), dict(case.config) | ({"drop_invalid_rows": True} if case.drop else {}))
            model = type("Case", (pa.DataFrameModel,), _body(case, pa.Field) | {"Config": config})
            schema = model.to_schema()
        except Exception:
            return CONTRACT
        try:
            returned = schema.validate(batch.lazy() if case.lazy else batch, lazy=True).lazy().collect()
        except pa.errors.SchemaErrors as errors:
            return _failures(errors)
        except Exception as error:
            return f"raises {type(error).__name__}"
    if case.drop:
        stayed = set(returned["_position"])
        dropped = tuple(position for position in range(case.data.height) if position not in stayed)
        wrong = [name for name, column in schema.columns.items() if returned.schema[name] != column.dtype.type]
        return f"{shown(dropped)}, result of another type" if wrong else dropped
    if case.clean is not None and "v" in returned.columns and not same(returned["v"].to_list(), case.clean):
        return "other values"
    return ()


def shown(verdict: Verdict) -> str:
    """A verdict in words."""
    if isinstance(verdict, tuple):
        return f"row{'s' * (len(verdict) > 1)} {', '.join(map(str, verdict))}" if verdict else "valid"
    words = {BATCH: "batch fails", DELIVERY: "delivery refused", CONTRACT: "contract refused"}
    return words.get(verdict, verdict)


def same(found: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return repr(found) == repr(list(wanted))


def _failures(errors: pa.errors.SchemaErrors) -> Verdict:
    cases = errors.failure_cases
    if any(reason in errors.message.get("SCHEMA", {}) for reason in ("COLUMN_NOT_IN_DATAFRAME", "COLUMN_NOT_ORDERED")):
        return DELIVERY
    rows = cases["index"].drop_nulls().unique().sort().to_list()
    if rows and not cases["index"].null_count():
        return tuple(rows)
    return f"{shown(tuple(rows))} and the column" if rows else DELIVERY if "SCHEMA" in errors.message else BATCH


def _body(case: Case, make: Any) -> dict[str, Any]:
    fields = {name: make(**options) for name, (_, options) in case.columns.items()}
    annotations = {name: annotation for name, (annotation, _) in case.columns.items()}
    return {"__annotations__": annotations, **fields, **case.body}
