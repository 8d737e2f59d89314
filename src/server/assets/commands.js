// Commands for a shell, and what copies them.

import { element } from "./draw.js";

/** A word as a POSIX shell reads it. */
export function quoted(word) {
  return /^[\w.:@/+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** A command about an account; `name` has all of its words. An alias that looks like a flag is replaced by the id. */
export function command({ account, account_id: id }, name, ...words) {
  const named = account.startsWith("-") ? id : account;
  return ["zt-risk-exporter", ...name.split(" "), "--account", named, ...words].map(quoted).join(" ");
}

/** A button that copies a text. */
export function copyButton(words, text) {
  return element("button", { type: "button", "data-copy": text, title: text, "aria-label": `${words}: ${text}` }, words);
}

/** Copies without the clipboard interface, which browsers have on HTTPS and on loopback only. */
function copySelected(text) {
  const field = element("textarea", { readonly: "", class: "copied" });
  field.value = text;
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

/** Makes the buttons work. `message` says what was copied, or shows it to be selected by hand. */
export function enableCopying(message) {
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.("button[data-copy]");
    if (!button) return;
    const text = button.dataset.copy;
    const isCopied = await copy(text);
    button.focus();
    message.replaceChildren(isCopied ? "Copied: " : "Copy this: ", element("code", {}, text));
  });
}
