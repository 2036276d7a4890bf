"""The web application."""

from importlib.metadata import version

from fastapi import FastAPI
from pydantic import BaseModel

from example import notes, visits

VERSION = version("example")

app = FastAPI(title="example", version=VERSION)


@app.get("/")
def index() -> dict[str, str]:
    """Say what is running."""
    return {"application": "example", "version": VERSION}


@app.get("/healthz")
def health() -> dict[str, str]:
    """Answer whoever asks whether the application is alive."""
    return {"status": "ok"}


class Note(BaseModel):
    """What somebody wants to be kept."""

    text: str


@app.post("/notes", status_code=201)
def add_note(note: Note) -> Note:
    """Keep a note."""
    notes.add(note.text)
    return note


@app.get("/notes")
def latest_notes() -> list[Note]:
    """Return the latest notes, the newest first."""
    return [Note(text=text) for text in notes.latest()]


@app.post("/visits")
def count_visit() -> dict[str, int]:
    """Count a visit, and say how many there were."""
    return {"visits": visits.count()}
