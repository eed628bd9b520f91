"""Names of datasets in OpenLineage's terms: a namespace names the system, a name the dataset in it.

One table must have one name everywhere, or its graph falls apart; so all names are made here. The rules are those of the
OpenLineage naming specification: lower-case scheme, the bucket in the namespace, no trailing slash, no credentials.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

LOGICAL = "assay"  # the namespace of table names such as clean/tickets, wherever the lake lies
NOT_JUDGED = "not judged"  # in the place of what a check found, where it has no verdict

_SCHEMES = {"postgresql": "postgres", "s3a": "s3", "s3n": "s3"}
_STORES = ("s3", "gs", "hdfs", "abfs", "abfss", "wasb", "wasbs")  # here a name is a path below the namespace
_KEYS = ("s3", "gs")  # here a name is a key, in which ? and # are letters like others
_THIS_MACHINE = re.compile(r"file(?::(?://(?:localhost)?)?/?)?", re.IGNORECASE)
_CONTAINERS = ("abfs", "abfss", "wasb", "wasbs")  # here the part before @ is a container, not a user


@dataclass(frozen=True, slots=True, order=True)
class DatasetName:
    namespace: str
    name: str

    @property
    def uri(self) -> str:
        """The address as an RFC 3986 URI, which OpenLineage demands of `dataSource.uri`."""
        if self.namespace == "file":
            return ("file://" if self.name.startswith("/") else "file:") + quote(self.name)
        if "://" not in self.namespace:
            return f"{quote(self.namespace)}:{quote(self.name)}"
        return f"{self.namespace}/{quote(self.name)}"


def dataset_name(address: str) -> DatasetName:
    """A table's URI, or the address of a file or upstream table, as a dataset name.

    Addresses without a scheme are local paths. User, password and query are dropped: they are no part of a name.
    """
    if "://" not in address:
        path = address.removeprefix("file:")
        return DatasetName("file", path.rstrip("/") or "/")
    scheme, _, rest = address.partition("://")
    scheme = scheme.lower().partition("+")[0]  # postgresql+psycopg -> postgresql
    scheme = _SCHEMES.get(scheme, scheme)
    if scheme == "file":
        return DatasetName("file", "/" + rest.strip("/"))
    if scheme in _KEYS:
        bucket, _, key = rest.partition("/")
        return DatasetName(f"{scheme}://{bucket.rpartition('@')[2].lower()}", key.strip("/") or "/")
    parts = urlsplit(f"{scheme}://{rest}")
    authority = parts.netloc if scheme in _CONTAINERS else parts.netloc.rpartition("@")[2]
    return DatasetName(f"{scheme}://{authority.lower()}", parts.path.strip("/") or "/")


def canonical(namespace: str, name: str) -> DatasetName:
    """A dataset as a producer named it, by the rules for names: `s3a://shop/` and `clean/t/` become `s3://shop`, `clean/t`.

    Only what certainly means the same is made the same; anything else is left as it is.
    """
    if _THIS_MACHINE.fullmatch(namespace):
        return DatasetName("file", name.rstrip("/") or name)
    scheme, mark, rest = namespace.partition("://")
    if not mark or not rest.strip("/"):
        return DatasetName(namespace, name)
    scheme = _SCHEMES.get(scheme.lower(), scheme.lower())
    path = name.strip("/") or name if scheme in _STORES else name
    return DatasetName(f"{scheme}://{rest.rstrip('/')}", path)


def table_name(table: str) -> DatasetName:
    """The name of a table of the lake: the same wherever the lake lies. Its address is another name (`symlinks`)."""
    return DatasetName(LOGICAL, table)
