"use strict";
// The page works without this script; it adds filters, keys, copy buttons, and opens everything for print.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const findings = all("#groups .finding");
  const rows = all(".finding");
  const search = document.querySelector(".tools input");
  const openAll = document.getElementById("all");

  const shown = () => rows.filter((row) => !row.hidden);

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

  for (const button of all(".copy")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  const move = (step) => {
    const list = shown();
    const at = list.findIndex((row) => row.contains(document.activeElement));
    const next = list[at < 0 ? (step > 0 ? 0 : list.length - 1) : Math.min(Math.max(at + step, 0), list.length - 1)];
    if (next) next.querySelector("summary").focus();
  };

  // Say what the finding in focus is: the key chooses the word, Enter in the note says it.
  const words = { i: "intended", n: "noise", b: "bug" };
  const say = (event, word) => {
    const row = document.activeElement.closest(".finding");
    const form = row && row.querySelector("form.triage");
    if (!form) return;
    event.preventDefault();
    row.open = true;
    for (const button of all("button[name=decision]", form)) button.classList.toggle("wanted", button.value === word);
    form.elements.note.focus();
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input")) {
      if (event.key === "Escape" && event.target === search) { search.value = ""; filter(); search.blur(); }
      else if (event.key === "Escape") event.target.closest("details").querySelector("summary").focus();
      const wanted = event.key === "Enter" && event.target.form && event.target.form.querySelector(".wanted");
      if (wanted) wanted.click();
      return;
    }
    if (words[event.key]) { say(event, words[event.key]); return; }
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "/" && search) { event.preventDefault(); search.focus(); }
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
