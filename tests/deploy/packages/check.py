"""Checks what the packages contain, without building them: the lists in Cargo.toml, the unit and the scripts."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import checks

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "target/packages/files"
METADATA = tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))["package"]["metadata"]
SCRIPTS = ROOT / "deploy/packages"

# What only one of the two has: source and destination.
ONLY_DEBIAN = {
    ("deploy/packages/debian/lintian-overrides", "/usr/share/lintian/overrides/zt-risk-exporter"),
    ("share/zsh/site-functions/_zt-risk-exporter", "/usr/share/zsh/vendor-completions/_zt-risk-exporter"),
}
ONLY_RPM = {
    ("LICENSE", "/usr/share/licenses/zt-risk-exporter/LICENSE"),
    ("share/zsh/site-functions/_zt-risk-exporter", "/usr/share/zsh/site-functions/_zt-risk-exporter"),
}


def expand(pattern: str, destination: str) -> set[tuple[str, str]]:
    """The source and the destination of each file that an asset names."""
    found = list(ROOT.glob(pattern))
    assert found, f"{pattern} does not exist"
    prefix = "/" + destination.removeprefix("/")
    return {
        (
            str(path.relative_to(FILES if FILES in path.parents else ROOT)),
            prefix + path.name if prefix.endswith("/") else prefix,
        )
        for path in found
    }


def debian() -> set[tuple[str, str]]:
    return {file for pattern, destination, _ in METADATA["deb"]["assets"] for file in expand(pattern, destination)}


def rpm() -> set[tuple[str, str]]:
    return {file for asset in METADATA["generate-rpm"]["assets"] for file in expand(asset["source"], asset["dest"])}


def unit() -> dict[str, str]:
    text = (FILES / "zt-risk-exporter.service").read_text("utf-8")
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


def both_packages_have_the_same_files() -> None:
    assert debian() - rpm() == ONLY_DEBIAN, debian() - rpm() ^ ONLY_DEBIAN
    assert rpm() - debian() == ONLY_RPM, rpm() - debian() ^ ONLY_RPM


def every_prepared_file_is_in_a_package() -> None:
    prepared = {str(path.relative_to(FILES)) for path in FILES.rglob("*") if path.is_file()}
    assert len(prepared) > 30, prepared
    packaged = {source for source, _ in debian() | rpm()}
    # cargo-deb compresses it.
    assert prepared - packaged == {"changelog.Debian"}, prepared - packaged


def only_the_binary_is_executable() -> None:
    modes = [(pattern, mode) for pattern, _, mode in METADATA["deb"]["assets"]]
    modes += [(asset["source"], asset["mode"]) for asset in METADATA["generate-rpm"]["assets"]]
    for pattern, mode in modes:
        assert mode == ("755" if pattern == "target/packages/files/zt-risk-exporter" else "644"), pattern


def upgrades_keep_edited_configuration() -> None:
    """Debian keeps what is in /etc; RPM needs a word."""
    for asset in METADATA["generate-rpm"]["assets"]:
        assert asset.get("config") == ("noreplace" if asset["dest"].startswith("/etc/") else None), asset


def the_unit_differs_in_two_lines_from_that_for_an_installation_by_hand() -> None:
    ours = (ROOT / "deploy/systemd/zt-risk-exporter.service").read_text("utf-8").splitlines()
    packaged = (FILES / "zt-risk-exporter.service").read_text("utf-8").splitlines()
    assert len(ours) == len(packaged)
    changed = [pair for pair in zip(ours, packaged, strict=True) if pair[0] != pair[1]]
    start = "/bin/zt-risk-exporter serve --config.file /etc/zt-risk-exporter/config.yaml"
    assert changed == [
        (f"ExecStart=/usr/local{start}", f"ExecStart=/usr{start}"),
        ("DynamicUser=yes", "User=zt-risk-exporter"),
    ], changed
    # A dynamic user implies these.
    implied = {"ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "RemoveIPC": "yes"}
    implied |= {"NoNewPrivileges": "yes", "RestrictSUIDSGID": "yes"}
    assert implied.items() <= unit().items()


def the_packages_have_what_the_unit_uses() -> None:
    installed = {destination for _, destination in debian() & rpm()}
    found = unit()
    command, _, configuration = found["ExecStart"].replace(" serve --config.file ", " ").partition(" ")
    environment = found["EnvironmentFile"].removeprefix("-")
    assert {command, configuration, environment} <= installed
    users = (FILES / "zt-risk-exporter.conf").read_text("utf-8")
    assert re.search(rf'^u {re.escape(found["User"])} - "[^":]+"$', users, re.MULTILINE), users
    page = re.fullmatch(r"man:([\w-]+)\((\d)\)", found["Documentation"])
    assert page and f"/usr/share/man/man{page[2]}/{page[1]}.{page[2]}.gz" in installed, found["Documentation"]


def a_purge_removes_the_state_and_the_token_of_the_unit() -> None:
    script = (SCRIPTS / "debian/postrm").read_text("utf-8")
    found = unit()
    state, token = found["StateDirectory"], found["LoadCredential"].partition(":")[2]
    assert f"    rm -rf /var/lib/{state} /var/lib/private/{state}\n" in script
    assert f"    rm -f {token}\n" in script


def no_script_fails_a_transaction() -> None:
    """RPM would leave the old and the new version installed."""
    for name in ("post", "preun", "postun"):
        script = (SCRIPTS / "rpm" / name).read_text("utf-8")
        for command in re.findall(r"^ *(system.*)$", script, re.MULTILINE):
            assert command.endswith(" || :"), f"{name}: {command}"


CHECKS = [
    both_packages_have_the_same_files,
    every_prepared_file_is_in_a_package,
    only_the_binary_is_executable,
    upgrades_keep_edited_configuration,
    the_unit_differs_in_two_lines_from_that_for_an_installation_by_hand,
    the_packages_have_what_the_unit_uses,
    a_purge_removes_the_state_and_the_token_of_the_unit,
    no_script_fails_a_transaction,
]


if __name__ == "__main__":
    checks.run("packages", CHECKS)
