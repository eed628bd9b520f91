"""Contracts by which batches were judged, as the lake keeps them: each declaration once, under its digest.

A commit names the digest of the contract that judged it, so that what was declared then can be read when the declaration
itself has long been another one.
"""

import functools
import hashlib
import re

from assay.checks import Contract, contract_info
from assay.checks.contract.contract import contract_text
from assay.checks.exchange.loosening import loosened
from assay.errors import AssayError
from assay.features.storage.storage import Storage

FOLDER = "_contracts"
_SUFFIX = ".json"
# Declarations that were read, by the lake's root and their digest: what has a digest never changes.
_READ: dict[tuple[str, str], str] = {}
_MOST = 1000
_NAME = re.compile(r"[0-9a-f]{64}\.json")


def keep_contract(storage: Storage, contract: type[Contract]) -> None:
    """Keep a contract's declaration in the lake. One that is there stays as it is. It must be there before a commit names it."""
    content = contract_text(contract).encode()
    storage.keep(_place(contract_info(contract).digest), [content], len(content))


def stored_contract(storage: Storage, digest: str) -> str | None:
    """The declaration with a digest; None where the lake has none, as for what was judged before they were kept.

    Raises AssayError for one that is not what the digest says.
    """
    known = (storage.root, digest)
    if known not in _READ:
        if storage.size(_place(digest)) is None:
            return None
        content = _sound(storage, digest)
        if len(_READ) >= _MOST:
            _READ.clear()
        _READ[known] = content.decode()
    return _READ[known]


def _sound(storage: Storage, digest: str) -> bytes:
    content = storage.get(_place(digest))
    if hashlib.sha256(content).hexdigest() != digest:
        raise AssayError(f"{storage.uri(_place(digest))} was changed: restore it from a backup.")
    return content


def damaged_contracts(storage: Storage) -> list[str]:
    """What lies among the declarations and is none that the lake keeps, or was changed since: in sentences with what to do. Each
    is read again, whatever this process knows of it."""
    found: list[str] = []
    for path in sorted(storage.list(FOLDER)):
        name = path.rpartition("/")[2]
        if name.startswith("."):  # is being written
            continue
        if not _NAME.fullmatch(name):
            found.append(f"{storage.uri(path)} is no declaration that Assay keeps. Next: move it away.")
            continue
        try:
            _sound(storage, name.removesuffix(_SUFFIX))
        except AssayError as problem:
            found.append(
                f"{problem} Without it what it judged stays as judged, and `assay contract show` cannot show it. Where there is "
                "no backup, delete the file: the contract that is declared now is kept again when it judges the next batch."
            )
    return found


def stored_digests(storage: Storage) -> list[str]:
    """The digests of all declarations that the lake keeps."""
    names = (path.rpartition("/")[2] for path in storage.list(FOLDER))
    return [name.removesuffix(_SUFFIX) for name in names if _NAME.fullmatch(name)]


def looser_rules(storage: Storage, digest: str, contract: type[Contract]) -> frozenset[str] | None:
    """By which rules a contract may take rows that the one with this digest did not take; None unless it only loosens that
    one, as far as is known."""
    try:
        earlier = stored_contract(storage, digest)
    except AssayError:
        return None
    return None if earlier is None else _looser(earlier, contract_text(contract))


@functools.lru_cache(256)
def _looser(old: str, new: str) -> frozenset[str] | None:
    return loosened(old, new)


def may_take_more(storage: Storage, contract: type[Contract]) -> bool:
    """Whether a contract only loosens one that the lake keeps, so that it may take rows which that one did not."""
    present = contract_info(contract).digest
    return any(looser_rules(storage, digest, contract) for digest in stored_digests(storage) if digest != present)


def _place(digest: str) -> str:
    return f"{FOLDER}/{digest}{_SUFFIX}"
