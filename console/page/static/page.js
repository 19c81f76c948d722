// Keeps an open page up to date without disturbing who reads it. All of it works without this script, by reloading.
"use strict";
(() => {
  const region = () => document.getElementById("live");
  const every = Number(document.body.dataset.refresh || 3) * 1000;
  const pause = document.getElementById("pause");
  const freshness = document.getElementById("freshness");
  const spoken = document.getElementById("spoken");
  let paused = false;
  let said = region()?.querySelector("[data-speak]")?.dataset.speak;

  // Changes `old` into `fresh` by as few changes as there are differences: what has focus, is open or was typed stays.
  function morph(old, fresh) {
    if (old.dataset?.morph === "keep") return;
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) return;
    const typed = old.matches("input, select, textarea");
    for (const { name } of [...old.attributes]) {
      const mine = name === "open" || name === "tabindex" || (typed && (name === "value" || name === "checked"));
      if (!mine && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (name === "open" || (typed && (name === "value" || name === "checked"))) continue;
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    if (typed) return;
    children(old, fresh);
  }

  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");

  function children(old, fresh) {
    const byId = new Map([...old.children].filter((one) => one.id).map((one) => [one.id, one]));
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      const mine = next.id ? byId.get(next.id) : at && alike(at, next) ? at : null;
      if (mine && alike(mine, next)) {
        if (mine !== at) old.insertBefore(mine, at);
        morph(mine, next);
        at = mine.nextSibling;
      } else {
        const made = document.importNode(next, true);
        old.insertBefore(made, at);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  function fresh() {
    const asOf = region()?.dataset.asOf;
    if (freshness && asOf) {
      freshness.classList.remove("late");
      freshness.textContent = `As of ${asOf}${paused ? ", paused" : ""}.`;
    }
    const now = region()?.querySelector("[data-speak]")?.dataset.speak;
    if (now && now !== said && spoken) spoken.textContent = now;
    said = now;
    document.dispatchEvent(new CustomEvent("cohortstream:fresh"));
  }

  function late() {
    if (!freshness || freshness.classList.contains("late")) return;
    freshness.classList.add("late");
    freshness.textContent = `${freshness.textContent.trim()} Nothing newer can be had now; it is tried again.`;
  }

  if (window.htmx) {
    htmx.defineExtension("morph", {
      isInlineSwap: (style) => style === "morph",
      handleSwap: (style, target, fragment) => {
        if (style !== "morph") return false;
        const next = fragment.querySelector ? fragment.querySelector("#live") : null;
        if (!next) return false;
        morph(target, next);
        fresh();
        return [target];
      },
    });
    document.body.setAttribute("hx-ext", "morph");
    document.body.addEventListener("htmx:responseError", late);
    document.body.addEventListener("htmx:sendError", late);
    document.body.addEventListener("htmx:timeout", late);
    // a page that could not be had looks again; once it can, it is loaded whole
    document.body.addEventListener("htmx:beforeSwap", (event) => {
      if (event.detail.xhr.status === 200 && region()?.querySelector("[data-failed]")) {
        event.detail.shouldSwap = false;
        location.reload();
      }
    });
    if (region()?.hasAttribute("hx-get")) {
      // a page that takes long to make is asked for less often: an open page never keeps the ledger busy
      let began = 0;
      let rest = every;
      const next = () => setTimeout(() => {
        if (!paused && document.visibilityState === "visible") htmx.trigger(document.body, "tick");
        next();
      }, rest);
      document.body.addEventListener("htmx:beforeRequest", () => { began = performance.now(); });
      document.body.addEventListener("htmx:afterRequest", () => { rest = Math.max(every, 5 * (performance.now() - began)); });
      next();
      if (pause) {
        pause.hidden = false;
        pause.addEventListener("click", () => {
          paused = !paused;
          pause.setAttribute("aria-pressed", String(paused));
          pause.textContent = paused ? "Resume updates" : "Pause updates";
          if (!paused) htmx.trigger(document.body, "tick");
        });
      }
    }
  }

  // The interval map: one stop for the keyboard, arrows walk the cells, a line says what each is.
  const line = () => document.getElementById("map-said");
  const spots = () => [...document.querySelectorAll(".strips .spot")];
  function say(spot) {
    const where = line();
    if (where && spot) {
      where.textContent = spot.getAttribute("aria-label");
      where.classList.add("on");
    }
  }
  function walkable() {
    const all = spots();
    if (all.length && !all.some((one) => one.getAttribute("tabindex") === "0")) all[0].setAttribute("tabindex", "0");
  }
  document.addEventListener("mouseover", (event) => say(event.target.closest?.(".spot")));
  document.addEventListener("focusin", (event) => say(event.target.closest?.(".spot")));
  document.addEventListener("keydown", (event) => {
    const spot = event.target.closest?.(".spot");
    if (!spot) return;
    const all = spots();
    const strip = [...document.querySelectorAll(".strips .chromosome")];
    const mine = strip.findIndex((one) => one.contains(spot));
    const along = [...strip[mine].querySelectorAll(".spot")];
    const step = along.indexOf(spot) / Math.max(1, along.length - 1);
    const over = (to) => {
      const cells = to >= 0 && to < strip.length ? [...strip[to].querySelectorAll(".spot")] : [];
      return cells[Math.round(step * (cells.length - 1))];
    };
    const to = {
      ArrowRight: () => all[all.indexOf(spot) + 1],
      ArrowLeft: () => all[all.indexOf(spot) - 1],
      ArrowDown: () => over(mine + 1),
      ArrowUp: () => over(mine - 1),
      Home: () => all[0],
      End: () => all[all.length - 1],
    }[event.key]?.();
    if (!to) return;
    event.preventDefault();
    spot.setAttribute("tabindex", "-1");
    to.setAttribute("tabindex", "0");
    to.focus();
  });
  document.addEventListener("cohortstream:fresh", walkable);
  walkable();
  for (const one of document.querySelectorAll(".js-only")) one.hidden = false;

  // A form is sent once; a details form takes the keyboard when it opens.
  document.addEventListener("submit", (event) => {
    const button = event.target.querySelector("button");
    if (event.target.method === "post" && button) button.disabled = true;
  });
  document.addEventListener("toggle", (event) => {
    if (event.target.matches?.("details.act[open]")) event.target.querySelector("input:not([type=hidden])")?.focus();
  }, true);
})();
