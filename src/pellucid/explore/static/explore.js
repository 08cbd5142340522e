// Asks the server what the models see at the present position of the controls, and draws the answer.
(() => {
  "use strict";

  const page = document.getElementById("page");
  const facts = JSON.parse(page.dataset.facts);
  const [height, width, channels] = facts.shape;
  const tables = facts.tables.map(bytes);
  const at = (id) => document.getElementById(id);
  const copy = (id) => at(id).content.firstElementChild.cloneNode(true);
  const state = { image: "", seed: 0, start: 0, steps: 0 };
  const change = () => document.querySelector("[name=change]:checked").value;

  function bytes(base64) {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  }

  // Asking. One request at a time; of all positions asked for meanwhile the last one wins, and a slow request is given
  // up for it. A busy server is asked again.
  const DEBOUNCE = 25, PATIENCE = 500, SOON = 150; // milliseconds
  let next = null, underway = null, timer = 0;

  function ask() {
    if (!state.image) return;
    next = query();
    clearTimeout(timer);
    timer = setTimeout(go, DEBOUNCE);
    if (underway) setTimeout(giveUp, Math.max(0, underway.since + PATIENCE - performance.now()), underway);
  }

  function giveUp(request) {
    if (underway === request && next && walkOf(next) !== walkOf(request.wanted)) request.stop.abort();
  }

  function walkOf(wanted) { // an attack on the explanation is computed once, for all of its steps
    return wanted.includes("change=walk") ? wanted.replace(/&step=\d+/, "") : wanted;
  }

  async function go() {
    if (underway) return;
    while (next) {
      const wanted = next;
      next = null;
      underway = { wanted, stop: new AbortController(), since: performance.now() };
      const soon = setTimeout(busy, SOON, "computing…");
      const reply = await get(`/view?${wanted}`, underway.stop.signal);
      clearTimeout(soon);
      underway = null;
      if (reply.later) {
        busy("the server is busy; asking again…");
        await new Promise((done) => setTimeout(done, 700));
        next = next || wanted;
      } else if (reply.value) {
        show(reply.value, wanted);
      }
      if (reply.error) complain(reply.error);
    }
    busy("");
  }

  async function get(url, signal, options = {}) {
    try {
      const reply = await fetch(url, { signal, ...options });
      if (reply.status === 503) return { later: true };
      const value = await reply.json().catch(() => ({}));
      if (reply.ok) return { value };
      const said = value.error || (reply.status === 413 ? `more than ${facts.limit / 1e6} MB were sent` : `the server failed (${reply.status})`);
      return { error: said };
    } catch (error) {
      return error.name === "AbortError" ? {} : { error: "the server does not answer; is it still running?" };
    }
  }

  function query() {
    const kind = change(), found = new URLSearchParams({ image: state.image, change: kind, seed: state.seed });
    if (kind === "walk") {
      found.set("attack", at("way").value);
      found.set("step", at("step").value);
    } else {
      found.set("amount", at(kind).value);
      for (const box of document.querySelectorAll("[name=attribution]:checked")) found.append("attribution", box.value);
    }
    return found.toString();
  }

  function busy(text) {
    at("busy").textContent = text;
    at("result").setAttribute("aria-busy", text ? "true" : "false");
  }

  function complain(text) {
    at("problem").textContent = text ? text[0].toUpperCase() + text.slice(1) + (/[.?!…]$/.test(text) ? "" : ".") : "";
  }

  // Drawing.
  function paint(canvas, colour) {
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d"), picture = context.createImageData(width, height);
    for (let place = 0; place < width * height; place++) {
      picture.data.set(colour(place), 4 * place);
      picture.data[4 * place + 3] = 255;
    }
    context.putImageData(picture, 0, 0);
  }

  function paintImage(canvas, base64) {
    const values = bytes(base64);
    paint(canvas, (place) => channels === 1 ? [values[place], values[place], values[place]] : values.subarray(3 * place, 3 * place + 3));
  }

  function paintMap(canvas, base64, signed) {
    const values = bytes(base64), table = tables[signed ? 1 : 0];
    paint(canvas, (place) => table.subarray(3 * values[place], 3 * values[place] + 3));
  }

  function children(parent, count, template) {
    while (parent.children.length > count) parent.lastElementChild.remove();
    while (parent.children.length < count) parent.append(copy(template));
    return [...parent.children];
  }

  function show(reply, wanted) {
    const walk = change() === "walk";
    complain("");
    at("subject").textContent = reply.title + (reply.label === null ? "" : `, labelled ${reply.label}`);
    document.querySelectorAll(".model").forEach((card, place) => showModel(card, reply.models[place], reply, wanted));
    for (const scale of document.querySelectorAll("[data-scale]")) {
      scale.hidden = !reply.models[0].maps.some((map) => map.signed === (scale.dataset.scale === "1"));
    }
    at("caption").textContent = reply.caption;
    for (const kind of ["png", "svg", "pdf"]) at(kind).href = `/figure.${kind}?${wanted}`;
    if (walk && wanted.includes("change=walk")) {
      state.steps = reply.steps;
      at("step").max = reply.steps;
      at("back").disabled = at("step").value <= 0;
      at("forth").disabled = at("step").value >= reply.steps;
      if (playing && !next) setTimeout(playOn, 90);
    }
    tell(reply);
  }

  function showModel(card, model, reply, wanted) {
    const verdict = card.querySelector(".verdict");
    verdict.textContent = model.same ? `predicts ${model.predicted}` : `prediction changed: ${model.predicted}, was ${model.explained}`;
    verdict.classList.toggle("changed", !model.same);
    children(card.querySelector(".bars"), model.bars.length, "bar").forEach((row, place) => {
      const { name, share } = model.bars[place];
      row.querySelector(".what").textContent = row.title = name;
      row.querySelector(".fill").style.width = `${100 * share}%`;
      row.querySelector(".share").textContent = `${(100 * share).toFixed(1)} %`;
      row.classList.toggle("best", name === model.predicted);
    });
    const before = model.perturbation === null ? 1 : 2;
    const figures = children(card.querySelector(".pictures"), before + model.maps.length, "picture");
    paintImage(figures[0].querySelector("canvas"), model.image);
    entitle(figures[0], "image", "", card);
    if (before === 2) {
      paintImage(figures[1].querySelector("canvas"), model.perturbation);
      entitle(figures[1], "perturbation", `amplified × ${reply.factor}, grey is 0`, card);
    }
    figures.slice(before).forEach((figure, place) => {
      const map = model.maps[place];
      paintMap(figure.querySelector("canvas"), map.shades, map.signed);
      const numbers = map.numbers.map((one) => `${one.name} ${one.text}`).join("\n");
      entitle(figure, map.attribution, map.zero ? `zero map\n${numbers}` : numbers, card);
      const curve = model.curve || visited(card, map, wanted);
      draw(figure, curve.map((value, step) => Array.isArray(value) ? value : [step, value]), model.curve ? Number(new URLSearchParams(wanted).get("step")) : Number(new URLSearchParams(wanted).get("amount")), model.curve ? "top-k intersection by step" : "SSIM at the positions visited");
    });
  }

  function entitle(figure, title, numbers, card) {
    figure.querySelector(".title").textContent = title;
    figure.querySelector(".numbers").textContent = numbers;
    figure.querySelector("canvas").setAttribute("aria-label", `${title}, ${card.querySelector(".name").textContent}`);
    if (title === "image" || title === "perturbation") figure.querySelector(".curve")?.remove();
  }

  // Curves: SSIM over the positions of a slider that were visited, or what an attack does from step to step.
  const seen = new Map();
  let seenOf = "";

  function visited(card, map, wanted) {
    const found = new URLSearchParams(wanted), amount = Number(found.get("amount"));
    const which = ["image", "change", "seed"].map((name) => found.get(name)).join();
    if (which !== seenOf) { seen.clear(); seenOf = which; }
    const name = `${card.getAttribute("aria-labelledby")} ${map.attribution}`;
    if (!seen.has(name)) seen.set(name, new Map());
    seen.get(name).set(amount, map.numbers[0].value);
    return [...seen.get(name)].sort((a, b) => a[0] - b[0]);
  }

  function draw(figure, points, here, label) {
    const drawn = points.filter(([, value]) => value !== null);
    let curve = figure.querySelector(".curve");
    if (drawn.length < 2) { curve?.remove(); return; }
    if (!curve) {
      curve = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      curve.setAttribute("class", "curve");
      curve.setAttribute("viewBox", "0 0 100 24");
      curve.setAttribute("preserveAspectRatio", "none");
      curve.setAttribute("role", "img");
      for (const kind of ["path", "circle"]) curve.append(document.createElementNS("http://www.w3.org/2000/svg", kind));
      figure.append(curve);
    }
    curve.setAttribute("aria-label", label);
    const [first, last] = [points[0][0], points[points.length - 1][0]];
    const low = Math.min(0, ...drawn.map(([, value]) => value));
    const x = (place) => 100 * (place - first) / (last - first), y = (value) => 23 - 22 * (value - low) / (1 - low);
    curve.querySelector("path").setAttribute("d", drawn.map(([place, value], i) => `${i ? "L" : "M"}${x(place).toFixed(2)} ${y(value).toFixed(2)}`).join(""));
    const now = drawn.find(([place]) => place === here), dot = curve.querySelector("circle");
    dot.setAttribute("r", now ? "2" : "0");
    if (now) { dot.setAttribute("cx", x(now[0])); dot.setAttribute("cy", y(now[1])); }
  }

  // For those who do not see it: once the controls rest.
  let telling = 0;

  function tell(reply) {
    clearTimeout(telling);
    telling = setTimeout(() => {
      const names = [...document.querySelectorAll(".model .name")].map((one) => one.textContent);
      at("status").textContent = reply.models.map((model, place) => {
        const map = model.maps[0], numbers = map.numbers.map((one) => `${one.name} ${one.text}`).join(", ");
        return `${names[place]} predicts ${model.predicted}; ${map.attribution}: ${numbers}.`;
      }).join(" ");
    }, 900);
  }

  // Choosing an image.
  let listing = 0;

  async function list() {
    const mine = ++listing;
    const found = await get(`/images?${new URLSearchParams({ show: at("show").value, label: at("label").value, start: state.start })}`);
    if (mine !== listing) return;
    if (found.error) return complain(found.error);
    const { images, count, looked_at: looked, all } = found.value;
    at("strip").replaceChildren(...images.map(thumb));
    const last = state.start + images.length, unknown = at("show").value !== "all" && looked < all;
    at("place").textContent = (count ? `${state.start + 1}–${last} of ${count}` : "none") + (unknown ? ` (models have seen ${looked} of ${all} images)` : "");
    at("earlier").disabled = state.start === 0;
    at("later").disabled = last >= count;
    if (unknown) setTimeout(() => mine === listing && list(), 1000);
    if (!state.image && images.length) choose(`test-${images[0].number}`);
  }

  function thumb({ number, label }) {
    const item = copy("thumb"), button = item.querySelector("button"), picture = item.querySelector("img");
    picture.src = `/images/${number}.png`;
    picture.alt = `${label}, test image ${number}`;
    button.title = picture.alt;
    button.dataset.image = `test-${number}`;
    button.setAttribute("aria-pressed", String(state.image === button.dataset.image));
    button.addEventListener("click", () => choose(button.dataset.image));
    return item;
  }

  function choose(image) {
    state.image = image;
    for (const button of document.querySelectorAll(".strip button")) {
      button.setAttribute("aria-pressed", String(button.dataset.image === image));
    }
    complain("");
    ask();
  }

  for (const id of ["show", "label"]) at(id).addEventListener("change", () => { state.start = 0; list(); });
  at("earlier").addEventListener("click", () => { state.start = Math.max(0, state.start - facts.page); list(); });
  at("later").addEventListener("click", () => { state.start += facts.page; list(); });

  at("upload").addEventListener("change", async () => {
    const file = at("upload").files[0];
    if (!file) return;
    if (file.size > facts.limit) return complain(`${file.name} has more than ${facts.limit / 1e6} MB`);
    busy("sending…");
    const reply = await get("/uploads", undefined, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
    busy("");
    if (reply.value) return choose(reply.value.image);
    complain(reply.later ? "the server is busy; send it again in a moment" : `${file.name}: ${reply.error}`);
  });
  at("upload").addEventListener("click", () => { at("upload").value = ""; }); // the same file again counts as a change

  // The controls.
  let playing = false;

  function stop() {
    playing = false;
    at("play").textContent = "Play";
  }

  function say() {
    for (const id of ["noise", "attack"]) at(`${id}-said`).textContent = Number(at(id).value).toFixed(3);
    at("step-said").textContent = at("step").value;
  }

  function move(by) {
    at("step").value = Number(at("step").value) + by;
    say();
    ask();
  }

  function playOn() {
    if (!playing) return;
    if (Number(at("step").value) >= state.steps) return stop();
    move(1);
  }

  for (const radio of document.querySelectorAll("[name=change]")) {
    radio.addEventListener("change", () => {
      stop();
      for (const panel of document.querySelectorAll(".panel")) panel.hidden = panel.dataset.for !== change();
      at("attributions").hidden = change() === "walk";
      at("walking").hidden = change() !== "walk";
      ask();
    });
  }
  for (const id of ["noise", "attack", "step"]) at(id).addEventListener("input", () => { stop(); say(); ask(); });
  for (const button of document.querySelectorAll(".again")) {
    button.addEventListener("click", () => { stop(); state.seed += 1; ask(); });
  }
  at("way").addEventListener("change", () => { stop(); at("step").value = 0; say(); ask(); });
  at("back").addEventListener("click", () => { stop(); move(-1); });
  at("forth").addEventListener("click", () => { stop(); move(1); });
  at("play").addEventListener("click", () => {
    if (playing) return stop();
    playing = true;
    at("play").textContent = "Pause";
    if (Number(at("step").value) >= state.steps) at("step").value = 0;
    move(1);
  });
  at("attributions").addEventListener("change", (event) => {
    if (!document.querySelector("[name=attribution]:checked")) event.target.checked = true; // one map at least
    ask();
  });

  for (const scale of document.querySelectorAll("[data-scale]")) {
    const canvas = scale.querySelector("canvas"), table = tables[Number(scale.dataset.scale)];
    const context = canvas.getContext("2d"), picture = context.createImageData(facts.shades, 1);
    for (let shade = 0; shade < facts.shades; shade++) picture.data.set([...table.subarray(3 * shade, 3 * shade + 3), 255], 4 * shade);
    context.putImageData(picture, 0, 0);
  }
  for (const id of ["noise", "attack", "step"]) at(id).value = 0; // browsers remember positions over a reload
  at("show").value = "all";
  at("label").value = "-1";
  document.querySelector("[name=change][value=noise]").checked = true;
  say();
  list();
})();
