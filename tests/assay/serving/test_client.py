"""The client against the real service over a real socket, with generations that change in between."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

import assay
from assay.errors import AssayError
from assay.serving.app import create_feature_service
from assay.serving.client import FeatureClient, FeatureServiceError
from tests.assay.serving.conftest import NOON, SALES, put


@pytest.fixture
def url(store: assay.Store) -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_feature_service(store), log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


def test_a_frame_equals_that_of_the_store(store: assay.Store, url: str) -> None:
    client = FeatureClient(url)
    keys = {"shop": ["b", "a", "?"]}
    assert client.get("sales", keys, at=NOON).equals(store.online_set("sales").get(keys, NOON))
    both = client.get(["sales", "towns"], {**keys, "town": [1, 2, 3]}, at=NOON)
    assert list(both) == ["sales@1.2", "towns@1"]
    assert both["towns@1"]["people"].to_list() == [10, 20, None]
    assert [one["set"] for one in client.sets()] == ["sales@1.2", "towns@1"]
    with pytest.raises(FeatureServiceError, match="not served") as refused:
        client.get("other", keys)
    assert (refused.value.status, refused.value.retry_after) == (404, None)
    client.close()
    assert client.get("sales", {"shop": "a"}, at=NOON).height == 1, "another connection is opened"
    client.close()


def test_readers_over_http_see_whole_generations(store: assay.Store, url: str) -> None:
    done, seen = threading.Event(), []

    def read() -> None:
        client = FeatureClient(url)
        while not done.is_set():
            frame = client.get("sales", {"shop": ["a"] * 20}, at=NOON)
            seen.append(set(zip(frame["sold"], frame["shop.version"], strict=True)))
        client.close()

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(2, 5):
        put(store, number)
        store.materialize_online(SALES, at=NOON)
    done.set()
    for thread in threads:
        thread.join(30)
    assert {len(one) for one in seen} == {1}
    assert len({version for one in seen for _, version in one}) == len({sold for one in seen for sold, _ in one})


def test_nobody_there_and_a_wrong_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FeatureServiceError, match="assay serve") as problem:
        FeatureClient(f"http://127.0.0.1:{port}", timeout=1).get("sales", {"shop": "a"})
    assert problem.value.status == 0
    with pytest.raises(AssayError, match="http"):
        FeatureClient("localhost:3003")
    assert "hidden" not in repr(FeatureClient("http://h", token="hidden"))
