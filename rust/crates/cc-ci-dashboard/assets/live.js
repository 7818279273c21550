// Follows a run while it happens. Without this the page asks again every few seconds.
"use strict";
const place = document.getElementById("live");
if (place && window.EventSource) {
  const state = document.getElementById("live-state");
  const facts = document.getElementById("facts");
  const lines = document.querySelector("#log-lines pre.log");
  const source = new EventSource(place.dataset.source);
  source.addEventListener("open", () => { state.textContent = "following"; });
  source.addEventListener("error", () => { state.textContent = "connection lost, trying again"; });
  source.addEventListener("log", (news) => {
    const isAtEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 80;
    lines.insertAdjacentHTML("beforeend", news.data);
    while (lines.children.length > 3000) { lines.firstElementChild.remove(); }
    if (isAtEnd) { window.scrollTo(0, document.body.scrollHeight); }
  });
  source.addEventListener("story", (news) => {
    // What the reader opened or closed stays so.
    const open = new Map();
    facts.querySelectorAll("details").forEach((one) => open.set(one.id, one.open));
    facts.innerHTML = news.data;
    facts.querySelectorAll("details").forEach((one) => { if (open.get(one.id)) { one.open = true; } });
  });
  source.addEventListener("end", () => { source.close(); window.location.reload(); });
}
