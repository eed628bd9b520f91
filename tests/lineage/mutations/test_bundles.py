"""Bundles that were changed after their export, with sums to match: the script alone has to notice."""

import copy
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.lineage.evidence.bundle import export
from assay.lineage.evidence.verifier.container import SUMS
from assay.lineage.evidence.verifier.findings import outcome
from assay.lineage.evidence.verifier.verify import verify
from assay.lineage.evidence.verifier.vouching import NOTHING_DEPENDS as DEPENDS
from tests.conftest import SOAK
from tests.lineage.mutations.world import World

Files = dict[str, bytes]
Place = tuple[str | int, ...]

# What the lineage store says of itself, of which the lake knows nothing: it shows what happened and proves nothing.
_EVENT_ONLY = re.compile(r"eventTime|producer|schemaURL|_schemaURL|_producer|/job/|/run/facets|namespace|eventType")
# What only the lake can show, as the script says of itself (`NOT_PROVEN`). By document: `*` for numbers and names.
UNPROVEN = {
    "trace.json": (
        *(f"nodes/*/details/{name}" for name in ("created_at", "format", "metrics", "params", "row")),
        "nodes/*/status",
    ),
    "rows.json": ("", "*/because", "*/digests", "*/row_number"),
    "manifest.json": ("assay",),
    "lake.json": ("", "*/detail", "*/required", "*/what"),
}
_EVENT_PROOF = re.compile(r"assay_snapshot|datasetVersion|rowCount|runId")


def is_unproven(document: str, kind: str) -> bool:
    """Whether a kind of value, or what it is part of, is only told."""
    listed = UNPROVEN.get(document, ())
    return kind in listed or any(kind.startswith(f"{one}/") for one in listed if one)


@pytest.fixture(scope="module")
def bundle(parcels: Path) -> Files:
    """Of the newest prediction, whose commit is vouched for by its seal alone."""
    world = World(parcels)
    files = export(world.store.lake, world.store.trace(world.row(5)["prediction_id"]), world.store.lineage_store).files
    world.close()
    assert outcome(verify(dict(files))) == "verified"
    return dict(files)


@pytest.fixture(scope="module")
def other(parcels: Path) -> Files:
    """Of another prediction of the same day."""
    world = World(parcels)
    files = export(
        world.store.lake, world.store.trace(world.row(5, 3)["prediction_id"]), world.store.lineage_store
    ).files
    world.close()
    return dict(files)


def summed(files: Files) -> Files:
    rest = {name: content for name, content in files.items() if name != SUMS}
    lines = (f"{hashlib.sha256(rest[name]).hexdigest()}  {name}\n" for name in sorted(rest))
    return rest | {SUMS: "".join(lines).encode()}


def verdict(files: Files) -> str:
    return outcome(verify(summed(files)))


# -- every value -------------------------------------------------------------------------------------------------------


