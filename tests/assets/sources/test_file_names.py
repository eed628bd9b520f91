import pytest

from assay.assets.sources.file_names import has_suffix, may_be_delivery, original_of, revised, revision_of, suffix_of


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.csv", ".csv"),
        ("A.CSV", ".csv"),
        ("a.b.Csv", ".csv"),
        ("a.csv.gz", ".csv.gz"),
        ("a.Csv.ZST", ".csv.zst"),
        ("a.CSV.GZ", ".csv.gz"),
        ("a.gz", ".gz"),
        ("a.r1.gz", ".r1.gz"),
        ("a", ""),
        (".csv", ""),
        ("folder.csv/a", ""),
        ("a.csv.", ""),
        ("new\nline.csv", ".csv"),
    ],
)
def test_a_suffix_is_lower_case_and_that_of_a_compressed_file_has_two_parts(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix
    assert has_suffix(name, ())
    assert has_suffix(name, [suffix.upper()])
    assert not has_suffix(name, [".x"])


@pytest.mark.parametrize(
    ("path", "original", "revision", "next_one"),
    [
        ("in/a.csv", "in/a.csv", 0, "a.r1.csv"),
        ("in/a.r1.csv", "in/a.csv", 1, "a.r2.csv"),
        ("a.r10.CSV", "a.CSV", 10, "a.r11.CSV"),
        ("in/a.r2.csv.gz", "in/a.csv.gz", 2, "a.r3.csv.gz"),
        ("a.r0.csv", "a.r0.csv", 0, "a.r0.r1.csv"),
        (".r1.csv", ".r1.csv", 0, ".r1.r1.csv"),
        ("two\nlines.r1.csv", "two\nlines.csv", 1, "two\nlines.r2.csv"),
        ("r1", "r1", 0, "r1.r1"),
    ],
)
def test_a_revision_names_its_original_and_the_next_one(path: str, original: str, revision: int, next_one: str) -> None:
    assert (original_of(path), revision_of(path), revised(path, revision + 1)) == (original, revision, next_one)


def test_hidden_and_unfinished_files_are_no_deliveries() -> None:
    assert may_be_delivery("a.csv")
    assert not any(may_be_delivery(name) for name in (".a.csv", "a.csv.part", "a.TMP", "a.csv.Part"))
