// Builds times, elements, tables and charts. Text is always set as text, never as markup.

/* Times. Ages use the exporter's clock, so they are right even if the browser's clock is wrong. */

const HALF_A_DAY = 12 * 3600 * 1000;

/** When the exporter wrote the shown document, and when the browser received it, by its monotonic clock. */
let writtenAt = null;
let receivedAt = 0;

/** Sets the current time by the exporter's clock. */
export function setTime(date) {
  [writtenAt, receivedAt] = [Date.parse(date), performance.now()];
}

function now() {
  return writtenAt === null ? Date.now() : writtenAt + (performance.now() - receivedAt);
}

/** A duration, in the largest unit of which it has at least two. */
export function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

const twoDigits = (number) => String(number).padStart(2, "0");

/** A time of day, with its date if it is more than half a day away. */
export function clock(milliseconds) {
  const date = new Date(milliseconds);
  const time = `${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}`;
  const isNear = Math.abs(milliseconds - now()) < HALF_A_DAY;
  return isNear ? time : `${date.getFullYear()}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())} ${time}`;
}

export const number = (value) => value.toLocaleString("en-US");
export const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

/* Elements. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element with attributes and children; null and false are left out. */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== false));
  return node;
}

/** Changes `old` into `wanted`. Nodes that are the same already stay, and with them focus and selection. */
export function morph(old, wanted) {
  for (const { name } of [...old.attributes]) {
    // The user decides whether details are open.
    if (!wanted.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of [...wanted.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const children = [...wanted.childNodes];
  while (old.childNodes.length > children.length) old.lastChild.remove();
  children.forEach((child, index) => {
    const present = old.childNodes[index];
    if (present === undefined) old.append(child);
    else if (present.nodeName !== child.nodeName) present.replaceWith(child);
    else if (child.nodeType !== Node.ELEMENT_NODE) {
      if (present.data !== child.data) present.data = child.data;
    } else morph(present, child);
  });
}

/** How long ago a date is. It is updated every second, by `tick`. */
export function ago(date, words = "never") {
  if (date === null) return words;
  const time = element("time", { datetime: date, title: new Date(date).toString(), "data-age": "" });
  tick(time);
  return time;
}

export function tick(time) {
  const text = `${span(now() - Date.parse(time.dateTime))} ago`;
  if (time.textContent !== text) time.textContent = text;
}

/**
 * A table. Columns have a heading and optionally a class; the first column has the headings of the rows. On a narrow
 * screen each row becomes a block. The roles are given explicitly because they are no longer implied then, and each cell
 * shows the heading of its column.
 */
export function table(caption, columns, rows) {
  const heads = columns.map(({ heading, kind }) =>
    element("th", { scope: "col", role: "columnheader", class: kind ?? null }, heading));
  const body = rows.map((cells) => element("tr", { role: "row" }, cells.map((cell, index) => {
    const { heading, kind } = columns[index];
    const attributes = { "data-heading": heading, class: kind ?? null };
    return index === 0
      ? element("th", { ...attributes, scope: "row", role: "rowheader" }, cell)
      : element("td", { ...attributes, role: "cell" }, cell);
  })));
  return element("table", { role: "table" },
    element("caption", {}, caption),
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, heads)),
    element("tbody", { role: "rowgroup" }, body));
}

/* Charts. The x coordinate is in steps, the y coordinate in hundredths of the height, downwards. */

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
 * this considers a value that is read every `interval` seconds to be missing after two intervals.
 */
function frame(trend, values, interval) {
  const first = Math.max(0, values.findIndex((value) => value !== null));
  const step = trend.step_seconds * 1000;
  const until = Date.parse(trend.until);
  const known = values.slice(first);
  const passed = Math.max(0, now() - until);
  const missing = Math.floor(passed / step);
  const isMissed = passed > 2000 * interval + step;
  return { step, from: until - known.length * step, values: known, missing, isMissed };
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

/** The width of a chart in steps, and the position of its first step: a short trend is drawn at the right end. */
function layout({ values, missing }) {
  const width = Math.max(12, values.length + missing);
  return { width, offset: width - values.length - missing };
}

/** Bands over the gaps. */
function gapBands(shown) {
  const { offset } = layout(shown);
  return gaps(shown).map(([first, end]) => svg("rect", {
    class: "gap", x: offset + first, y: 0, width: (end ?? shown.values.length + shown.missing) - first, height: HEIGHT,
  }));
}

/** A line chart. */
export function line(trend, values, interval, name) {
  const shown = frame(trend, values, interval);
  const known = shown.values.filter((value) => value !== null);
  if (known.length === 0) return null;
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const last = known.at(-1);
  const { width, offset } = layout(shown);
  const height = (value) => least === most ? HEIGHT / 2 : HEIGHT * (0.92 - 0.84 * (value - least) / (most - least));
  const path = segments(shown.values).map(([first, end]) => {
    const points = shown.values.slice(first, end + 1)
      .map((value, index) => `${offset + first + index + 0.5} ${height(value).toFixed(1)}`);
    // A single point becomes a line of length 0, whose round caps make it a dot.
    return `M${points.join("L")}${first === end ? "h0" : ""}`;
  });
  const end = shown.values.findLastIndex((value) => value !== null);
  const extent = least === most ? `always ${number(last)}` : `from ${number(least)} to ${number(most)}, last ${number(last)}`;
  return {
    chart: chart(`${name} since ${clock(shown.from)}: ${extent}${describeGaps(shown)}`, width, [
      ...gapBands(shown),
      svg("path", { class: "line", d: path.join("") }),
      svg("path", { class: "end", d: `M${offset + end + 0.5} ${height(last).toFixed(1)}h0` }),
    ]),
    from: shown.from,
    least,
    most,
  };
}

/** A bar chart, with a bar for each bucket that has events. */
export function bars(trend, values, interval, name) {
  const shown = frame(trend, values, interval);
  const known = shown.values.filter((value) => value !== null);
  if (known.length === 0) return "";
  const most = Math.max(...known);
  const sum = known.reduce((total, value) => total + value, 0);
  const { width, offset } = layout(shown);
  const found = shown.values.map((value, step) => value > 0 && svg("rect", {
    class: "bar", x: offset + step + 0.1, width: 0.8,
    y: (HEIGHT * (1 - value / most)).toFixed(1), height: (HEIGHT * value / most).toFixed(1),
  }));
  const extent = sum === 0 ? "no events" : `${plural(sum, "event", "events")}, at most ${number(most)} within ${span(shown.step)}`;
  return chart(`${name} since ${clock(shown.from)}: ${extent}${describeGaps(shown)}`, width,
    [...gapBands(shown), svg("path", { class: "ground", d: `M0 ${HEIGHT}H${width}` }), ...found]);
}

function chart(label, width, content) {
  return svg("svg", {
    role: "img", "aria-label": label, viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: "none",
  }, svg("title", {}, label), ...content);
}
