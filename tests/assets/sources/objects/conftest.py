"""A bucket of a real S3 server, behind a proxy that counts requests and, where a test wants it, answers in the server's place."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from assay.assets.sources.objects import s3_errors
from assay.settings import Settings

Answer = tuple[int, bytes]
Fault = Callable[[str, str], Answer | None]  # of method and path: what is answered in the server's place


@dataclass
class Proxy:
    """In front of an S3 server. `requests` are method and path. `fault` may answer itself; or cut what the server sends, where it
    gives (-n, b""): so many bytes less. `drip` are seconds after each byte of what `drips`: objects, listings, or the headers of
    both; `without` are headers that the server does not get to see.
    """

    server: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    fault: Fault | None = None
    port: int = 0
    drip: float = 0.0
    drips: str = "objects"
    without: tuple[str, ...] = ()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self) -> dict[str, int]:
        """Listings and gets since the last call."""
        lists = sum("list-type=2" in path for _, path in self.requests)
        gets = sum(method == "GET" for method, _ in self.requests) - lists
        self.requests.clear()
        return {"lists": lists, "gets": gets}


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    host = urlsplit(proxy.server).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            proxy.requests.append((self.command, self.path))
            answer = proxy.fault(self.command, self.path) if proxy.fault else None
            if answer is not None and answer[0] > 0:
                self._send(answer[0], {"Content-Type": "application/xml"}, answer[1])
                return
            upstream = HTTPConnection(host, timeout=30)
            try:
                upstream.request(self.command, self.path, body, self._passed_on())
                given = upstream.getresponse()
                content = given.read()
            finally:
                upstream.close()
            headers = {
                name: value
                for name, value in given.getheaders()
                if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server")
            }
            self._send(given.status, headers, content, cut=-answer[0] if answer else 0)

        def _passed_on(self) -> dict[str, str]:
            return {name: value for name, value in self.headers.items() if name not in proxy.without}

        def _send(self, status: int, headers: dict[str, str], content: bytes, cut: int = 0) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            with suppress(OSError):  # whoever asked may have gone
                self.end_headers()
                if proxy.drip and proxy.drips == ("listings" if "list-type" in self.path else "objects"):
                    self._drip(content)
                elif self.command != "HEAD":
                    self.wfile.write(content[: len(content) - cut])
            if cut:
                self.close_connection = True

        def flush_headers(self) -> None:
            if proxy.drip and proxy.drips == "headers":
                self._headers_buffer, lines = [], self._headers_buffer
                self._drip(b"".join(lines))
            super().flush_headers()

        def _drip(self, content: bytes) -> None:
            for byte in content:
                self.wfile.write(bytes([byte]))
                time.sleep(proxy.drip)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve  # noqa: N815

    return Handler


@pytest.fixture(scope="session")
def proxy_server(s3_options: dict[str, str]) -> Iterator[Proxy]:
    made = Proxy(s3_options["AWS_ENDPOINT_URL"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def proxy(proxy_server: Proxy) -> Iterator[Proxy]:
    """Of a test alone."""
    s3_errors.forget_silence()
    proxy_server.requests.clear()
    yield proxy_server
    proxy_server.fault, proxy_server.drip, proxy_server.drips, proxy_server.without = None, 0.0, "objects", ()
    s3_errors.forget_silence()


@pytest.fixture(scope="session")
def s3_client(s3_options: dict[str, str]) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=s3_options["AWS_ENDPOINT_URL"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )


@dataclass
class Drops:
    """A bucket of its own, what an upstream does with it, and the settings of who reads it."""

    bucket: str
    proxy: Proxy
    options: dict[str, str]
    client: Any
    prefix: str = "prod"

    def put(self, key: str, content: bytes = b"a,b\n1,2\n") -> str:
        """Puts an object below the prefix; gives its ETag."""
        return self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}", Body=content)["ETag"]

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")

    def settings(self, home: Path, **given: Any) -> Settings:
        options = self.options | {"AWS_ENDPOINT_URL": self.proxy.endpoint} | given.pop("options", {})
        url = given.pop("url", f"s3://{self.bucket}/{self.prefix}")
        return Settings(home=home, connections={"drops": {"url": url, "options": options}}, **given)  # type: ignore[arg-type]

    @property
    def environment(self) -> dict[str, str]:
        """The same as variables."""
        options = self.options | {"AWS_ENDPOINT_URL": self.proxy.endpoint}
        return {
            "ASSAY_CONNECTIONS__DROPS__URL": f"s3://{self.bucket}/{self.prefix}",
            "ASSAY_CONNECTIONS__DROPS__OPTIONS": json.dumps(options),
        }

    @property
    def root(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}/"


@pytest.fixture
def drops(proxy: Proxy, s3_client: Any, s3_options: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Drops:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = f"drops-{uuid.uuid4().hex[:12]}"
    s3_client.create_bucket(Bucket=bucket)
    return Drops(bucket, proxy, dict(s3_options), s3_client)
