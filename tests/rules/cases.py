"""All cases, by alert."""

from __future__ import annotations

from collections import defaultdict

import cases_exporter
import cases_settings
import cases_shared
import cases_users
from history import Case


def all_cases() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = defaultdict(list)
    for case in [*cases_users.cases(), *cases_settings.cases(), *cases_exporter.cases(), *cases_shared.cases()]:
        found[case.alert].append(case)
    return found
