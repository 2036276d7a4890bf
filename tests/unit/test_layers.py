"""docker/host/layers.py measures an image by the files in its layers, whatever the engine."""

import io
import json
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import layers
import pytest

from tests.unit.images import Engine, Entry, archive, configuration, digest, layer, link, saved

CACHE = "cache/seedpod"
STORES = ["oci", "legacy", "gzip", "members"]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def size(name: str = "x") -> int:
    [image] = layers.measure(name)
    return image.size


@pytest.mark.parametrize("stored", STORES)
def test_the_size_is_that_of_the_files_however_an_engine_keeps_layers(
    engine: Engine, stored: str
) -> None:
    engine.add("x", layer(4_000, "a"), layer(70_000, "b"), stored=stored)
    [image] = layers.measure("x")
    assert image.size == 74_000
    assert [x.size for x in image.layers] == [4_000, 70_000]


def test_every_store_gives_the_same_figures(engine: Engine) -> None:
    found = set()
    for stored in STORES:
        engine.add(stored, layer(4_000, "a"), layer(70_000, "b"), stored=stored)
        [image] = layers.measure(stored)
        found.add(tuple(image.layers))
        for file in (engine.folder.parent / CACHE).iterdir():
            file.unlink()
    assert len(found) == 1


def test_a_hard_link_counts_once(engine: Engine) -> None:
    files: dict[str, Entry] = {
        "a": bytes(500),
        "b": link(tarfile.LNKTYPE, "a"),
        "c": link(tarfile.LNKTYPE, "a"),
    }
    engine.add("x", archive(files))
    assert size() == 500


