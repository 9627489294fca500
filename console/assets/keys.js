"use strict";
// Keys of every page and the help that tells them; pages work without. A page's own script adds its keys to `keys.own`.
const keys = (() => {
  const FIELD = "input[type=search], [role=search] input:not([type=hidden])";
  const own = [];
  const seen = (each) => each.checkVisibility();
  const shown = (selector) => [...document.querySelectorAll(selector)].filter(seen);
  const rows = () => shown(".finding, .rows > :not(p)");
  const field = () => shown(FIELD)[0];

  // The link of the part in focus, else the first of the page: a page can have two lists.
  const link = (rel) => {
    const part = document.activeElement.closest("section");
    return (part && part.querySelector(`a[rel~=${rel}]`)) || document.querySelector(`a[rel~=${rel}]`);
  };
  const follow = (rel) => link(rel) && link(rel).click();

  // The next row from where the focus is, or the one before; at an end nothing moves.
  const walk = (list, step) => {
    const here = document.activeElement;
    const side = step > 0 ? Node.DOCUMENT_POSITION_FOLLOWING : Node.DOCUMENT_POSITION_PRECEDING;
    const there = list.filter((row) => !row.contains(here) && here.compareDocumentPosition(row) & side);
    const next = step > 0 ? there[0] : there.at(-1) || (here === document.body && list.at(-1));
    if (!next) return;
    const target = next.querySelector("summary") || next;
    if (target.tabIndex < 0) target.tabIndex = -1; // a row that is no link takes the focus by key alone
    target.focus();
  };

  const common = [
    { key: "j", what: "next row", has: () => rows().length, act: () => walk(rows(), 1) },
    { key: "k", what: "row before", has: () => rows().length, act: () => walk(rows(), -1) },
    { key: "Enter", what: "opens the row", has: () => shown(".finding, a.row").length },
    { key: "/", what: "to the field that searches", has: field, act: () => field().focus() },
    { key: "n", what: "next page", has: () => link("next"), act: () => follow("next") },
    { key: "p", what: "page before", has: () => link("prev"), act: () => follow("prev") },
    { key: "?", what: "opens and closes this help", has: () => true, act: () => toggle() },
  ];
  // What the page's own script adds stands for a common key of the same name.
  const offered = () => [...own, ...common.filter((one) => !own.some((mine) => mine.key === one.key))].filter((one) => one.has());

  const add = (parent, name, text = "", attributes = {}) => {
    const each = Object.assign(document.createElement(name), attributes);
    each.textContent = text;
    return parent.appendChild(each);
  };
  const help = document.createElement("dialog");
  help.className = "help";
  help.setAttribute("aria-labelledby", "help-title");
  const toggle = () => {
    if (help.open) { help.close(); return; }
    help.replaceChildren();
    add(help, "h2", "Keys of this page", { id: "help-title" });
    const list = add(help, "dl");
    for (const one of offered()) {
      const pair = add(list, "div");
      add(add(pair, "dt"), "kbd", one.key);
      add(pair, "dd", one.what);
    }
    add(help, "button", "Close", { type: "button" }).addEventListener("click", toggle);
    help.showModal(); // Escape closes it, and the focus goes back to where it was
  };
  document.body.append(help);
  const opener = add(document.querySelector("footer"), "button", "Keys ", { type: "button", className: "help-opener" });
  add(opener, "kbd", "?");
  opener.addEventListener("click", toggle);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, select, textarea")) return;
    if (help.open && event.key !== "?") return;
    const one = offered().find((each) => each.key === event.key && each.act);
    if (!one) return;
    event.preventDefault();
    one.act();
  });
  return { own, walk };
})();
