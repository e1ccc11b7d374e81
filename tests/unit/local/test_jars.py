from __future__ import annotations

import gc
import hashlib
import re
import threading
import traceback
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import DownloadError, LocalStackError, ResourceError
from prefect_cassandra.local import jars as jars_module
from prefect_cassandra.local.jars import (
    ANY_PLATFORM,
    PLATFORMS,
    DownloadProgress,
    Jar,
    JarLock,
    current_platform,
    download_jars,
    ensure_jars,
    missing_jars,
    read_lock,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# jgo drops the connection of an answer it does not like without closing it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


class Repository:
    """A Maven repository on loopback that can lie, cut and forget."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.url = ""

    def jar(self, name: str, content: bytes, platform: str = ANY_PLATFORM) -> Jar:
        self.files[f"/maven/org/example/{name}/1.0/{name}-1.0.jar"] = content
        digest = hashlib.sha256(content).hexdigest()
        return Jar(f"org.example:{name}:1.0", len(content), digest, platform)

    def path(self, jar: Jar) -> str:
        _, artifact, version = jar.coordinates.split(":")
        return f"/maven/org/example/{artifact}/{version}/{jar.file_name}"


@contextmanager
def serving(repository: Repository) -> Iterator[Repository]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            repository.requests[self.path] += 1
            content = repository.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            cut = repository.cuts[self.path] > 0
            repository.cuts[self.path] -= cut
            self.wfile.write(content[: len(content) // 2] if cut else content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    repository.url = f"http://127.0.0.1:{server.server_port}/maven"
    try:
        yield repository
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setattr(jars_module, "_PAUSE", 0.0)
    # A proxy of the machine must not stand between the test and its own server.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Repository()) as running:
        yield running
    gc.collect()


def test_lock_names_coordinates_size_sha256_and_platform_of_every_jar() -> None:
    lock = read_lock()
    assert re.fullmatch(r"5\.0\.\d+", lock.cassandra)
    assert len(lock.jars) > 80
    for jar in lock.jars:
        assert len(jar.coordinates.split(":")) in {3, 4}, jar
        assert jar.size > 0, jar
        assert re.fullmatch(r"[0-9a-f]{64}", jar.sha256), jar
        assert jar.platform in {ANY_PLATFORM, *PLATFORMS}, jar
    names = [jar.file_name for jar in lock.jars]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_lock_has_native_jars_of_one_platform_only(platform: str) -> None:
    chosen = read_lock().for_platform(platform)
    assert {jar.platform for jar in chosen} == {ANY_PLATFORM, platform}
    assert any("tcnative" in jar.file_name for jar in chosen if jar.platform == platform)
    assert len(chosen) == 88


@pytest.mark.parametrize("artifact", ["cassandra-all", "jsr305", "psjava", "ecj", "jamm"])
def test_lock_holds_jars_that_only_look_unneeded(artifact: str) -> None:
    names = [jar.coordinates.split(":")[1] for jar in read_lock().jars]
    assert artifact in names


@pytest.mark.parametrize("artifact", ["cassandra-driver-core", "j2objc-annotations"])
def test_lock_leaves_out_what_nothing_uses(artifact: str) -> None:
    assert not [jar for jar in read_lock().jars if f":{artifact}:" in jar.coordinates]


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "linux-x86_64"),
        ("Linux", "aarch64", "linux-aarch64"),
        ("Darwin", "x86_64", "macos-x86_64"),
        ("Darwin", "arm64", "macos-aarch64"),
    ],
)
def test_current_platform_names_machines_as_the_lock_does(
    system: str, machine: str, name: str
) -> None:
    assert current_platform(system, machine) == name


@pytest.mark.parametrize(("system", "machine"), [("Windows", "AMD64"), ("Linux", "riscv64")])
def test_current_platform_refuses_machines_without_natives(system: str, machine: str) -> None:
    with pytest.raises(ResourceError, match=machine.lower().replace("amd64", "x86_64")):
        current_platform(system, machine)


def test_download_puts_every_jar_in_place_and_reports_all_bytes(
    repository: Repository, tmp_path: Path
) -> None:
    jars = [repository.jar(f"part{number}", bytes([number]) * 20_000) for number in range(12)]
    seen: list[DownloadProgress] = []
    download_jars(tmp_path, jars, repository=repository.url, on_progress=seen.append)
    assert missing_jars(tmp_path, jars) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(j.file_name for j in jars)
    assert seen[-1] == DownloadProgress(12, 12, 240_000, 240_000)


def test_download_refuses_a_jar_with_a_wrong_checksum_and_leaves_nothing_of_it(
    repository: Repository, tmp_path: Path
) -> None:
    jar = repository.jar("evil", b"expected content")
    repository.files[repository.path(jar)] = b"another content!"
    with pytest.raises(DownloadError) as caught:
        download_jars(tmp_path, [jar], repository=repository.url)
    got = hashlib.sha256(b"another content!").hexdigest()
    for part in ("org.example:evil:1.0", jar.sha256, got, repository.url):
        assert part in caught.value.message
    assert "MAVEN_REPOSITORY" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_download_refuses_a_jar_of_another_size(repository: Repository, tmp_path: Path) -> None:
    jar = repository.jar("page", b"a jar")
    repository.files[repository.path(jar)] = b"<html>Please log in to this network</html>"
    with pytest.raises(DownloadError, match="has 42 bytes, expected 5"):
        download_jars(tmp_path, [jar], repository=repository.url)
    assert list(tmp_path.iterdir()) == []


def test_download_that_is_always_cut_fails_and_leaves_nothing_half_written(
    repository: Repository, tmp_path: Path
) -> None:
    jar = repository.jar("long", b"x" * 100_000)
    repository.cuts[repository.path(jar)] = 100
    with pytest.raises(DownloadError, match=r"org\.example:long:1\.0 could not be downloaded"):
        download_jars(tmp_path, [jar], repository=repository.url)
    assert repository.requests[repository.path(jar)] == 3
    assert list(tmp_path.iterdir()) == []


def test_download_that_is_cut_once_is_repeated_and_counted_once(
    repository: Repository, tmp_path: Path
) -> None:
    jar = repository.jar("long", b"x" * 100_000)
    repository.cuts[repository.path(jar)] = 1
    seen: list[DownloadProgress] = []
    download_jars(tmp_path, [jar], repository=repository.url, on_progress=seen.append)
    assert missing_jars(tmp_path, [jar]) == []
    assert max(one.bytes_done for one in seen) == seen[-1].bytes_done == 100_000


def test_download_names_a_jar_the_repository_does_not_have(
    repository: Repository, tmp_path: Path
) -> None:
    jar = Jar("org.example:absent:1.0", 1, "0" * 64)
    with pytest.raises(DownloadError, match=r"org\.example:absent:1\.0"):
        download_jars(tmp_path, [jar], repository=repository.url)
    assert repository.requests[repository.path(jar)] == 1


def test_download_error_shows_a_mirror_without_its_password(
    repository: Repository, tmp_path: Path
) -> None:
    secret = repository.url.replace("//", "//reader:hush@")
    absent = Jar("org.example:absent:1.0", 1, "0" * 64)
    wrong = repository.jar("wrong", b"right")
    repository.files[repository.path(wrong)] = b"wrong"
    for jar in (absent, wrong):
        with pytest.raises(DownloadError) as caught:
            download_jars(tmp_path, [jar], repository=secret)
        shown = "".join(traceback.format_exception(caught.value))
        assert repository.url in shown
        assert "hush" not in shown


def test_download_called_off_by_its_listener_ends_with_the_listeners_error(
    repository: Repository, tmp_path: Path
) -> None:
    jars = [repository.jar(f"part{number}", bytes(50_000)) for number in range(3)]

    def call_off(_: DownloadProgress) -> None:
        raise LocalStackError("called off")

    with pytest.raises(LocalStackError, match="called off") as caught:
        download_jars(tmp_path, jars, repository=repository.url, on_progress=call_off)
    assert not isinstance(caught.value, DownloadError)
    assert list(tmp_path.iterdir()) == []


def test_download_after_an_interruption_keeps_what_was_verified(
    repository: Repository, tmp_path: Path
) -> None:
    kept, cut = repository.jar("kept", b"whole"), repository.jar("cut", b"x" * 1000)
    (tmp_path / kept.file_name).write_bytes(b"whole")
    (tmp_path / cut.file_name).write_bytes(b"x" * 400)
    (tmp_path / ".incoming" / "7").mkdir(parents=True)
    seen: list[DownloadProgress] = []
    download_jars(tmp_path, [kept, cut], repository=repository.url, on_progress=seen.append)
    assert missing_jars(tmp_path, [kept, cut]) == []
    assert not (tmp_path / ".incoming").exists()
    assert repository.requests[repository.path(kept)] == 0
    assert seen[0].jars_done == 1


def test_ensure_jars_by_several_at_once_downloads_each_jar_once(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = current_platform()
    jars = tuple(repository.jar(f"part{n}", bytes([n]) * 50_000, platform) for n in range(4))
    monkeypatch.setattr(jars_module, "read_lock", lambda: JarLock("9.9.9", jars))
    answers: list[list[Path]] = []
    # flock is per opened file, so threads exclude each other as processes do.
    threads = [
        threading.Thread(
            target=lambda: answers.append(ensure_jars(tmp_path, repository=repository.url))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[tmp_path / "jars" / "9.9.9" / jar.file_name for jar in jars]] * 3
    assert {repository.requests[repository.path(jar)] for jar in jars} == {1}
