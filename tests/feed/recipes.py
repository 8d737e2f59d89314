"""Recipes whose readers cannot be had here: their syntax and references, and what keeps them from losing records."""

from __future__ import annotations

import configparser
import datetime
import fnmatch
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import writer
import yaml

import alloy

ROOT = Path(__file__).resolve().parents[2]
FEED = ROOT / "deploy/feed"
DIRECTORY = "/var/log/zt-risk-exporter"
PATTERN = f"{DIRECTORY}/feed*.jsonl"
# A path in a recipe.
NAMED = re.compile(rf"{DIRECTORY}[^\s\"',}}\]]*")
# Names of the files: the one in use, and rotated ones.
FILES = ("feed.jsonl", "feed-1.jsonl", "feed-1234567.jsonl")


def recipe(name: str) -> Any:
    return yaml.safe_load((FEED / name).read_text(encoding="utf-8"))


def yamllint_accepts_the_recipes() -> None:
    config = ROOT / "tests/rules/yamllint.yml"
    done = subprocess.run(
        ["yamllint", "--strict", "--config-file", config, FEED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def every_recipe_reads_all_files_of_the_feed() -> None:
    texts = [path for path in FEED.rglob("*") if path.is_file() and DIRECTORY in path.read_text(encoding="utf-8")]
    assert len(texts) >= 8, texts
    for path in texts:
        text = path.read_text(encoding="utf-8")
        # The configuration of the exporter names the file in use, and systemd the directory.
        found = set(NAMED.findall(text)) - {DIRECTORY, f"{DIRECTORY}/feed.jsonl"}
        assert found <= {PATTERN}, f"{path}: {found}"
    assert all(fnmatch.fnmatch(f"{DIRECTORY}/{name}", PATTERN) for name in FILES)


def vector_has_every_record_in_its_buffer_before_it_goes_on() -> None:
    found = recipe("vector/vector.yaml")
    source = found["sources"]["zt_risk_files"]
    assert (source["type"], source["read_from"], source["fingerprint"]["strategy"]) == ("file", "beginning", "checksum")
    components = set(found["sources"]) | set(found["transforms"])
    used = {name for kind in ("transforms", "sinks") for one in found[kind].values() for name in one["inputs"]}
    assert used == components, f"{used} are read, {components} exist"
    (sink,) = found["sinks"].values()
    assert sink["acknowledgements"] == {"enabled": True} and sink["id_key"] == "id"
    assert (sink["buffer"]["type"], sink["buffer"]["when_full"]) == ("disk", "block")
    # Vector refuses a smaller one.
    assert sink["buffer"]["max_size"] >= 268_435_488 and found["data_dir"]


def fluent_bit_keeps_positions_and_records_on_disk() -> None:
    found = recipe("fluent-bit.yaml")
    (source,), (output,) = found["pipeline"]["inputs"], found["pipeline"]["outputs"]
    assert source["read_from_head"] is True and source["db"] and source["storage.type"] == "filesystem"
    assert found["service"]["storage.path"] and output["retry_limit"] == "no_limits" and output["id_key"] == "id"
    assert output["match"] == source["tag"]
    assert int(source["buffer_max_size"].removesuffix("k")) * 1024 > writer.LONGEST
    (parser,) = found["parsers"]
    assert (parser["name"], parser["format"], parser["time_key"]) == (source["parser"], "json", "time")
    # %L is the fraction of a second in the words of Fluent Bit, and %f those of Python.
    time = yaml.safe_load(writer.record(1, 600))["time"]
    assert datetime.datetime.strptime(time, parser["time_format"].replace("%L", "%f")).microsecond == 123_000


# The components that loki.alloy may use: their attributes, their blocks, and their export.
ALLOY: dict[str, tuple[set[str], set[str], str | None]] = {
    "local.file_match": ({"path_targets"}, set(), "targets"),
    "loki.source.file": ({"targets", "forward_to"}, set(), None),
    "loki.process": (
        {"forward_to"},
        {"stage.json", "stage.timestamp", "stage.labels", "stage.structured_metadata", "stage.label_drop"},
        "receiver",
    ),
    "loki.write": (set(), {"endpoint"}, "receiver"),
}


def alloy_sends_each_line_to_one_stream_at_the_time_when_it_was_logged() -> None:
    blocks = alloy.parse((FEED / "loki.alloy").read_text(encoding="utf-8"))
    exports, used = set(), set()
    for one in blocks:
        attributes, inner, export = ALLOY[one.name]
        assert set(one.attributes) <= attributes and {b.name for b in one.blocks} <= inner, one.name
        exports |= {f"{one.name}.{one.label}.{export}"} if export else set()
        for value in one.attributes.values():
            used |= {v.path for v in (value if isinstance(value, list) else [value]) if isinstance(v, alloy.Reference)}
    assert used == exports, f"used: {used}, exported: {exports}"
    (process,) = [one for one in blocks if one.name == "loki.process"]
    stages = {one.name: one.attributes for one in process.blocks}
    read = stages["stage.json"]["expressions"]
    fields = set(yaml.safe_load(writer.record(1, 600))) | {"user", "current_level"}
    assert set(read.values()) <= fields and all(name == field for name, field in read.items())
    assert stages["stage.timestamp"]["source"] in read
    labels, metadata = (set(stages[f"stage.{name}"]["values"]) for name in ("labels", "structured_metadata"))
    assert not labels & metadata and labels | metadata | {"logged_time"} == set(read)
    # A label with many values makes many streams.
    assert labels == {"kind", "account"} and stages["stage.label_drop"] == {"values": ["filename"]}


def filebeat_and_splunk_know_a_file_by_the_id_of_its_first_record() -> None:
    start = f'"{writer.ACCOUNT}:{writer.EPOCH}:1"'.encode()
    (source,) = recipe("filebeat.yml")["filebeat.inputs"]
    fingerprint = source["prospector.scanner.fingerprint"]
    assert fingerprint["enabled"] is True and "file_identity.fingerprint" in source and source["id"]
    inputs, props = (configparser.ConfigParser(interpolation=None) for _ in range(2))
    inputs.read(FEED / "splunk/inputs.conf")
    props.read(FEED / "splunk/props.conf")
    monitor = inputs[f"monitor://{PATTERN}"]
    for length in (fingerprint["length"], int(monitor["initCrcLength"])):
        assert start in writer.record(1, 450)[:length]
    sourcetype = props[monitor["sourcetype"]]
    assert int(sourcetype["TRUNCATE"]) > writer.LONGEST and sourcetype["INDEXED_EXTRACTIONS"] == "json"


def filebeat_names_documents_by_the_id_of_the_record() -> None:
    found = recipe("filebeat.yml")
    ((processor,),) = ([one["copy_fields"]["fields"] for one in found["processors"]],)
    assert processor == [{"from": "event.id", "to": "@metadata._id"}]
    (parser,) = found["filebeat.inputs"][0]["parsers"]
    assert parser["ndjson"]["target"] == "" and parser["ndjson"]["overwrite_keys"] is True


def the_collector_keeps_what_it_read_and_reads_whole_lines() -> None:
    found = recipe("otel-collector.yaml")
    receiver, exporter = found["receivers"]["filelog"], found["exporters"]["otlphttp"]
    assert (receiver["start_at"], receiver["force_flush_period"]) == ("beginning", "0s")
    storages = {receiver["storage"], exporter["sending_queue"]["storage"]}
    assert storages == set(found["extensions"]) == set(found["service"]["extensions"])
    for one in (receiver, exporter):
        assert one["retry_on_failure"]["max_elapsed_time"] == "0s"
    (pipeline,) = found["service"]["pipelines"].values()
    assert (pipeline["receivers"], pipeline["exporters"]) == (list(found["receivers"]), list(found["exporters"]))


def readers_of_the_group_can_read_what_systemd_lets_the_exporter_write() -> None:
    if os.geteuid() != 0:
        print("skipped: the directory of the feed with systemd, because only root can make users in another root")
        return
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "etc").mkdir()
        for command in (
            ["systemd-sysusers", f"--root={temporary}", FEED / "systemd/sysusers.conf"],
            ["systemd-tmpfiles", f"--root={temporary}", "--create", FEED / "systemd/tmpfiles.conf"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        (user,) = read(Path(temporary) / "etc/passwd", "zt-risk-exporter")
        (group,) = read(Path(temporary) / "etc/group", "zt-risk-feed")
        made = (Path(temporary) / DIRECTORY.removeprefix("/")).stat()
        assert (made.st_mode & 0o7777, made.st_uid, made.st_gid) == (0o2750, int(user[2]), int(group[2]))
        # A new file belongs to the group, and nobody else can read it.
        new = Path(temporary) / DIRECTORY.removeprefix("/") / "feed.jsonl"
        new.touch(mode=0o640)
        assert new.stat().st_gid == int(group[2])


def read(database: Path, name: str) -> list[list[str]]:
    entries = [line.split(":") for line in database.read_text(encoding="utf-8").splitlines()]
    return [entry for entry in entries if entry[0] == name]


def systemd_accepts_the_unit_with_the_directory_of_the_feed() -> None:
    unit = (ROOT / "deploy/systemd/zt-risk-exporter.service").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "zt-risk-exporter.service"
        # systemd-analyze checks that the program exists.
        path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit, flags=re.MULTILINE), "utf-8")
        added = Path(f"{path}.d") / "feed.conf"
        added.parent.mkdir()
        added.write_text((FEED / "systemd/feed.conf").read_text(encoding="utf-8"), "utf-8")
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, check=False
        )
        # It reports unknown keys, and succeeds.
        assert done.returncode == 0 and not done.stdout + done.stderr, done.stdout + done.stderr
    # The user of the unit is the one that exists, so that systemd makes none.
    assert "DynamicUser=yes" in unit and "\nUser=" not in unit


CHECKS = [
    yamllint_accepts_the_recipes,
    every_recipe_reads_all_files_of_the_feed,
    vector_has_every_record_in_its_buffer_before_it_goes_on,
    fluent_bit_keeps_positions_and_records_on_disk,
    alloy_sends_each_line_to_one_stream_at_the_time_when_it_was_logged,
    filebeat_and_splunk_know_a_file_by_the_id_of_its_first_record,
    filebeat_names_documents_by_the_id_of_the_record,
    the_collector_keeps_what_it_read_and_reads_whole_lines,
    readers_of_the_group_can_read_what_systemd_lets_the_exporter_write,
    systemd_accepts_the_unit_with_the_directory_of_the_feed,
]