def test_what_is_no_regular_file_has_no_size(engine: Engine) -> None:
    kinds = (tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
    members = {str(kind): link(kind, "") for kind in kinds}
    engine.add("x", archive({**members, "link": link(tarfile.SYMTYPE, "a" * 90), "a": b"12345"}))
    assert size() == 5


def test_a_file_that_a_later_layer_replaces_or_deletes_counts_each_time(engine: Engine) -> None:
    engine.add("x", layer(500), layer(300), archive({".wh.file": b""}))
    assert size() == 800


@pytest.mark.parametrize("stored", STORES)
def test_a_layer_that_comes_twice_counts_twice(engine: Engine, stored: str) -> None:
    engine.add("x", layer(500), layer(7, "b"), layer(500), stored=stored)
    assert size() == 1_007


def test_names_and_sizes_may_be_of_any_length(engine: Engine) -> None:
    engine.add("x", archive({"{ä" + "long/" * 60: b"1234", "{": b"56"}))
    assert size() == 6


def test_an_archive_whose_first_file_looks_like_json_is_one(engine: Engine) -> None:
    engine.add("x", archive({'{"rootfs": {"diff_ids": []}}': b"1234"}))
    assert size() == 4


@pytest.mark.parametrize("content", [(), (archive({}),)], ids=["no layer", "an empty layer"])
def test_an_image_may_be_empty(engine: Engine, content: tuple[bytes, ...]) -> None:
    engine.add("x", *content)
    assert size() == 0


@pytest.mark.parametrize("stored", ["oci", "gzip"])
def test_attestations_and_other_platforms_do_not_count(engine: Engine, stored: str) -> None:
    """What docker saves has them where the store has them; the image of this platform has not."""
    own, other, statement = layer(500), layer(90_000, "other"), b'{"_type": "in-toto"}'
    documents = [
        configuration([other], ["COPY of another platform"]),
        configuration([statement], []),
        configuration([own], ["COPY of this one"]),
    ]
    everything = saved(stored, [other, statement, own], *documents)
    engine.add("x", own, archive=everything)
    [image] = layers.measure("x")
    assert (image.size, [x.instruction for x in image.layers]) == (500, ["COPY of this one"])


def test_compressed_is_the_whole_layer_as_gzip(engine: Engine) -> None:
    """A store may have it packed harder or not at all; here one byte of 700 is left."""
    engine.add("x", layer(1_000_000))
    [image] = layers.measure("x")
    assert 900 < image.compressed < 1_500


def test_a_layer_has_the_instruction_that_made_it(engine: Engine) -> None:
    instructions = ["ADD base", "ENV A=1", "COPY nothing", "ENV B=2", "COPY app"]
    engine.add("x", layer(1, "a"), archive({}), layer(3, "c"), instructions=instructions)
    [image] = layers.measure("x")
    assert [(x.instruction, x.size) for x in image.layers] == [
        ("ADD base", 1),
        ("COPY nothing", 0),
        ("COPY app", 3),
    ]


def test_without_a_history_it_has_its_digest(engine: Engine) -> None:
    engine.add("x", layer(1), instructions=[])
    [image] = layers.measure("x")
    assert [x.instruction for x in image.layers] == [digest(layer(1))]


@pytest.mark.parametrize("stored", STORES)
def test_an_image_is_read_once(engine: Engine, stored: str) -> None:
    engine.add("x", layer(1), stored=stored)
    first = layers.measure("x")
    assert layers.measure("x") == first
    assert engine.calls.count("save") == 1


@pytest.mark.parametrize("stored", ["oci", "gzip"])
def test_a_layer_is_read_once_in_all_images(
    engine: Engine, stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    measure = layers._size_of_files

    def count(file: Any) -> int | None:
        read.append(file)
        return measure(file)

    monkeypatch.setattr(layers, "_size_of_files", count)
    engine.add("x", layer(500, "base"), stored=stored)
    assert size("x") == 500
    del read[:]
    engine.add("y", layer(500, "base"), layer(3, "app"), stored=stored)
    assert size("y") == 503
    # The new layer, and the list of manifests, which is none.
    assert len(read) == 2


def test_what_earlier_versions_kept_is_left_alone(engine: Engine, tmp_path: Path) -> None:
    """They have another definition, and read the file still."""
    old = tmp_path / CACHE / "layers.json"
    old.parent.mkdir(parents=True)
    old.write_text(json.dumps({digest(layer(500)): 77}))
    engine.add("x", layer(500))
    assert size() == 500
    assert json.loads(old.read_text()) == {digest(layer(500)): 77}


@pytest.mark.parametrize(
    "damaged",
    ['{"sha256:1234": 1', "", "[]", "7", "{}", '{"%s": 7}', '{"%s": [1]}', '{"%s": ["1", null]}'],
)
@pytest.mark.parametrize("name", ["layer-sizes.json", "instructions.json"])
def test_a_damaged_cache_is_measured_again(
    engine: Engine, tmp_path: Path, name: str, damaged: str
) -> None:
    engine.add("x", layer(500))
    expected = layers.measure("x")
    file = tmp_path / CACHE / name
    [key] = json.loads(file.read_text()).keys() - {digest(archive({}))}
    file.write_text(damaged.replace("%s", key))
    assert layers.measure("x") == expected
    assert key in json.loads(file.read_text())


def test_a_cache_that_cannot_be_written_is_a_warning(
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    engine.add("x", layer(500))
    assert size() == 500
    assert "layer-sizes.json cannot be written" in capsys.readouterr().err


def test_two_writers_keep_what_both_found(tmp_path: Path) -> None:
    layers.keep("facts.json", {"one": 1})
    layers.keep("facts.json", {"two": 2})
    assert layers.recall("facts.json") == {"one": 1, "two": 2}
    layers.keep("facts.json", {"three": 3}, 2)
    assert layers.recall("facts.json") == {"two": 2, "three": 3}
    assert [file.name for file in (tmp_path / CACHE).iterdir()] == ["facts.json"]


@pytest.mark.parametrize("problem", ["fails", "cut", "nothing", "another image", "broken layer"])
def test_an_image_that_cannot_be_read_is_named(engine: Engine, problem: str) -> None:
    content = layer(5_000)
    whole = saved("oci", [content], configuration([content], ["COPY"]))
    archives: Mapping[str, bytes] = {
        "fails": whole,
        "cut": whole[:3_000],
        "nothing": b"",
        "another image": saved("oci", [layer(7)]),
        "broken layer": archive({"blobs/sha256/1": b"\x1f\x8b" + bytes(99)}),
    }
    fails = ["save"] if problem == "fails" else []
    engine.add("x", content, archive=archives[problem], fails=fails)
    with pytest.raises(layers.SizeError, match=r"^docker save .*\bx\b.*\. (Build|Fix) "):
        layers.measure("x")


def test_zstandard_is_read_or_named(engine: Engine) -> None:
    """Where Python has it; what stands in for a packed layer here is none."""
    engine.add("x", layer(5), stored="zstd")
    expected = "no readable layer" if sys.version_info >= (3, 14) else r"from 3\.14 on\. Run Nox"
    with pytest.raises(layers.SizeError, match=expected):
        layers.measure("x")


def test_the_program_prints_what_it_measured(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.add("x", layer(500), instructions=["COPY é"])
    monkeypatch.setattr(sys, "argv", ["layers.py", "x"])
    layers.main()
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["x"]["size"] == 500
    assert found["x"]["layers"][0]["instruction"] == "COPY é"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["x"]])
def test_what_is_wrong_is_a_sentence(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    engine.add("y")
    monkeypatch.setattr(sys, "argv", ["layers.py", *arguments])
    with pytest.raises(SystemExit) as error:
        layers.main()
    assert str(error.value).startswith(
        ("Usage: python docker/host/layers.py IMAGE", "docker image fail")
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"history": ["RUN"]},
        {"history": 1},
        {"config": {"Labels": ["x"]}},
        {"config": "x"},
        {"os": 1},
        {"rootfs": {"diff_ids": [1]}},
        {"rootfs": []},
    ],
)
def test_a_document_of_another_form_is_no_configuration(fields: dict[str, Any]) -> None:
    right = {"rootfs": {"diff_ids": []}, "history": [{"created_by": "RUN"}]}
    for document, is_one in ((right, True), ({**right, **fields}, False)):
        stream = io.BytesIO(json.dumps(document).encode())
        assert bool(layers._configuration(stream)) is is_one
    assert layers._configuration(io.BytesIO(b'{"a":' * 50_000)) is None
