"use strict";
// A run on its way, live; without this script the page asks again by itself every few seconds.
(() => {
  const body = document.querySelector("[data-events]");
  if (!body || !window.EventSource) return;
  const bar = document.querySelector("progress");
  const count = document.getElementById("count");
  const state = document.getElementById("state");
  const events = new EventSource(body.dataset.events);
  events.addEventListener("state", (event) => {
    const told = JSON.parse(event.data);
    // In another state, and once it is planned, a run has other words and other buttons.
    if (told.state !== state.textContent || (told.total && bar.position < 0)) { events.close(); location.reload(); return; }
    count.textContent = told.total ? `${told.done.toLocaleString("en")} of ${told.total.toLocaleString("en")} exchanges` : `${told.done.toLocaleString("en")} exchanges`;
    if (told.total) { bar.max = told.total; bar.value = told.done; }
  });
  events.addEventListener("ended", () => { events.close(); location.reload(); });
  const denied = () => { events.close(); document.getElementById("denied").hidden = false; };
  events.addEventListener("denied", denied);
  // A stream that is lost is opened again by the browser, and for good closed where that is answered with an error: this asks which one.
  const why = async () => {
    const answer = await fetch(body.dataset.events.replace(/events$/, "state")).catch(() => null);
    if (answer && answer.status === 401) denied();
    else if (answer && (answer.ok || answer.status === 404)) location.reload();
    else setTimeout(why, 5000);
  };
  events.addEventListener("error", () => { if (events.readyState === EventSource.CLOSED) why(); });
})();
