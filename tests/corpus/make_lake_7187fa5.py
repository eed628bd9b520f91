"""Makes `lake-7187fa5.tar.gz` and `expected-7187fa5.json`: what commit 7187fa5 of Assay wrote, and what it said of it.

Kept for provenance; the archive is the test data, and a second run makes another lake (other run ids, other moments). Run it
with the code of 7187fa5 and no other:

    git worktree add /some/old 7187fa5     (with links assay/assets -> ../assets, and so on for checks, features, lineage)
    PYTHONPATH=/some/old OMP_NUM_THREADS=1 python make_lake_7187fa5.py all

Steps: build (a lake at HOME), expect (→ expected-7187fa5.json), pack (→ lake-7187fa5.tar.gz), check (unpack and compare), moved
(what 7187fa5 says of the lake at another address, → expected-7187fa5.json, too).
The domain is a library's help desk, made up for this: no row is about anybody.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportArgumentType=false

import contextlib
import gzip
import hashlib
import importlib
import io
import json
import logging
import os
import shutil
import socket
import sqlite3
import sys
import tarfile
import tempfile
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

HOME = Path("/tmp/assay-lake-7187fa5")  # neutral: commits hold the absolute address of every table
HERE = Path(__file__).resolve().parent
ARCHIVE, EXPECTED = HERE / "lake-7187fa5.tar.gz", HERE / "expected-7187fa5.json"
COMMIT = "7187fa5"
PACKED = ("lake", "landing")  # not the lineage store: it is rebuilt from the lake

for name in [name for name in os.environ if name.startswith(("ASSAY_", "DAGSTER_", "OPENLINEAGE_"))]:
    del os.environ[name]
os.environ |= {"ASSAY_HOME": str(HOME), "ASSAY_DEVICE": "cpu", "OMP_NUM_THREADS": "1", "GIT_OPTIONAL_LOCKS": "0"}
sys.dont_write_bytecode = True
socket.gethostname = lambda: "localhost"  # Dagster's run tags have it

import dagster as dg  # noqa: E402
import numpy as np  # noqa: E402
import polars as pl  # noqa: E402

import assay  # noqa: E402
from assay.assets.build import environment  # noqa: E402
from assay.assets.code import code_identity  # noqa: E402
from assay.assets.compute import shared_engine  # noqa: E402
from assay.assets.discover import domain_steps, ordered  # noqa: E402
from assay.assets.materialize import Summary, materialize  # noqa: E402
from assay.assets.plan import units, waves  # noqa: E402
from assay.assets.quarantine import Choice, Decided, Decision, decide, with_status  # noqa: E402
from assay.assets.validate import clean_step  # noqa: E402
from assay.features.digest import content_digest  # noqa: E402
from assay.features.log import read_commit  # noqa: E402
from assay.features.pins import pin, pins  # noqa: E402
from assay.features.snapshot import Slice  # noqa: E402
from assay.features.status import snapshot_status  # noqa: E402
from assay.features.training import load_training_set  # noqa: E402
from assay.features.vacuum import vacuum  # noqa: E402
from assay.lineage.attachments import retrieval  # noqa: E402
from assay.lineage.rebuild import rebuild  # noqa: E402
from assay.lineage.store import open_store as open_lineage_store  # noqa: E402
from assay.lineage.trace import rows as source_rows  # noqa: E402

DOMAIN = '''
"""A library's help desk: members (a database), questions (CSV and JSON lines), visits (CSV), a model that routes questions."""

import hashlib
import json
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from assay.assets.compute import Embedding, embedding_keys
from assay.assets.source import Files, Rows, Source
from assay.assets.steps import NotReady, Step, available, require
from assay.assets.support.linear import fit, from_bytes, to_bytes
from assay.checks import Block, Contract, Field, RowCount, Timestamp, rule
from assay.features.lake import TableMissing
from assay.features.references import join, resolve
from assay.features.training import pin_training_set, published, stage_training_set
from assay.features.views import Entity, Feature, FeatureView, windows
from assay.lineage.predictions import stage_predictions

FIRST, TEST = date(2026, 3, 1), date(2026, 3, 4)


class Members(Contract):
    member_id: str = Field(key=True, str_matches=r"^M\\d{3}$")
    name: str = Field(not_empty=True, canonical_unique="member_id", pii="name")
    email: str = Field(nullable=True, pii="email")
    branch: str = Field(isin=["north", "south"])
    updated_at: Timestamp = Field(key=True)

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "library-data"
        freshness = "2w"


class Questions(Contract):
    question_id: str = Field(key=True, str_matches=r"^Q\\d{3}$")
    member_id: str = Field(exists_in="clean/members")
    asked_at: Timestamp = Field()
    channel: str = Field(isin=["desk", "mail", "phone"])
    text: str = Field(not_empty=True, no_email=True, normal="spaces", str_length={"max_value": 60}, pii="free_text")
    urgency: int = Field(ge=1, le=5)
    topic: str = Field(nullable=True)

    class Config(Contract.Config):
        version = "VERSION"
        owner = "library-data"
        freshness = "1d"
        severity = {"urgency.le": "warn", "urgency.ge": "info", "asked_at.dtype": Block(share=0.3)}

    @rule(name="asked_at.not_after_delivery")
    def not_after_delivery(cls) -> pl.Expr:
        return pl.col("asked_at").dt.date() <= pl.col("partition_key").str.to_date()


