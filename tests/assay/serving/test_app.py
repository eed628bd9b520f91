"""`POST /features`: what it answers, what it refuses, and what it counts. Without Dagster, torch or what makes tables."""

import io
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import polars as pl
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

import assay
from assay.serving.admission import Admission
from assay.serving.answers import ARROW
from assay.serving.app import create_feature_service
from tests.assay.serving.conftest import NOON, put

ROOT = Path(__file__).resolve().parents[3]
AT = NOON.isoformat()


@pytest.fixture
def client(store: assay.Store) -> Iterator[TestClient]:
    with TestClient(create_feature_service(store, most_keys=5), base_url="http://127.0.0.1") as made:
        yield made


def ask(client: TestClient, sets: Any, keys: Any, **more: Any) -> Any:
    answer = client.post("/features", json={"sets": sets, "keys": keys, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def valid(client: TestClient, schema: str, value: Any) -> None:
    document = client.get("/openapi.json").json()
    whole = {**document["components"]["schemas"][schema], "components": document["components"]}
    jsonschema_rs.validator_for(whole).validate(value)


def test_values_states_versions_and_ages_of_several_sets(client: TestClient, store: assay.Store) -> None:
    keys = {"shop": ["b", "a", "?"], "town": [2, 1, None]}
    found = ask(client, ["sales", "towns@1"], keys, at=AT)
    valid(client, "Answer", found)
    valid(client, "Question", {"sets": ["sales", "towns@1"], "keys": keys, "at": AT})
    sales = found["sets"]["sales@1.2"]
    assert sales["features"] == {
        "sold": [None, 1, None],
        "share": [None, "NaN", None],
        "open": [None, True, None],
        "since": [None, "2026-01-01", None],
        "logo": [None, "/w==", None],
        "vector": [None, [1.0, 2.0], None],
    }
    assert sales["views"]["shop"] == {
        "table": "features/shop",
        "version": store.table("features/shop").at().version,
        "state": ["expired", "present", "missing"],
        "event_time": ["2025-12-23T12:00:00.000000Z", "2026-01-01T12:00:00.000000Z", None],
        "age_seconds": [9 * 86400.0, 0.0, None],
    }
    assert found["sets"]["towns@1"]["features"] == {"people": [20, 10, None]}
    assert (found["at"], found["rows"]) == (AT, 3)
    one = ask(client, "sales", {"shop": "a"}, at=(NOON + timedelta(days=3)).isoformat())
    assert one["sets"]["sales@1.2"]["views"]["shop"]["state"] == ["expired"]


def test_arrow_where_it_is_accepted(client: TestClient, store: assay.Store) -> None:
    body = {"sets": ["sales", "towns"], "keys": {"shop": ["b", "a"], "town": [1, 2]}, "at": AT}
    answer = client.post("/features", json=body, headers={"Accept": f"{ARROW}, application/json;q=0.5"})
    assert answer.headers["content-type"] == ARROW
    table = pl.read_ipc_stream(io.BytesIO(answer.content))
    expected = store.online_set("sales").get({"shop": ["b", "a"]}, NOON)
    assert table["sales@1.2/sold"].to_list() == expected["sold"].to_list()
    assert table["sales@1.2/shop.age"].to_list() == expected["shop.age"].to_list()
    assert table["towns@1/people"].to_list() == [10, 20]


def test_a_new_generation_is_read_and_counted(client: TestClient, store: assay.Store) -> None:
    assert ask(client, "sales", {"shop": "a"}, at=AT)["sets"]["sales@1.2"]["features"]["sold"] == [1]
    put(store, 7)
    store.materialize_online(assay.FeatureSet("sales", ["shop:*"], version="1.2"), at=NOON)
    found = ask(client, "sales", {"shop": ["a", "b"]}, at=AT)["sets"]["sales@1.2"]
    assert (found["features"]["sold"], found["generation"]) == ([7, None], 2)
    listed = client.get("/features").json()
    valid(client, "Sets", listed)
    assert [(one["set"], one["keys"]) for one in listed["sets"]] == [
        ("sales@1.2", {"shop": "String"}),
        ("towns@1", {"town": "Int64"}),
    ]
    assert client.post("/features", json={"sets": "no", "keys": {"shop": "a"}}).status_code == 404
    text = client.get("/metrics").text
    for line in (
        'assay_features_requests_total{status="200"} 2',
        'assay_features_requests_total{status="404"} 1',
        "assay_features_keys_total 3",
        'assay_features_values_total{set="sales@1.2",view="shop",state="present"} 2',
        'assay_features_values_total{set="sales@1.2",view="shop",state="expired"} 1',
        'assay_features_generation{set="sales@1.2"} 2',
        "assay_features_request_seconds_count 3",
        "assay_features_busy 0",
    ):
        assert line in text.splitlines(), line
    valid(client, "Health", client.get("/health").json())


BAD: list[tuple[int, str, Any]] = [
    (422, "no JSON", "{"),
    (422, "an object", []),
    (422, "Did you mean 'keys'", {"sets": ["sales"], "key": {}}),
    (422, '"sets" names one or more', {"keys": {"shop": "a"}}),
    (422, "a set twice", {"sets": ["sales", "sales"], "keys": {"shop": "a"}}),
    (422, '"keys" is an object', {"sets": ["sales"], "keys": []}),
    (422, "differ in length", {"sets": ["sales"], "keys": {"shop": ["a"], "town": [1, 2]}}),
    (422, "neither text nor whole numbers", {"sets": ["sales"], "keys": {"shop": [{"secret": 1}]}}),
    (422, "town is Int64", {"sets": ["towns"], "keys": {"town": ["secret"]}}),
    (422, "town", {"sets": ["towns"], "keys": {"shop": ["secret"]}}),
    (422, "time zone", {"sets": ["sales"], "keys": {"shop": "a"}, "at": "2026-01-01"}),
    (422, "answers from", {"sets": ["sales"], "keys": {"shop": "a"}, "at": "2025-12-31T00:00:00Z"}),
    (404, "sales@1.2, towns@1", {"sets": ["sale"], "keys": {"shop": "a"}}),
    (413, "more than the 5", {"sets": ["sales"], "keys": {"shop": ["a"] * 6}}),
]


def test_what_cannot_be_answered_is_refused_in_words(client: TestClient) -> None:
    for status, words, body in BAD:
        content = (
            {"content": body, "headers": {"Content-Type": "application/json"}}
            if isinstance(body, str)
            else {"json": body}
        )
        answer = client.post("/features", **content)
        assert (answer.status_code, words in answer.json()["error"]) == (status, True), (words, answer.text)
        assert "secret" not in answer.text
        valid(client, "Error", answer.json())
    good = {"sets": "sales", "keys": {"shop": "a"}}
    assert client.post("/features", json=good, headers={"Accept": "text/html"}).status_code == 406
    assert client.post("/features", content="x", headers={"Content-Type": "text/csv"}).status_code == 415
    huge = client.post("/features", content=b"x" * (1024**2 + 1), headers={"Content-Type": "application/json"})
    assert (huge.status_code, "larger" in huge.json()["error"]) == (413, True)
    assert client.post("/features", json=good, headers={"Host": "evil.example"}).status_code == 400
    assert client.post("/features", json=good, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.get("/nothing").json() == {"error": "Not Found"}
    documented = client.get("/openapi.json").json()["paths"]["/features"]["post"]["responses"]
    assert {str(status) for status, _, _ in BAD} | {"400", "406", "415", "429", "503"} <= set(documented)


def test_a_token_where_there_is_one_and_only_the_sets_that_are_named(store: assay.Store) -> None:
    guarded = assay.Store(store.settings.model_copy(update={"serve_token": SecretStr("s3cret")}))
    app = create_feature_service(guarded, ["towns"], admission=Admission(rate=2))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        body = {"sets": "towns", "keys": {"town": 1}}
        assert client.post("/features", json=body).status_code == 401
        assert client.get("/features", headers={"Authorization": "Bearer other"}).status_code == 401
        assert client.get("/health").json() == {"status": "ok", "sets": 1}
        client.headers["Authorization"] = "Bearer s3cret"
        assert client.post("/features", json={**body, "sets": "sales"}).status_code == 404
        assert client.post("/features", json=body).status_code == 200
        many = client.post("/features", json=body)
        assert (many.status_code, many.headers["Retry-After"]) == (429, "1")


LIGHT = """
import sys, assay
from assay.serving.app import create_feature_service
from starlette.testclient import TestClient
store = assay.open(home=sys.argv[1], lake=sys.argv[1] + "/lake")
with TestClient(create_feature_service(store), base_url="http://127.0.0.1") as client:
    assert client.post("/features", json={"sets": "towns", "keys": {"town": [1, 9]}}).json()["rows"] == 2
heavy = {"dagster", "torch", "sqlalchemy", "openlineage", "pandera", "duckdb", "pyarrow", "pandas", "sklearn"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


def test_it_runs_without_dagster_and_torch(store: assay.Store, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr[-2000:]


def test_inputs_of_a_request_stand_beside_its_keys(client: TestClient, store: assay.Store) -> None:
    share = assay.Feature("of_sold", pl.col("amount") / pl.col("sold"))
    store.define(assay.OnDemandView("basket", [share], inputs={"amount": float}, uses=["shop:sold"]))
    store.materialize_online(assay.FeatureSet("baskets", ["basket:*"]), at=NOON)
    found = ask(client, "baskets", {"shop": ["a", "?"], "amount": [2.5, 1]}, at=AT)
    valid(client, "Question", {"sets": "baskets", "keys": {"shop": ["a"], "amount": [2.5]}})
    (answer,) = found["sets"].values()
    assert answer["features"] == {"of_sold": [2.5, None]}
    assert {name: view["state"] for name, view in answer["views"].items()} == {
        "shop": ["present", "missing"],
        "basket": ["present", "missing"],
    }
    for keys, problem in (({"shop": ["a"]}, "needs 'amount'"), ({"shop": [1.5], "amount": [1]}, "neither text nor")):
        refused = client.post("/features", json={"sets": "baskets", "keys": keys})
        assert (refused.status_code, problem in refused.text) == (422, True), refused.text
    listed = next(one for one in client.get("/features").json()["sets"] if one["set"].startswith("baskets"))
    assert (listed["keys"], listed["features"]) == ({"shop": "String", "amount": "Float64"}, ["of_sold"])
