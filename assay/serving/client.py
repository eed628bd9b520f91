"""A thin client of the service: keys in, a frame out, by the standard library's HTTP."""

import http.client
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, overload
from urllib.parse import urlsplit

import polars as pl

from assay.errors import AssayError
from assay.serving.answers import ARROW, JSON, of_set, plain


class FeatureServiceError(AssayError):
    """The service refused a request, or could not be reached.

    `status` is that of HTTP (0: no answer); `retry_after`: after so many seconds it may be sent again, None: not at all.
    """

    def __init__(self, message: str, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


@dataclass(slots=True)
class FeatureClient:
    """Asks a service that `assay serve` started. One connection, which is kept: use one client per thread.

    >>> FeatureClient("http://127.0.0.1:3003").get("router", {"customer_id": ["C00012"]})    # doctest: +SKIP

    Args:
        url: Of the service.
        token: `ASSAY_SERVE_TOKEN`, where the service has one.
        timeout: Seconds until a request is given up.

    Raises:
        AssayError: The URL is none of HTTP.
    """

    url: str = "http://127.0.0.1:3003"
    token: str = field(default="", repr=False)
    timeout: float = 5.0
    _connection: http.client.HTTPConnection = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AssayError("The URL of a feature service begins with http:// or https://.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=self.timeout)

    @overload
    def get(self, sets: str, keys: Mapping[str, Any], at: datetime | None = None) -> pl.DataFrame: ...

    @overload
    def get(self, sets: list[str], keys: Mapping[str, Any], at: datetime | None = None) -> dict[str, pl.DataFrame]: ...

    def get(
        self, sets: str | list[str], keys: Mapping[str, Any], at: datetime | None = None
    ) -> pl.DataFrame | dict[str, pl.DataFrame]:
        """What `store.online_set(name).get(keys, at)` gives.

        Args:
            sets: A feature set (`router`, `router@1`), or several.
            keys: A value or a list of values for each key column.
            at: The moment, with a time zone; None: now.

        Returns:
            A frame with a row per key; of several sets one for each, by name and version.

        Raises:
            FeatureServiceError: The service refused, or cannot be reached.
        """
        wanted = [sets] if isinstance(sets, str) else list(sets)
        body = {"sets": wanted, "keys": dict(keys)} | ({"at": at.isoformat()} if at else {})
        content = self._ask("POST", "/features", json.dumps(body, default=plain).encode(), ARROW)
        table = pl.read_ipc_stream(io.BytesIO(content))
        names = dict.fromkeys(column.partition("/")[0] for column in table.columns if column not in keys)
        frames = {name: of_set(table, name, list(keys)) for name in names}
        return next(iter(frames.values())) if isinstance(sets, str) else frames

    def sets(self) -> list[dict[str, Any]]:
        """The sets that are served: name, generation, keys with their types, features, table versions."""
        return json.loads(self._ask("GET", "/features", None, JSON))["sets"]

    def close(self) -> None:
        """End the connection; the next request opens another one."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None, accept: str) -> bytes:
        headers = {"Accept": accept, "Content-Type": JSON}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            response, content = self._sent(method, path, body, headers)
        except TimeoutError:
            raise FeatureServiceError(f"No answer from {self.url} within {self.timeout:g} s.") from None
        except (OSError, http.client.HTTPException):
            self._connection.close()  # one that was kept may have ended; asking twice changes nothing
            try:
                response, content = self._sent(method, path, body, headers)
            except (OSError, http.client.HTTPException) as problem:
                raise FeatureServiceError(
                    f"No answer from {self.url}: {type(problem).__name__}. Next: see whether `assay serve` runs there."
                ) from None
        if response.status != 200:
            message = f"HTTP {response.status}"
            with suppress(ValueError, KeyError, TypeError):
                message = json.loads(content)["error"]
            after = response.headers.get("Retry-After", "")
            raise FeatureServiceError(message, response.status, float(after) if after.isdecimal() else None)
        return content

    def _sent(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            return response, response.read()
        except BaseException:
            self._connection.close()  # half an answer must not be taken for the next one
            raise
