"""How a fitted model becomes bytes, and a model again: skops, ONNX, safetensors, or a pair of functions of one's own.

Never pickle: reading a pickle runs whatever code it names, so a changed file would run as the reader. The formats here hold
numbers and names of known types; what else an artefact wants to make is refused. The same model gives the same bytes, so
that its SHA-256 says whether two models are one.
"""

import bz2
import gzip
import hashlib
import importlib
import io
import json
import lzma
import pickletools
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.errors import AssayError
from assay.optional import require

SKOPS, ONNX, SAFETENSORS, OWN = "skops", "onnx", "safetensors", "bytes"
FORMATS = (SKOPS, ONNX, SAFETENSORS, OWN)

Save = Callable[[Any], bytes]
Load = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A fitted model as bytes, and the format that says how they are read."""

    format: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def to_artifact(fitted: Any, where: str, *, format: str | None = None, save: Save | None = None) -> Artifact:
    """The artefact of a fitted model.

    Args:
        fitted: A scikit-learn estimator (skops), a mapping of arrays or torch tensors (safetensors), an ONNX model or its
            bytes (onnx), or anything for which there is `save`.
        where: Whose model it is, for messages: `"models/delay"`.
        format: One of `FORMATS`; by default the one that fits the model's type. With `save` it only names the bytes.
        save: Makes the bytes itself. The same model must give the same bytes.

    Raises:
        AssayError: No safe format fits, a package is missing, or the bytes are a pickle.
    """
    format = format or (OWN if save else _format_of(fitted, where))
    if format not in FORMATS:
        raise AssayError(f"{where}: there is no format {format!r}. There are: {', '.join(FORMATS)}. Never pickle.")
    if save is not None:
        content = save(fitted)
        if not isinstance(content, bytes):
            raise AssayError(f"{where}: save must give bytes, not {type(content).__name__}.")
    elif format == OWN:
        raise AssayError(f"{where}: format 'bytes' needs a pair of functions: save= makes the bytes, load= reads them.")
    else:
        content = {SKOPS: _skops_bytes, ONNX: _onnx_bytes, SAFETENSORS: _safetensors_bytes}[format](fitted, where)
    _refuse_pickle(content, where)
    return Artifact(format, content)


def from_artifact(
    artifact: Artifact, sha256: str, where: str, *, load: Load | None = None, trusted: Sequence[str | type] = ()
) -> Any:
    """The model of an artefact, once its bytes have the recorded SHA-256.

    Args:
        artifact: What was stored.
        sha256: The digest that was recorded beside it.
        where: Whose model it is, for messages: `"models/delay 3"`.
        load: The other half of `save`; needed for artefacts in format `bytes`.
        trusted: Types that a skops artefact may make besides those that skops trusts itself.

    Returns:
        What was fitted: an estimator (skops), a dict of arrays or tensors (safetensors), an
        `onnxruntime.InferenceSession` (onnx), or what `load` gives.

    Raises:
        AssayError: Other bytes than recorded, a pickle, a type that is not trusted, a missing package, or no `load`.
    """
    if artifact.sha256 != sha256:
        raise AssayError(f"{where}: its bytes do not have the recorded SHA-256. It was changed after it was fitted.")
    _refuse_pickle(artifact.content, where)
    if load is not None:
        return load(artifact.content)
    if artifact.format == SKOPS:
        return _from_skops(artifact.content, where, trusted)
    if artifact.format == SAFETENSORS:
        return _from_safetensors(artifact.content, where)
    if artifact.format == ONNX:
        return _package("onnxruntime", where).InferenceSession(artifact.content, providers=["CPUExecutionProvider"])
    raise AssayError(
        f"{where} is stored in a format of its own ({artifact.format}): pass load=, which reads its bytes."
    )


def _format_of(fitted: Any, where: str) -> str:
    if isinstance(fitted, Mapping) and fitted and all(_is_array(value) for value in fitted.values()):
        return SAFETENSORS
    bases = {f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in type(fitted).__mro__}
    if "sklearn.BaseEstimator" in bases:
        return SKOPS
    if "onnx.ModelProto" in bases:
        return ONNX
    raise AssayError(
        f"{where}: a {type(fitted).__name__} has no safe format that is known. Give a scikit-learn estimator, a dict of "
        "arrays or tensors, or an ONNX model (format='onnx' for its bytes), or pass save= and load=."
    )


def _package(name: str, where: str) -> Any:
    require(name.partition(".")[0], f"{where}: its format")
    return importlib.import_module(name)


# -- safetensors -------------------------------------------------------------------------------------------------------


def _is_array(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in ("numpy", "torch") and hasattr(value, "shape")


def _safetensors_bytes(fitted: Any, where: str) -> bytes:
    if not isinstance(fitted, Mapping) or not all(_is_array(value) for value in fitted.values()):
        raise AssayError(f"{where}: safetensors holds a dict of name → array or tensor, such as `model.state_dict()`.")
    torch = any(type(value).__module__.startswith("torch") for value in fitted.values())
    tensors = {name: fitted[name].contiguous() if torch else _contiguous(fitted[name]) for name in sorted(fitted)}
    kind = "torch" if torch else "numpy"
    return _package(f"safetensors.{kind}", where).save(tensors, metadata={"assay": kind})


def _contiguous(array: Any) -> Any:
    import numpy as np

    return np.ascontiguousarray(array).reshape(array.shape)


def _from_safetensors(content: bytes, where: str) -> dict[str, Any]:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    kind = header.get("__metadata__", {}).get("assay", "numpy")
    return _package("safetensors.torch" if kind == "torch" else "safetensors.numpy", where).load(content)


# -- ONNX --------------------------------------------------------------------------------------------------------------


def _onnx_bytes(fitted: Any, where: str) -> bytes:
    if isinstance(fitted, bytes):
        return fitted
    if not hasattr(fitted, "SerializeToString"):
        raise AssayError(f"{where}: format 'onnx' holds an onnx.ModelProto or its bytes, not {type(fitted).__name__}.")
    return fitted.SerializeToString(deterministic=True)


# -- skops -------------------------------------------------------------------------------------------------------------


def _skops_bytes(fitted: Any, where: str) -> bytes:
    skops = _package("skops.io", where)
    try:
        return _canonical_skops(skops.dumps(fitted))
    except (TypeError, AttributeError) as problem:
        raise AssayError(
            f"{where}: skops cannot store a {type(fitted).__name__} ({type(problem).__name__}: {problem}). Pass save= and load=."
        ) from None


def _from_skops(content: bytes, where: str, trusted: Sequence[str | type]) -> Any:
    skops = _package("skops.io", where)
    names = {item if isinstance(item, str) else f"{item.__module__}.{item.__qualname__}" for item in trusted}
    refused = [name for name in skops.get_untrusted_types(data=content) if name not in names]
    if refused:
        raise AssayError(
            f"{where}: the artefact makes {', '.join(refused)}, which skops does not trust. If you do, declare "
            f"trusted={refused!r}."
        )
    return skops.loads(content, trusted=sorted(names))


def _canonical_skops(content: bytes) -> bytes:
    """The same skops file without what differs from one writing to the next: memory addresses, which skops takes as ids and
    as file names, random names, the order of sets, and the times in the zip archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files.pop("schema.json"))
    names = {name: hashlib.sha256(part).hexdigest() + name[name.rindex(".") :] for name, part in files.items()}
    _renumber(schema, names, {})
    written = {names[name]: part for name, part in files.items()} | {"schema.json": json.dumps(schema).encode()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(written):
            archive.writestr(zipfile.ZipInfo(name), written[name])
    return buffer.getvalue()


def _renumber(node: Any, names: Mapping[str, str], ids: dict[Any, int]) -> None:
    """Ids by order of appearance. Values that cannot change get one each: whether two are the same object in memory is
    chance, and means nothing."""
    if isinstance(node, list):
        for item in node:
            _renumber(item, names, ids)
    elif isinstance(node, dict):
        if "__id__" in node:
            shared = object() if node.get("__loader__") == "JsonNode" else node["__id__"]
            node["__id__"] = ids.setdefault(shared, len(ids) + 1)
        if node.get("file") in names:
            node["file"] = names[node["file"]]
        if node.get("__loader__") == "SetNode":
            node["content"].sort(key=_without_ids)
        for value in node.values():
            _renumber(value, names, ids)


def _without_ids(node: Any) -> str:
    return json.dumps({key: value for key, value in node.items() if key != "__id__"}, sort_keys=True)


# -- pickle ------------------------------------------------------------------------------------------------------------


_NAMES_CODE = frozenset(("GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"))
_CALLS_CODE = frozenset(("REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"))


def _refuse_pickle(content: bytes, where: str) -> None:
    """Refuse what is a pickle of any protocol, or an archive of one, as joblib and torch.save write them."""
    if _is_pickle(content) or any(map(_is_pickle, _unpacked(content))):
        raise AssayError(
            f"{where}: these bytes are a pickle, which runs any code when it is read. Use skops, ONNX or safetensors, or a "
            "save= that writes plain numbers and names."
        )


def _is_pickle(content: bytes) -> bool:
    """Protocols since 2 begin with a mark of their own. Those before are a program without one: it is one if it names code
    and calls it, whatever follows, or if all of the bytes are instructions that leave one value."""
    if len(content) > 2 and content[0] == 0x80 and 2 <= content[1] <= 5 and content.rstrip(b"\n").endswith(b"."):
        return True
    names, end = set[str](), 0
    with warnings.catch_warnings(action="ignore"):  # what is no pickle may hold odd escapes
        try:
            for instruction, _, position in pickletools.genops(content):
                names.add(instruction.name)
                end = (position or 0) + 1
        except ValueError:
            return False
    if names & _NAMES_CODE and names & _CALLS_CODE:
        return True
    return not content[end:].strip() and _leaves_one_value(content)


def _leaves_one_value(content: bytes) -> bool:
    try:
        pickletools.dis(content, out=_Nowhere())
    except ValueError:
        return False
    return True


class _Nowhere(io.StringIO):
    """What is written here is gone."""

    def write(self, text: str, /) -> int:
        return len(text)


def _unpacked(content: bytes) -> list[bytes]:
    if zipfile.is_zipfile(io.BytesIO(content)):
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return [archive.read(name) for name in archive.namelist() if not name.endswith((".npy", ".npz"))]
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, OSError):
            return []
    for magic, unpack in ((b"\x1f\x8b", gzip.decompress), (b"BZh", bz2.decompress), (b"\xfd7zXZ", lzma.decompress)):
        if content.startswith(magic):
            return _tried(unpack, content)
    return _tried(zlib.decompress, content) if content[:1] == b"\x78" else []


def _tried(unpack: Callable[[bytes], bytes], content: bytes) -> list[bytes]:
    try:
        return [unpack(content)]
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError):
        return []
