"use strict";
// The page works without this script; it adds filters, keys of its own (keys.js has those of every page, copy.js copies), and opens everything for print.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const findings = all("#groups .finding");
  const rows = all(".finding");
  const search = document.querySelector(".tools input");
  const openAll = document.getElementById("all");

  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    const off = new Set(all("[data-show][aria-pressed=false]").map((button) => button.dataset.show));
    for (const row of findings) {
      const text = row.querySelector("summary").textContent.toLowerCase();
      row.hidden = off.has(row.dataset.severity) || !text.includes(wanted);
    }
  };

  if (search) {
    document.querySelector(".tools").hidden = false;
    search.addEventListener("input", filter);
    for (const button of all("[data-show]")) {
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        filter();
      });
    }
    openAll.addEventListener("click", () => {
      const open = openAll.getAttribute("aria-expanded") !== "true";
      for (const row of findings) if (!row.hidden) row.open = open;
      openAll.setAttribute("aria-expanded", String(open));
      openAll.textContent = open ? "Close all" : "Open all";
    });
  }

  // What nobody has decided: regressions of which nothing is said, or nothing that still holds.
  const open = () => findings.filter((row) => !row.hidden && !row.querySelector(".said:not(.past)"));

  // Say what the finding in focus is: the key chooses the word, Enter in the note says it.
  const words = { i: "intended", x: "noise", b: "bug" };
  const say = (word) => {
    const row = document.activeElement.closest(".finding");
    const form = row && row.querySelector("form.triage");
    if (!form) return;
    row.open = true;
    for (const button of all("button[name=decision]", form)) button.classList.toggle("wanted", button.value === word);
    form.elements.note.focus();
  };

  keys.own.push(
    { key: "n", what: "next regression that is not decided", has: () => findings.length, act: () => keys.walk(open(), 1) },
    { key: "p", what: "regression before that is not decided", has: () => findings.length, act: () => keys.walk(open(), -1) },
  );
  for (const [key, word] of Object.entries(words)) {
    keys.own.push({ key, what: `says that the finding is ${word === "bug" ? "a bug" : word}`, has: () => all("form.triage").length, act: () => say(word) });
  }

  // Keys inside fields: Escape leaves them, Enter says the word that was chosen.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.matches("input")) return;
    if (event.key === "Escape" && event.target === search) { search.value = ""; filter(); search.blur(); }
    else if (event.key === "Escape") event.target.closest("details").querySelector("summary").focus();
    const wanted = event.key === "Enter" && event.target.form && event.target.form.querySelector(".wanted");
    if (wanted) wanted.click();
  });
  for (const hint of all(".keys")) hint.hidden = rows.length === 0;

  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (target && target.matches("details")) target.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])").filter((each) => !each.matches(".gap"));
    for (const each of closed) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of closed) each.open = false; });
})();
