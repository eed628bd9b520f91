"""Which place of an object store a connection leads to, and with which options. Nothing here asks it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from assay.assets.lacking import SETTING, NotConnected
from assay.errors import known_names, nearest

# The options of an object store, by their short names. They are those of `ASSAY_STORAGE_OPTIONS`, as far as reading needs them.
_OPTIONS = {
    "access_key_id": "access_key_id",
    "secret_access_key": "secret_access_key",
    "session_token": "session_token",
    "token": "session_token",
    "region": "region",
    "default_region": "region",
    "endpoint": "endpoint_url",
    "endpoint_url": "endpoint_url",
    "allow_http": "allow_http",
    "skip_signature": "skip_signature",
    "virtual_hosted_style_request": "virtual_hosted_style_request",
}
_FLAGS = ("allow_http", "skip_signature", "virtual_hosted_style_request")
_MEANT = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Address:
    """A bucket, the prefix below which patterns begin (empty, or ending in a slash), and how the store is asked.

    Attributes:
        setting: the setting that says so, for messages.
        options: by name; they hold credentials.
    """

    bucket: str
    prefix: str
    setting: str
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def root(self) -> str:
        """What the address of each object begins with."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def store(self) -> str:
        """The bucket, for messages."""
        return f"s3://{self.bucket}"

    @property
    def options_setting(self) -> str:
        """The setting that has the options, for messages."""
        return options_setting(self.setting)


def address_of(url: str, options: Mapping[str, str], setting: str) -> Address:
    """The address that a URL and its options name.

    Args:
        url: `s3://bucket/prefix`.
        options: Of the store, by the names that `ASSAY_STORAGE_OPTIONS` has.
        setting: The name of the setting that holds the URL.

    Raises:
        NotConnected: The URL is no such address, or an option is not known.
    """
    bucket, _, path = url.partition("://")[2].partition("/")
    if not bucket or set(bucket + path) & set("@:?#"):
        raise NotConnected(
            f"{setting} is not the address of a bucket. Write it like s3://bucket/prefix, and what the store needs besides "
            f"into {options_setting(setting)}.",
            SETTING,
        )
    prefix = path.strip("/")
    if {"", ".", ".."} & set(prefix.split("/")) and prefix:
        raise NotConnected(
            f"{setting}: the prefix has an empty part, or one of dots. Write it like s3://bucket/a/b.", SETTING
        )
    return Address(bucket, f"{prefix}/" if prefix else "", setting, _named(options, setting))


def is_set(options: Mapping[str, str], name: str) -> bool:
    """Whether an option that is true or false is true."""
    return _MEANT.get(options.get(name, "").lower(), False)


def _named(options: Mapping[str, str], setting: str) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    place = options_setting(setting)
    for name, value in options.items():
        short = name.lower().removeprefix("aws_")
        if short not in _OPTIONS:
            known = [f"AWS_{one.upper()}" for one in _OPTIONS]
            help_ = nearest(name.upper(), known) or known_names(known)
            raise NotConnected(f"{place} has an option {name.upper()!r} that is not known here.{help_}", SETTING)
        if short in _FLAGS and value.lower() not in _MEANT:
            raise NotConnected(f"{place}: {name.upper()} is true or false.", SETTING)
        if any(ord(letter) < 32 for letter in value):
            raise NotConnected(
                f"{place}: {name.upper()} has a line break, or another control character. Next: write it again.",
                SETTING,
            )
        found[_OPTIONS[short]] = value
    endpoint = found.get("endpoint_url", "")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise NotConnected(f"{place}: AWS_ENDPOINT_URL is no URL. Write it like https://host:9000.", SETTING)
    if endpoint.startswith("http://") and not is_set(found, "allow_http"):
        raise NotConnected(
            f"{place}: AWS_ENDPOINT_URL is not encrypted (http). Write https, or set AWS_ALLOW_HTTP to true.", SETTING
        )
    if ("access_key_id" in found) != ("secret_access_key" in found):
        raise NotConnected(
            f"{place} has one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Set both, or neither: then the environment has "
            "them.",
            SETTING,
        )
    return tuple(sorted(found.items()))


def options_setting(setting: str) -> str:
    """The name of the setting with the options of a connection, of that with its URL."""
    return f"{setting.removesuffix('__URL')}__OPTIONS"
