"use strict";
// All data is read from the list in the page: it is there, and readable, without this script too.
(() => {
  const MOST_PLAYING = 12;
  const find = (id) => document.getElementById(id);
  const grid = find("grid");
  const cards = [...grid.children];
  const viewer = find("viewer");
  const screen = viewer.querySelector("video");
  const chips = [...document.querySelectorAll(".chip")];
  const selects = { model: find("model"), orientation: find("orientation") };
  const search = find("search");
  const sort = find("sort");
  const motion = find("motion");
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const collator = new Intl.Collator(undefined, { numeric: true });
  const normal = (text) => text.normalize("NFKC").toLowerCase();
  const promptOf = (card) => card.querySelector(".prompt").textContent;
  const texts = new Map();
  const videos = new Map();
  const wanted = { states: new Set(), model: "*", orientation: "*", words: [], sort: "entered" };
  let shown = cards;
  let open = null;

  // --- what is shown

  function textOf(card) {
    if (!texts.has(card)) {
      const parts = card.querySelectorAll(".prompt, .line, .reason, dd");
      texts.set(card, normal([...parts].map((part) => part.textContent).join("\n")));
    }
    return texts.get(card);
  }

  const isWanted = {
    states: (card) => !wanted.states.size || wanted.states.has(card.dataset.stage),
    model: (card) => wanted.model === "*" || wanted.model === `=${card.dataset.model}`,
    orientation: (card) => wanted.orientation === "*" || wanted.orientation === `=${card.dataset.orientation}`,
    words: (card) => wanted.words.every((word) => textOf(card).includes(word)),
  };

  const orders = {
    entered: null,
    newest: (one, other) => other.dataset.at - one.dataset.at,
    longest: (one, other) => other.dataset.took - one.dataset.took,
    prompt: (one, other) => collator.compare(promptOf(one), promptOf(other)),
  };

  // Each count answers what choosing that value would show, with all the other filters as they are.
  function count(facet, valueOf) {
    const others = Object.keys(isWanted).filter((name) => name !== facet).map((name) => isWanted[name]);
    const counts = new Map();
    for (const card of cards) {
      if (others.every((test) => test(card))) counts.set(valueOf(card), (counts.get(valueOf(card)) ?? 0) + 1);
    }
    return counts;
  }

  function showCounts() {
    const states = count("states", (card) => card.dataset.stage);
    for (const chip of chips) {
      chip.querySelector("b").textContent = (states.get(chip.dataset.stage) ?? 0).toLocaleString("en");
      chip.setAttribute("aria-pressed", wanted.states.has(chip.dataset.stage));
    }
    for (const [name, select] of Object.entries(selects)) {
      const counts = count(name, (card) => `=${card.dataset[name]}`);
      for (const option of select.options) {
        if (option.value !== "*") option.text = `${option.dataset.word} (${counts.get(option.value) ?? 0})`;
      }
      select.value = wanted[name];
    }
  }

  function apply() {
    const tests = Object.values(isWanted);
    shown = [];
    for (const card of cards) {
      card.hidden = !tests.every((test) => test(card));
      if (!card.hidden) shown.push(card);
    }
    const order = orders[wanted.sort];
    if (order) shown.sort(order);
    if (grid.dataset.sort !== wanted.sort) {
      grid.append(...(order ? [...cards].sort(order) : cards));
      grid.dataset.sort = wanted.sort;
    }
    const playable = shown.filter((card) => card.dataset.file);
    grid.classList.toggle("portraits", playable.length > 0 && playable.every((card) => card.classList.contains("tall")));
    showCounts();
    const isFiltered = shown.length < cards.length || wanted.states.size > 0 || wanted.words.length > 0;
    find("found").textContent = isFiltered
      ? `${shown.length.toLocaleString("en")} of ${cards.length.toLocaleString("en")}`
      : `All ${cards.length.toLocaleString("en")}`;
    find("reset").hidden = !isFiltered;
    find("nothing").hidden = shown.length > 0 || cards.length === 0;
  }

  // --- the filters in the address, so that a link shows the same

  function remember() {
    const fields = new URLSearchParams();
    if (search.value.trim()) fields.set("q", search.value.trim());
    if (wanted.states.size) fields.set("state", [...wanted.states].join("."));
    for (const name of Object.keys(selects)) if (wanted[name] !== "*") fields.set(name, wanted[name].slice(1));
    if (wanted.sort !== "entered") fields.set("sort", wanted.sort);
    history.replaceState(null, "", `#${fields}`);
  }

  function recall() {
    const fields = new URLSearchParams(location.hash.slice(1));
    if (location.hash === "#videos") return;
    const known = new Set(chips.map((chip) => chip.dataset.stage));
    search.value = fields.get("q") ?? "";
    wanted.words = normal(search.value).split(/\s+/).filter(Boolean);
    wanted.states = new Set((fields.get("state") ?? "").split(".").filter((state) => known.has(state)));
    for (const [name, select] of Object.entries(selects)) {
      const value = fields.has(name) ? `=${fields.get(name)}` : "*";
      wanted[name] = [...select.options].some((option) => option.value === value) ? value : "*";
    }
    wanted.sort = fields.get("sort") in orders ? fields.get("sort") : "entered";
    sort.value = wanted.sort;
    apply();
  }

  function change() {
    apply();
    remember();
  }

  for (const chip of chips) {
    chip.addEventListener("click", () => {
      if (!wanted.states.delete(chip.dataset.stage)) wanted.states.add(chip.dataset.stage);
      change();
    });
  }
  for (const [name, select] of Object.entries(selects)) {
    select.addEventListener("change", () => { wanted[name] = select.value; change(); });
  }
  sort.addEventListener("change", () => { wanted.sort = sort.value; change(); });
  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { wanted.words = normal(search.value).split(/\s+/).filter(Boolean); change(); }, 60);
  });
  find("reset").addEventListener("click", () => { history.replaceState(null, "", "#"); recall(); search.focus(); });
  addEventListener("hashchange", recall);

  // --- pictures only for what is near, motion only for what is seen

  const seen = new Set();

  // A browser opens only so many videos at once and pays for each, so they exist only near the window.
  function wake(card) {
    if (videos.has(card)) return;
    const video = document.createElement("video");
    video.muted = true;
    video.loop = true;
    video.playsInline = true;
    video.tabIndex = -1;
    video.preload = "metadata";
    video.setAttribute("aria-hidden", "true");
    video.addEventListener("error", () => card.classList.add("broken"));
    video.src = `${card.dataset.file}#t=0.1`; // a moment in, where the first picture is drawn: the poster
    videos.set(card, video);
    card.querySelector(".frame").prepend(video);
  }

  function rest(card) {
    const video = videos.get(card);
    if (!video) return;
    videos.delete(card);
    video.removeAttribute("src");
    video.load(); // lets go of the file
    video.remove();
  }

  function move() {
    const places = motion.getAttribute("aria-pressed") === "true" && !open ? MOST_PLAYING : 0;
    const inOrder = shown.filter((card) => videos.has(card) && seen.has(card));
    const playing = new Set(inOrder.slice(0, places));
    for (const [card, video] of videos) {
      if (playing.has(card)) video.play().catch(() => {});
      else if (!video.paused) video.pause();
    }
  }

  const near = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) (isIntersecting ? wake : rest)(target);
    move();
  }, { rootMargin: "60% 0px" });
  const inView = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) isIntersecting ? seen.add(target) : seen.delete(target);
    move();
  }, { threshold: 0.5 });

  function setMotion(isOn) {
    motion.setAttribute("aria-pressed", isOn);
    move();
  }
  motion.addEventListener("click", () => setMotion(motion.getAttribute("aria-pressed") !== "true"));
  calm.addEventListener("change", () => setMotion(!calm.matches));

  // --- the viewer

  function show(card) {
    open = card;
    move();
    screen.src = card.dataset.file;
    find("file").href = card.dataset.file;
    viewer.classList.toggle("tall", card.classList.contains("tall"));
    find("viewer-title").textContent = promptOf(card);
    const lines = [...card.querySelectorAll(".line")].map((line) => line.cloneNode(true));
    find("facts").replaceChildren(...lines, card.querySelector("dl").cloneNode(true));
    if (!viewer.open) viewer.showModal();
    viewer.scrollTop = 0;
    viewer.focus();
    screen.play().catch(() => {});
  }

  function step(by) {
    const playable = shown.filter((card) => card.dataset.file);
    const card = playable[playable.indexOf(open) + by];
    if (card) show(card);
  }

  viewer.addEventListener("close", () => {
    screen.pause();
    screen.removeAttribute("src");
    screen.load();
    const card = open;
    open = null;
    card?.querySelector(".open")?.focus();
    move();
  });
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  find("close").addEventListener("click", () => viewer.close());
  find("previous").addEventListener("click", () => step(-1));
  find("next").addEventListener("click", () => step(1));

  function makePlayable(card) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "open";
    button.setAttribute("aria-label", `Play: ${promptOf(card).slice(0, 120)}`);
    button.addEventListener("click", () => show(card));
    card.querySelector(".frame").append(button);
    card.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse" && !calm.matches && !open) videos.get(card)?.play().catch(() => {});
    });
    card.addEventListener("pointerleave", move);
    near.observe(card);
    inView.observe(card);
  }

  // --- commands to copy

  async function copy(code) {
    try {
      await navigator.clipboard.writeText(code.textContent);
      return true;
    } catch {
      getSelection().selectAllChildren(code);
      return document.execCommand("copy");
    }
  }

  function makeCopyable(code) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy the command: ${code.previousElementSibling.textContent}`);
    button.addEventListener("click", async () => {
      button.textContent = (await copy(code)) ? "Copied" : "Select it";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    code.before(button);
  }

  // --- keys

  const handle = (card) => card.querySelector(".open, .settle button, summary");

  // The neighbour in the row above or below is the one whose middle is nearest.
  function neighbour(card, key) {
    const at = shown.indexOf(card);
    if (key === "ArrowLeft") return shown[at - 1];
    if (key === "ArrowRight") return shown[at + 1];
    const own = card.getBoundingClientRect();
    const isBelow = key === "ArrowDown";
    const rest = isBelow ? shown.slice(at + 1, at + 40) : shown.slice(Math.max(0, at - 40), at).reverse();
    let best = null;
    let least = Infinity;
    for (const other of rest) {
      const box = other.getBoundingClientRect();
      const away = isBelow ? box.top - own.bottom : own.top - box.bottom;
      const aside = Math.abs(box.left + box.width / 2 - own.left - own.width / 2);
      if (away > -1 && away * 4 + aside < least) [best, least] = [other, away * 4 + aside];
    }
    return best;
  }

  function onViewerKey(event) {
    if (event.target === screen) return;
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === " " && event.target === viewer) screen.paused ? screen.play() : screen.pause();
    else return;
    event.preventDefault();
  }

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (viewer.open) { onViewerKey(event); return; }
    const isTyping = event.target.matches("input, select, textarea");
    if (event.key === "/" && !isTyping) {
      search.focus();
      search.select();
    } else if (event.key === "Escape" && event.target === search && search.value) {
      search.value = "";
      search.dispatchEvent(new Event("input"));
    } else if (event.key.startsWith("Arrow") && !isTyping) {
      const card = event.target.closest(".card");
      const next = card ? neighbour(card, event.key) : null;
      if (!next) return;
      handle(next).focus();
      next.scrollIntoView({ block: "nearest" });
    } else {
      return;
    }
    event.preventDefault();
  });

  // --- begin

  for (const card of cards) {
    if (card.dataset.file) makePlayable(card);
    card.querySelectorAll(".settle code").forEach(makeCopyable);
  }
  for (const part of document.querySelectorAll(".tools, .keys")) part.hidden = cards.length === 0;
  document.documentElement.classList.add("scripted");
  setMotion(!calm.matches);
  recall();
})();
