// SPDX-License-Identifier: GPL-2.0-or-later
// generator: Imager
// What the pages can do beyond being read: filter and sort their tables of jobs, follow running work.
// They are whole without it. No text becomes markup here, and no request leaves the site.
"use strict";

(() => {
  const KEPT = 5000;
  const FIELDS = ["state", "name", "type", "arch", "tag", "user"];
  const wanted = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");

  const rows = () => [...document.querySelectorAll("tr[data-state]")];
  const values = (row, field) =>
    field === "tag" ? [...row.querySelectorAll(".tag")].map((each) => each.textContent) : [row.dataset[field] || ""];

  function shows(row) {
    const text = (wanted.get("text") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const said = row.textContent.toLowerCase();
    return text.every((word) => said.includes(word))
      && FIELDS.every((field) => !wanted.get(field) || values(row, field).includes(wanted.get(field)));
  }

  function filter() {
    const all = rows();
    let shown = 0;
    for (const row of all) {
      row.hidden = !shows(row);
      shown += !row.hidden;
    }
    const told = document.querySelector(".filter output");
    if (told) told.textContent = [...wanted.keys()].length ? `${shown} of the ${all.length} jobs on this page` : "";
  }

  function remember(field, value) {
    if (value) wanted.set(field, value);
    else wanted.delete(field);
    const hash = wanted.toString();
    history.replaceState(null, "", hash ? `#?${hash}` : location.pathname + location.search);
    filter();
  }

  function offer() {
    const place = document.querySelector(".filter");
    if (!place || !rows().length) return;
    place.hidden = false;
    for (const control of place.querySelectorAll("input, select")) {
      const field = control.name;
      if (control.tagName === "SELECT") {
        const known = [...new Set(rows().flatMap((row) => values(row, field)).filter(Boolean))].sort();
        control.parentElement.hidden = known.length < 2 && !wanted.get(field);
        if (wanted.get(field) && !known.includes(wanted.get(field))) known.push(wanted.get(field));
        for (const each of known) control.add(new Option(control.dataset[each] || each, each));
      }
      control.value = wanted.get(field) || "";
      control.addEventListener("input", () => remember(field, control.value));
    }
    filter();
  }

  // A column is sorted by data-sort where a cell has one, else by its text; once more turns it round.
  function sortable(table) {
    [...table.tHead.rows[0].cells].forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", turn > 0 ? "ascending" : "descending");
        const key = (row) => row.cells[at].dataset.sort ?? row.cells[at].textContent.trim();
        const compare = new Intl.Collator("en", { numeric: true }).compare;
        const sorted = [...table.tBodies[0].rows].sort((one, other) => turn * compare(key(one), key(other)));
        table.tBodies[0].append(...sorted);
      });
    });
  }

  const busy = () => String(getSelection()) || /^(INPUT|SELECT)$/.test(document.activeElement?.tagName || "");

  function prepare() {
    for (const table of document.querySelectorAll("table.sortable")) sortable(table);
    offer();
  }

  // A log that grows keeps above it what was there before, and stays where it is read; at its end it follows.
  function grow(before, seenAt) {
    const box = document.querySelector(".log.end");
    if (!box) return;
    const number = (line) => Number(line.id.slice(1));
    const first = box.querySelector(".line[id^=L]");
    const old = first ? [...before.querySelectorAll(".line[id^=L]")].filter((each) => number(each) < number(first)) : [];
    if (old.length && number(old.at(-1)) === number(first) - 1) first.before(...old.slice(-KEPT));
    if (seenAt.top < -1) box.scrollTop = seenAt.top - (box.scrollHeight - seenAt.height);
  }

  // From a server the page is asked for anew and its parts are replaced; a file can only be loaded again.
  async function refresh() {
    if (busy() || document.hidden) return;
    if (location.protocol === "file:") {
      if (document.body.dataset.refresh) location.reload();
      return;
    }
    // Not asked whether it is newer: a server that tells time in seconds would not know of two changes in one.
    const answer = await fetch(location.pathname, { cache: "reload" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    if (!fresh || busy() || fresh.innerHTML === seen) return;
    seen = fresh.innerHTML;
    const open = [...document.querySelectorAll("details")].map((each) => each.open);
    const before = document.querySelector(".log.end");
    const seenAt = before ? { top: before.scrollTop, height: before.scrollHeight } : null;
    for (const name of ["main", ".foot"]) document.querySelector(name).replaceWith(page.querySelector(name));
    if (before) grow(before, seenAt);
    document.title = page.title;
    document.body.dataset.refresh = page.body.dataset.refresh || "";
    const folds = [...document.querySelectorAll("details")];
    if (folds.length === open.length) folds.forEach((each, at) => { each.open = open[at]; });
    prepare();
  }

  // What has ended does not change any more.
  const FOLLOWED = "#service, .head .is-queued, .head .is-building";
  let seen = document.querySelector("main").innerHTML;
  prepare();
  if (document.querySelector(FOLLOWED) && !location.pathname.endsWith("/still.html")) {
    const moving = document.body.dataset.refresh;
    const seconds = moving && location.protocol !== "file:" ? 2 : moving || 10;
    setInterval(() => refresh().catch(() => {}), 1000 * seconds);
  }
})();
