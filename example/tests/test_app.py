"""The web application answers."""

import os

import pytest
from fastapi.testclient import TestClient

from example.app import VERSION, app

client = TestClient(app)


def test_the_index_says_what_is_running() -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.json()["application"] == "example"
    assert answer.json()["version"] == VERSION


def test_the_health_check_answers() -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.skipif(
    "EXAMPLE_POSTGRES_URL" not in os.environ,
    reason="nox -s docker_test runs it beside PostgreSQL",
)
def test_a_note_is_kept() -> None:
    assert client.post("/notes", json={"text": "Grüße"}).status_code == 201
    assert client.get("/notes").json()[0] == {"text": "Grüße"}


@pytest.mark.skipif(
    "EXAMPLE_REDIS_URL" not in os.environ,
    reason="nox -s docker_test runs it beside Redis",
)
def test_each_visit_is_counted() -> None:
    before = client.post("/visits").json()["visits"]
    assert client.post("/visits").json() == {"visits": before + 1}
