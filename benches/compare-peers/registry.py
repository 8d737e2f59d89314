"""Serves the series of a text with prometheus_client.

registry.py PORT FILE
"""

import sys
import threading
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families


class Series:
    """The series of the text, parsed once."""

    def __init__(self, text):
        self.families = list(text_string_to_metric_families(text))

    def collect(self):
        return self.families


if __name__ == "__main__":
    registry = CollectorRegistry()
    registry.register(Series(Path(sys.argv[2]).read_text(encoding="utf-8")))
    start_http_server(int(sys.argv[1]), addr="127.0.0.1", registry=registry)
    threading.Event().wait()
