"""Contract: a pandera model that also says who owns the data, how fresh it is, and what a broken rule does."""

import ast
import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from typing import Any, ClassVar, NoReturn

import pandera.polars as pa
import polars as pl
from pandera.api.dataframe.model_components import FieldInfo
from pandera.api.polars.model_config import BaseConfig

from assay.checks.contract.columns import require_order
from assay.checks.contract.compile import compile_columns, compile_rules
from assay.checks.contract.field import METADATA_KEY, Block, ColumnRule, QuarantineLimits, RowCount, RowRule, Severity
from assay.checks.contract.patterns import expanded, for_columns, templates
from assay.checks.contract.rules import Column, Rule, not_first
from assay.checks.contract.written_form import FOR_ALL, WrittenForm, written_form
from assay.errors import AssayError, nearest, refuse_case_twins
from assay.stable_text import stable_text

_OPTIONS = ("version", "owner", "freshness", "since", "severity", "duplicates", "row_count", "quarantine", *FOR_ALL)
#: Options of pandera that a contract does not have -> what to do instead.
_REFUSED = {
    "dtype": "annotate each column with its type",
    "add_missing_columns": "declare the column Optional, so that its absence stays visible",
    "on_missing_columns": "declare the column Optional, so that its absence stays visible",
    "drop_invalid_rows": "remove it: rows that break a rule always leave, and are kept in quarantine",
    "from_format": "read the data before it is validated",
    "to_format": "write what `validate` gives back",
    **dict.fromkeys(
        (f"multiindex_{option}" for option in ("coerce", "name", "ordered", "strict", "unique")),
        "polars frames have no index; declare its levels as columns",
    ),
}
#: Under this name a declaration holds a list of texts that would read like a set.
LISTED = "list"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """What others may know about a column. `description` and `metadata` are the field's: they decide nothing."""

    name: str
    dtype: str
    nullable: bool
    pii: str | None
    description: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContractInfo:
    """A contract in brief. `digest` is the SHA-256 of the whole declaration: it changes when any rule does. Partitions that begin
    before `since` stay as an earlier declaration judged them; it is no part of the digest."""

    name: str
    version: str
    owner: str | None
    freshness: timedelta | None
    digest: str
    columns: tuple[ColumnInfo, ...]
    key: tuple[str, ...]
    quarantine: QuarantineLimits = field(default_factory=QuarantineLimits)
    since: date | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A contract ready to be evaluated. One is equal to itself only: expressions cannot be compared.

    written: what `Config` says of how texts are written; each column has what holds for it. declared: what the author declared,
    as JSON text; its SHA-256 is the contract's digest.
    """

    info: ContractInfo
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    strict: bool
    ordered: bool
    written: WrittenForm
    declared: str


class Contract(pa.DataFrameModel):
    """What must hold for a table. Subclass it, annotate columns, say the rest in `Config`:

        class Tickets(Contract):
            ticket_id: str = Field(str_matches=r"T[0-9]{7}$", key=True)
            created_at: Timestamp = Field()
            channel: str = Field(isin=["email", "chat"])

            class Config(Contract.Config):
                version = "1.0.0"
                owner = "support-data"
                freshness = "1d"
                severity: ClassVar = {"channel.isin": "warn", "created_at.dtype": Block(share=0.01)}

    It stays a valid pandera model. A contract that cannot work raises AssayError where it is defined.
    """

    class Config(BaseConfig):  # pyrefly: ignore[bad-override] - as pandera wants it
        version: ClassVar[str]
        owner: ClassVar[str | None]
        freshness: ClassVar[timedelta | str | None]  #: "30m", "12h", "1d", "2w"
        since: ClassVar[date | str]  #: partitions of before stay as they were judged: "2026-10-01"
        severity: ClassVar[Mapping[str, Severity | Block | str]]  #: rule name -> severity, where not the default
        #: which of several rows with one key stays: "first" (the default), "latest" or "none"; or this by rule name
        duplicates: ClassVar[str | Mapping[str, str]]
        row_count: ClassVar[RowCount | None]  #: the batch has as many rows as another place counts
        quarantine: ClassVar[QuarantineLimits]  #: how much of a batch may go to quarantine, where not the default
        # How texts are written in all columns that it fits, as in `Field`.
        decimal: ClassVar[str]
        thousands: ClassVar[str]
        negative: ClassVar[str]
        date_format: ClassVar[str]
        datetime_format: ClassVar[str]
        time_format: ClassVar[str]
        true_values: ClassVar[str | Sequence[str]]
        false_values: ClassVar[str | Sequence[str]]
        missing: ClassVar[str | Sequence[str]]

    __options__: ClassVar[dict[str, Any]] = {}
    __compiled__: ClassVar[Compiled | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        _refuse_underscores(cls)
        declared = vars(cls.__dict__["Config"]) if "Config" in cls.__dict__ else {}
        public = {name: value for name, value in declared.items() if not name.startswith("_")}
        for name, value in public.items():
            _check_option(cls.__name__, name, value)
        own = {name: value for name, value in public.items() if name in _OPTIONS}
        cls.__options__ = {**cls.__options__, **own}
        # pandera reads an option that it does not know as the name of a check, so ours are taken out first.
        pandera_options = {name: value for name, value in public.items() if name not in _OPTIONS}
        made = type("Config", (Contract.Config,), {"name": cls.__name__, **pandera_options})
        cls.Config = made  # pyrefly: ignore[read-only] - a class that pandera reads next
        super().__init_subclass__(**kwargs)
        cls.__compiled__ = _compile(cls)


def _refuse_underscores(contract: type) -> None:
    """Raise AssayError for a column that pandera would leave out without a word: an attribute that begins with an underscore."""
    for name in inspect.get_annotations(contract):
        is_column = name not in contract.__dict__ or isinstance(contract.__dict__[name], FieldInfo)
        if name.startswith("_") and not name.endswith("__") and is_column:
            column = name.removeprefix(f"_{contract.__name__.lstrip('_')}")  # of two underscores Python makes more
            raise AssayError(
                f"{contract.__name__}.{column}: an attribute that begins with an underscore is no column; write "
                f"{column.strip('_') or 'column'}: … = Field(alias={column!r})"
            )


def compiled(contract: type[Contract]) -> Compiled:
    """The contract's columns and rules. Raises AssayError if it is not a contract or declares no column."""
    if not (isinstance(contract, type) and issubclass(contract, Contract)):
        raise AssayError(f"a contract is a subclass of assay.checks.Contract, not {contract!r}")
    if contract.__compiled__ is None:
        raise AssayError(f"{contract.__name__}: the contract declares no columns; annotate at least one")
    return contract.__compiled__


