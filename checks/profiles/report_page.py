"""A batch's report as one HTML page that needs nothing else: no script, no address outside of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import polars as pl

from assay.checks.profiles.profile_state import ColumnState, ProfileState
from assay.checks.validation.report import Report, RuleResult

BARS = 24
TOP = 6


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What there is to say about one batch of a table.

    examples: rows that left, with the rules they broke in `_rules`, masked by the caller (`assay.checks.mask`).
    profile: of the rows that stayed; None where there is none.
    """

    table: str
    partition: str
    version: int
    written_at: str
    report: Report
    profile: ProfileState | None
    examples: pl.DataFrame


def page(batch: BatchReport) -> str:
    """The report as HTML. Everything in it is escaped; it holds counts, figures of the profile, and the given examples."""
    return _TEMPLATE.render(
        batch=batch,
        report=batch.report,
        rules=worst_first(batch.report.rules),
        columns=_columns(batch.profile) if batch.profile else [],
        examples=batch.examples.columns,
        rows=[[_shown(value) for value in row] for row in batch.examples.iter_rows()],
    )


def worst_first(rules: Sequence[RuleResult]) -> list[RuleResult]:
    """Rules in the order in which people want to read them: what is broken, then what is unknown, then the rest."""
    order = ("blocked", "failed", "warned", "unknown", "passed")
    return sorted(rules, key=lambda rule: (order.index(rule.status), -rule.invalid, -rule.unknown))


def _columns(profile: ProfileState) -> list[dict[str, Any]]:
    rows = []
    for name, column in profile.columns.items():
        summary = column.summary()
        figures = {
            key: summary[key] for key in ("distinct", "nan", "min", "mean", "max") if summary.get(key) is not None
        }
        if column.texts is not None and column.texts.longest is not None:
            figures["length"] = f"{column.texts.shortest} to {column.texts.longest}"
        rows.append(
            {
                "name": name,
                "dtype": column.dtype.partition("(")[0],
                "null": column.null / column.count if column.count else 0.0,
                "figures": {key: figure(key, value) for key, value in figures.items()},
                "bars": _bars(column),
                "top": _top(column),
            }
        )
    return rows


def _bars(column: ColumnState) -> list[tuple[str, int, int]]:
    """(what, count, height in %) of at most 24 neighbouring groups of the histogram's bins."""
    if column.histogram is None or not column.histogram.counts:
        return []
    if column.by_month:
        bins = [(month, month, count) for month, count in column.histogram.months()]
    else:
        bins = [(number(low), number(high), count) for low, high, count in column.histogram.bars()]
    size = -(-len(bins) // BARS)
    groups = [bins[start : start + size] for start in range(0, len(bins), size)]
    counts = [sum(count for *_, count in group) for group in groups]
    labels = [_span(group[0][0], group[-1][1]) for group in groups]
    return [(label, count, _percent(count, max(counts))) for label, count in zip(labels, counts, strict=True)]


def _top(column: ColumnState) -> list[tuple[str, str, int]]:
    """(value, count, share in %) of the most frequent values that may be named. Of many different values counts are estimates."""
    if column.frequent is None or column.histogram is not None:
        return []
    named = [(value, count) for value, count in column.frequent.counts.items() if not value.startswith("#")]
    named.sort(key=lambda item: (-item[1], item[0]))
    shown = estimate if column.frequent.error else number
    return [(value, shown(count), _percent(count, column.count - column.null)) for value, count in named[:TOP]]


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _percent(part: int, whole: int) -> int:
    return max(1, round(100 * part / whole)) if part and whole else 0


def number(value: Any) -> str:
    """A figure as people read it; what is no number stays as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def estimate(value: int) -> str:
    """A count that a sketch estimates; only that there is none is certain."""
    return f"≈ {number(value)}" if value else "0"


def figure(name: str, value: Any) -> str:
    """A figure of a profile's summary."""
    return estimate(value) if name == "distinct" and isinstance(value, int) else number(value)


def share(value: float) -> str:
    """A share as people read it: never 0 % of something, nor 100 % of less than all."""
    if value in (0, 1):
        return "100 %" if value else "0 %"
    return "< 0.1 %" if value < 0.001 else "> 99.9 %" if value > 0.999 else f"{100 * value:.1f} %"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ batch.table }} {{ batch.partition }}</title>
