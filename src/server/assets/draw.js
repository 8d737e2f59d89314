// Builds times, elements and tables. Text is always set as text, never as markup.

/* Times. Ages use the exporter's clock, so they are right even if the browser's clock is wrong. */

const HALF_A_DAY = 12 * 3600 * 1000;

/** When the exporter wrote the shown document, and when the browser received it, by its monotonic clock. */
let writtenAt = null;
let receivedAt = 0;

/** Sets the current time by the exporter's clock. */
export function setTime(date) {
  [writtenAt, receivedAt] = [Date.parse(date), performance.now()];
}

export function now() {
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

/** The short name of the browser's time zone, in which all times are shown. */
export const zone = new Intl.DateTimeFormat("en-US", { timeZoneName: "short" })
  .formatToParts().find(({ type }) => type === "timeZoneName").value;

export const number = (value) => value.toLocaleString("en-US");
export const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

/* Elements. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element with attributes and children; null and false are left out. */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
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
