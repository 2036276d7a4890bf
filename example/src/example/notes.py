"""Notes, which PostgreSQL keeps."""

from functools import cache

import psycopg

from example.settings import Settings


def add(text: str) -> None:
    """Keep a note."""
    with connect() as connection:
        connection.execute("INSERT INTO note (text) VALUES (%s)", [text])


def latest(count: int = 10) -> list[str]:
    """Return the latest notes, the newest first."""
    with connect() as connection:
        rows = connection.execute("SELECT text FROM note ORDER BY id DESC LIMIT %s", [count])
        return [text for (text,) in rows]


def connect() -> psycopg.Connection:
    """Connect to the database, in which the table is made once."""
    create_table()
    return psycopg.connect(str(Settings().postgres_url))


@cache
def create_table() -> None:
    """Make the table, unless it is there."""
    with psycopg.connect(str(Settings().postgres_url)) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS note"
            " (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL)"
        )