def values(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Everything in a document, the document itself last."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from values(item, (*place, key))
    yield place, value


def others(value: Any) -> Iterator[Any]:
    """Other values of the same kind: what a forger would write."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str):
        yield value[:-1] + ("0" if value[-1:] != "0" else "1")
        yield ""
    elif value is None:
        yield "x"
    elif isinstance(value, list) and value:
        yield value[1:]
        yield []
    elif isinstance(value, dict) and value:
        yield {}


def with_value(document: Any, place: Place, value: Any) -> Any:
    if not place:
        return value
    made = copy.deepcopy(document)
    inner = made
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return made


def kind_of(place: Place) -> str:
    """The place without what numbers and names the things there."""
    return "/".join("*" if isinstance(key, int) or "/" in key or "-" in key else key for key in place)


def forgeries(document: Any) -> Iterator[tuple[str, Any]]:
    """For every kind of value the last one, changed, and in a soak the first one, too."""
    kinds: dict[str, list[tuple[Place, Any]]] = {}
    for place, value in values(document):
        kinds.setdefault(kind_of(place), []).append((place, value))
    for kind, found in kinds.items():
        for place, value in dict([*(found[:1] if SOAK else ()), found[-1]]).items():
            for changed in others(value):
                if changed != value:
                    yield (
                        f"{kind} ({'/'.join(map(str, place))}): {value!r:.60} → {changed!r:.60}",
                        with_value(document, place, changed),
                    )


def unnoticed(files: Files, name: str, lies: Iterator[tuple[str, bytes]]) -> list[str]:
    document = "events" if name.startswith("events/") else name
    closed = ((lie, content) for lie, content in lies if not is_unproven(document, lie.partition(" (")[0]))
    return [lie for lie, content in closed if verdict(files | {name: content}) == "verified"]


DOCUMENTS = (
    "prediction.json",
    "trace.json",
    "slices.json",
    "runs.json",
    "rows.json",
    "manifest.json",
    "lake.json",
    "lineage.json",
)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_any_value_of_any_document(bundle: Files, name: str) -> None:
    document = json.loads(bundle[name])
    lies = ((lie, json.dumps(changed).encode()) for lie, changed in forgeries(document))
    assert not unnoticed(bundle, name, lies)


def test_documents_that_came_later_are_among_them(bundle: Files) -> None:
    assert set(DOCUMENTS) == {name for name in bundle if name.endswith(".json") and "/" not in name}


def test_any_value_of_an_event_that_proves_something(bundle: Files) -> None:
    name = f"events/{json.loads(bundle['manifest.json'])['run_id']}.ndjson"
    lines = bundle[name].splitlines()
    event = json.loads(lines[-1])
    lies = (
        (lie, b"\n".join([*lines[:-1], json.dumps(changed).encode()]))
        for lie, changed in forgeries(event)
        if _EVENT_PROOF.search(lie) and not _EVENT_ONLY.search(lie)
    )
    assert not unnoticed(bundle, name, lies)


def test_any_value_of_the_newest_commit(bundle: Files) -> None:
    """Also what is text in it, such as the inputs. Nobody came after it: its seal says what it was."""
    row = json.loads(bundle["prediction.json"])
    name = f"lake/{row['table']}/_delta_log/{row['version']:020d}.json"
    lines = [json.loads(line) for line in bundle[name].splitlines()]
    lies = ((lie, "\n".join(map(json.dumps, changed)).encode()) for lie, changed in forgeries(lines) if changed)
    assert not unnoticed(bundle, name, lies)


def test_a_read_that_is_left_out_of_the_trace(bundle: Files) -> None:
    """Though what was read is shown elsewhere, since somebody else read it, too."""
    document = json.loads(bundle["trace.json"])
    names = [name for node in document["nodes"] for name in node["inputs"]]
    places = [
        (number, name)
        for number, node in enumerate(document["nodes"])
        for name in node["inputs"]
        if names.count(name) > 1 and not node["reference"]
    ]
    assert places
    for number, name in places:
        rest = [item for item in document["nodes"][number]["inputs"] if item != name]
        changed = with_value(document, ("nodes", number, "inputs"), rest)
        assert verdict(bundle | {"trace.json": json.dumps(changed).encode()}) == "broken", document["nodes"][number][
            "id"
        ]


# -- every file --------------------------------------------------------------------------------------------------------


def proofs(files: Files) -> list[str]:
    """All but the script, which readers may take from elsewhere, the sums, and the events of the second witness."""
    return [name for name in files if name not in ("verify.py", SUMS) and not name.startswith("events/")]


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a space": lambda content: content + b" ",
    "a bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "half": lambda content: content[: len(content) // 2],
    "nothing": lambda content: b"",
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_file_that_is_not_a_document(bundle: Files, what: str) -> None:
    names = [name for name in proofs(bundle) if name not in DOCUMENTS]
    assert any("_seals/" in name for name in names)
    # A space after a seal says nothing else. Of the first commit of the predictions' table only the table's id is used, which
    # others name: the chain of commits that vouches for it is not in the bundle.
    row = json.loads(bundle["prediction.json"])
    names = [name for name in names if not name.endswith(f"{row['table']}/_delta_log/{0:020d}.json")]
    names = [name for name in names if what != "a space" or "_seals/" not in name]
    for name in names:
        findings = verify(summed(bundle | {name: CHANGES[what](bundle[name])}))
        # A commit that only leads to others, and its seal, may be changed: they have other vouchers, too.
        sealed = re.fullmatch(r"lake/_seals/(.+)/[^/]+/0*(\d+)\.json", name)
        called = f"seal of {sealed[1]}@{sealed[2]}" if sealed else name
        said = [item for item in findings if item.ok is False and called in item.what and DEPENDS in item.detail]
        assert outcome(findings) != "verified" or said, name


@pytest.mark.parametrize("what", [what for what in CHANGES if what != "a space"])
def test_any_document(bundle: Files, what: str) -> None:
    names = [name for name in DOCUMENTS if not is_unproven(name, "")]
    assert not [name for name in names if verdict(bundle | {name: CHANGES[what](bundle[name])}) == "verified"]


def test_any_file_that_was_taken_out(bundle: Files) -> None:
    def without(name: str) -> Files:
        return {other: content for other, content in bundle.items() if other != name}

    # For what a seal vouches, the events vouch, too.
    names = [name for name in proofs(bundle) if "_seals/" not in name]
    assert not [name for name in names if verdict(without(name)) == "verified"]


def test_any_file_that_was_taken_out_and_is_listed_as_missing(bundle: Files) -> None:
    """Whoever lists it as unimportant, too."""
    for required in (True, False):
        for name in proofs(bundle):
            manifest = json.loads(bundle["manifest.json"])
            if name == "manifest.json" or "_seals/" in name:
                continue
            manifest["missing"].append({"what": name, "why": "it is gone", "required": required})
            files = {other: content for other, content in bundle.items() if other != name}
            assert verdict(files | {"manifest.json": json.dumps(manifest).encode()}) != "verified", name


def test_documents_of_another_prediction(bundle: Files, other: Files) -> None:
    different = [name for name in DOCUMENTS if other[name] != bundle[name] and not is_unproven(name, "")]
    assert {"prediction.json", "manifest.json"} <= set(different)
    assert not [name for name in different if verdict(bundle | {name: other[name]}) == "verified"]


def test_a_file_that_nobody_asked_for(bundle: Files) -> None:
    """A commit after the newest one, which would vouch for whatever somebody wants."""
    row = json.loads(bundle["prediction.json"])
    own = f"lake/{row['table']}/_delta_log/{row['version']:020d}.json"
    lines = [json.loads(line) for line in bundle[own].splitlines()]
    lines[0]["commitInfo"]["assay.code_version"] = "0" * 16
    forged = "\n".join(map(json.dumps, lines)).encode()
    lines[0]["commitInfo"]["assay.previous"] = json.dumps({str(row["version"]): hashlib.sha256(forged).hexdigest()})
    after = own.replace(f"{row['version']:020d}", f"{row['version'] + 1:020d}")
    files = bundle | {own: forged, after: "\n".join(map(json.dumps, lines[:1])).encode()}
    assert verdict(files) != "verified"


def changed(bundle: Files, name: str, change: Callable[[Any], object]) -> str:
    document = json.loads(bundle[name])
    change(document)
    return verdict(bundle | {name: json.dumps(document).encode()})


def test_what_is_added_to_the_row_that_is_shown(bundle: Files) -> None:
    assert changed(bundle, "prediction.json", lambda row: row["shown"].update(approved=True)) == "broken"
    assert changed(bundle, "prediction.json", lambda row: row["withheld"].update(note="x")) == "broken"


def test_zero_is_not_false(bundle: Files) -> None:
    def zero(row: dict[str, Any]) -> None:
        row["shown"]["late"] = int(row["shown"]["late"])
        for value in row["answer"]["values"]:
            if value[0] == "late":
                value[2] = int(value[2])

    assert changed(bundle, "prediction.json", zero) == "broken"
    assert changed(bundle, "runs.json", lambda runs: runs[0]["checks"][0].update(passed=1)) == "broken"


def test_what_the_trace_shows_of_the_model(bundle: Files) -> None:
    def shown(name: str, value: Any) -> Callable[[Any], None]:
        def change(trace: Any) -> None:
            (details,) = (node["details"] for node in trace["nodes"] if node["kind"] == "model")
            assert name in details
            details[name] = value

        return change

    for name, value in (("sha256", "0" * 64), ("model_version", "7"), ("training_set", "x@1"), ("outputs", ["x"])):
        assert changed(bundle, "trace.json", shown(name, value)) == "broken", name


def test_a_commit_with_digits_of_another_script(bundle: Files) -> None:
    name = next(name for name in bundle if "_delta_log" in name)
    other = name.rpartition("/")[0] + "/" + "\u0660" * 20 + ".json"
    assert verdict(bundle | {other: bundle[name]}) == "broken"
