"""Check the production image: what is in it, and how it runs under the strictest settings.

    python docker/host/check.py [IMAGE]

Without an image, production is built first. The exit status is 1 if anything is found that
[tool.seedpod.check] does not accept with a reason. Its services are the project's own, with no
data, and all containers are removed in the end.
"""

import fnmatch
import glob
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import behaviour
import engine
import interrupts
import platforms
import project_file
import root_files
import settings
from root_files import Finding
from session import SessionError, docker, ended_by_errors

MOST_SHOWN = 8
# Each check, and what holds if it finds nothing.
CHECKS = {
    "starts": "becomes healthy as user 12345 of group 0, read-only",
    "strict": "no capabilities, no new privileges, a filter of system calls, a limit of processes",
    "ipv4": "answers on 127.0.0.1",
    "ipv6": "answers on ::1",
    "writes": "writes nothing outside of /tmp and the folders of data",
    "zombies": "leaves no process that has ended",
    "sigterm": "ends within 2 seconds after SIGTERM, while it starts and when it is idle",
    "user": "is started as a user that is a number, and not root's",
    "setuid": "no program has the rights of its owner",
    "writable": "no file can be changed by anybody, but for /tmp and the folders of data",
    "owner": "every file belongs to a user and a group that have a name",
    "installers": "nothing that installs Python packages",
    "compilers": "no compilers and no linkers",
    "headers": "no headers of libraries",
    "tests": "no tests of the project",
    "caches": "no caches of package managers and tools",
    "private": "no .git, .env, keys or files with passwords",
    "bytecode": "all bytecode is of the source beside it",
    "records": "all files of packages are as the packages list them",
    "packages": "exactly the locked packages, in their versions",
}
LONGEST = max(map(len, CHECKS))


def accepted(table: Any) -> dict[str, dict[str, str]]:
    """Return [tool.seedpod.check]: for each check, patterns of what is accepted, with a reason.

    Raises SessionError for anything else.
    """
    for check, subjects in table.items() if isinstance(table, dict) else [("", table)]:
        if check not in CHECKS:
            raise SessionError(
                f"[tool.seedpod.check] has no use for {check or subjects!r}. "
                f"It takes tables called {', '.join(CHECKS)}."
            )
        if not isinstance(subjects, dict) or not all(
            isinstance(reason, str) and reason.strip() for reason in subjects.values()
        ):
            raise SessionError(
                f"{check} in [tool.seedpod.check] is {subjects!r}. Write what is accepted with a "
                f'reason for each, like {check} = {{ "/usr/bin/sudo" = "for support" }}.'
            )
    return dict(table)


def files(image: str, name: str, locked: dict[str, str], data: Iterable[str]) -> list[Finding]:
    """Return what is wrong with the files of an image.

    In: the name of a project of compose, to which the container belongs that is made; the locked
    main packages with their versions; the folders of data.
    """
    pyproject = project_file.read()
    own = project_file.name(pyproject) if project_file.has_package(pyproject) else ""
    with root_files.exported(image, name) as root:
        return [*root_files.findings(root, locked, own, data, Path("tests"))]


def user(config: dict[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the user that an image is started as.

    A cluster that forbids root has to see by the number that it is another one:
    https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
    """
    name = config.get("User", "").partition(":")[0]
    if not name.isdecimal():
        yield Finding("user", name or "root", "is no number")
    elif int(name) == 0:
        yield Finding("user", name, "is root")


def report(found: Iterable[Finding], skipped: dict[str, str]) -> bool:
    """Print a table of verdicts and all findings; tell whether all of them are accepted."""
    rules = accepted(project_file.setting("check"))
    unused = {(check, pattern) for check, subjects in rules.items() for pattern in subjects}
    lines: dict[str, list[str]] = {check: [] for check in CHECKS}
    verdicts = dict.fromkeys(CHECKS, "ok") | dict.fromkeys(skipped, "-")
    wrong: Finding | None = None
    for finding in found:
        rule = next(
            (
                (pattern, reason)
                for pattern, reason in rules.get(finding.check, {}).items()
                if fnmatch.fnmatchcase(finding.subject, pattern)
            ),
            None,
        )
        text = f"{finding.subject} {finding.problem}"
        if rule:
            unused.discard((finding.check, rule[0]))
            text = f"{text}; accepted: {rule[1]}"
            if verdicts[finding.check] != "WRONG":
                verdicts[finding.check] = "accepted"
        else:
            verdicts[finding.check] = "WRONG"
            wrong = wrong or finding
        lines[finding.check].append(text)
    print(f"{'check':{LONGEST}}  {'verdict':8}  what has to hold")
    for check, meaning in CHECKS.items():
        print(f"{check:{LONGEST}}  {verdicts[check]:8}  {skipped.get(check, meaning)}".rstrip())
    print()
    for check, texts in lines.items():
        # What is wrong comes before what is accepted.
        ordered = sorted(texts, key=lambda text: "; accepted: " in text)
        for text in ordered[:MOST_SHOWN]:
            print(f"{check}: {text}")
        if len(texts) > MOST_SHOWN:
            print(f"{check}: and {len(texts) - MOST_SHOWN} more")
    for check, pattern in sorted(x for x in unused if x[0] not in skipped):
        print(f"{pattern!r} in [tool.seedpod.check.{check}] accepts nothing. Remove it.")
    if wrong:
        # As TOML has it; a name is a pattern there.
        name = json.dumps(glob.escape(wrong.subject), ensure_ascii=False)
        print(f"\nTo accept the first, in [tool.seedpod.check.{wrong.check}]:")
        print(f'{name} = "the reason"\n')
    return wrong is None


def check(image: str = "") -> bool:
    """Check an image, or production, which is built first; tell whether it is as it should be."""
    accepted(project_file.setting("check"))
    platform = platforms.wanted()[-1]
    if not image:
        image = f"{engine.name()}:{engine.PRODUCTION}"
        engine.build(engine.PRODUCTION, platform=platform)
    inspected = json.loads(docker("image", "inspect", image))[0]
    # Podman tells the health check beside it.
    config = {"Healthcheck": inspected.get("Healthcheck"), **inspected["Config"]}
    facts = {name: json.loads(text) for name, text in engine.ensure_lock().items()}
    locked = engine.exported("wheel-plan", "wheel-plan.json", platform=platform)["main"]
    name = engine.own_name("check")
    found = [*user(config), *files(image, name, locked, facts["data.json"])]
    # A builder elsewhere can build what the engine here cannot run.
    if platform and not platforms.runs_here(image, platform):
        return report(found, dict.fromkeys(behaviour.CHECKS, "its programs do not run here"))
    wrong, skipped = behaviour.observe(image, config, facts["test-runs.json"], name)
    return report([*wrong, *found], skipped)


def follow() -> None:
    """Interrupt the program when who started it was killed."""
    while not interrupts.is_orphan():
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Take an image, or none."""
    if len(sys.argv) > 2 or any(name.startswith("-") for name in sys.argv[1:]):
        sys.exit("Usage: python docker/host/check.py [IMAGE]")
    settings.apply()
    # What an image says of itself may be anything.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    interrupts.install()
    threading.Thread(target=follow, daemon=True).start()
    with ended_by_errors():
        fine = check(*sys.argv[1:])
    if not fine:
        sys.exit(
            "The image is not as it should be. Correct what is listed, or accept it with a reason, "
            "as this line does in pyproject.toml."
        )


if __name__ == "__main__":
    main()
