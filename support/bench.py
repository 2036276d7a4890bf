"""Times and bytes of builds, measured side by side with a uv-based Dockerfile."""


def run() -> None:
    """Measure and print a table."""
