// Shows one trial after the other, and brings every answer to the server: kept on this device until it is acknowledged.
(() => {
  "use strict";

  const page = document.getElementById("trials");
  if (!page) return;
  const text = page.dataset;
  const status = document.getElementById("status");
  const name = `pellucid:${text.person}:`;

  // The queue. Every answer has an entry of its own in the browser's storage, so that two tabs never overwrite each
  // other's; the time in its name keeps the order. What the browser does not store (some private modes), the page keeps.
  let kept = [];
  const queue = {
    entries() {
      try { return Object.keys(localStorage).filter((entry) => entry.startsWith(name)).sort(); } catch { return []; }
    },
    read() { return [...this.entries().map((entry) => JSON.parse(localStorage.getItem(entry))).filter(Boolean), ...kept]; },
    add(answer) {
      try { localStorage.setItem(`${name}${Date.now()}:${answer.key}`, JSON.stringify(answer)); } catch { kept.push(answer); }
    },
    drop(answer) {
      kept = kept.filter((other) => other.key !== answer.key);
      this.entries().filter((entry) => entry.endsWith(answer.key)).forEach((entry) => localStorage.removeItem(entry));
    },
  };

  // Sending, one at a time and in order; what fails is tried again, later and later, and at once when the network is back.
  const FIRST = 1000, LONGEST = 30000, DOUBLE_CLICK = 400; // milliseconds
  let sending = false, stopped = false, away = false, delay = FIRST, timer = 0;

  async function send() {
    if (sending || stopped) return;
    sending = true;
    clearTimeout(timer);
    try {
      for (let answer = queue.read()[0]; answer; answer = queue.read()[0]) {
        say();
        const verdict = await deliver(answer);
        if (verdict === "later") return retry();
        if (verdict === "expired") { stopped = true; return say(text.expired); }
        queue.drop(answer);
        if (verdict === "refused") { stopped = true; say(text.refused); return setTimeout(() => location.reload(), 1500); }
        away = false;
        delay = FIRST;
      }
      say();
      if (current && "end" in current.dataset) location.reload();
    } finally {
      sending = false;
    }
  }

  async function deliver(answer) {
    try {
      const reply = await fetch(text.save, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRF-Token": text.csrf },
        body: JSON.stringify(answer),
        keepalive: true, // also when the page is closed right after the last answer
        signal: AbortSignal.timeout(20000),
      });
      if (reply.ok) return "saved";
      if (reply.status === 403) return "expired";
      return reply.status >= 500 || reply.status === 429 || reply.status === 408 ? "later" : "refused";
    } catch {
      return "later";
    }
  }

  function retry() {
    away = true;
    say();
    timer = setTimeout(send, delay * (0.5 + Math.random()));
    delay = Math.min(2 * delay, LONGEST);
  }

  function say(words) {
    const count = queue.read().length;
    // What goes well is not said again and again: a screen reader would read it aloud after every answer.
    const now = words || (!count ? text.saved : away ? text.waiting.replace("{count}", count) : status.textContent || text.saving);
    if (status.textContent !== now) status.textContent = now;
    status.classList.toggle("waiting", Boolean(words) || (away && count > 0));
  }

  // Time on a trial, while the page can be seen.
  let spent = 0, since = null;
  const clock = {
    start() { spent = 0; since = document.hidden ? null : performance.now(); },
    pause() { if (since !== null) { spent += performance.now() - since; since = null; } },
    go() { if (since === null) since = performance.now(); },
    read() { return Math.round(spent + (since === null ? 0 : performance.now() - since)); },
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? clock.pause() : clock.go()));

  // Pictures that did not come are asked for again.
  function pictures(section) {
    return Promise.all([...section.querySelectorAll("img")].map(async (picture) => {
      for (let wait = FIRST; ; wait = Math.min(2 * wait, LONGEST)) {
        try { await picture.decode(); return; } catch { /* the network is away */ }
        await new Promise((done) => setTimeout(done, wait));
        picture.src = picture.getAttribute("src");
      }
    }));
  }

  // Trials.
  const sections = [...page.querySelectorAll("section")];
  let current = null, shownAt = 0;

  async function show(section, { quietly = false } = {}) {
    if (current) current.hidden = true;
    current = section;
    shownAt = performance.now();
    const trial = section.dataset.trial ?? section.dataset.intro;
    const done = trial === undefined ? Number(text.total) : Number(trial);
    document.getElementById("progress").value = done;
    document.getElementById("count").textContent = text.progress.replace("{done}", done).replace("{total}", text.total);
    section.hidden = false;
    window.scrollTo(0, 0);
    if (!quietly) section.querySelector("h1").focus({ preventScroll: true });
    if ("end" in section.dataset) return send();
    if (![...section.querySelectorAll("img")].every((picture) => picture.complete && picture.naturalWidth)) {
      section.classList.add("loading");
      say(text.loading);
      await pictures(section);
      section.classList.remove("loading");
      say();
    }
    clock.start();
  }

  function next() { return sections[sections.indexOf(current) + 1]; }

  function newKey() {
    // crypto.randomUUID exists on https only
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function complain(form, words, where) {
    form.querySelector(".problem").textContent = words;
    where.focus();
  }

  function take(form) {
    const values = {};
    for (const group of form.querySelectorAll("fieldset")) {
      const chosen = group.querySelector("input:checked");
      group.classList.toggle("missing", !chosen);
      group.setAttribute("aria-invalid", String(!chosen));
      if (chosen) values[chosen.name] = Number(chosen.value);
    }
    const open = form.querySelector("fieldset.missing input");
    if (open) return complain(form, form.dataset.missing, open);
    const reason = form.querySelector("textarea");
    if (reason && reason.required && !reason.value.trim()) return complain(form, form.dataset.reasonMissing, reason);
    return { values, reason: reason ? reason.value.trim() : "" };
  }

  page.addEventListener("submit", (event) => {
    event.preventDefault();
    const section = event.target.closest("section");
    if (section !== current || section.classList.contains("loading")) return;
    if (performance.now() - shownAt < DOUBLE_CLICK) return; // its second half falls on the trial that has just come
    if (section.dataset.trial !== undefined) {
      const given = take(event.target);
      if (!given) return;
      queue.add({ key: newKey(), trial: Number(section.dataset.trial), ...given, milliseconds: clock.read() });
    }
    show(next());
    send();
  });

  // In a question, the keys 1 to 5 choose an answer.
  page.addEventListener("keydown", (event) => {
    const group = event.target.matches("input[type=radio]") && event.target.closest("fieldset");
    if (!group || event.ctrlKey || event.altKey || event.metaKey) return;
    const wanted = group.querySelectorAll("input")[Number(event.key) - 1];
    if (wanted) { wanted.checked = true; wanted.focus(); }
  });

  window.addEventListener("online", () => { delay = FIRST; send(); });

  const waiting = queue.read().map((answer) => answer.trial);
  const after = sections.findLastIndex((section) => waiting.includes(Number(section.dataset.trial ?? -1)));
  show(sections[after + 1], { quietly: true });
  say();
  send();
})();
