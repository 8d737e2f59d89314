"""Expressions that mean the same in Prometheus 2.42, in Prometheus 3 and in VictoriaMetrics.

`increase` and `changes` of VictoriaMetrics count the first sample of a series as a rise from 0. A series starts
whenever a pod gets another name, and its counter continues at the value in the state file. So rules use these functions
instead. Ranges of Prometheus 3 do not contain the sample at their start, which moves an alert by one sample at most.
"""

from __future__ import annotations

from settings import Duration


def increase(counter: str, window: Duration) -> str:
    """How much each counter rose within the window.

    The largest minus the smallest sample ignores what was before the first sample, but it is too large after a restart
    at 0. `increase` handles restarts. The smaller of the two is right.
    """
    rise = f"max_over_time({counter}[{window}]) - min_over_time({counter}[{window}])"
    return f"increase({counter}[{window}]) < {rise}\n  or {rise}"


def rose(counter: str, window: Duration) -> str:
    """The counters that rose within the window, with a positive value."""
    return f"increase({counter}[{window}]) > 0\n  and {changed(counter, window)}"


def changed(series: str, window: Duration) -> str:
    """The series whose value changed within the window, with a value that means nothing."""
    return f"max_over_time({series}[{window}]) != min_over_time({series}[{window}])"


def indented(columns: int, expr: str) -> str:
    """The expression for an insertion at this column of a longer one."""
    return expr.replace("\n", "\n" + " " * columns)