<style>
:root { color-scheme: light dark; --paper: #fbfbfa; --ink: #1d2125; --dim: #5f6872; --line: #dfe2e5; --bar: #3b78b5;
  --failed: #a3341f; --warned: #8a5a00; --ok: #1c6b3c; font: 14px/1.45 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181b; --ink: #e3e6e9; --dim: #9aa4ae; --line: #30363c;
  --bar: #86b7ec; --failed: #f39b86; --warned: #e3b35c; --ok: #7fd29b; } }
body { margin: 24px auto; max-width: 1080px; padding: 0 20px; background: var(--paper); color: var(--ink); }
h1 { font-size: 19px; margin: 0 0 2px; } h2 { font-size: 15px; margin: 28px 0 6px; } p { margin: 2px 0; color: var(--dim); }
dl { display: flex; flex-wrap: wrap; gap: 4px 32px; margin: 14px 0 0; } dt { color: var(--dim); }
dd { margin: 0; font-size: 20px; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--dim); font-weight: 500; } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.blocked, .failed { color: var(--failed); } .warned, .unknown { color: var(--warned); } .passed { color: var(--ok); }
.bars { display: flex; align-items: flex-end; gap: 1px; height: 36px; min-width: 120px; }
.bars i { flex: 1; max-width: 14px; background: var(--bar); } .top { display: block; white-space: nowrap; }
.top i { display: inline-block; height: 8px; background: var(--bar); margin-right: 6px; }
small { color: var(--dim); }
</style></head><body>
<h1>{{ batch.table }} · {{ batch.partition }}</h1>
<p>Version {{ batch.version }}, written {{ batch.written_at }} · contract {{ report.contract }} v{{ report.version }}</p>
<dl><div><dt>rows in</dt><dd>{{ report.rows_in | number }}</dd></div>
<div><dt>clean</dt><dd>{{ report.rows_clean | number }}</dd></div>
<div><dt>quarantined</dt><dd>{{ report.rows_quarantined | number }}</dd></div>
<div><dt>rules broken</dt><dd>{{ rules | rejectattr("status", "in", ["passed", "unknown"]) | list | length }}
 of {{ rules | length }}</dd></div>{% set unjudged = rules | selectattr("status", "equalto", "unknown") | list | length %}
{% if unjudged %}<div><dt>not judged</dt><dd>{{ unjudged }}</dd></div>{% endif %}</dl>
<h2>Rules</h2>
<div class="wide"><table><thead><tr><th>rule</th><th>severity</th><th>status</th><th class="n">invalid</th>
<th class="n">share</th><th class="n">unknown</th><th class="n">evaluated</th><th></th></tr></thead><tbody>
{% for rule in rules %}<tr><td>{{ rule.name }}</td><td>{{ rule.severity }}</td>
<td class="{{ rule.status }}">{{ rule.status }}</td><td class="n">{{ rule.invalid | number }}</td>
<td class="n">{{ rule.share | share }}</td><td class="n">{{ rule.unknown | number }}</td>
<td class="n">{{ rule.evaluated | number }}</td><td><small>{{ rule.note }}</small></td></tr>
{% endfor %}</tbody></table></div>
{% if rows %}<h2>Rows in quarantine</h2><p>Examples; personal values are masked.</p>
<div class="wide"><table><thead><tr>{% for name in examples %}<th>{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell | truncate(60, True, "…") }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>{% endif %}
{% if columns %}<h2>Profile of the clean rows</h2>
<div class="wide"><table><thead><tr><th>column</th><th class="n">null</th><th>figures</th><th>values</th></tr></thead><tbody>
{% for column in columns %}<tr><td>{{ column.name }}<br><small>{{ column.dtype }}</small></td>
<td class="n">{{ column.null | share }}</td>
<td>{% for name, value in column.figures.items() %}<small>{{ name }}</small> {{ value }}<br>{% endfor %}</td>
<td>{% if column.bars %}<div class="bars" role="img" aria-label="{{ column.bars | length }} groups from
 {{ column.bars[0][0] }} to {{ column.bars[-1][0] }}">{% for label, count, height in column.bars
%}<i style="height:{{ height }}%" title="{{ label }}: {{ count | number }}"></i>{% endfor %}</div>{% endif %}
{% for value, count, percent in column.top %}<span class="top"><i style="width:{{ percent }}px"></i>{{ value }}
<small>{{ count }}</small></span>{% endfor %}</td></tr>
{% endfor %}</tbody></table></div>{% endif %}
</body></html>
"""


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    filters: Mapping[str, Any] = {"number": number, "share": share}
    environment.filters.update(filters)
    return environment.from_string(_HTML)


_TEMPLATE = _template()
