"""Check, fix and lock the system packages that pyproject.toml declares.

    python docker/host/system_packages.py check [KIND …]   compare them with what the image needs
    python docker/host/system_packages.py fix              write what is missing into pyproject.toml
    python docker/host/system_packages.py lock [--check]   write sys.lock, or compare it only
    python docker/host/system_packages.py lock --rebuild   write it if production differs then

The exit status of "check" is 1 if there is a finding of one of the kinds: missing, build-only,
unused; without kinds, of any. "fix" needs tomlkit, which keeps comments and order: a missing
package is added, one that is for building moves to the other table. What seems unused may be loaded
by name, so that stays for its owner to decide. "lock" keeps what sys.lock has for other releases
and other processors; with --check another digest or date of the base image does not matter.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import engine
import pins
import platforms
import settings
from session import SessionError, docker, ended_by_errors, is_podman, read_text, write_text

PYPROJECT = Path("pyproject.toml")
RUN, BUILD = "dependencies", "dev-dependencies"
HEADER = '# The exact system packages of the image; written by "nox -s sys_lock".'


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


def suggest(hint: Mapping[str, str | None], title: str) -> str:
    """Return in words that a library is loaded by name, which is no fault as long as it is not."""
    package = toml_key(hint["package"]) if hint["package"] else "the package that has it"
    return (
        f"{hint['user']} loads {hint['library']} by name, which production does not have. If the "
        f"application uses that, add to [{title}.{RUN}]: "
        f'{package} = {{ version = "*", dlopen = true }}'
    )


def warn(package: str, title: str) -> str:
    """Return in words that a package has lost its compiled modules, which makes it slower."""
    return (
        f"{package} has no compiled modules in production, and all of its wheels on the index have "
        "them: a compiler, a header or a library was missing when it was made. Add what it needs "
        f"to [{title}.{BUILD}], or name a BUILDER_IMAGE that has it."
    )


def toml_key(name: str) -> str:
    """Return a key as TOML writes it: in quotes, unless it has letters, digits, _ and - alone."""
    return name if name.replace("-", "").replace("_", "").isalnum() else json.dumps(name)


def check(report: Mapping[str, Any], *kinds: str) -> bool:
    """Print the findings of a report; return whether none is of the kinds that matter."""
    findings = report["findings"]
    for finding in findings:
        print(describe(finding, report["title"]))
    for hint in () if kinds else report["hints"]:
        print(suggest(hint, report["title"]))
    for package in () if kinds else report["uncompiled"]:
        print(warn(package, report["title"]))
    if not findings:
        needed, declared = len(report["libraries"]), report["declared"]
        print(f"Libraries beyond the base image: {needed}, from {declared} declared packages.")
    return not any(finding["kind"] in kinds or not kinds for finding in findings)


def fix(text: str, key: str, findings: Iterable[Mapping[str, Any]]) -> str:
    """Return pyproject.toml's text with the findings fixed in the section with a key."""
    # Only the session that fixes something has it.
    tomlkit = importlib.import_module("tomlkit")
    document = tomlkit.parse(text)
    for finding in findings:
        package = finding["package"]
        if finding["kind"] == "missing" and package:
            _table(tomlkit, document, "tool", "sys", key, RUN)[package] = "*"
        elif finding["kind"] == "build-only":
            run = _table(tomlkit, document, "tool", "sys", key, RUN)
            if package in run:
                version = run.pop(package)
                _table(tomlkit, document, "tool", "sys", key, BUILD).setdefault(package, version)
    fixed: str = tomlkit.dumps(document)
    return fixed


def _table(tomlkit: Any, document: Any, *names: str) -> Any:
    """Return a table, made where it is not there yet."""
    table = document
    for name in names[:-1]:
        if name not in table:
            table[name] = tomlkit.table(is_super_table=True)
        table = table[name]
    if names[-1] not in table:
        table[names[-1]] = tomlkit.table()
    return table[names[-1]]


def fix_file(report: Mapping[str, Any], path: Path = PYPROJECT) -> None:
    """Fix what a report found, in the file itself."""
    write_text(path, fix(read_text(path), report["key"], report["findings"]))


def digest(image: str) -> str:
    """Return the digest that an image has in its registry now; empty if none tells it.

    What the engine has may be older, and made here.
    """
    command = ("buildx", "imagetools", "inspect", "--format={{json .Manifest}}", image)
    try:
        found = json.loads(docker(*command)).get("digest")
    except (SessionError, ValueError, AttributeError):
        return ""
    return str(found) if pins.DIGEST.fullmatch(str(found)) else ""


