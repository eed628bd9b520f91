"""Where a connection leads: to a bucket, or to a folder."""

from pathlib import Path

from assay.assets.lacking import SETTING, NotConnected
from assay.assets.sources.landing.landing import Folder, Landing
from assay.assets.sources.limits import USUAL_LIMITS, Limits
from assay.assets.sources.objects.address import Address, address_of
from assay.errors import AssayError
from assay.optional import require
from assay.settings import Settings, url_setting

_STORES = ("s3", "s3a")
_LIKE = "Write it like s3://bucket/prefix, or file:///folder"


def landing_of(settings: Settings, name: str, limits: Limits = USUAL_LIMITS) -> Landing:
    """Where the files of a connection lie. No store is asked.

    Raises:
        NotConnected: It is not set, or leads elsewhere.
    """
    place = _place_of(settings, name)
    if isinstance(place, Path):
        return Folder(place, f"file://{place}/")
    require("botocore", "Reading files from an object store")
    from assay.assets.sources.objects.copies import copies_in
    from assay.assets.sources.objects.object_landing import ObjectLanding
    from assay.assets.sources.objects.s3 import Bucket

    return ObjectLanding(Bucket(place), copies_in(settings.home), limits.objects)


def lack_of(settings: Settings, name: str) -> str:
    """What is wrong with a connection; empty where nothing is. A store is asked, once."""
    try:
        place = _place_of(settings, name)
        if isinstance(place, Address):
            require("botocore", "Reading files from an object store")
            from assay.assets.sources.objects.s3 import Bucket

            Bucket(place).require_open()
        elif not place.is_dir():
            return f"{url_setting(name)} leads to {place}, which is no folder. Make it, or correct the setting."
    except AssayError as problem:
        return str(problem)
    return ""


def _place_of(settings: Settings, name: str) -> Address | Path:
    setting, connection = url_setting(name), settings.connections.get(name.lower())
    url = "" if connection is None else connection.url.get_secret_value()
    if connection is None or not url:
        names = f" There are: {', '.join(sorted(settings.connections))}." if settings.connections else ""
        raise NotConnected(
            f"There is no connection {name!r}: set {setting} to where the files lie, such as s3://bucket/prefix, in the "
            f"environment, in the project's .env, or in a file of that name in ASSAY_SECRETS_DIR.{names}",
            SETTING,
        )
    scheme, mark, rest = url.partition("://")
    if mark and scheme.lower() in _STORES:
        options = {key: value.get_secret_value() for key, value in connection.options.items()}
        return address_of(f"s3://{rest}", options, setting)
    if url.startswith("file:///") and ".." not in Path(rest).parts:
        return Path(rest)
    kind = (
        f" It leads to {scheme}://, which is no store of files that is read here." if mark and scheme.isalnum() else ""
    )
    raise NotConnected(f"{setting} does not say where files lie.{kind} {_LIKE}.", SETTING)