def for_delivery(contract: type[Contract], delivered: Sequence[str]) -> Compiled:
    """The contract for a delivery with these columns: patterns stand for the columns that match them.

    Raises ColumnsError when the contract is ordered and the columns come in another order.
    """
    plan = compiled(contract)
    if any(column.pattern is not None for column in plan.columns):
        schema, matches = expanded(contract.to_schema(), delivered)
        options = contract.__options__
        columns = compile_columns(schema, plan.written)
        severity = for_columns(options.get("severity") or {}, matches)
        rules = compile_rules(schema, columns, severity, options.get("row_count"), options.get("duplicates") or {})
        plan = replace(plan, columns=columns, rules=rules)
    if plan.ordered:
        require_order(plan.info.name, [column.name for column in plan.columns], delivered)
    return plan


def contract_info(contract: type[Contract]) -> ContractInfo:
    """Name, version, owner, freshness, digest, columns and key of a contract."""
    return compiled(contract).info


def contract_text(contract: type[Contract]) -> str:
    """All that a contract demands, as JSON text that is the same in every process. Its SHA-256 is the contract's digest."""
    return compiled(contract).declared


def contract_rules(contract: type[Contract]) -> tuple[Rule, ...]:
    """The rules of a contract in the order in which reports show them."""
    return compiled(contract).rules


def _check_option(contract: str, name: str, value: Any) -> None:
    options = [*_OPTIONS, *(option for option in dir(BaseConfig) if not option.startswith("_"))]
    if name in _REFUSED and value != getattr(BaseConfig, name):
        raise AssayError(f"{contract}: Config.{name} is not supported; {_REFUSED[name]}")
    if name == "row_count" and not isinstance(value, RowCount | None):
        raise AssayError(f"{contract}: Config.row_count must be a RowCount(reference), not a {type(value).__name__}")
    if name == "quarantine" and not isinstance(value, QuarantineLimits):
        raise AssayError(f"{contract}: Config.quarantine must be QuarantineLimits(…), not a {type(value).__name__}")
    if name not in options and not hasattr(pa.Check, name):
        close = get_close_matches(name, options, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(options)}"
        raise AssayError(f"{contract}: unknown option Config.{name}{hint}")


def _compile(contract: type[Contract]) -> Compiled | None:
    name = contract.__name__
    try:
        schema = contract.to_schema()
    except (NameError, TypeError, AttributeError, pa.errors.SchemaInitError) as error:
        raise AssayError(f"{name}: the contract cannot be built: {error}") from error
    if not schema.columns:
        return None
    options = contract.__options__
    written = written_form(f"{name}: Config", {option: options.get(option) for option in FOR_ALL})
    columns = compile_columns(templates(schema), written)
    refuse_case_twins((column.name for column in columns if column.pattern is None), name)
    key = tuple(column.name for column in columns if column.options.key)
    if key and schema.unique is None and contract.__config__ is not None:
        # So that pandera by itself also knows the key, in this thread (the schema) and in others (the config).
        contract.__config__.unique = schema.unique = list(key)
    severity, duplicates = options.get("severity") or {}, options.get("duplicates") or {}
    rules = compile_rules(templates(schema), columns, severity, options.get("row_count"), duplicates)
    declared = _declared(schema, columns, rules, options)
    info = ContractInfo(
        name=schema.name or name,
        version=str(options.get("version", "0")),
        owner=options.get("owner"),
        freshness=_freshness(name, options.get("freshness")),
        digest=hashlib.sha256(declared.encode()).hexdigest(),
        columns=tuple(map(_info, columns, schema.columns.values())),
        key=key,
        quarantine=_limits(name, options.get("quarantine"), rules),
        since=_since(name, options.get("since")),
    )
    # A clean table has the contract's columns only, so "filter" is what always happens.
    return Compiled(info, columns, rules, schema.strict is True, bool(schema.ordered), written, declared)


