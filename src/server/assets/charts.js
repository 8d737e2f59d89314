// Draws trends. The x coordinate is in steps, the y coordinate in hundredths of the height, downwards. Every chart begins
// at 0.

import { clock, element, number, now, plural, span, svg, zone } from "./draw.js";

const HEIGHT = 100;

/** The parts of a trend without gaps, as pairs of first and last step. */
function segments(values) {
  const found = [];
  values.forEach((value, step) => {
    if (value === null) return;
    const open = found.at(-1);
    if (open && open[1] === step - 1) open[1] = step;
    else found.push([step, step]);
  });
  return found;
}

/**
 * The steps of a trend from the first known one on, and the time at which they begin, in milliseconds. Like the exporter,
 * this considers a value that is read every `interval` seconds to be missing after two intervals. A short trend is drawn at
 * the right end: `offset` is the position of its first step.
 */
function frame(trend, values, interval) {
  const first = Math.max(0, values.findIndex((value) => value !== null));
  const step = trend.step_seconds * 1000;
  const until = Date.parse(trend.until);
  const known = values.slice(first);
  const passed = Math.max(0, now() - until);
  const missing = Math.floor(passed / step);
  const isMissed = passed > 2000 * interval + step;
  const width = Math.max(12, known.length + missing);
  const offset = width - known.length - missing;
  return { step, from: until - known.length * step, values: known, missing, isMissed, width, offset };
}

/** The gaps of a frame, as pairs of the first step and the step after the last; null if the gap is still open. */
function gaps({ values, isMissed }) {
  const known = segments(values);
  const found = known.slice(1).map(([first], index) => [known[index][1] + 1, first]);
  return isMissed ? [...found, [values.length, null]] : found;
}

/** The gaps in words. */
function describeGaps(shown) {
  const { step, from } = shown;
  const words = gaps(shown).map(([first, end]) => end === null
    ? `since ${clock(from + first * step)}`
    : `from ${clock(from + first * step)} to ${clock(from + end * step)}`);
  if (words.length === 0) return "";
  const few = words.length > 3 ? [...words.slice(0, 3), `and ${words.length - 3} more gaps`] : words;
  return `; no data ${few.join(", ")}`;
}

/** Bands over the gaps. */
function gapBands(shown) {
  const { offset, values, missing } = shown;
  return gaps(shown).map(([first, end]) => svg("rect", {
    class: "gap", x: offset + first, y: 0, width: (end ?? values.length + missing) - first, height: HEIGHT,
  }));
}

/** The first number with one digit that is not 0, or 12, 15 or 25 times a power of ten, that is not less than `most`. */
export function topOfScale(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((factor) => factor * power)
    .find((top) => top >= most && Number.isInteger(top));
}

/** What the tooltip needs. */
const hover = ({ step, from, values, offset }, kind) =>
  ({ "data-values": values.join(), "data-from": from, "data-step": step, "data-offset": offset, "data-kind": kind });

/** The end of a frame, at the right border of its chart. */
const endOf = ({ step, from, values, missing }) => from + (values.length + missing) * step;

/** A line chart with its axes. `high` is what is counted, as in "users at high risk". */
export function line(trend, values, interval, what) {
  const shown = frame(trend, values, interval);
  const known = shown.values.filter((value) => value !== null);
  if (known.length === 0) return null;
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const last = known.at(-1);
  const { width, offset, step, from } = shown;
  const top = topOfScale(most);
  const height = (value) => (HEIGHT * (1 - value / top)).toFixed(1);
  const path = segments(shown.values).map(([first, end]) => {
    const points = shown.values.slice(first, end + 1)
      .map((value, index) => `${offset + first + index + 0.5} ${height(value)}`);
    // A single point becomes a line of length 0, whose round caps make it a dot.
    return `M${points.join("L")}${first === end ? "h0" : ""}`;
  });
  const end = shown.values.findLastIndex((value) => value !== null);
  const extent = least === most ? `always ${number(last)}` : `from ${number(least)} to ${number(most)}, last ${number(last)}`;
  return element("div", { class: "chart" },
    element("span", { class: "scale", "aria-hidden": "true" },
      element("span", {}, number(top)), element("span", {}, "0")),
    chart(`${what} since ${clock(from)}: ${extent}${describeGaps(shown)}`, width, hover(shown, "users"), [
      ...gapBands(shown),
      svg("path", { class: "ground", d: `M0 0H${width}M0 ${HEIGHT}H${width}` }),
      svg("path", { class: "line", d: path.join("") }),
      svg("path", { class: "end", d: `M${offset + end + 0.5} ${height(last)}h0` }),
    ]),
    element("span", { class: "axis", "aria-hidden": "true" },
      element("span", {}, clock(from - offset * step)), element("span", {}, `${clock(endOf(shown))} ${zone}`)));
}

