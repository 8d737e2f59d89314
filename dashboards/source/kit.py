"""Building blocks of the dashboards: selectors and expressions, queries, and panels in one style."""

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = c.DataSourceRef(type_val="prometheus", uid="${datasource}")

TARGET = 'job=~"$job", instance=~"$instance"'
ACCOUNT = 'account=~"$account"'

LEVELS = {"high": "red", "medium": "orange", "low": "yellow", "unknown": "#8e8e8e"}
GOOD, NOTICE, BAD, PLAIN = "green", "orange", "red", "text"
# Lower than any value of a panel.
LOWEST = -1e15

HOUR, DAY = 3_600, 86_400

# The unit of counts and rates. The unit `short` would show 1,050 and 1,450 both as "1 K".
COUNT = "locale"
# The unit of times of hours and days: "8 d 02:13:22". The unit `s` would show them as 1.16 weeks.
DAYS = "dtdhms"


# The window of one bar: the time after its point. Grafana puts the points at full steps of the interval. With the time
# before each point, the newest bar would be missing until its interval ends, and so would all bars after a start.
BAR = "[$__interval] offset -$__interval"

# Expressions. `when` is a window such as `[1h]`, or ` offset 1d`. If two exporters watch one account, `deduplicated`
# takes the value of one of them, so that each user counts once.


def risk_metric(name: str, labels: str = "", when: str = "") -> str:
    """A selector for a metric about Cloudflare, by its name without prefix."""
    return _selector(f"cloudflare_zt_risk_{name}", ACCOUNT, labels) + when


def exporter_metric(name: str, labels: str = "", when: str = "") -> str:
    """A selector for a metric about the exporter that has the label `account`, by its name without prefix."""
    return _selector(f"zt_risk_exporter_{name}", ACCOUNT, labels) + when


def plain_metric(name: str, labels: str = "", when: str = "") -> str:
    """A selector for a metric without the label `account`, by its full name."""
    return _selector(name, labels) + when


def _selector(name: str, *matchers: str) -> str:
    return f"{name}{{{', '.join(matcher for matcher in (TARGET, *matchers) if matcher)}}}"


def deduplicated(expr: str, *labels: str) -> str:
    """The values of one exporter, by account and these labels."""
    return f"max by ({', '.join(('account', *labels))}) ({expr})"


def total(expr: str, *labels: str, by: str = "") -> str:
    """The sum of the deduplicated values over all accounts; `by` keeps labels."""
    return f"sum {f'by ({by}) ' if by else ''}({deduplicated(expr, *labels)})"


def increase(metric: str, when: str, *labels: str, by: str = "", matching: str = "") -> str:
    """The increase of a counter about Cloudflare, over all accounts; `labels` are all labels of the counter."""
    return total(f"increase({risk_metric(metric, matching, when)})", *labels, by=by)


def increase_in_range(metric: str, *labels: str, by: str = "", matching: str = "") -> str:
    """The increase of a counter during the selected time, over all accounts or by some labels.

    Each series is rounded, because Prometheus extrapolates. So the rows of a table add up to the number of a panel.
    """
    rounded = f"round(increase({risk_metric(metric, matching, '[$__range]')}))"
    return total(rounded, *labels, by=by)


def increase_per_bar(metric: str, *labels: str, by: str = "", matching: str = "") -> str:
    """The increase of a counter during one bar."""
    return increase(metric, BAR, *labels, by=by, matching=matching)


def changed(metric: str, when: str) -> str:
    """The series of a metric about Cloudflare that changed within a window. Their values have no meaning.

    `changes` of VictoriaMetrics counts the first sample of a series.
    """
    series = risk_metric(metric, when=when)
    return f"max_over_time({series}) != min_over_time({series})"


def changes(metric: str, *labels: str) -> str:
    """How often a metric about Cloudflare changed during the selected time."""
    series = risk_metric(metric, when="[$__range]")
    return deduplicated(
        f"changes({series}) and {changed(metric, '[$__range]')} or 0 * count_over_time({series})", *labels
    )


def quantile(q: float, metric: str, window: str, *labels: str, matching: str = "") -> str:
    """A quantile of a histogram about Cloudflare by `labels`, over all accounts unless `account` is among them."""
    increases = f"increase({risk_metric(f'{metric}_bucket', matching, f'[{window}]')})"
    kept = [label for label in ("le", *labels) if label != "account"]
    return without_nan(
        f"histogram_quantile({q}, sum by ({', '.join(('le', *labels))}) ({deduplicated(increases, *kept)}))"
    )


def without_nan(numbers: str) -> str:
    """The values without NaN, which quantiles and means without samples return."""
    return f"({numbers}) >= 0"


def or_zero(expr: str) -> str:
    """The values, or 0 if there are none, or no value if there is no exporter."""
    return f"({expr}) or 0 * count({risk_metric('account_info')})"


