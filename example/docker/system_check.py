"""Say what is wrong with the declared system packages, from the report of docker/system_report.py.

    python docker/system_check.py report.json [KIND …]

The exit status is 1 if there is a finding of one of the kinds: missing, build-only, unused; without
kinds, of any.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUN, BUILD = "dependencies", "dev-dependencies"


def describe(finding: Mapping[str, Any], title: str) -> str:
    """Return a finding in words: what is wrong, and what to do about it.

    In: an entry of the report's findings, and the name of the section of pyproject.toml.
    """
    package, library = finding["package"], finding["library"]
    if finding["kind"] == "build-only":
        return f"{package} in [{title}.{RUN}] is for building. Move it to [{title}.{BUILD}]."
    if finding["kind"] == "unused":
        return (
            f"No library needs {package} in [{title}.{RUN}]. Remove it, or write "
            f'{toml_key(package)} = {{ version = "*", dlopen = true }} if the application loads or '
            "runs it by name."
        )
    users = ", ".join(finding["users"])
    if package is None:
        return (
            f"{library}, needed by {users}, is in no package of this release. Use a base image "
            f'that has it, or name it in [{title}]: ignored-libraries = ["{library}"].'
        )
    return (
        f"{library}, needed by {users}, is in the package {package}, which [{title}.{RUN}] does "
        f'not have. Add: {toml_key(package)} = "*"'
    )


def toml_key(name: str) -> str:
    """Return a key as TOML writes it: in quotes, unless it has letters, digits, _ and - alone."""
    return name if name.replace("-", "").replace("_", "").isalnum() else json.dumps(name)


def main() -> None:
    """Print the findings of the report in the first argument; the others are kinds that matter."""
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    kinds = sys.argv[2:]
    findings = report["findings"]
    for finding in findings:
        print(describe(finding, report["title"]))
    if any(finding["kind"] in kinds or not kinds for finding in findings):
        sys.exit(1)
    if not findings:
        needed, declared = len(report["libraries"]), report["declared"]
        print(f"Libraries beyond the base image: {needed}, from {declared} declared packages.")


if __name__ == "__main__":
    main()