/** A bar chart, with a bar for each bucket that has events. `top` is the number at the upper border. */
export function bars(trend, values, interval, name, top) {
  const shown = frame(trend, values, interval);
  const known = shown.values.filter((value) => value !== null);
  if (known.length === 0) return "";
  const most = Math.max(...known);
  const sum = known.reduce((total, value) => total + value, 0);
  const { width, offset } = shown;
  const found = shown.values.map((value, step) => {
    // A bar can be seen even if another behavior has many more events.
    const height = Math.max(8, HEIGHT * value / top);
    return value > 0 && svg("rect", {
      class: "bar", x: offset + step + 0.1, width: 0.8, y: (HEIGHT - height).toFixed(1), height: height.toFixed(1),
    });
  });
  const extent = sum === 0 ? "no events" : `${plural(sum, "event", "events")}, at most ${number(most)} within ${span(shown.step)}`;
  return chart(`${name} since ${clock(shown.from)}: ${extent}${describeGaps(shown)}`, width, hover(shown, "events"),
    [...gapBands(shown), svg("path", { class: "ground", d: `M0 ${HEIGHT}H${width}` }), ...found]);
}

/** What the bars of a table with the same axes mean; null if there is none. */
export function barLegend(trend, interval, top) {
  const shown = Object.values(trend.values).map((values) => frame(trend, values, interval))
    .find(({ values }) => values.some((value) => value !== null));
  if (!shown) return null;
  const { from, offset, step } = shown;
  return `Trend: events in each ${span(step)}, from 0 to ${number(top)}, from ${clock(from - offset * step)} to ${clock(endOf(shown))} ${zone}.`;
}

/** Says what the bands mean, if one of the trends has any. */
export function gapLegend(trends) {
  const hasGaps = trends.some(({ trend, interval }) =>
    Object.values(trend.values).some((values) => gaps(frame(trend, values, interval)).length > 0));
  return hasGaps && element("p", { class: "small legend" },
    svg("svg", { class: "swatch", viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { class: "gap", width: 1, height: 1 })),
    " The users could not be read in this time.");
}

function chart(label, width, attributes, content) {
  return svg("svg", {
    role: "img", "aria-label": label, viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: "none", ...attributes,
  }, ...content);
}

/* The tooltip. */

/** What a chart shows at a distance from its left border, as a share of its width. */
function valueAt({ dataset, viewBox }, share) {
  const values = dataset.values.split(",");
  const [from, step, offset] = [dataset.from, dataset.step, dataset.offset].map(Number);
  const index = Math.floor(share * viewBox.baseVal.width) - offset;
  if (index < 0) return "nothing was recorded yet";
  const [begin, end] = [from + index * step, from + (index + 1) * step];
  const value = values[index] ?? "";
  const words = {
    users: () => plural(Number(value), "user", "users"),
    events: () => plural(Number(value), "event", "events"),
  };
  return `${clock(begin)} to ${clock(end)} ${zone}: ${value === "" ? "not read" : words[dataset.kind]()}`;
}

/** Shows the value below the pointer, on a mouse and on a touch screen. */
export function showTooltips(tooltip) {
  const show = ({ target, clientX }) => {
    const pointed = target.closest?.("svg[data-values]");
    tooltip.hidden = !pointed;
    if (!pointed) return;
    const { left, top, width } = pointed.getBoundingClientRect();
    tooltip.textContent = valueAt(pointed, Math.min(0.999, Math.max(0, (clientX - left) / width)));
    const room = document.documentElement.clientWidth - tooltip.offsetWidth;
    tooltip.style.left = `${Math.max(0, Math.min(room, clientX - tooltip.offsetWidth / 2))}px`;
    tooltip.style.top = `${Math.max(0, top - tooltip.offsetHeight - 4)}px`;
  };
  for (const kind of ["pointermove", "pointerdown"]) document.addEventListener(kind, show);
  for (const kind of ["scroll", "pointerleave"]) document.addEventListener(kind, () => { tooltip.hidden = true; });
}
