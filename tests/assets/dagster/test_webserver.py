"""A link to the console, written today, leads to where the console is when somebody follows it."""

from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from assay.assets.dagster.webserver import guarded, opened


def client(console: str) -> TestClient:
    return TestClient(guarded(PlainTextResponse("Dagster"), console), "http://127.0.0.1:3000", follow_redirects=False)


def test_a_link_to_the_console_leads_to_where_it_is_now() -> None:
    link = "/console/graph?focus=dataset%3Aassay%3Aclean/orders%401"
    answer = client("http://127.0.0.1:4001/").get(link)
    assert (answer.status_code, answer.headers["location"]) == (
        307,
        f"http://127.0.0.1:4001{link.removeprefix('/console')}",
    )
    assert (
        client("https://console.example/x")
        .get("/console//evil.example")
        .headers["location"]
        .startswith("https://console")
    )
    assert "ASSAY_CONSOLE_URL" in client("").get(link).text
    assert client("").get("/consoles").text == "Dagster"


@pytest.mark.parametrize(
    ("declared", "every_event", "level"),
    [("", False, "INFO"), ("", True, None), ("WARNING", False, "WARNING"), ("WARNING", True, "WARNING")],
)
def test_the_events_of_runs_are_printed_if_somebody_wants_them(
    declared: str, every_event: bool, level: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    text = f"python_logs: {{python_log_level: {declared}}}\n" if declared else ""
    (tmp_path / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{text}")
    with opened(every_event=every_event) as instance:
        assert instance.python_log_level == level
