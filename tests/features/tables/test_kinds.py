from assay.features.tables.kinds import Kind, kind_of, label_of, order_of, own_name


def test_a_table_is_of_the_kind_of_its_folder() -> None:
    for kind in Kind:
        table = kind.table("x")
        assert table == f"{kind.folder}/x" and kind_of(table) is kind and own_name(table) == "x"
        assert [other for other in Kind if other.holds(table)] == [kind]
    assert kind_of("reports/weekly") is None and kind_of("raw") is None and not Kind.RAW.holds("rawest/x")


def test_labels_are_singular_and_other_folders_keep_their_names() -> None:
    assert [label_of(name) for name in ("models/m", "predictions/m", "features/v", "reports/x")] == [
        "model",
        "prediction",
        "features",
        "reports",
    ]


def test_kinds_are_in_the_order_in_which_data_flows() -> None:
    flow = ["raw", "clean", "features", "training", "model", "prediction"]
    assert sorted(flow, key=order_of) == flow
    assert [kind.order for kind in Kind] == list(range(len(Kind))) and order_of("reports") == -1