def distance(now: str, usual: str) -> str:
    """How far a number is from what is usual, as a share of it; 0 if the difference is less than five.

    In small accounts one or two users are a large share.
    """
    difference = f"({now} - {usual})"
    return f"{difference} / clamp_min({usual}, 1) and abs{difference} >= 5 or 0 * {difference}"


def by_name(expr: str, label: str, info: str) -> str:
    """The sum of values by the label `name` of what their `label` identifies, or by that label if the name is unknown.

    `expr` has the labels `account` and `label`.
    """
    names = deduplicated(risk_metric(info), label, "name")
    named = f"({expr}) * on (account, {label}) group_left (name) {names}"
    unnamed = f'label_join(({expr}) unless on (account, {label}) {names}, "name", "", "{label}")'
    return f"sum by (name) ({named} or {unnamed})"


def age(expr: str) -> str:
    """The age of a timestamp, in seconds."""
    return f"time() - {expr}"


# Queries


def range_query(expr: str, legend: str, interval: str = "") -> prometheus.Dataquery:
    """A query over the selected time range."""
    query = prometheus.Dataquery().datasource(SOURCE).expr(expr).legend_format(legend).range()
    return query.interval(interval) if interval else query


def instant_query(expr: str, legend: str = "") -> prometheus.Dataquery:
    """A query at the end of the selected time range."""
    return prometheus.Dataquery().datasource(SOURCE).expr(expr).legend_format(legend).instant()


def table_query(expr: str) -> prometheus.Dataquery:
    """The same, with the result as rows of a table."""
    return instant_query(expr).format(PromQueryFormat.TABLE)


# Panels


def steps(*pairs: tuple[float | None, str]) -> builders.ThresholdsConfig:
    """Threshold steps as pairs of lowest value and color; None for the first."""
    if pairs[0][1] != PLAIN:
        # Grafana shows a missing value in the color of the first step. A missing value is neither good nor bad.
        pairs = ((None, PLAIN), (LOWEST, pairs[0][1]), *pairs[1:])
    thresholds = [d.Threshold(value=value, color=color) for value, color in pairs]
    return builders.ThresholdsConfig().mode(d.ThresholdsMode.ABSOLUTE).steps(thresholds)


def value_mappings(**texts: tuple[str, str]) -> list[d.ValueMap]:
    """Value mappings: `_0=("off", "red")` shows 0 as a red "off"."""
    results = {
        value.removeprefix("_"): d.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(texts.items())
    }
    return [d.ValueMap(options=results)]


def properties(**values: Any) -> list[d.DynamicConfigValue]:
    """Properties of an override; `__` means a dot."""
    return [d.DynamicConfigValue(id_val=name.replace("__", "."), value=value) for name, value in values.items()]


def fixed(color: str) -> dict[str, str]:
    return {"mode": "fixed", "fixedColor": color}


def column(width: int, mappings: Sequence[d.ValueMapping] = (), color: str = PLAIN) -> list[d.DynamicConfigValue]:
    """A column with a fixed width. Mapped values are colored text; `color` is the color of other values."""
    if not mappings:
        return properties(custom__width=width)
    words = {"mappings": mappings, "color": fixed(color), "custom__cellOptions": {"type": "color-text"}}
    return properties(custom__width=width, **words)


def colored(thresholds: builders.ThresholdsConfig) -> dict[str, Any]:
    """The properties of a column whose text has the color of its value."""
    return {
        "thresholds": thresholds.build().to_json(),
        "color": {"mode": "thresholds"},
        "custom__cellOptions": {"type": "color-text"},
    }


def flexible_column(width: int) -> list[d.DynamicConfigValue]:
    """A column that shares the remaining width with others of its kind."""
    return properties(custom__minWidth=width)


def with_link(panel: Any, uid: str, title: str) -> Any:
    """The panel with a link to another of these dashboards, for the same time range and variables."""
    variables = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "job", "instance", "account"))
    return panel.links([builders.DashboardLink(title).url(f"/d/{uid}?${{__url_time_range}}&{variables}")])


def _finish(panel: Any, title: str, description: str, queries: Sequence[prometheus.Dataquery], unit: str) -> Any:
    panel = panel.title(title).description(description).datasource(SOURCE).unit(unit)
    for ref, query in zip("ABCDEFGHIJ", queries, strict=False):
        panel = panel.with_target(query.ref_id(ref))
    return panel


def stat_panel(
    title: str,
    description: str,
    queries: prometheus.Dataquery | Sequence[prometheus.Dataquery],
    unit: str,
    thresholds: builders.ThresholdsConfig,
    *,
    width: int = 6,
    mappings: Sequence[d.ValueMapping] = (),
    no_value: str = "no data",
    decimals: int | None = None,
) -> stat.Panel:
    """A single number, or one for each query. Four fit into a row, so that their titles fit into 1280 pixels."""
    queries = [queries] if isinstance(queries, prometheus.Dataquery) else queries
    panel = _finish(stat.Panel(), title, description, queries, unit).span(width).height(3)
    reduce = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    if len(queries) > 1:
        panel = panel.text_mode(c.BigValueTextMode.VALUE_AND_NAME)
    if decimals is not None:
        panel = panel.decimals(decimals)
    return (
        panel.thresholds(thresholds)
        .mappings(list(mappings))
        .no_value(no_value)
        .color_mode(c.BigValueColorMode.VALUE)
        .graph_mode(c.BigValueGraphMode.NONE)
        .color_scheme(builders.FieldColor().mode(d.FieldColorModeId.THRESHOLDS))
        .reduce_options(reduce)
    )