def _info(column: Column, declared: pa.Column) -> ColumnInfo:
    own = {name: value for name, value in (declared.metadata or {}).items() if name != METADATA_KEY}
    return ColumnInfo(
        column.name, str(column.dtype), column.nullable, column.options.pii, declared.description or "", own
    )


def _limits(contract: str, given: QuarantineLimits | None, rules: Sequence[Rule]) -> QuarantineLimits:
    limits, known = given or QuarantineLimits(), [rule.name for rule in rules]
    for name in limits.rules:
        if name not in known and not name.startswith("row."):  # what the reader finds has rules that begin so
            raise AssayError(f"{contract}: Config.quarantine names the unknown rule {name!r}.{nearest(name, known)}")
    return limits


def _freshness(contract: str, value: timedelta | str | None) -> timedelta | None:
    if value is None or isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"([0-9]+)([mhdw])", value)
    if match is None or int(match[1]) == 0:
        raise AssayError(
            f'{contract}: Config.freshness = {value!r} is not a duration; write "30m", "12h", "1d" or "2w"'
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _since(contract: str, value: date | str | None) -> date | None:
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) else _no_date(value)
    except ValueError:
        raise AssayError(f'{contract}: Config.since = {value!r} is not a day; write it like "2026-10-01"') from None


def _no_date(value: object) -> NoReturn:
    raise ValueError(type(value).__name__)


def _declared(
    schema: pa.DataFrameSchema, columns: tuple[Column, ...], rules: tuple[Rule, ...], options: Mapping[str, Any]
) -> str:
    declaration = {
        "name": schema.name,
        "options": {name: _plain(options.get(name)) for name in ("version", "owner", "freshness", "row_count")}
        | ({"quarantine": repr(limits)} if (limits := options.get("quarantine")) else {})
        | ({"duplicates": kept} if (kept := not_first(rules)) else {}),
        "strict": _plain(schema.strict),
        "ordered": bool(schema.ordered),
        "columns": [
            [c.name, c.pattern, str(c.dtype), c.nullable, c.required, c.coerce, stable_text(c.options)]
            + [_plain(check) for check in declared.checks or ()]
            + ([repr(c.options.written)] if c.options.written else [])
            + ([f"was {c.options.was}"] if c.options.was else [])
            for c, declared in zip(columns, schema.columns.values(), strict=True)
        ],
        "checks": [_plain(check) for check in schema.checks or ()],
        "rules": [[rule.name, rule.severity, repr(rule.block)] for rule in rules],
    }
    # Lakes keep this text, and digests are in their commits: what is declared as before must stay the same text.
    return json.dumps(declaration, sort_keys=True)


def _plain(value: Any) -> Any:
    """A value of a declaration as JSON that is the same in every process."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case pa.Check():
            return [value.name, _plain(value.statistics), _plain(value._check_fn), value.ignore_na]
        case ColumnRule():
            return value.predicate.__qualname__
        case RowRule():
            return _plain(value.expr)
        case pl.Expr():
            # The text form may shorten long literals, the serialised form does not.
            return value.meta.serialize(format="json")
        case re.Pattern():
            return [value.pattern, value.flags]
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case set() | frozenset():
            return sorted(map(stable_text, value))
        case list() | tuple() if reads_as_set(value):
            return {LISTED: list(value)}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _ if callable(value):
            return _source(value)
        case _:
            return stable_text(value)


def reads_as_set(values: Sequence[Any]) -> bool:
    """Whether values are what a declaration holds of a set of texts: the `repr` of each, and perhaps of None."""
    quoted = [_is_quoted(value) for value in values]
    return any(quoted) and all(yes or value == "None" for yes, value in zip(quoted, values, strict=True))


def _is_quoted(value: Any) -> bool:
    try:
        text = ast.literal_eval(value) if isinstance(value, str) else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return isinstance(text, str) and repr(text) == value


def _source(function: Callable[..., Any]) -> str:
    # pandera wraps a model's check method; the function that the author wrote is in its closure.
    written = inspect.getclosurevars(function).nonlocals.get("self") if inspect.isfunction(function) else None
    function = getattr(written, "check_fn", function)
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return repr(type(function)) if code is None else f"{code.co_code.hex()} {stable_text(code.co_consts)}"
