"""What a store answers instead of objects, in one line with the next step, and without anything that is secret.

What a store does not answer at all is remembered for some seconds: whoever asks for many partitions waits for it once. That is so
where nobody can connect, or list. One object that is listed and does not come is a matter of its own partition.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from assay.assets.lacking import DENIED, SETTING, UNREACHABLE, NotConnected
from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.objects.address import Address
from assay.errors import AssayError

_REST = 10.0  # seconds
_IN_A_ROW = 5  # different objects that do not come, one after the other: then it is the store
# Codes are words, such as NoSuchKey, or the number of the answer. What looks otherwise may be anything, also a credential.
_CODE = re.compile(r"\d{3}|(?=[A-Za-z]{2,40}\Z)(?:[A-Z]{1,4}[a-z]+)+[A-Z]{0,4}", re.ASCII)
_REGION = re.compile(r"(?=.{2,30}\Z)[a-z]+(?:-[a-z]+)+-\d{1,2}", re.ASCII)
_LOGINS = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "InvalidToken",
    "TokenRefreshRequired", "InvalidSecurity", "UnrecognizedClientException",
}  # fmt: skip
_REGIONS = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}
_BUSY = {
    "SlowDown",
    "RequestTimeout",
    "RequestTimeoutException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}
_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError", "SSOTokenLoadError",
    "UnauthorizedSSOTokenError", "ProfileNotFound", "MetadataRetrievalError",
}  # fmt: skip
_ADDRESSES = {
    "NoRegionError", "InvalidRegionError", "ParamValidationError", "ValueError", "ResponseParserError",
    "EndpointResolutionError", "EndpointProviderError", "InvalidEndpointConfigurationError",
    "HTTPClientError",  # it and no kind of it: what cannot be sent, such as a line break in a credential
}  # fmt: skip
_BROKEN = {"ResponseStreamingError", "IncompleteReadError", "ProtocolError"}
# Of a store that was reached.
_LATE = {"ReadTimeoutError": "it comes too slowly", "ConnectionClosedError": "ConnectionClosedError"}

_silent: dict[Address, tuple[float, str]] = {}  # until when, and the problem that is raised meanwhile
_unserved: dict[Address, set[str]] = {}  # the keys that did not come since any did


class Changed(AssayError):
    """An object is not the one that was listed: another one by now, or gone."""

    def __init__(self, key: str, *, gone: bool) -> None:
        self.key, self.gone = key, gone
        super().__init__(f"{key} is {'gone' if gone else 'another one'} since it was listed.")


class Unserved(AssayError):
    """An object did not come, though somebody answered.

    Attributes:
        why: a word or two, without anything of the store's own.
        again: whether it may come if it is asked for at once.
        busy: whether the store says that it has too much to do.
    """

    def __init__(self, key: str, why: str, *, again: bool = False, busy: bool = False) -> None:
        self.key, self.why, self.again, self.busy = key, why, again, busy
        super().__init__(f"{key} does not come ({why}).")


@contextmanager
def answered(address: Address, key: str = "") -> Iterator[None]:
    """Raises NotConnected for a store that does not answer, or not to us; Changed and Unserved for an object (`key`)."""
    until, message = _silent.get(address, (0.0, ""))
    if time.monotonic() < until:
        raise NotConnected(message, UNREACHABLE)
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as problem:
        raise _refused(address, key, problem.response) from None
    except (BotoCoreError, HTTPError, ResponseParserError) as problem:
        raise _unanswered(address, key, type(problem).__name__) from None
    except ValueError:  # an invalid endpoint, or an answer with a text for a number
        raise no_store(address, "ValueError") from None


def silent(address: Address, why: str) -> NotConnected:
    """The error for a store that does not answer. Until some seconds have passed nobody else waits for it."""
    message = (
        f"{address.store} does not answer ({why}). Next: see that the store is up, or correct the endpoint in "
        f"{address.options_setting}."
    )
    _silent[address] = time.monotonic() + _REST, message
    return NotConnected(message, UNREACHABLE)


def unserved(address: Address, problem: Unserved) -> AssayError:
    """The error for an object that does not come from a store that can be listed: it is refused with its partition. Where several
    in a row do not come, it is the store, and so it is where that says that it has too much to do."""
    keys, where = _unserved.setdefault(address, set()), f"{address.store}/{problem.key}"
    keys.add(problem.key)
    if not problem.busy and len(keys) < _IN_A_ROW:
        what = f"does not come from the store, which lists it ({problem.why})"
        return DeliveryError(where, what, "have the store repaired or the object uploaded again, and run again")
    message = (
        f"{address.store} lists objects and does not give them ({problem.why}, the last one was {where}). Next: see what the "
        f"store lacks, or correct the endpoint in {address.options_setting}."
    )
    return NotConnected(message, UNREACHABLE)


def served(address: Address) -> None:
    """An object has come, to its end."""
    _unserved.pop(address, None)


def no_store(address: Address, why: str) -> NotConnected:
    """The error for an address at which something else answers."""
    return NotConnected(
        f"{address.store} cannot be asked ({why}). Next: correct the bucket in {address.setting}, and AWS_REGION and "
        f"AWS_ENDPOINT_URL in {address.options_setting}.",
        SETTING,
    )


def forget_silence() -> None:
    """Ask every store again."""
    _silent.clear()
    _unserved.clear()


def _refused(address: Address, key: str, response: Any) -> AssayError:
    """The error for what a store says, by its code. Its own words are not repeated: they may quote anything."""
    code = str(response.get("Error", {}).get("Code", ""))
    about = response.get("ResponseMetadata", {})
    status = int(about.get("HTTPStatusCode") or 0)
    if key and (code in ("PreconditionFailed", "412") or status == 412):
        return Changed(key, gone=False)
    if key and code in ("NoSuchKey", "NoSuchVersion", "404"):
        return Changed(key, gone=True)
    code = code if _CODE.fullmatch(code) else "no code"
    if code in _BUSY or status >= 500 or status == 429:
        busy = code in _BUSY or status == 429
        return Unserved(key, code, busy=busy) if key else silent(address, code)
    if code in _LOGINS:
        return NotConnected(
            f"{address.store} refuses this login ({code}). Next: correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where "
            f"there is one, AWS_SESSION_TOKEN in {address.options_setting} or the environment.",
            DENIED,
        )
    if code == "RequestTimeTooSkewed":
        return NotConnected(
            f"{address.store} refuses this login: the clock of this machine is wrong. Next: set it.", SETTING
        )
    if code in _REGIONS:
        there = about.get("HTTPHeaders", {}).get("x-amz-bucket-region", "")
        region = f"AWS_REGION to {there}" if _REGION.fullmatch(there) else "AWS_REGION to the bucket's"
        return NotConnected(
            f"{address.store} is in another region. Next: set {region} in {address.options_setting}.", SETTING
        )
    if code in ("NoSuchBucket", "404", "InvalidBucketName") or status == 404:
        return NotConnected(
            f"{address.store} does not exist where we asked for it. Next: correct the bucket in {address.setting}, or the "
            f"endpoint in {address.options_setting}.",
            SETTING,
        )
    if code == "InvalidObjectState":
        return DeliveryError(f"{address.store}/{key}", "is archived", "have it restored, and run again")
    if status in (401, 403) or code == "AccessDenied":
        where = f"{address.store}/{key}" if key else address.root
        what, right = ("read objects", "s3:GetObject") if key else ("list objects", "s3:ListBucket")
        return NotConnected(
            f"{where} may not be read ({code}): this login may not {what} there. Next: have {right} granted for it, or "
            f"correct the credentials in {address.options_setting}.",
            DENIED,
        )
    if key and status >= 400:
        return DeliveryError(f"{address.store}/{key}", f"is not given by the store ({code})", "see why, and run again")
    return NotConnected(
        f"{address.store} refuses the request ({code}). Next: correct {address.setting} and {address.options_setting}.",
        SETTING,
    )


def _unanswered(address: Address, key: str, kind: str) -> AssayError:
    if key and kind in _BROKEN:
        return Unserved(key, "it ends before its end", again=True)
    if key and kind in _LATE:
        return Unserved(key, _LATE[kind])
    if kind in _CREDENTIALS:
        return NotConnected(
            f"There are no credentials for {address.store} ({kind}). Next: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in "
            f"{address.options_setting} or the environment, or AWS_SKIP_SIGNATURE to true for a public bucket.",
            SETTING,
        )
    if kind == "SSLError":
        return NotConnected(
            f"{address.store} has no certificate that this machine trusts. Next: correct the endpoint in "
            f"{address.options_setting}, or install the certificate.",
            DENIED,
        )
    if kind in _ADDRESSES:
        return no_store(address, kind)
    return silent(address, kind)
