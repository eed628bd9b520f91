"""A bank that answers complaints: transfers by day, a window of them, a model; and everything unusual that can happen to it.

March 2 is refused. On March 4 a row is released by an exception and one with a corrected value, and a file comes late. March 5 is
predicted. After that the contract is loosened, a late file comes for March 4, and the model is trained again.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from assay.assets.decisions.review import Decision, RowSelection, decide
from assay.assets.declarations import declarations, declared_in, ordered, steps_of
from assay.assets.planning.plan import planned_runs, stages
from assay.assets.steps.step import NotReady, execute
from assay.features.tables.transaction import AuditFailed
from assay.store import Store, open_store

BANK = '''
"""Transfers of a bank's customers, and who looks risky."""

import json
from datetime import date

import polars as pl

from assay import Contract, FeatureView, Entity, Field, Files, Model, Partitioning, Source, Spine, Timestamp, TrainingSet, windows


class Transfers(Contract):
    transfer_id: str = Field(key=True)
    customer_id: str = Field()
    holder: str = Field(pii="name")
    email: str = Field(pii="email", nullable=True)
    note: str = Field(pii="free_text", nullable=True)
    amount: float = Field(ge=0)
    channel: str = Field(isin=["app", "branch"])
    booked: Timestamp = Field()

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "payments"
        severity = {"channel.isin": "warn"}


transfers = Source(
    name="transfers",
    reader=Files("transfers/{day}/*", (".csv",)),
    partitioning=Partitioning.daily("2026-03-01"),
    contract=Transfers,
    key=("transfer_id",),
    event_time="booked",
)

activity = FeatureView(
    "activity",
    entity=Entity("customer", ["customer_id"]),
    event_time="event_time",
    max_age="2d",
    features=windows(["3d"], source="clean/transfers", time="booked", transfers=pl.len(), moved=pl.col("amount").sum()),
    owner="risk-features",
)

cases = TrainingSet(
    "cases",
    Spine(source="clean/transfers", keys=["transfer_id", "customer_id"], event_time="booked"),
    features=["activity:moved_3d"],
    label=(pl.col("amount") > 50).alias("high"),
    until="2026-03-02",
)


def fit(frame):
    return {"limit": float(LIMIT)}


LIMIT = 50


def predict(model, frame):
    moved = frame["moved_3d"].fill_null(0)
    risk = ["HIGH" if value > model["limit"] else "low" for value in moved]
    return pl.DataFrame({"risk": risk, "confidence": [0.75] * frame.height})


risk = Model(
    "risk",
    cases,
    fit,
    predict,
    outputs=["risk"],
    params={"limit": LIMIT},
    save=lambda model: json.dumps(model).encode(),
    load=json.loads,
    start=date(2026, 3, 5),
    retrain="manual",
    owner="risk-models",
)
'''
HOLDERS = {"C0012": ("Ada Lovelace", "ada@example.org"), "C0013": ("Bob Noyce", "bob@example.org")}
PERSONAL = [word for pair in HOLDERS.values() for word in pair] + ["Lovelace", "rent for Maria"]
HEADER = "transfer_id,customer_id,holder,email,note,amount,channel,booked"


def day(number: int) -> str:
    return f"2026-03-{number:02d}"


@dataclass
class Bank:
    store: Store
    package: ModuleType

    def deliver(
        self, number: int, amounts: list[object], name: str = "a", channel: str = "app", header: str = HEADER
    ) -> None:
        """A file: one transfer per amount, by the two customers in turn, an hour apart."""
        lines = [header]
        for index, amount in enumerate(amounts):
            customer = ("C0012", "C0013")[index % 2]
            holder, email = HOLDERS[customer]
            booked = f"{day(number)}T{index + 1:02d}:00:00Z"
            lines.append(
                f"{number}{name}{index},{customer},{holder},{email},rent for Maria,{amount},{channel},{booked}"
            )
        file = Path(self.store.settings.landing_path, "transfers", day(number), f"{name}.csv")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join([*lines, ""]))

    def run(self) -> None:
        """Everything that is due, in order."""
        for stage in stages(self.steps):
            for unit in planned_runs(stage, self.store.env()):
                for step in unit.steps:
                    with suppress(AuditFailed, NotReady):
                        execute(step, self.store.env(), unit.partition)

    @property
    def steps(self):
        return ordered(steps_of(list(declared_in(self.package))))

    def decide(self, number: int, rule: str, decision: Decision) -> None:
        """About the first row that broke a rule."""
        rows = self.store.table("quarantine/transfers").scan().collect().sort("_row_number")
        broke = rows.filter(pl.col("_rules").list.contains(rule), partition_key=day(number))
        chosen = RowSelection(day(number), rule, (broke.select("_source_sha256", "_row_number").row(0),))
        result = decide(self.package.transfers, self.store.env(), chosen, decision, dry_run=False)
        assert result.id

    def redeclare(self, *changes: tuple[str, str]) -> None:
        file = Path(str(self.package.__file__))
        text = file.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file.write_text(text)
        declarations.cache_clear()
        exec(compile(text, str(file), "exec"), vars(self.package))


@contextmanager
def opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str = "bank_of_tests", text: str = BANK
) -> Iterator[Bank]:
    project = folder / "project"
    (project / name).mkdir(parents=True)
    (project / "pyproject.toml").write_text(f'[tool.assay]\ndomains = ["{name}"]\n')
    (project / name / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(project)
    monkeypatch.setenv("ASSAY_PROJECT", str(project))
    monkeypatch.setenv("ASSAY_HOME", str(folder / "var"))
    made = Bank(open_store(home=str(folder / "var")), importlib.import_module(name))
    yield made
    made.store.recorder.close()
    sys.modules.pop(name, None)


def a_week_of_everything(bank: Bank) -> None:
    bank.deliver(1, [10.0, 20.0, 30.0, 90.0])
    bank.deliver(2, [11.0, 21.0], header=HEADER.replace("amount", "sum"))  # refused: a column is not there
    bank.deliver(3, [40.0, 15.0], channel="fax")  # a warning
    bank.deliver(4, [-5.0, 25.0, "many", 35.0, -6.0])
    bank.run()
    forever = date(2099, 12, 31)
    bank.decide(
        4, "amount.ge", Decision("release", "a refund, see grace@example.org", "grace", {}, ("amount.ge",), forever)
    )
    bank.decide(4, "amount.dtype", Decision("release", "read from the paper", "alan", {"amount": "45"}))
    bank.run()
    bank.deliver(4, [55.0, 65.0], name="late")
    bank.run()
    bank.deliver(5, [12.0, -7.0, 14.0, 16.0])
    bank.deliver(5, [13.0], name="twin")  # at the same moment as another: their ids begin alike
    bank.run()


def what_came_after(bank: Bank) -> None:
    bank.redeclare(("Field(ge=0)", "Field(ge=-100)"), ('"1.0.0"', '"1.1.0"'), ("LIMIT = 50", "LIMIT = 60"))
    bank.deliver(4, [75.0, 85.0], name="later")
    bank.run()
