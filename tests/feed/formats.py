"""The formats `ocsf` and `ecs`: the lines of tests/golden/feed, against what others publish.

A test of the program compares these files with what it writes, for every kind of record and every way to name a user.
"""

from __future__ import annotations

import datetime
import functools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden/feed"
MANUAL = HERE.parents[1] / "docs/feed-formats.md"
OCSF = "1.8.0"
# Fields that Elastic does not define, below a name that is ours alone.
OWN = "cloudflare.zt_risk."


def lines(name: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(found) > 80, f"{len(found)} lines of {name}"
    return found


@functools.cache
def ocsf() -> tuple[dict[str, Any], OcsfJsonSchemaEmbedded]:
    """The definitions, and what makes a JSON Schema of them."""
    definitions = get_ocsf_schema(version=OCSF)
    return definitions, OcsfJsonSchemaEmbedded(definitions)


@functools.cache
def validator(class_uid: int) -> tuple[str, Draft202012Validator]:
    _, schemas = ocsf()
    name = schemas.lookup_class_name_from_uid(class_uid)
    return name, Draft202012Validator(schemas.get_class_schema(name, []))


def ocsf_accepts_every_record() -> None:
    classes = set()
    for event in lines("ocsf"):
        assert event["metadata"]["version"] == OCSF
        name, schema = validator(event["class_uid"])
        errors = [f"{error.json_path}: {error.message}" for error in schema.iter_errors(event)]
        assert not errors, f"{errors} in {event}"
        classes.add(name)
    assert classes == {"detection_finding", "entity_management", "application_error"}


def attributes(value: dict[str, Any], definition: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any], Any]]:
    """The attributes of an event or object and of all objects in it: name, value, definition, and the object around."""
    definitions, _ = ocsf()
    for name, inner in value.items():
        known = definition["attributes"][name]
        yield name, inner, known, value
        kind = known.get("object_type")
        if kind and kind != "object":
            for one in inner if isinstance(inner, list) else [inner]:
                yield from attributes(one, definitions["objects"][kind])


def numbers_of_ocsf_have_the_captions_beside_them() -> None:
    definitions, _ = ocsf()
    compared = set()
    for event in lines("ocsf"):
        name, _ = validator(event["class_uid"])
        for attribute, value, known, parent in attributes(event, definitions["classes"][name]):
            sibling = known.get("sibling")
            # 99 stands for what has a caption of its own.
            if sibling in parent and value != 99:
                caption = known["enum"][str(value)]["caption"]
                assert parent[sibling] == caption, f"{attribute} {value} is {caption}, not {parent[sibling]}"
                compared.add((attribute, value))
    # Of the analytic and the user, of the observable, and the levels.
    assert {("type_id", 1), ("type_id", 2), ("type_id", 31), ("risk_level_id", 0), ("risk_level_id", 3)} <= compared


def the_observable_of_ocsf_is_the_attribute_that_it_names() -> None:
    seen = 0
    for event in lines("ocsf"):
        for one in event.get("observables", []):
            assert one["name"] == "evidences[].actor.user.uid"
            assert one["value"] in [evidence["actor"]["user"]["uid"] for evidence in event["evidences"]]
            seen += 1
    assert seen > 20


