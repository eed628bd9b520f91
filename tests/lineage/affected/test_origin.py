"""The condition that chooses rows is about one row each, and no text can take the process down that reads it."""

import threading

import pytest

from assay.lineage.affected.origin import _condition

REFUSED = [
    "amount > MAX(amount)",
    "amount > AVG(amount)",
    "COUNT(*) > 1",
    "ROW_NUMBER() OVER (ORDER BY amount) = 1",
    "LAG(amount) OVER (ORDER BY amount) > 1",
    "FIRST(amount) = 1",
    "amount > " + "+".join(["1"] * 6000),
    "amount" + "::int" * 6000 + " > 1",
    "amount > " + "- " * 6000 + "1",
    "(" * 6000 + "amount > 1" + ")" * 6000,
    "NOT " * 6000 + "TRUE",
    "CASE WHEN TRUE THEN " * 1000 + "TRUE" + " END" * 1000,
    "abs(" * 1000 + "amount" + ")" * 1000 + " > 1",
    "'" + "+" * 200 + "' = name AND " + "amount > 1 AND " * 200 + "TRUE",
    "x" * 100_001,
    "LPAD(name, 1000000000, 'x') = 'a'",
    "amount > 1 OR LENGTH(RPAD(name, 1000000000)) > 3",
    "REPLACE(REPLACE(name, 'a', name), 'a', name) = 'a'",
    "CASE WHEN REGEXP_REPLACE(name, 'a', 'aaaa') = 'a' THEN TRUE ELSE FALSE END",
    "CONCAT(" + ", ".join(["name"] * 1000) + ") = 'a'",
    "CONCAT_WS('-', name, name) IN ('a', 'b')",
    f"STRFTIME(at, '{'%A' * 1000}') = 'a'",
]


@pytest.mark.parametrize("condition", REFUSED, ids=range(len(REFUSED)))
def test_a_condition_over_other_rows_or_without_end_is_refused(condition: str) -> None:
    found: list[str] = []

    def ask() -> None:  # as the console does: the stack of a thread is smaller
        try:
            _condition(condition)
        except ValueError as problem:
            found.append(str(problem))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found


@pytest.mark.parametrize(
    "condition",
    [
        "amount > 100 AND channel = 'web'",
        "ticket IN (" + ", ".join(f"'{number}-a'" for number in range(5000)) + ")",
        "name = 'a+b-c*d (x) = y' OR name LIKE '%x%' OR amount IS NULL",
        "amount BETWEEN 1 AND 3 OR NOT (amount::int > 1)",
        "CASE WHEN amount > 1 THEN TRUE ELSE FALSE END",
        "LOWER(TRIM(name)) LIKE 'a_c%' OR LEFT(name, 2) = 'x' OR LENGTH(name) > 3 OR name || channel = 'ab'",
        "SUBSTR(name, 1, 2) = 'x' OR STARTS_WITH(UPPER(name), 'A') OR SPLIT_PART(name, '-', 1) = 'x' OR name ~ '^a+$'",
        "STRFTIME(at, '%Y-%m') = '2026-09' OR at > '2026-09-01' OR YEAR(at) = 2026 OR COALESCE(name, 'x') = 'x'",
    ],
)
def test_a_condition_over_one_row_is_taken(condition: str) -> None:
    _condition(condition)