def line_panel(
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    unit: str,
    *,
    width: int = 12,
    height: int = 9,
    colors: dict[str, str] | None = None,
    stacked: bool = False,
    calcs: Sequence[str] = ("lastNotNull", "max"),
    minimum: float | None = 0,
    decimals: int | None = None,
) -> timeseries.Panel:
    """Values over time. The legend has no last value of what another panel shows as a number: its point is older."""
    panel = _finish(timeseries.Panel(), title, description, queries, unit).span(width).height(height)
    panel = _legend(panel, calcs, beside=width >= 12).line_width(2).fill_opacity(25 if stacked else 0)
    panel = panel.show_points(c.VisibilityMode.NEVER)
    if minimum is not None:
        panel = panel.min(minimum)
    if decimals is not None:
        panel = panel.decimals(decimals)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(c.StackingMode.NORMAL).group("A"))
    for name, color in (colors or {}).items():
        panel = panel.override_by_name(name, properties(color=fixed(color)))
    return panel


def bar_panel(
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    unit: str = COUNT,
    *,
    width: int = 12,
    height: int = 9,
    colors: dict[str, str] | None = None,
    below: Sequence[str] = (),
    interval: str = "30m",
) -> timeseries.Panel:
    """Stacked counts for each interval; queries use the window BAR. Series named in `below` are drawn below zero.

    The legend has no sums. The first bar begins before the selected time, so they would differ from the numbers of
    other panels.
    """
    panel = line_panel(
        title,
        description,
        queries,
        unit,
        width=width,
        height=height,
        colors=colors,
        stacked=True,
        calcs=(),
        minimum=None if below else 0,
        decimals=0,
    )
    panel = panel.draw_style(c.GraphDrawStyle.BARS).fill_opacity(80).line_width(0).bar_width_factor(0.85)
    panel = panel.bar_alignment(c.BarAlignment.AFTER).interval(interval)
    for name in below:
        panel = panel.override_by_name(name, properties(custom__transform="negative-Y"))
    return panel


def _legend(panel: timeseries.Panel, calcs: Sequence[str], *, beside: bool) -> timeseries.Panel:
    """A table beside a wide panel, or a list below a narrow one, so that no value is cut off."""
    legend = common.VizLegendOptions().show_legend(True).calcs(list(calcs))
    if beside:
        legend = legend.display_mode(c.LegendDisplayMode.TABLE).placement(c.LegendPlacement.RIGHT)
    else:
        legend = legend.display_mode(c.LegendDisplayMode.LIST).placement(c.LegendPlacement.BOTTOM)
    tooltip = common.VizTooltipOptions().mode(c.TooltipDisplayMode.MULTI).sort(c.SortOrder.DESCENDING)
    return panel.legend(legend).tooltip(tooltip)


def table_panel(
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    columns: dict[str, str],
    *,
    key: str = "",
    width: int = 12,
    height: int = 9,
    sort: Sequence[tuple[str, bool]] = (),
    styles: dict[str, list[d.DynamicConfigValue]] | None = None,
    no_value: str = "none",
) -> table.Panel:
    """A table with these columns by field, in this order, joined on `key` or on all common labels of the queries."""
    panel = _finish(table.Panel(), title, description, queries, COUNT).span(width).height(height)
    if "Value #A" in columns:
        # Without a letter if all other queries are empty. The query for names is empty unless names are enabled.
        columns = {**columns, "Value": columns["Value #A"]}
    only = {"include": {"names": list(columns)}}
    if key:
        panel = panel.with_transformation(d.DataTransformerConfig(id_val="filterFieldsByName", options=only))
        joined = {"byField": key, "mode": "outer"}
        panel = panel.with_transformation(d.DataTransformerConfig(id_val="joinByField", options=joined))
    else:
        panel = panel.with_transformation(d.DataTransformerConfig(id_val="merge", options={}))
        panel = panel.with_transformation(d.DataTransformerConfig(id_val="filterFieldsByName", options=only))
    order = {
        "indexByName": {name: list(columns.values()).index(title) for name, title in columns.items()},
        "renameByName": columns,
        "excludeByName": {},
    }
    panel = panel.with_transformation(d.DataTransformerConfig(id_val="organize", options=order))
    for name, style in (styles or {}).items():
        panel = panel.override_by_name(name, style)
    by = [common.TableSortByFieldState().display_name(name).desc(descending) for name, descending in sort]
    return panel.sort_by(by).no_value(no_value).cell_height(c.TableCellHeight.SM).show_header(True)
