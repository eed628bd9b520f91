import pytest

from assay.lineage.events.naming import DatasetName, dataset_name, table_name


@pytest.mark.parametrize(
    ("address", "namespace", "name"),
    [
        ("/data/lake/clean/tickets/", "file", "/data/lake/clean/tickets"),
        ("file:///data/lake", "file", "/data/lake"),
        ("landing/a.csv", "file", "landing/a.csv"),
        ("S3://bucket/lake/clean", "s3://bucket", "lake/clean"),
        ("s3a://bucket/lake", "s3://bucket", "lake"),
        ("s3://Bucket/drops/a?b#c@d 50%.csv", "s3://bucket", "drops/a?b#c@d 50%.csv"),
        ("abfss://box@account.dfs.core.windows.net/l", "abfss://box@account.dfs.core.windows.net", "l"),
        ("postgresql+psycopg://u:p@h:5432/db/public.t?sslmode=x", "postgres://h:5432", "db/public.t"),
        ("https://token@host/x", "https://host", "x"),
    ],
)
def test_dataset_names_follow_the_naming_specification(address: str, namespace: str, name: str) -> None:
    made = dataset_name(address)
    assert (made.namespace, made.name) == (namespace, name)


def test_a_table_without_an_address_goes_by_its_logical_name() -> None:
    assert table_name("clean/t") == DatasetName("assay", "clean/t")
