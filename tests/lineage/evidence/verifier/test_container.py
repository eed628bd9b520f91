"""Containers that are no bundles: each is a finding in words, and none needs more memory than a bundle may."""

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from assay.lineage.evidence.verifier import container
from assay.lineage.evidence.verifier.command import main
from assay.lineage.evidence.verifier.container import SUMS, check_sums, read_bundle
from assay.lineage.evidence.verifier.documents import check_script
from assay.lineage.evidence.verifier.verify import DOCUMENTS

DEEP = b"[" * 200_000
FILES = {"manifest.json": b"{}", "lake/clean/t/_delta_log/00000000000000000000.json": b"{}"}


def summed(files: dict[str, bytes]) -> dict[str, bytes]:
    lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    return files | {SUMS: "".join(lines).encode()}


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, item in files.items():
            archive.writestr(name, item)
    return content.getvalue()


def found(path: Path) -> list[tuple[str, bool | None, str]]:
    files, problems = read_bundle(path)
    return [(item.what, item.ok, item.detail) for item in (*problems, *check_sums(files)) if item.ok is not True]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "bundle.zip"


@pytest.mark.parametrize(
    "name", ["../../evil.txt", "/evil.txt", "a/../b.txt", "C:evil.txt", "..\\evil.txt", "a\nb.txt", "./a"]
)
def test_names_that_lead_elsewhere(place: Path, name: str) -> None:
    place.write_bytes(zipped(summed(FILES | {name: b"x"})))
    assert any(ok is False and "no name of a file in a bundle" in detail for _, ok, detail in found(place))
    assert name not in read_bundle(place)[0]


def test_an_archive_has_nothing_that_is_not_listed(place: Path) -> None:
    place.write_bytes(zipped(summed(FILES)))
    assert found(place) == []
    place.write_bytes(zipped(summed(FILES) | {"sub/": b""}))
    assert found(place) == [], "a folder is nothing"
    place.write_bytes(zipped(summed(FILES) | {"note.txt": b"x"}))
    assert found(place) == [("note.txt", False, f"is in the bundle and not listed in {SUMS}")]


def test_what_lies_beside_an_unpacked_bundle_is_noted(tmp_path: Path) -> None:
    for name, content in summed(FILES).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "lake/.DS_Store").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    ((what, ok, detail),) = found(tmp_path)
    assert (what, ok) == (".DS_Store", None) and "beside the bundle and 1 more" in detail
    assert not any(item.required for item in read_bundle(tmp_path)[1])
    extra = "lake/clean/t/_delta_log/00000000000000000001.json"
    (tmp_path / extra).write_bytes(b"{}")  # where evidence lies it would be taken for some
    assert (extra, False, f"is in the bundle and not listed in {SUMS}") in found(tmp_path)


def test_nothing_is_unpacked_without_end(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "LARGEST", 1 << 20)
    bomb = bytearray(zipped(FILES | {"bomb": bytes(1 << 22)}))
    place.write_bytes(bomb)
    assert found(place)[0][1:] == (False, "holds more than 1 MiB: it is no bundle of Assay's")
    size = (1 << 22).to_bytes(4, "little")
    place.write_bytes(bytes(bomb).replace(size, (10).to_bytes(4, "little")))  # it says that it is small
    assert any(ok is False for _, ok, _ in found(place))
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        place.write_bytes(zipped(FILES, method))
        assert {detail for _, _, detail in found(place)} >= {"is packed as nothing in a bundle is"}


def damaged_archives() -> dict[str, bytes]:
    content = zipped(summed(FILES | {"café.txt": b"x"}))
    version = bytearray(content)
    at = content.find(b"PK\x01\x02")
    version[at + 6 : at + 8] = b"\xff\xff"
    return {
        "no archive": b"x" * 100,
        "empty": b"",
        "cut off": content[: len(content) // 2],
        "name is no UTF-8": content.replace("café.txt".encode(), b"caf\xff\xfe.txt"),
        "version": bytes(version),
    }


@pytest.mark.parametrize("what", damaged_archives())
def test_a_damaged_archive_is_a_verdict(what: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place.write_bytes(damaged_archives()[what])
    assert main([str(place)]) == 1
    assert capsys.readouterr().out.startswith("BROKEN\n")


@pytest.mark.parametrize("content", [DEEP, b"\xff\xfe", b"9" * 5000, b"null", b"[null]", b'"\\ud800"', b"1e999"])
def test_documents_of_nonsense_are_a_verdict(content: bytes, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [*DOCUMENTS, *(name for name in FILES if "_delta_log" in name), "events/run.ndjson"]
    place.write_bytes(zipped(summed(dict.fromkeys(names, content))))
    assert main([str(place), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "broken"


def test_another_script_is_found() -> None:
    assert [item.ok for item in check_script({"verify.py": b"print('VERIFIED')"}, b"a script")] == [None]
    assert list(check_script({"verify.py": b"a script"}, b"a script")) == []
    assert [item.ok for item in check_script({}, b"a script")] == [False]


A, B = "a" * 64, f"{hashlib.sha256(b'x').hexdigest()}  x\n"


@pytest.mark.parametrize(
    ("sums", "files", "problem"),
    [
        (B, {"x": b"x"}, ""),
        (B[:-1], {"x": b"x"}, "is missing or cut off"),
        ("", {}, "is missing or cut off"),
        (f"{B}what is this\n", {"x": b"x"}, "line 2 is no digest and name"),
        (f"{B}{A}  ../y\n", {"x": b"x", "../y": b"y"}, "no name of a file in a bundle"),
        (f"{B}{A}  y\n", {"x": b"x"}, "not readable in the bundle"),
        (B, {"x": b"y"}, "has another SHA-256"),
        (B, {"x": b"x", "y": b"y"}, "not listed"),
    ],
)
def test_sums_say_of_each_file_what_it_is(sums: str, files: dict[str, bytes], problem: str) -> None:
    given = files | {SUMS: sums.encode()} if sums else files
    findings = list(check_sums(given))
    assert [item.ok for item in findings] == [not problem], findings
    assert problem in findings[0].detail