class Visits(Contract):
    visit_id: str = Field(key=True)
    member_id: str = Field(exists_in="clean/members")
    came_at: Timestamp = Field()
    minutes: float = Field(ge=0)

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "library-data"
        freshness = "1d"
        row_count = RowCount("raw/questions", rows=8)


members = Source("members", Rows("members", "updated_at", "crm_database_url"), Members, ("member_id",), "updated_at")
questions = Source(
    "questions",
    Files("questions/{day}/*", (".csv", ".jsonl"), first_day=FIRST),
    Questions,
    ("question_id",),
    "asked_at",
    description="What members asked.",
)
visits = Source("visits", Files("visits/{day}/*", (".csv",), first_day=FIRST), Visits, ("visit_id",), "came_at")

question = FeatureView(
    "question",
    entity=Entity("question", ["question_id"]),
    event_time="asked_at",
    source="clean/questions",
    features=[
        Feature("characters", pl.col("text").str.len_chars(), "length of the text"),
        Feature("by_phone", pl.col("channel") == "phone", "came by phone"),
    ],
    owner="library-ml",
)
activity = FeatureView(
    "activity",
    entity=Entity("member", ["member_id"]),
    event_time="event_time",
    max_age="1d",
    features=[
        *windows(["1d", "2d"], source="clean/questions", time="asked_at", questions=pl.len()),
        *windows(["2d"], source="clean/visits", time="came_at", minutes=pl.col("minutes").sum()),
    ],
    owner="library-ml",
)
question_text = Embedding("question_text", source="clean/questions", text="text", first_day=FIRST)

NUMBERS = [feature.name for view in (question, activity) for feature in view.features]
REFERENCES = [f"{view.name}:{feature.name}" for view in (question, activity) for feature in view.features]
FEATURES = [*REFERENCES, "question_text:vector"]
TABLES = ("clean/questions", "features/question", "features/activity", "embeddings/question_text")


def spine_of(rows, env):
    found = rows.select("question_id", "member_id", pl.col("asked_at").alias("event_time"), "text", "topic").collect()
    return found.with_columns(embedding_keys(env, found["text"])).drop("text").sort("event_time", "question_id")


def prepare_training(tx, env):
    for table in TABLES:
        require(tx, table, "2026-03-03")
    tx.then(lambda done: pin_training_set(env.lake, published(env.lake, "router", done)))
    days = [day for day in available(tx, "clean/questions") if day < TEST.isoformat()]
    spine = spine_of(tx.read("clean/questions", days), env).filter(pl.col("topic").is_not_null())
    return spine, resolve(tx, FEATURES, spine)


def compute_training(tx, env, prepared):
    rows = stage_training_set(tx, "router", *prepared)
    return {"rows": rows.height}


training = Step(
    outputs=("training/router",),
    prepare=prepare_training,
    compute=compute_training,
    code_version="training-1",
    reads=TABLES,
    group="model",
    owner="library-ml",
    description="Questions with a topic before the test days, with every feature as of their moment.",
)


def prepare_model(tx, env):
    try:
        return tx.read("training/router")
    except TableMissing:
        raise NotReady("training/router does not exist yet: materialise it first.") from None


def compute_model(tx, env, rows):
    frame = rows.collect()
    fitted = fit(frame, NUMBERS, "vector", "topic", 10.0)
    content = to_bytes(fitted)
    found, _ = fitted.predict(frame)
    metrics = {"rows": frame.height, "accuracy": float(np.mean(np.array(found) == frame["topic"].to_numpy()))}
    try:
        known = tx.read("models/router", reference=True).select(pl.len()).collect().item()
    except TableMissing:
        known = 0
    row = {
        "model_version": str(known + 1),
        "sha256": hashlib.sha256(content).hexdigest(),
        "artifact": content,
        "training_set": f"router@{tx.state('training/router').version}",
        "metrics": json.dumps(metrics, sort_keys=True),
        "params": json.dumps({"c": 10.0, "features": NUMBERS, "vector": "vector"}, sort_keys=True),
        "created_at": datetime.now(UTC),
    }
    rows = pl.DataFrame([row], schema_overrides={"created_at": pl.Datetime("us", "UTC")})
    tx.write("models/router", rows, mode="append")
    return {"model_version": row["model_version"]}


model = Step(
    outputs=("models/router",),
    prepare=prepare_model,
    compute=compute_model,
    code_version="model-1",
    reads=("training/router",),
    group="model",
    kinds=("scikitlearn",),
    owner="library-ml",
    description="Multinomial logistic regression, stored without pickle.",
)


def prepare_predictions(tx, env):
    day = tx.work.partition
    for table in TABLES:
        require(tx, table, day)
    try:
        models = tx.read("models/router")
    except TableMissing:
        raise NotReady("models/router does not exist yet: materialise it first.") from None
    spine = spine_of(tx.read("clean/questions", [day]), env).drop("topic")
    return spine, resolve(tx, FEATURES, spine), models


def compute_predictions(tx, env, prepared):
    spine, features, models = prepared
    stored = models.sort("created_at").collect().row(-1, named=True)
    router = from_bytes(stored["artifact"], stored["sha256"])
    rows = join(spine, features)
    topics, confidence = router.predict(rows)
    frame = rows.with_columns(pl.Series("topic", topics, pl.String), pl.Series("confidence", confidence)).drop("vector")
    stage_predictions(
        tx,
        model="router",
        model_version=stored["model_version"],
        frame=frame,
        keys=["question_id", "member_id"],
        features=REFERENCES,
        feature_columns=NUMBERS,
    )
    return {"model_version": stored["model_version"]}


