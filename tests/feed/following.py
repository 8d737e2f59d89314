"""rsyslog and syslog-ng follow the files of a feed with the recipes, and are killed again and again."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import exporter
import writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).resolve().parent
RECIPES = HERE.parents[1] / "deploy/feed"
READERS = HERE / ".readers"
LIBRARIES = [READERS / "usr/lib/syslog-ng", *READERS.glob("usr/lib/*-linux-gnu"), *READERS.glob("lib/*-linux-gnu")]
ENVIRONMENT = os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, LIBRARIES))}
FEED = "/var/log/zt-risk-exporter"
RECORDS = 3_000
UP_SECONDS = (0.5, 3.0)  # how long a reader lives before it is killed
DOWN_SECONDS = (0.0, 1.0)
TIMEOUT_SECONDS = 30  # for the last records
SEED = int(os.environ.get("READERS_SEED", random.SystemRandom().randrange(1 << 32)))


class Reader:
    """A reader with its recipe, which writes the lines that it read to a file in place of a server."""

    def __init__(self, work: Path) -> None:
        self.work, self.output = work, work / "output"
        self.config = work / "config"
        self.config.write_text(self.configured(), "utf-8")

    def recipe(self, name: str, destination: str, replacement: str) -> str:
        """The recipe with the test's directory, and with another destination."""
        text = (RECIPES / name).read_text("utf-8").replace(FEED, str(self.work.parent / "feed"))
        text, count = re.subn(destination, lambda _: replacement, text, flags=re.DOTALL | re.MULTILINE)
        assert count == 1, f"{name} has {count} destinations"
        return text

    def configured(self) -> str:
        raise NotImplementedError

    def start(self) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def check(self) -> None:
        """Lets the reader check the unchanged recipe."""
        raise NotImplementedError


class Rsyslog(Reader):
    def command(self, config: Path, *arguments: str) -> list[str | Path]:
        (modules,) = READERS.glob("usr/lib/*-linux-gnu/rsyslog")
        return [READERS / "usr/sbin/rsyslogd", "-n", "-iNONE", "-M", modules, "-f", config, *arguments]

    def configured(self) -> str:
        template = 'template(name="Line" type="list") { property(name="$!all-json") constant(value="\\n") }\n'
        output = f'action(type="omfile" file="{self.output}" template="Line")'
        recipe = self.recipe("rsyslog.conf", r'^    action\(\n +type="omfwd".*?^    \)$', output)
        return f'global(workDirectory="{self.work}")\n{template}{recipe}'

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(self.config), stderr=subprocess.DEVNULL, env=ENVIRONMENT)

    def check(self) -> None:
        config = self.work / "checked"
        recipe = (RECIPES / "rsyslog.conf").read_text("utf-8")
        config.write_text(f'global(workDirectory="{self.work}")\n{recipe}', "utf-8")
        command = self.command(config, "-N1")
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=ENVIRONMENT)
        wrong = [line for line in done.stderr.splitlines() if "config validation run" not in line.lower()]
        assert done.returncode == 0 and not wrong, done.stderr


class SyslogNg(Reader):
    def configured(self) -> str:
        output = f'destination d_zt_risk {{ file("{self.output}" template("${{MESSAGE}}\\n") flush-lines(1)); }};'
        recipe = self.recipe("syslog-ng.conf", r"^destination .*?^};$", output)
        return f"@version: 3.38\n{recipe}"

    def command(self, config: Path, *arguments: str) -> list[str | Path]:
        (modules,) = READERS.glob("usr/lib/syslog-ng/*.*/")
        files = [f"--{name}={self.work / name}" for name in ("persist-file", "pidfile", "control")]
        program = READERS / "usr/sbin/syslog-ng"
        return [program, "--no-caps", "--module-path", modules, *files, "--cfgfile", config, *arguments]

    def start(self) -> subprocess.Popen[bytes]:
        command = self.command(self.config, "--foreground")
        return subprocess.Popen(command, stderr=subprocess.DEVNULL, env=ENVIRONMENT)

    def check(self) -> None:
        config = self.work / "checked"
        config.write_text(f"@version: 3.38\n{(RECIPES / 'syslog-ng.conf').read_text('utf-8')}", "utf-8")
        command = self.command(config, "--syntax-only")
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=ENVIRONMENT)
        assert done.returncode == 0 and not done.stderr, done.stderr


@contextmanager
def readers() -> Iterator[tuple[Path, list[Reader]]]:
    """The directory of the feed, and the readers."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for name in ("feed", "rsyslog", "syslog-ng"):
            (work / name).mkdir()
        yield work / "feed", [Rsyslog(work / "rsyslog"), SyslogNg(work / "syslog-ng")]


@contextmanager
def running(reader: Reader) -> Iterator[None]:
    """Runs the reader, and kills it at the end."""
    process = reader.start()
    try:
        yield
    finally:
        process.kill()
        process.wait()


def killed_again_and_again(reader: Reader, rng: random.Random, written: threading.Event) -> int:
    """Kills the reader again and again until everything is written, and returns how often."""
    kills = 0
    while not written.is_set():
        with running(reader):
            written.wait(rng.uniform(*UP_SECONDS))
        kills += 1
        time.sleep(rng.uniform(*DOWN_SECONDS))
    return kills


def ids(reader: Reader) -> Counter[str]:
    """How often the reader read each record. Half a line, or two in one, fails."""
    lines = reader.output.read_bytes().splitlines(keepends=True) if reader.output.exists() else []
    # The reader may be in the middle of a line.
    return Counter(json.loads(line)["id"] for line in lines if line.endswith(b"\n"))


def the_readers_accept_their_recipes() -> None:
    with readers() as (_, both):
        for reader in both:
            reader.check()


def followed(write: Callable[[Path, Callable[[str], bool]], set[str]]) -> None:
    """Both readers follow what `write` writes to a directory, and are killed meanwhile. It returns the ids."""
    print(f"READERS_SEED={SEED}", flush=True)
    with readers() as (directory, both):
        written = threading.Event()
        kills = {}

        def play(reader: Reader, rng: random.Random) -> None:
            kills[reader] = killed_again_and_again(reader, rng, written)

        threads = [threading.Thread(target=play, args=(one, random.Random(SEED + i))) for i, one in enumerate(both)]
        for thread in threads:
            thread.start()
        try:
            truth = write(directory, lambda last: all(last in ids(reader) for reader in both))
        finally:
            written.set()
            for thread in threads:
                thread.join()
        for reader in both:
            with running(reader):
                end = time.monotonic() + TIMEOUT_SECONDS
                while set(ids(reader)) != truth and time.monotonic() < end:
                    time.sleep(0.2)
            found = ids(reader)
            name = type(reader).__name__
            lost = sorted(int(one.rsplit(":", 1)[1]) for one in truth - set(found))
            assert set(found) == truth, f"{name} lost {len(lost)} records, such as {lost[:30]}"
            again = found.total() - len(found)
            print(f"  {name}: {len(found)} records, {kills[reader]} kills, {again} read again", flush=True)
            shutil.rmtree(reader.work)


def each_reader_gets_every_record_through_rotations_and_kills() -> None:
    followed(lambda directory, is_read: writer.write(directory, RECORDS, random.Random(SEED), is_read))


def each_reader_gets_what_the_exporter_writes() -> None:
    followed(lambda directory, _: exporter.write(directory))


CHECKS = [
    the_readers_accept_their_recipes,
    each_reader_gets_every_record_through_rotations_and_kills,
    each_reader_gets_what_the_exporter_writes,
]