def differences(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """Return in words what a lock's entry for an image has to change, if anything."""
    if old is None:
        return [f"nothing is locked for {new['release']} on {new['architecture']}"]
    was, now = ({x["name"]: x for x in entry.get("package", [])} for entry in (old, new))
    changed = [
        f"{name} is {now[name]['version'] if name in now else 'not needed any more'}, "
        f"locked is {was[name]['version'] if name in was else 'none'}"
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ]
    if not changed and old["declaration"] != new["declaration"]:
        return ["pyproject.toml declares other versions"]
    return changed


def text(entries: Iterable[Mapping[str, Any]], version: int) -> str:
    """Return sys.lock with an entry for each image, sorted (https://toml.io/en/v1.0.0)."""
    lines = [HEADER, f"version = {version}"]
    for entry in sorted(entries, key=lambda x: (x["release"], x["architecture"])):
        plain = {key: value for key, value in entry.items() if key != "package" and value}
        lines += ["", "[[image]]", *_pairs(plain)]
        for package in sorted(entry.get("package", []), key=lambda x: str(x["name"])):
            lines += ["", "[[image.package]]", *_pairs(package)]
    return "\n".join(lines) + "\n"


def _pairs(values: Mapping[str, Any]) -> list[str]:
    # Names, versions, digests and lists of them: JSON's form of these is TOML's.
    return [f"{key} = {json.dumps(value)}" for key, value in sorted(values.items())]


def lock(new: Mapping[str, Any], image: str, digest: str = "", *, compare: bool = False) -> bool:
    """Write sys.lock with the packages of an image, or only compare it; return whether it fits.

    In: what docker/image/resolve_system.py found, and the base image's name and digest.
    """
    version = new["lock-version"]
    new = {key: value for key, value in new.items() if key != "lock-version"}
    entries = {(x["release"], x["architecture"]): x for x in pins.lock_entries(version)}
    key = (new["release"], new["architecture"])
    changed = differences(entries.get(key), new)
    if compare:
        if not new["package"] and key not in entries:
            print(f"pyproject.toml declares no system packages for {new['release']}.")
            return True
        for change in changed:
            print(f"{pins.LOCK} is out of date: {change}.")
        return not changed
    entries[key] = {**new, "base-image": image}
    # Releases and processors have it in common.
    for entry in entries.values():
        if entry.get("base-image") == image:
            entry.pop("base-digest", None)
            entry[pins.PINNED] = digest
    write_text(pins.LOCK, text(entries.values(), version))
    print(f"{pins.LOCK} has {len(new['package'])} packages for {' on '.join(key)}.")
    return True


def reports() -> dict[str, dict[str, Any]]:
    """Return the report for each platform, when all are there.

    What one of them needs is neither unused nor only for building, whatever the others say.
    """
    found = {
        platform: engine.exported("system-report", "report.json", platform=platform)
        for platform in platforms.wanted()
    }
    everywhere = set.intersection(
        *({(x["kind"], x["package"]) for x in report["findings"]} for report in found.values())
    )
    for report in found.values():
        report["findings"] = [
            x
            for x in report["findings"]
            if x["kind"] == "missing" or (x["kind"], x["package"]) in everywhere
        ]
    return found


def check_each(*kinds: str) -> None:
    """Check the report of each platform; ends the program if one has a finding that matters."""
    passed, found = True, reports()
    for platform, report in found.items():
        if len(found) > 1:
            print(f"{platform}:")
        passed &= check(report, *kinds)
    if not passed:
        sys.exit(1)


def lock_each(*, compare: bool = False) -> bool:
    """Write sys.lock for each platform, or only compare it; return whether it fits."""
    # As it is named: builds have taken the digest from sys.lock.
    image = pins.named_base_image()
    # One that names a digest itself needs no other.
    found = "" if compare or "@" in image else digest(image)
    base = f"{image}@{found}" if found else image
    # The packages are those of the image that is written down.
    asked = [engine.repeated(), *([] if compare else [f"--build-arg=PYTHON_IMAGE={base}"])]
    # All, before the first is written.
    resolved = [
        engine.exported("system-lock", "resolved.json", *asked, platform=each)
        for each in platforms.locked()
    ]
    # What is wrong with one of them is said of all.
    fits = [lock(entry, image, found, compare=compare) for entry in resolved]
    if not (compare or found or "@" in image):
        teller = "Podman does not tell" if is_podman() else "No registry tells"
        print(f"{teller} the digest of {image}, so that builds take what has this name, and")
        print("sys.lock has no digest of it any more.")
    return all(fits)


def rebuild() -> None:
    """Write sys.lock for the newest base image and packages if production differs with them.

    Production is then the new one; else it and sys.lock stay as they are. It differs, too, if it
    cannot be built any more: an archive does not keep what it has replaced.
    """
    before = pins.LOCK.read_bytes() if pins.LOCK.exists() else None
    image = pins.named_base_image()
    try:
        old = build_production()
    except (SystemExit, SessionError) as error:
        print(f"Production cannot be built as {pins.LOCK} is: {error}", flush=True)
        old = []
    try:
        os.environ["PYTHON_IMAGE"] = image
        lock_each()
        pins.use_base_image()
        new = build_production()
    except BaseException:
        put_back(before)
        raise
    if new == old:
        put_back(before)
        print(f"Production is the same with what there is today: {pins.LOCK} stays as it is.")
    else:
        print(f"Production differs with what there is today, which {pins.LOCK} has now.")


def build_production() -> list[str]:
    """Build production for each platform, and return the digests of its layers."""
    engine.build_for_all(engine.PRODUCTION)
    tags = (platforms.tag(engine.PRODUCTION, platform) for platform in platforms.wanted())
    names = (f"{engine.name()}:{tag}" for tag in tags)
    return docker("image", "inspect", "--format={{json .RootFS.Layers}}", *names).splitlines()


def put_back(content: bytes | None) -> None:
    """Write sys.lock as it was, or remove it."""
    if content is None:
        pins.LOCK.unlink(missing_ok=True)
    else:
        write_text(pins.LOCK, content.decode())


def main() -> None:
    """Run the command that the arguments name."""
    settings.apply()
    with ended_by_errors():
        match sys.argv[1:]:
            case ["check", *kinds]:
                check_each(*kinds)
            case ["fix"]:
                for report in reports().values():
                    fix_file(report)
            case ["lock", "--rebuild"]:
                rebuild()
            case ["lock"] | ["lock", "--check"] as arguments:
                if not lock_each(compare="--check" in arguments):
                    sys.exit("Run nox -s sys_lock.")
            case _:
                sys.exit(__doc__)


if __name__ == "__main__":
    main()