@functools.cache
def ecs() -> dict[str, dict[str, Any]]:
    """All fields of the schema."""
    script = "process.stdout.write(JSON.stringify(require('@elastic/ecs').EcsFlat))"
    done = subprocess.run(["node", "-e", script], cwd=HERE, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def leaves(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from leaves(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", inner


def has_type(value: Any, kind: str) -> bool:
    match kind:
        case "keyword" | "match_only_text" | "wildcard":
            return isinstance(value, str)
        case "long":
            return isinstance(value, int) and not isinstance(value, bool)
        case "date":
            return datetime.datetime.fromisoformat(value).tzinfo is not None
        case _:
            raise AssertionError(f"no check of {kind}")


def every_field_of_ecs_is_published_and_has_its_type() -> None:
    used, own = set(), set()
    for document in lines("ecs"):
        for path, value in leaves(document):
            if path.startswith(OWN):
                own.add(path.removeprefix(OWN))
                continue
            known = ecs().get(path)
            assert known, f"{path} is not in the schema"
            listed = known.get("normalize") == ["array"]
            assert isinstance(value, list) == listed, f"{path}: {value}"
            for one in value if listed else [value]:
                assert has_type(one, known["type"]), f"{path} of type {known['type']}: {one!r}"
            used.add(path)
    assert {"@timestamp", "ecs.version", "event.id", "event.sequence", "user.risk.static_level", "user.hash"} <= used
    fields = set(json.loads((GOLDEN / "json.jsonl").read_text(encoding="utf-8").splitlines()[0]))
    assert own <= {field for line in lines("json") for field in line} | fields, own


def values_of_ecs_are_those_that_it_allows_together() -> None:
    for document in lines("ecs"):
        event = document["event"]
        for name in ("kind", "category", "type"):
            allowed = {one["name"] for one in ecs()[f"event.{name}"]["allowed_values"]}
            values = event.get(name, [])
            assert set(values if isinstance(values, list) else [values]) <= allowed, f"{name}: {values}"
        for category in event.get("category", []):
            (known,) = [one for one in ecs()["event.category"]["allowed_values"] if one["name"] == category]
            assert set(event["type"]) <= set(known["expected_event_types"]), event
        assert event["dataset"].startswith(f"{event['module']}.")
        # The name of the field says the version with three numbers.
        assert document["ecs"]["version"] == package_version()


def package_version() -> str:
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    return str(lock["packages"]["node_modules/@elastic/ecs"]["version"])


def places(value: Any, path: str = "") -> Iterator[str]:
    """The paths to what is neither an object nor a list of objects, as the manual writes them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from places(inner, f"{path}[]")
    else:
        yield path


def documented(heading: str) -> set[str]:
    """The paths in the second table below the heading. One with a point in front has the parent of the one before."""
    (section,) = re.findall(rf"^## {heading}$(.*?)(?=^## |\Z)", MANUAL.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    rows = section.split("| Value |\n", 1)[1].splitlines()[1:]
    found = set()
    for row in filter(None, rows):
        parent = ""
        for name in re.findall(r"`([^`]+)`", row.split("|")[1]):
            path = f"{parent}{name}" if name.startswith(".") else name
            parent = parent if name.startswith(".") else name.rpartition(".")[0]
            found.add(path)
    return found


def the_manual_lists_every_attribute_and_field() -> None:
    # No golden line is long enough to be cut.
    rare = {
        "ocsf": {"metadata.is_truncated"},
        "ecs": {"cloudflare.zt_risk.details_cut"},
    }
    for name, rest in rare.items():
        written = {path for line in lines(name) for path in places(line)} | rest
        manual = documented(name.upper())
        assert written == manual, f"{name}: {written - manual} are not in the manual, {manual - written} are only there"


def all_formats_say_the_same() -> None:
    for own, event, document in zip(lines("json"), lines("ocsf"), lines("ecs"), strict=True):
        assert own["id"] == event["metadata"]["uid"] == document["event"]["id"]
        assert own["sequence"] == event["metadata"]["sequence"] == document["event"]["sequence"]
        assert own["kind"] == event["unmapped"]["kind"] == document["event"]["action"]
        assert own["account_id"] == event["metadata"]["tenant_uid"] == document["cloud"]["account"]["id"]
        time, logged = (datetime.datetime.fromisoformat(own[name]) for name in ("time", "logged_time"))
        assert (
            time.timestamp() * 1000 == event["time"] and logged.timestamp() * 1000 == event["metadata"]["logged_time"]
        )
        assert (own["time"], own["logged_time"]) == (document["@timestamp"], document["event"]["created"])


CHECKS = [
    ocsf_accepts_every_record,
    numbers_of_ocsf_have_the_captions_beside_them,
    the_observable_of_ocsf_is_the_attribute_that_it_names,
    every_field_of_ecs_is_published_and_has_its_type,
    values_of_ecs_are_those_that_it_allows_together,
    the_manual_lists_every_attribute_and_field,
    all_formats_say_the_same,
]
