// What the page is drawn with: times, elements, tables and trends. Text is set as text, never as markup.

/* Times. The exporter's clock counts, not the browser's: ages are right though the two differ. */

const HALF_A_DAY = 12 * 3600 * 1000;

/** When the exporter wrote what is shown, and when that came by the browser's steady clock. */
let writtenAt = null;
let receivedAt = 0;

/** It is this date at the exporter. */
export function setTime(date) {
  [writtenAt, receivedAt] = [Date.parse(date), performance.now()];
}

function now() {
  return writtenAt === null ? Date.now() : writtenAt + (performance.now() - receivedAt);
}

/** In the largest unit of which there are two. */
export function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

const two = (number) => String(number).padStart(2, "0");

/** A time of day, with the date if that is not the nearest day of which there is such a time. */
export function clock(milliseconds) {
  const date = new Date(milliseconds);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  const isNear = Math.abs(milliseconds - now()) < HALF_A_DAY;
  return isNear ? time : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

export const number = (value) => value.toLocaleString("en-US");
export const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

/* Elements. */

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; what is null or false is left out. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

/** Makes `old` the same as `wanted` and keeps what is the same already, and with it focus and selection. */
export function become(old, wanted) {
  for (const { name } of [...old.attributes]) {
    // Whether details are open is for who looks at them to say.
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
    } else become(present, child);
  });
}

/** How long ago a date is; it goes on by itself. */
export function ago(date, words = "never") {
  if (date === null) return words;
  const time = make("time", { datetime: date, title: new Date(date).toString(), "data-age": "" });
  tick(time);
  return time;
}

export function tick(time) {
  const text = `${span(now() - Date.parse(time.dateTime))} ago`;
  if (time.textContent !== text) time.textContent = text;
}

/**
 * A table. Columns have a heading, and maybe a class; the first one heads its row. On a narrow screen each row is a
 * block: then the roles are no longer implied, and each cell shows its heading.
 */
export function table(caption, columns, rows) {
  const heads = columns.map(({ heading, kind }) =>
    make("th", { scope: "col", role: "columnheader", class: kind ?? null }, heading));
  const body = rows.map((cells) => make("tr", { role: "row" }, cells.map((cell, index) => {
    const { heading, kind } = columns[index];
    const attributes = { "data-heading": heading, class: kind ?? null };
    return index === 0
      ? make("th", { ...attributes, scope: "row", role: "rowheader" }, cell)
      : make("td", { ...attributes, role: "cell" }, cell);
  })));
  return make("table", { role: "table" },
    make("caption", {}, caption),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, heads)),
    make("tbody", { role: "rowgroup" }, body));
}

/* Trends. Coordinates are steps to the right and hundredths of the height down. */

const HEIGHT = 100;

/** The unbroken parts of a trend, as pairs of first and last step. */
function parts(values) {
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
 * A trend's steps from the first known one on, and since when they are, in milliseconds. What is read every `interval`
 * seconds is missed as soon as the exporter would miss it, which is after two of them.
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

/** What is not known within a frame, as pairs of first step and end; without an end if it goes on. */
function holes({ values, isMissed }) {
  const known = parts(values);
  const found = known.slice(1).map(([first], index) => [known[index][1] + 1, first]);
  return isMissed ? [...found, [values.length, null]] : found;
}

/** The same in words. */
function unknown(shown) {
  const { step, from } = shown;
  const words = holes(shown).map(([first, end]) => end === null
    ? `since ${clock(from + first * step)}`
    : `from ${clock(from + first * step)} to ${clock(from + end * step)}`);
  if (words.length === 0) return "";
  const few = words.length > 3 ? [...words.slice(0, 3), `and ${words.length - 3} times more`] : words;
  return `; nothing is known ${few.join(", ")}`;
}

/** How wide a chart is, and where its first step is: what is not much stays narrow, at the end. */
function placed({ values, missing }) {
  const width = Math.max(12, values.length + missing);
  return { width, offset: width - values.length - missing };
}

/** Bands over what is not known. */
function bands(shown) {
  const { offset } = placed(shown);
  return holes(shown).map(([first, end]) => draw("rect", {
    class: "hole", x: offset + first, y: 0, width: (end ?? shown.values.length + shown.missing) - first, height: HEIGHT,
  }));
}

/** The line of a number that goes up and down. */
export function line(trend, values, interval, name) {
  const shown = frame(trend, values, interval);
  const known = shown.values.filter((value) => value !== null);
  if (known.length === 0) return null;
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const last = known.at(-1);
  const { width, offset } = placed(shown);
  const height = (value) => least === most ? HEIGHT / 2 : HEIGHT * (0.92 - 0.84 * (value - least) / (most - least));
  const path = parts(shown.values).map(([first, end]) => {
    const points = shown.values.slice(first, end + 1)
      .map((value, index) => `${offset + first + index + 0.5} ${height(value).toFixed(1)}`);
    // A single point is a line of no length, which its round ends make a dot.
    return `M${points.join("L")}${first === end ? "h0" : ""}`;
  });
  const end = shown.values.findLastIndex((value) => value !== null);
  const extent = least === most ? `always ${number(last)}` : `from ${number(least)} to ${number(most)}, last ${number(last)}`;
  return {
    chart: chart(`${name} since ${clock(shown.from)}: ${extent}${unknown(shown)}`, width, [
      ...bands(shown),
      draw("path", { class: "line", d: path.join("") }),
      draw("path", { class: "end", d: `M${offset + end + 0.5} ${height(last).toFixed(1)}h0` }),
    ]),
    from: shown.from,
    least,
    most,
  };
}

/** A bar for each bucket in which something was counted. */
export function bars(trend, values, interval, name) {
  const shown = frame(trend, values, interval);
  const known = shown.values.filter((value) => value !== null);
  if (known.length === 0) return "";
  const most = Math.max(...known);
  const sum = known.reduce((total, value) => total + value, 0);
  const { width, offset } = placed(shown);
  const found = shown.values.map((value, step) => value > 0 && draw("rect", {
    class: "bar", x: offset + step + 0.1, width: 0.8,
    y: (HEIGHT * (1 - value / most)).toFixed(1), height: (HEIGHT * value / most).toFixed(1),
  }));
  const extent = sum === 0 ? "no events" : `${plural(sum, "event", "events")}, at most ${number(most)} within ${span(shown.step)}`;
  return chart(`${name} since ${clock(shown.from)}: ${extent}${unknown(shown)}`, width,
    [...bands(shown), draw("path", { class: "ground", d: `M0 ${HEIGHT}H${width}` }), ...found]);
}

function chart(label, width, content) {
  return draw("svg", {
    role: "img", "aria-label": label, viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: "none",
  }, draw("title", {}, label), ...content);
}