predictions = Step(
    outputs=("predictions/router",),
    prepare=prepare_predictions,
    compute=compute_predictions,
    code_version="predictions-1",
    reads=(*TABLES, "models/router"),
    first_day=TEST,
    group="model",
    kinds=("scikitlearn",),
    owner="library-ml",
    description="The topic of each day's questions.",
    lookback=1,
)
'''

# -- deliveries --------------------------------------------------------------------------------------------------------

OPEN, LOAN, QUIET = "opening", "loan", "noise"
TEXTS = {
    "open1": "When do you open on Sunday?",
    "open2": "Are you closed over Easter?",
    "open3": "How late is the reading room open?",
    "open4": "Do you open on the first of May, too?",
    "loan1": "May I keep the atlas a week longer?",
    "loan2": "How many books can I borrow at once?",
    "quiet1": "The people at table four are very loud.",
    "quiet2": "Could somebody ask the group upstairs to whisper?",
    "quiet3": "The copier beside my desk hums all day.",
    "quiet4": "A phone keeps ringing in the archive.",
    "long": "It is about the big globe in the hall, which squeaks whenever a child turns it.",
}
QUESTIONS = "question_id,member_id,asked_at,channel,text,urgency,topic"
VISITS = "visit_id,member_id,came_at,minutes"


def day(number: int) -> str:
    return f"2026-03-{number:02d}"


def q(
    number: int,
    nth: int,
    text: str,
    topic: str = "",
    *,
    member: str = "",
    channel: str = "desk",
    urgency: Any = 2,
    at: str = "",
) -> tuple[str, ...]:
    who = member or f"M00{nth % 3 + 1}"
    when = at or f"{day(number)}T{8 + nth:02d}:15:00Z"
    return f"Q{number}{nth:02d}", who, when, channel, TEXTS.get(text, text), str(urgency), topic


def quoted(value: str) -> str:
    return f'"{value}"' if "," in value else value


def csv(header: str, *rows: tuple[str, ...]) -> bytes:
    return "\n".join([header, *(",".join(map(quoted, row)) for row in rows), ""]).encode()


def jsonl(*rows: tuple[str, ...]) -> bytes:
    # Every value as text: a source's files of one day have one set of types.
    lines = (json.dumps({k: v or None for k, v in zip(QUESTIONS.split(","), row, strict=True)}) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def visit(number: int, nth: int, minutes: Any, *, member: str = "") -> tuple[str, ...]:
    return f"V{number}{nth}", member or f"M00{nth % 3 + 1}", f"{day(number)}T{9 + nth:02d}:30:00Z", str(minutes)


def drop(source: str, number: int, name: str, content: bytes) -> None:
    file = HOME / "landing" / source / day(number) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def people(*rows: tuple[str, ...]) -> None:
    with contextlib.closing(sqlite3.connect(HOME / "landing" / "customers.db")) as database, database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS members (member_id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT, "
            "branch TEXT NOT NULL, updated_at TIMESTAMP NOT NULL)"
        )
        database.executemany("INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?)", rows)


# -- build -------------------------------------------------------------------------------------------------------------


class Library:
    """The domain, its lake, and a Dagster instance that is forgotten afterwards."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path) -> None:
        self.instance, self.story = instance, []
        package = folder / "library"
        package.mkdir()
        (package / "__init__.py").touch()
        self.file = package / "desk.py"
        self.file.write_text(DOMAIN.replace("VERSION", "1.0.0"))
        sys.path.insert(0, str(folder))
        self.package = importlib.import_module("library")
        self.load()

    def load(self) -> None:
        module = importlib.import_module("library.desk")
        exec(compile(self.file.read_text(), "desk.py", "exec"), vars(module))
        self.desk = module
        self.steps = ordered(domain_steps(self.package))

    def declare(self, version: str) -> None:
        self.file.write_text(DOMAIN.replace("VERSION", version))
        self.load()

    def run(self, what: str, problems: int = 0) -> Summary:
        summary = materialize(self.steps, environment(), self.instance)
        found = [text for result in summary.failed for text in result.problems if text]
        made = [version for result in summary.results for version in result.new_versions]
        self.story.append({"what": what, "runs": len(summary.results), "new_versions": made, "refused": found})
        print(f"-- {what}: {len(summary.results)} runs, {len(made)} versions")
        for text in found:
            print("   refused:", text)
        assert len(summary.failed) == problems, [(str(r.unit), r.problems) for r in summary.failed]
        return summary

    def decide(self, what: str, choice: Choice, decision: Decision) -> Decided:
        source, env = self.desk.questions, environment()
        made = decide(source, env, choice, decision, dry_run=False)
        assert made.id and all(row.fits for row in made.rows), made
        summary = materialize([clean_step(source)], env, self.instance, days=made.partitions)  # as `assay quarantine`
        assert not summary.failed
        self.story.append({"what": what, "decision_id": made.id, "rows": [row.to_dict() for row in made.rows]})
        print(f"-- {what}: {len(made.rows)} rows")
        return made


def build() -> None:
    assert Path("/tmp/assay-lake-7187fa5") == HOME
    shutil.rmtree(HOME, ignore_errors=True)
    (HOME / "landing").mkdir(parents=True)
    with contextlib.chdir(Path(assay.__file__).resolve().parents[1]):  # which code it was: asked once, and remembered
        identity = code_identity()
    assert identity["git"].startswith(COMMIT) and identity["changed"] == "no", identity
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.ephemeral() as instance:
        library = Library(instance, Path(folder))
        tell(library)
        (HOME / "story.json").write_text(json.dumps(library.story, indent=1))
    store = assay.open()
    with sqlite3.connect(HOME / "lineage.db") as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}
    (HOME / "events.json").write_text(json.dumps(counts))
    print(len(store.tables()), "tables; lineage store:", counts)


def tell(library: Library) -> None:
    """What happens to the library, in order."""
    people(
        ("M001", "Ada Sample", "ada@example.org", "north", "2026-02-20T10:00:00Z"),
        ("M002", "Bo Specimen", None, "south", "2026-02-21T10:00:00Z"),
        ("M003", "Cy Placeholder", "cy@example.org", "north", "2026-02-22T10:00:00Z"),
    )
    drop(
        "questions",
        1,
        "a.csv",
        csv(
            QUESTIONS,
            q(1, 1, "open1", OPEN),
            q(1, 2, "loan1", LOAN),
            q(1, 3, "quiet1", QUIET, channel="dsek"),  # typo: released with a corrected value
            q(1, 4, "long", QUIET),  # too long: released by an exception
            q(1, 5, "open2", OPEN, urgency=9),
        )  # only a warning
        + b"Q106,M001,2026-03-01T17:00:00Z,desk\n",
    )  # a short record: unparsable
    drop(
        "questions",
        1,
        "b.jsonl",
        jsonl(q(1, 7, "loan2", LOAN), q(1, 8, "quiet2", QUIET, urgency=0), q(1, 1, "open3", OPEN)),
    )  # a key that is there already: rejected for good
    drop("visits", 1, "a.csv", csv(VISITS, visit(1, 1, 30), visit(1, 2, 12.5), visit(1, 3, -4)))
    # Day 2: half of the times cannot be read, which blocks the batch; the revision heals it.
    drop(
        "questions",
        2,
        "a.csv",
        csv(
            QUESTIONS,
            q(2, 1, "open3", OPEN),
            q(2, 2, "loan1", LOAN, at="yesterday"),
            q(2, 3, "quiet3", QUIET, at="at noon"),
        ),
    )
    drop("visits", 2, "a.csv", csv(VISITS, visit(2, 1, 45), visit(2, 2, 5)))
    # Day 3: a renamed column, so that nothing of the file is taken; the revision heals it.
    drop(
        "questions",
        3,
        "a.csv",
        csv(
            QUESTIONS,
            q(3, 1, "loan2", LOAN, channel="phone"),
            q(3, 2, "open2", OPEN),
            q(3, 3, "quiet1", QUIET, member="M009"),  # nobody knows this member yet
            q(3, 4, "loan1", LOAN),
        ).replace(b"Are you", b"Are  you"),
    )  # not in normal form: a warning
    drop("visits", 3, "a.csv", csv(VISITS.replace("minutes", "mins"), visit(3, 1, 20), visit(3, 2, 25)))
    library.run("three days; one batch is blocked by its contract, one file is refused", problems=2)

    drop(
        "questions",
        2,
        "a.r1.csv",
        csv(QUESTIONS, q(2, 1, "open3", OPEN), q(2, 2, "loan1", LOAN), q(2, 3, "quiet3", QUIET)),
    )
    drop("visits", 3, "a.r1.csv", csv(VISITS, visit(3, 1, 20), visit(3, 2, 25)))
    drop(
        "questions",
        4,
        "a.csv",
        csv(QUESTIONS, q(4, 1, "open4"), q(4, 2, "loan1", channel="mail"), q(4, 3, "quiet2")).replace(
            b"whisper", b"wh\xffsper"
        ),
    )  # not UTF-8: quarantined
    drop("visits", 4, "a.csv", csv(VISITS, visit(4, 1, 60), visit(4, 2, 15)))
    drop("visits", 4, "again.csv", csv(VISITS, visit(2, 1, 45), visit(2, 2, 5)))  # day 2's bytes, sent again
    library.run("revisions heal both; the first test day; training set, model 1 and predictions")

    library.decide(
        "a typo is corrected",
        Choice(day(1), "channel.isin"),
        Decision("release", "typo for desk", "clerk", {"channel": "desk"}),
    )
    library.decide(
        "a long text is let in by an exception",
        Choice(day(1), "text.length"),
        Decision("release", "the globe matters", "clerk", exceptions=("text.length",), until=date(2099, 12, 31)),
    )
    library.decide(
        "a repeated key is refused for good",
        Choice(day(1), "question_id.unique"),
        Decision("reject", "sent twice", "clerk"),
    )
    library.declare("1.1.0")  # a new contract version: most rows stay the same bytes, which `_fresh` notes
    drop("questions", 5, "a.csv", csv(QUESTIONS + ",locale", (*q(5, 1, "open3"), "en"), (*q(5, 2, "loan2"), "en")))
    drop("visits", 5, "a.csv", csv(VISITS, visit(5, 1, 10), visit(5, 2, 80)))
    people(
        ("M002", "Bo Specimen", "bo@example.org", "south", "2026-03-04T18:00:00Z"),
        ("M009", "Di Dummy", None, "south", "2026-03-04T19:00:00Z"),
    )
    library.run("contract 1.1.0; day 5 has a new column; members change: model 2")

    # The same path with other bytes (day 1, and with it the decisions about its rows are void), and a revision (day 5).
    drop(
        "questions",
        1,
        "a.csv",
        csv(
            QUESTIONS, q(1, 1, "open1", OPEN), q(1, 2, "loan1", LOAN), q(1, 3, "quiet1", QUIET), q(1, 5, "open2", OPEN)
        ),
    )
    drop(
        "questions",
        5,
        "a.r1.csv",
        csv(QUESTIONS + ",locale", (*q(5, 1, "open3"), "en"), (*q(5, 2, "loan2"), "de"), (*q(5, 3, "quiet4"), "en")),
    )
    drop("questions", 1, "c.jsonl", jsonl(q(1, 9, "quiet3", QUIET, channel="fax")))
    library.run("a file of day 1 is overwritten, one of day 5 revised: model 3")
    library.decide(
        "another typo is corrected",
        Choice(day(1), "channel.isin"),
        Decision("release", "a fax is mail", "clerk", {"channel": "mail"}),
    )
    by_hand()
    library.run("what the decision made stale: model 4")
    # Of the predictions only those of model 1 need what this frees (and training sets keep what they were made from).
    freed = vacuum(environment().lake, "features/activity", keep_days=0, dry_run=False, grace=timedelta(0))
    assert freed.files, "something was to be freed"
    library.story.append({"what": "vacuum of features/activity", **freed.to_dict(), "paths": list(freed.paths)})
    print("-- vacuum:", freed)
    left = [str(unit) for wave in waves(library.steps) for unit in units(wave, environment())]
    assert not left, left


def by_hand() -> None:
    """Work outside Dagster: a search index, predictions with attachments, a training set, pins."""
    store = assay.open()
    with store.transaction("search/answers", code_version="search-1", k=2) as tx:
        texts = tx.read("clean/questions").filter(pl.col("topic").is_not_null()).select("text", "topic").collect()
        tx.write("search/answers", texts.unique("text").sort("text").rename({"text": "answers"}))
    searched = store.snapshot("search/answers")
    known = store.table("search/answers").scan().collect()["answers"].to_list()
    asked = store.table("clean/questions").scan().filter(partition_key=day(5)).sort("question_id").collect()
    embed = shared_engine(store.env()).embed
    scores = embed(asked["text"].to_list()) @ np.asarray(embed(known)).T
    hits = [[(known[i], round(float(line[i]), 6)) for i in np.argsort(-line)[:2]] for line in scores]
    hits[-1] = []  # a search that found nothing
    frame = asked.select("question_id", pl.col("asked_at").alias("event_time")).with_columns(
        retrieval(searched, hits),
        answer=pl.lit("Please ask at the desk."),
        explanation=pl.lit("Alike questions were answered so."),
        prompt_version=pl.lit("v7"),
        confidence=pl.lit(0.5),
    )
    inputs = [store.snapshot("clean/members"), store.table("features/question").at().slice([day(5)])]
    ids = store.log_predictions(model="answers", model_version="2026-03", frame=frame, inputs=inputs)
    print("-- answers:", ids)
    spine = asked.select("question_id", "member_id", pl.col("asked_at").alias("event_time"))
    made = store.training_set("study", spine=spine, features=["question:*", "activity:minutes_2d as minutes"])
    print("-- training set:", made.id)
    items = [store.snapshot("clean/visits", 3), store.table("raw/questions").at().slice([day(5)])]
    pin(
        store.lake,
        "audit-2026",
        items,
        owner="auditor",
        reason="Kept for an audit.",
        expires_at=datetime(2099, 12, 31, tzinfo=UTC),
    )
    pin(store.lake, "first-answer", [searched], owner="auditor", reason="What was searched.")


# -- expectations ------------------------------------------------------------------------------------------------------

HOW = (
    "content_sha256 of a version: per row a JSON object of all columns except vectors (type List(Float32)), "
    "json.dumps(row, sort_keys=True, separators=(',', ':'), ensure_ascii=False) with: null, booleans, integers, strings as "
    "they are; floats as Python's repr; timestamps as UTC isoformat with 6 decimals ('2026-03-01T09:15:00.000000+00:00'); "
    "dates as isoformat; binary as lower-case hex; lists and structs as JSON arrays and objects of these. The rows' texts are "
    "sorted by their UTF-8 bytes, joined by a line feed (none at the end), and SHA-256 is taken of the UTF-8 bytes; the "
    "partition is a column (`partition_key`) like any other, columns that a version does not have yet are not there."
)


def plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | str() | float():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case list() | tuple() | pl.Series():
            return [plain(item) for item in value]
        case dict():
            return {name: plain(item) for name, item in value.items()}
    raise TypeError(type(value))


def content_sha256(frame: pl.DataFrame) -> str:
    kept = frame.select(name for name, dtype in frame.schema.items() if dtype != pl.List(pl.Float32))
    lines = [
        json.dumps(plain(row), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        for row in kept.iter_rows(named=True)
    ]
    return hashlib.sha256(b"\n".join(sorted(lines))).hexdigest()


def table_of(store: Any, name: str) -> dict[str, Any]:
    table, lake = store.table(name), store.lake
    latest, versions = table.at(), []
    for commit in table.history():
        state = table.at(commit.version)
        readable = snapshot_status(lake, state.snapshot) == "readable"
        actions = read_commit(lake.storage, name, commit.version)
        frame = state.scan().collect() if readable else None
        versions.append(
            {
                "version": commit.version,
                "commit_sha256": state.snapshot.commit_sha256,
                "snapshot_digest": state.snapshot.digest,
                "operation": commit.operation,
                "asset": commit.asset,
                "partition": commit.partition,
                "mode": commit.mode,
                "run_id": commit.run_id,
                "rows_written": commit.rows,
                "files_added": sum("add" in action for action in actions),
                "files_removed": sum("remove" in action for action in actions),
                "contract": commit.contract and {k: commit.contract[k] for k in ("name", "version")},
                "failed_checks": [check["name"] for check in commit.checks if not check["passed"]],
                "extra": sorted(commit.extra),
                "status": "readable" if readable else "vacuumed",
                "rows": state.rows(),
                "columns": {column: str(dtype) for column, dtype in state.schema.items()},
                "content_sha256": content_sha256(frame) if frame is not None else None,
                "assay_content_digest": content_digest(frame) if frame is not None else None,
            }
        )
    parts = Counter({key: sum(f.rows for f in latest.files_of([key])) for key in latest.partitions()})
    return {
        "table_id": latest.snapshot.table_id,
        "uri": latest.table.uri,
        "partitioned": latest.partitioned,
        "latest": latest.version,
        "rows": latest.rows(),
        "partitions": dict(sorted(parts.items())),
        "live_files": [f.path for f in latest.files],
        "versions": versions,
    }


def rows_of(store: Any, trace: Any) -> list[list[Any]] | None:
    """None where 7187fa5 fails with FileNotFoundError: of what was vacuumed. (Newer code may say that, or what is left.)"""
    try:
        rows = source_rows(store.lake, trace)
    except FileNotFoundError:
        return None
    return [[row[name] for name in ("table", "file", "sha256", "row_number", "because")] for row in rows]


def prediction_of(store: Any, table: str, row: dict[str, Any]) -> dict[str, Any]:
    trace = store.trace(row["prediction_id"])
    verifications = {"with_model": store.verify(trace), "without_model": store.verify(trace, embed=False)}
    answer = {name: plain(value) for name, value in row.items() if name not in ("inputs", "run_id")}
    plainly = [[f.what, f.ok, f.required] for f in verifications["without_model"].checks]
    return {
        "prediction_id": row["prediction_id"],
        "table": table,
        "model": trace.prediction.model,
        "model_version": row["model_version"],
        "table_version": trace.root.snapshot.version,
        "row": answer,
        "inputs": sorted(f"{item['table']}@{item['version']}" for item in row["inputs"]),
        "trace_nodes": [
            [
                node.kind,
                node.name,
                node.table,
                node.snapshot.version,
                list(node.versions_read),
                list(node.partitions) if node.partitions is not None else None,
                node.reference,
                node.status,
                [commit.version for commit in node.commits],
                [f"{item['name']} {item['version']}" for item in node.contracts],
            ]
            for node in trace.nodes
        ],
        "files": files(trace.files()),
        "files_with_references": files(trace.files(references=True)),
        "source_rows": rows_of(store, trace),
        "verify": {
            name: {
                "outcome": found.outcome,
                "ok": found.ok,
                "checks": len(found.checks),
                "not_ok": [[f.what, f.ok, f.required, f.detail] for f in found.checks if not f.ok],
            }
            for name, found in verifications.items()
        },
        "findings": [[f.what, f.ok, f.required] for f in verifications["with_model"].checks],
        "findings_without_model": [item for item in plainly if "vector" in item[0]],
    }


LONG = ("trace_nodes", "files", "files_with_references", "source_rows", "findings", "findings_without_model")


def brief(item: dict[str, Any]) -> dict[str, Any]:
    """The long lists as their number and the SHA-256 of their JSON (json.dumps(value, sort_keys=True))."""
    short = {name: {"count": len(item[name] or ()), "sha256": digest_of_json(item[name])} for name in LONG}
    return {**item, **short, "brief": True}


def files(items: Any) -> list[list[Any]]:
    """Path, SHA-256, bytes, rows."""
    return sorted([item.path, item.sha256, item.size, item.rows] for item in items)


def impact_of(store: Any, table: str, version: int | None = None, **options: Any) -> dict[str, Any]:
    found = store.impact(table, version, **options)
    return {
        "table": table,
        "version": version,
        **options,
        "complete": found.complete,
        "affected": sorted(f"{item.table}@{number}" for item in found.affected for number in item.versions),
        "lookups": sorted(f"{item.table}@{number}" for item in found.lookups for number in item.versions),
        "columns": {item.table: list(item.columns) for item in found.affected if item.columns is not None},
        "training_sets": list(found.training_sets),
        "models": list(found.models),
        "predictions": found.predictions,
    }


def expectations() -> dict[str, Any]:
    store = assay.open()
    if (HOME / "story.json").exists():  # only where it was built
        told = {"story": json.loads((HOME / "story.json").read_text())}
        told["lineage_store_rows"] = json.loads((HOME / "events.json").read_text())
    else:
        told = {name: json.loads(EXPECTED.read_text())[name] for name in ("story", "lineage_store_rows")}
    tables = {info.name: table_of(store, info.name) for info in store.tables()}
    logged = [
        prediction_of(store, name, row)
        for name in tables
        if name.startswith("predictions/")
        for row in store.table(name).scan().sort("event_time", "prediction_id").collect().iter_rows(named=True)
    ]
    sets = {}
    for name in tables:
        if name.startswith("training/"):
            for commit in store.table(name).history():
                if "manifest" in commit.extra:
                    made = load_training_set(store.lake, f"{name.partition('/')[2]}@{commit.version}")
                    sets[made.id] = {
                        "content_digest": made.manifest["content_digest"],
                        "rows": made.frame().height,  # which checks bytes and digest
                        "feature_set": made.manifest["feature_set"],
                        "references": made.manifest["references"],
                        "inputs": sorted(f"{i['table']}@{i['version']}" for i in made.manifest["inputs"]),
                        "manifest_sha256": digest_of_json(made.manifest),
                    }
    status = (
        with_status(store.table("quarantine/questions").scan())
        .select("partition_key", "_source_file", "_row_number", "_rules", "_status", "_decision_id")
        .sort("partition_key", "_source_file", "_row_number")
        .collect()
    )
    kept = {
        name: hashlib.sha256(store.lake.storage.get(name)).hexdigest() for name in store.lake.storage.walk("_landing")
    }
    assert all(name.rsplit("/", 1)[-1] == digest for name, digest in kept.items())
    chosen: dict[tuple[str, ...], dict[str, Any]] = {}
    for item in logged:
        key = (item["table"], item["model_version"], item["row"]["event_time"][:10])
        if key not in chosen or any("vector" in what and ok for what, ok, _ in item["findings"]):
            chosen[key] = item
    whole = {item["prediction_id"] for item in [*chosen.values(), logged[2]]}  # the third: a search that found nothing
    logged = [item if item["prediction_id"] in whole else brief(item) for item in logged]
    return {
        "commit": COMMIT,
        "code": code_of(store),
        "home": str(HOME),
        "lake": store.lake.storage.root,
        "how_content_sha256": HOW,
        "lists": {
            "brief": "predictions with this key have their long lists as count and SHA-256 of json.dumps(list, sort_keys=True)",
            "trace_nodes": "kind, name, table, version, versions_read, partitions (null: all), reference, status, versions of "
            "the commits, contracts; in the order of Trace.nodes (each before its inputs are first met)",
            "files": "path as delivered, sha256, bytes, rows",
            "findings": "what, ok, required (`verify` with the model); not_ok has detail, too",
            "source_rows": "table, file, sha256, row_number, because",
            "versions": "see the keys; content digests are null where the version was vacuumed",
        },
        **told,
        "rebuilt_lineage": rebuilt(store),
        "tables": tables,
        "predictions": logged,
        "training_sets": sets,
        "pins": {item.name: item.to_dict() for item in pins(store.lake)},
        "quarantine_questions": [plain(row) for row in status.iter_rows(named=True)],
        "kept_deliveries": sorted(kept),
        "notes_of_freshness": {
            name: json.loads(store.lake.storage.get(name)) for name in store.lake.storage.walk("_fresh")
        },
        "impact": [
            impact_of(store, "raw/questions", partition=day(1)),
            impact_of(store, "raw/questions", partition=day(5)),
            impact_of(store, "raw/visits", 1),
            impact_of(store, "raw/members"),
            impact_of(store, "raw/members", references=True),
            impact_of(store, "clean/questions", column="text"),
            impact_of(store, "releases/questions"),
            impact_of(store, "embeddings/question_text"),
        ],
    }


def rebuilt(store: Any) -> dict[str, Any]:
    """What `assay lineage rebuild` makes of the lake in an empty store, and how many rows its tables have then."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "lineage.db")
        index = open_lineage_store(f"sqlite:///{file}", Path(folder))
        found = rebuild(index, store.lake)
        index.engine.dispose()
        with contextlib.closing(sqlite3.connect(file)) as database:
            names = ("events", "jobs", "runs", "datasets", "dataset_versions", "edges", "checks")
            counts = {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
    return {"commits": found.commits, "runs": found.runs, "damaged": list(found.damaged), "store": counts}


def code_of(store: Any) -> dict[str, str]:
    return store.table("clean/questions").history()[-1].extra["code"]


def digest_of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def laid_out(value: Any, depth: int = 0) -> str:
    """JSON with a line per item down to the third level: to be read and compared, and short."""
    if depth < 4 and value and isinstance(value, dict | list):
        pad, end = " " * (depth + 1), " " * depth
        if isinstance(value, dict):
            inner = [f"{json.dumps(name)}: {laid_out(value[name], depth + 1)}" for name in sorted(value)]
            return "{\n" + ",\n".join(pad + line for line in inner) + f"\n{end}}}"
        return "[\n" + ",\n".join(pad + laid_out(item, depth + 1) for item in value) + f"\n{end}]"
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def expect() -> None:
    moved = json.loads(EXPECTED.read_text()).get("moved") if EXPECTED.exists() else None
    found = expectations()
    EXPECTED.write_text(laid_out({**found, "moved": moved}) + "\n")
    print(EXPECTED, EXPECTED.stat().st_size, "bytes")


# -- archive -----------------------------------------------------------------------------------------------------------


def members_of() -> list[Path]:
    return sorted(path for folder in PACKED for path in (HOME / folder).rglob("*") if path.is_file())


def pack() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(members_of(), key=lambda path: path.relative_to(HOME).as_posix()):
            content = path.read_bytes()
            item = tarfile.TarInfo(path.relative_to(HOME).as_posix())
            item.size, item.mode, item.mtime, item.uid, item.gid = len(content), 0o644, 0, 0, 0
            tar.addfile(item, io.BytesIO(content))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=0) as stream:
        stream.write(buffer.getvalue())
    ARCHIVE.write_bytes(packed.getvalue())
    print(
        ARCHIVE,
        len(packed.getvalue()),
        "bytes packed,",
        len(buffer.getvalue()),
        "bytes of tar,",
        len(members_of()),
        "files, SHA-256",
        hashlib.sha256(packed.getvalue()).hexdigest(),
    )


def check() -> None:
    """Unpack where it was made, read everything again: the same expectations, byte for byte."""
    aside = HOME.with_name(HOME.name + ".built")
    shutil.rmtree(aside, ignore_errors=True)
    if HOME.exists():
        HOME.rename(aside)
    HOME.mkdir()
    with tarfile.open(ARCHIVE) as tar:
        tar.extractall(HOME, filter="data")
    found = json.loads(json.dumps(expectations()))
    expected = {key: value for key, value in json.loads(EXPECTED.read_text()).items() if key != "moved"}
    assert found == expected, [key for key in expected if expected[key] != found[key]]
    print("due, says 7187fa5, after unpacking:", due())
    print(
        "unpacked at",
        HOME,
        "and found as expected;",
        dict(Counter(item["verify"]["with_model"]["outcome"] for item in expected["predictions"])),
    )


def moved() -> None:
    """What 7187fa5 says of the same lake at another address, with nothing left at the old one."""
    expected = json.loads(EXPECTED.read_text())
    aside, old = HOME.with_name(HOME.name + ".built"), os.environ["ASSAY_HOME"]
    if HOME.exists():
        shutil.rmtree(aside, ignore_errors=True)
        HOME.rename(aside)
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="assay-moved-") as folder:
        with tarfile.open(ARCHIVE) as tar:
            tar.extractall(folder, filter="data")
        os.environ["ASSAY_HOME"] = folder
        for what, keep in (("lake_and_landing", True), ("lake_only", False)):
            if not keep:
                shutil.rmtree(Path(folder, "landing"))
            store = assay.open()
            outcomes, changed = {}, {}
            for item in expected["predictions"]:
                trace = store.trace(item["prediction_id"])
                found = store.verify(trace)
                outcomes[item["prediction_id"]] = [found.outcome, len(found.checks)]
                stored = trace.prediction.row | {"partition_key": trace.prediction.partition}
                again = prediction_of(store, item["table"], stored)
                again = json.loads(json.dumps(brief(again) if item.get("brief") else again))
                if again != item:
                    changed[item["prediction_id"]] = [key for key in again if again[key] != item[key]]
            tables = {info.name: info.version for info in store.tables()}
            sets = {}
            for name, made in expected["training_sets"].items():
                sets[name] = load_training_set(store.lake, name).frame().height == made["rows"]
            status = {
                item.name: sorted({snapshot_status(store.lake, snapshot) for snapshot in item.snapshots})
                for item in pins(store.lake)
            }
            uris = {table: store.table(table).at().snapshot.uri.replace(folder, "NEW") for table in list(tables)[:1]}
            inner = {
                s.snapshot.uri.replace(folder, "NEW")
                for commit in store.table("clean/questions").history()
                for s in commit.inputs
            }
            answer[what] = {
                "outcomes": outcomes,
                "predictions_that_differ": changed,
                "tables_as_before": tables == {name: table["latest"] for name, table in expected["tables"].items()},
                "training_sets_load": sets,
                "pinned_snapshots": status,
                "uri_of_a_table": uris,
                "rebuilt_lineage": rebuilt(store),
                "renewing_pins": {item.name: renewed(store, item) for item in pins(store.lake)},
                "uris_in_commits_of_clean_questions": sorted(inner),
            }
            if keep:
                answer[what]["due"] = due()
    os.environ["ASSAY_HOME"] = old
    if aside.exists():
        aside.rename(HOME)
    expected["moved"] = answer
    EXPECTED.write_text(laid_out(expected) + "\n")
    for what, said in answer.items():
        print(
            what, {k: v for k, v in said.items() if k != "outcomes"}, Counter(o[0] for o in said["outcomes"].values())
        )


def renewed(store: Any, old: Any) -> str:
    items = []
    for item in old.snapshots:
        kept = item.snapshot if isinstance(item, Slice) else item
        state = store.table(kept.table).at(kept.version)
        items.append(
            state.slice(item.partitions, reference=item.reference) if isinstance(item, Slice) else state.snapshot
        )
    try:
        pin(store.lake, old.name, items, owner=old.owner, reason=old.reason, expires_at=old.expires_at)
    except assay.AssayError as problem:
        return str(problem)
    return "renewed"


def due() -> list[str]:
    """What 7187fa5 would do now with the lake in ASSAY_HOME."""
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.ephemeral() as instance:
        library = Library(instance, Path(folder))
        library.declare("1.1.0")
        env = environment()
        found = [str(unit) for wave in waves(library.steps) for unit in units(wave, env)]
        sys.path.remove(folder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "library"]:
            del sys.modules[name]
    return found


if __name__ == "__main__":
    print("assay is", assay.__file__)
    for step in {"all": ["build", "expect", "pack", "check", "moved"]}.get(sys.argv[1], sys.argv[1:]):
        {"build": build, "expect": expect, "pack": pack, "check": check, "moved": moved}[step]()
