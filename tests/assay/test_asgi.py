"""No page of another origin does anything, and no request holds a server for ever."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from assay.asgi import BodyLimits, OwnOrigin, head_limited

BASE = "http://127.0.0.1:3000"


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def _slow(request: Request) -> PlainTextResponse:
    await asyncio.sleep(1.2)
    return PlainTextResponse("slow")


async def _live(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("here")
    await websocket.close()


async def _lasting(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


APP = Starlette(
    routes=[
        Route("/slow", _slow),
        Route("/{path:path}", _echo, methods=["GET", "POST", "DELETE"]),
        WebSocketRoute("/graphql", _live),
        WebSocketRoute("/lasting", _lasting),
    ]
)
client = TestClient(OwnOrigin(APP, queries=["/graphql"]), base_url=BASE)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/graphql", {}, 200),  # a program
        ("POST", "/graphql", {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}, 200),
        ("GET", "/runs", {"Sec-Fetch-Site": "cross-site"}, 200),  # a link from a mail
        ("GET", "/graphql", {"Sec-Fetch-Site": "none"}, 200),
        ("POST", "/graphql", {"Origin": "https://evil.example"}, 403),
        ("POST", "/graphql", {"Origin": "http://127.0.0.1:8888"}, 403),  # another server of this machine
        ("POST", "/graphql", {"Origin": "http://127.0.0.1:3000.evil.example"}, 403),
        ("POST", "/graphql", {"Origin": "null"}, 403),  # a sandboxed frame, a file
        ("POST", "/report_asset_check/x", {"Origin": "https://evil.example"}, 403),
        ("POST", "/graphql", {"Sec-Fetch-Site": "same-site"}, 403),
        ("DELETE", "/graphql", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", "/graphql", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", "/graphql?query=mutation", {}, 405),
        ("HEAD", "/graphql/?a=1&query=mutation", {}, 405),
        ("GET", "/runs", {"Host": "evil.example"}, 400),  # a name that resolves here
        ("GET", "/runs", {"Host": "127.0.0.1.evil.example"}, 400),
        ("GET", "/runs", {"Host": "[::"}, 400),
        ("GET", "/runs", {"Host": ""}, 400),
    ],
)
def test_only_own_pages_and_programs_do_anything(method: str, path: str, headers: Any, status: int) -> None:
    assert client.request(method, path, headers=headers).status_code == status


def test_a_query_by_get_cannot_be_hidden_by_percent_encoding() -> None:
    assert client.get("/graphql?%71uery=mutation").status_code == 405
    assert client.get("/%67raphql?query=mutation").status_code == 405


def test_web_sockets_are_for_the_own_page() -> None:
    with client.websocket_connect("/graphql", headers={"Host": "127.0.0.1:3000", "Origin": BASE}) as live:
        assert live.receive_text() == "here"
    for headers in ({"Origin": "https://evil.example"}, {"Origin": BASE, "Host": "evil.example"}):
        refused = client.websocket_connect("/graphql", headers={"Host": "127.0.0.1:3000", **headers})
        with pytest.raises(WebSocketDisconnect), refused:
            pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A real server whose heads and bodies have half a second, and bodies a thousand bytes."""
    app = BodyLimits(APP, seconds=0.5, size=1000)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", http=head_limited(0.5)))
        thread = threading.Thread(target=asyncio.run, args=(server.serve([listening]),), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(20)


def _answer(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    connection.settimeout(20)
    answer = b""
    while part := connection.recv(4096):
        answer += part
    return answer


def test_half_open_posts_are_ended_and_hold_nothing(port: int) -> None:
    begun = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    for connection in begun:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n\r\nhalf of it")
    for connection in begun:
        with connection:
            assert _answer(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "sent", [b"", b"GET /x HTTP/1.1\r\nHost: 127", b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /x HT"]
)
def test_half_open_heads_are_ended_also_after_a_whole_request(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(sent)
        assert _answer(connection).count(b"HTTP/1.1 200 ") == sent.count(b"\r\n\r\n")


def test_a_slow_answer_is_waited_for(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert _answer(connection).endswith(b"slow")


def test_a_web_socket_lasts(port: int) -> None:
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{port}/lasting") as websocket:
        time.sleep(1.2)
        websocket.send("still")
        assert websocket.recv(10) == "still"


def test_a_body_that_trickles_has_no_more_time(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n\r\n")
        for _ in range(12):
            time.sleep(0.1)
            try:
                connection.sendall(b"x")
            except OSError:
                break
        else:
            assert _answer(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("framing", [b"Content-Length: 1001\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n"])
def test_a_body_that_is_too_large_is_refused_however_it_is_framed(port: int, framing: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\n" + framing + b"x" * 1001)
        assert _answer(connection).startswith(b"HTTP/1.1 413 ")


def test_a_body_within_the_limits_arrives(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head + b"x" * 1000)
        assert _answer(connection).endswith(b"1000")
