"""Reads the list of users with the official SDK, and serves its numbers with prometheus_client: what many would write
instead of installing an exporter.

    poller.py PORT BASE_URL ACCOUNT TOKEN SECONDS USERS

Reads it every SECONDS, and serves a series for each of the first USERS users.
"""

import sys
import time
from collections import Counter

from cloudflare import Cloudflare
from prometheus_client import Gauge, start_http_server

PREFIX = "cloudflare_zt_risk_"


def main(port, base_url, account, token, seconds, limit):
    client = Cloudflare(base_url=base_url, api_token=token)
    users = Gauge(f"{PREFIX}users", "Users by their highest level.", ["account", "max_risk_level"])
    levels = Gauge(f"{PREFIX}user_events", "Events of a user.", ["account", "user_id", "max_risk_level"])
    success = Gauge(f"{PREFIX}last_success_timestamp_seconds", "When the list was read.", ["account", "resource"])
    start_http_server(int(port), addr="127.0.0.1")
    while True:
        began = time.monotonic()
        listed = client.zero_trust.risk_scoring.summary.get(account_id=account).users
        for level, count in Counter(user.max_risk_level for user in listed).items():
            users.labels(account, level).set(count)
        levels.clear()
        for user in sorted(listed, key=lambda user: user.event_count, reverse=True)[: int(limit)]:
            levels.labels(account, user.user_id, user.max_risk_level).set(user.event_count)
        success.labels(account, "summary").set_to_current_time()
        time.sleep(max(float(seconds) - (time.monotonic() - began), 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
