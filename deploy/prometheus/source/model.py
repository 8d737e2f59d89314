"""The two kinds of rules."""

from __future__ import annotations

from dataclasses import dataclass

CRITICAL = "critical"  # notifies the person on call at any hour
WARNING = "warning"  # somebody looks at it within the working day


def quoted(label: str) -> str:
    """The label as one word of a command. Names come from outside, and a person pastes them into a Bourne shell."""
    return f"""'{{{{ reReplaceAll "'" `'\\''` $labels.{label} }}}}'"""


# For the commands of an alert.
ACCOUNT = f"--account {quoted('account')}"
BEHAVIOR = f"--behavior {quoted('behavior')}"
# The log of the exporter as a service of the system. In Kubernetes it is that of the pod.
LOG = "journalctl --unit zt-risk-exporter --since -1h"


def dashboard(uid: str, label: str = "account") -> str:
    """The address of a dashboard, for the account, the instance or the job of the alert."""
    return f"/d/{uid}?var-{label}={{{{ $labels.{label} | urlquery }}}}"


USERS = dashboard("zt-risk-users")
BEHAVIORS = dashboard("zt-risk-behaviors")
EXPORTER = dashboard("zt-risk-exporter")
EXPORTER_JOB = dashboard("zt-risk-exporter", "job")
EXPORTER_INSTANCE = dashboard("zt-risk-exporter", "instance")


@dataclass(frozen=True)
class Recording:
    """A recording rule."""

    name: str
    expr: str


@dataclass(frozen=True)
class Inhibition:
    """While the alert `source` fires, the alerts about its consequences are muted, if these labels are equal."""

    source: str
    targets: tuple[str, ...]
    equal: tuple[str, ...]


@dataclass(frozen=True)
class FirstAccount:
    """Names the first of the accounts that an alert counts, in its texts."""

    recording: str  # one series for each account
    labels: tuple[str, ...]  # those of the alert that select the series

    def in_prometheus(self) -> str:
        matchers = ",".join(f"{label}=%q" for label in self.labels)
        values = " ".join(f"$labels.{label}" for label in self.labels)
        query = f'printf "{self.recording}{{{matchers}}}" {values} | query'
        name = '{{ . | sortByLabel "account" | first | label "account" }}'
        return f"{{{{ with {query} }}}}, the first is {name}{{{{ end }}}}"

    def in_grafana(self) -> str:
        """Texts cannot query there. The query C of the rule finds one account, but not the first by name."""
        return "{{ with $values.C.Labels.account }}, one is {{ . }}{{ end }}"

    def query(self) -> str:
        return f"topk by ({', '.join(self.labels)}) (1, {self.recording})"


@dataclass(frozen=True)
class Alert:
    """An alert. In `summary`, `description` and `command`, `$value` is the value of `expr`."""

    name: str
    severity: str
    expr: str
    for_duration: str  # `for` in the rule file
    summary: str
    description: str
    command: str  # what the woken person pastes; the description ends with it
    dashboard: str  # the address below that of Grafana, with the account or the instance
    fires_when: str  # for the table in docs/alerts.md
    first_account: FirstAccount | None = None  # if the texts name one of several accounts
