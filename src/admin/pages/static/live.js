// Follows what changes. Every page works without this; nothing here writes HTML, and what is told holds only numbers.
(() => {
  "use strict";
  const PAUSE_MILLIS = 3000;
  const news = document.getElementById("news");
  const room = () => document.getElementById("main");
  const follows = room()?.dataset.live;
  if (!news || !follows || !("EventSource" in window)) return;

  let stream = null;
  let seen = null;
  let waits = false;
  let refreshedAt = 0;

  // Whether a person is in the midst of something that a fresh page would take from them.
  const isBusy = () => {
    const main = room();
    const active = document.activeElement;
    const isInside = active && active !== main && main.contains(active) && active.matches("input, select, textarea, button, summary, pre");
    const selection = document.getSelection();
    const isSelecting = selection && !selection.isCollapsed && main.contains(selection.anchorNode);
    return Boolean(isInside || isSelecting || main.querySelector("input[type=checkbox]:checked, details[open]:not(.box)"));
  };

  const say = (text) => {
    news.replaceChildren();
    if (!text) return;
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = "Show";
    link.addEventListener("click", (event) => {
      event.preventDefault();
      refresh(true);
    });
    news.append(text + " ", link);
  };

  const refresh = async (isAsked) => {
    waits = false;
    refreshedAt = Date.now();
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store" });
      if (answer.redirected || !answer.ok) {
        location.reload();
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.getElementById("main");
      if (!next || (!isAsked && isBusy())) return;
      // What has the focus stays where it is, where the fresh page has it as well.
      const id = document.activeElement?.id;
      const href = document.activeElement?.getAttribute?.("href");
      room().replaceWith(document.adoptNode(next));
      const again = (id && document.getElementById(id)) || (href && room().querySelector(`a[href="${CSS.escape(href)}"]`));
      if (isAsked) room().focus({ preventScroll: true });
      else if (again) again.focus({ preventScroll: true });
      say("");
    } catch {
      say("The bridge could not be reached.");
    }
  };

  const soon = (text) => {
    if (isBusy()) {
      say(text);
      return;
    }
    if (waits) return;
    waits = true;
    setTimeout(() => (isBusy() ? ((waits = false), say(text)) : refresh(false)), Math.max(0, refreshedAt + PAUSE_MILLIS - Date.now()));
  };

  const told = (event) => {
    const now = JSON.parse(event.data);
    for (const place of document.querySelectorAll("[data-queue]")) {
      const number = now.queues[place.dataset.queue];
      if (Number.isInteger(number)) place.textContent = String(number);
    }
    const before = seen;
    seen = now;
    if (!before) return;
    const isFirstPage = !/[?&](cursor|back)=/.test(location.search);
    const changed = JSON.stringify(before) !== JSON.stringify(now);
    if (follows === "all" && changed) soon("Something changed.");
    if (follows === "queues" && JSON.stringify([before.queues, before.paused]) !== JSON.stringify([now.queues, now.paused])) soon("Something changed.");
    if (follows === "sale" && now.sale > before.sale && isFirstPage) say("There are new sales.");
    if (follows === "request" && now.request > before.request && isFirstPage) say("There are new requests.");
  };

  const listen = () => {
    if (document.hidden || stream) return;
    stream = new EventSource("/live");
    stream.addEventListener("message", told);
  };
  const rest = () => {
    stream?.close();
    stream = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
  addEventListener("pagehide", rest);
  addEventListener("pageshow", listen);
  listen();
})();
