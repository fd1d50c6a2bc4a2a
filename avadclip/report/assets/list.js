// The list of videos: filtered, sorted, chosen with mouse or keys; for the threshold that a person has chosen.

const OUTCOMES = { missed: "missed", "false alarm": "false alarm", caught: "caught", quiet: "rightly quiet" };

function createList(index, judgements, { onChoose, threshold }) {
  const host = byId("list");
  const orders = createOrders(index, judgements, (facts) => threshold() ?? facts.threshold);
  const entries = new Map(index.videos.map((facts) => [facts.number, createEntry(facts)]));
  let shown = [];
  let chosen = null;

  for (const name of Object.keys(index.classColors)) byId("filter-class").append(element("option", { value: name }, name));
  byId("filter-outcome").hidden = !index.isAnnotated;

  // Everything in the list depends on the threshold; entries are drawn again if they change.
  function followLevel() {
    const level = threshold();
    for (const facts of index.videos) {
      const now = level === null ? facts.given : atLevel(facts, level);
      if (now === facts.now) continue;
      facts.now = now;
      describeEntry(entries.get(facts.number), facts, index);
      noteJudged(facts);
    }
  }

  function noteJudged(facts) {
    const nJudged = judgements.count(facts);
    const { nAlarms } = facts.now;
    const mark = entries.get(facts.number).querySelector(".judged");
    mark.textContent = nJudged ? `✓ ${nJudged}/${nAlarms}` : "";
    mark.title = nJudged ? `${nJudged} of ${nAlarms} judged` : "";
  }

  // Of the videos that are shown.
  function showProgress() {
    const sum = (count) => shown.reduce((total, facts) => total + count(facts), 0);
    byId("progress").textContent = `${sum(judgements.count)} of ${sum((facts) => facts.now.nAlarms)} judged`;
    byId("corrections-save").disabled = !index.videos.some((facts) => judgements.of(facts).length);
    byId("not-kept").hidden = judgements.isKept;
  }

  function fits(facts) {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = [facts.id, facts.path, ...facts.now.labels, ...(facts.annotated ?? [])].join(" ").toLowerCase();
    const kind = byId("filter-class").value;
    const sound = byId("filter-sound").value;
    const outcome = byId("filter-outcome").value;
    return (
      words.every((word) => text.includes(word)) &&
      (!kind || facts.now.labels.includes(kind) || Boolean(facts.annotated?.includes(kind))) &&
      (!sound || facts.hasAudio === (sound === "yes")) &&
      (!outcome || facts.now.outcome === outcome) &&
      (!byId("filter-alarming").checked || facts.now.nAlarms > 0)
    );
  }

  function refresh() {
    const order = orders[byId("sort").value];
    shown = index.videos.filter(fits).sort(order);
    host.replaceChildren(...shown.map((facts) => entries.get(facts.number)));
    byId("count").textContent =
      shown.length === index.videos.length ? counted(shown.length, "video") : `${shown.length} of ${counted(index.videos.length, "video")}`;
    showProgress();
    byId("list-empty").hidden = shown.length > 0 || index.videos.length === 0;
    mark();
  }

  function mark() {
    for (const [number, entry] of entries) entry.setAttribute("aria-selected", String(number === chosen));
    if (shown.some((facts) => facts.number === chosen)) host.setAttribute("aria-activedescendant", `video-${chosen}`);
    else host.removeAttribute("aria-activedescendant");
  }

  // The list scrolls by itself on a wide screen; there the chosen entry is kept in view, and nothing else moves.
  function reveal() {
    const entry = entries.get(chosen);
    if (!entry?.isConnected || host.scrollHeight <= host.clientHeight) return;
    const [frame, box] = [host.getBoundingClientRect(), entry.getBoundingClientRect()];
    if (box.top < frame.top) host.scrollTop -= Math.ceil(frame.top - box.top);
    else if (box.bottom > frame.bottom) host.scrollTop += Math.ceil(box.bottom - frame.bottom);
  }

  function step(by) {
    const at = shown.findIndex((facts) => facts.number === chosen);
    const next = shown[at < 0 ? 0 : clamp(at + by, 0, shown.length - 1)];
    if (next && next.number !== chosen) onChoose(next.number);
  }

  host.addEventListener("click", (event) => {
    const entry = event.target.closest("[data-number]");
    if (entry) onChoose(entry.dataset.number, { isTap: true });
  });
  host.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -shown.length, End: shown.length };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    step(moves[event.key]);
  });
  for (const id of ["search", "filter-class", "filter-sound", "filter-outcome", "filter-alarming", "sort"]) {
    byId(id).addEventListener("input", refresh);
  }
  byId("clear").addEventListener("click", () => {
    for (const id of ["search", "filter-class", "filter-sound", "filter-outcome"]) byId(id).value = "";
    byId("filter-alarming").checked = false;
    refresh();
    byId("search").focus();
  });

  for (const facts of index.videos) {
    facts.levels = facts.levels.map(([step, ...row]) => unpackRow(facts.names, row, step));
    const isStep = Math.round(facts.threshold * STEPS) / STEPS === facts.threshold;
    facts.given = isStep ? atLevel(facts, facts.threshold) : unpackRow(facts.names, facts.given, "given");
  }
  followLevel();

  return {
    refresh,
    // Another threshold has been chosen, or the choice was reset.
    followLevel() {
      followLevel();
      refresh();
    },
    step,
    // Judgements of these videos have changed; nothing moves meanwhile.
    noteJudged(videos) {
      videos.forEach(noteJudged);
      showProgress();
    },
    // Go to the next video that has alarms to judge; false if there is none.
    stepUnjudged() {
      const at = shown.findIndex((facts) => facts.number === chosen);
      const next = [...shown.slice(at + 1), ...shown.slice(0, at + 1)].find((facts) => judgements.count(facts) < facts.now.nAlarms);
      if (next) onChoose(next.number, { toAlarm: true });
      return Boolean(next);
    },
    choose(number) {
      chosen = number;
      mark();
      reveal();
    },
  };
}

// A row as an object; `level` distinguishes it from the other rows of the video. The order is that of `AtLevel` and of
// `OUTCOMES` in avadclip/report/levels.py.
function unpackRow(names, [nAlarms, seconds, labels, loudest, outcome], level) {
  return {
    level,
    nAlarms,
    seconds,
    labels: labels.map((place) => names[place]),
    loudest: loudest && [names[loudest[0]], loudest[1], loudest[2]],
    outcome: outcome === null ? null : Object.keys(OUTCOMES)[outcome],
  };
}

// Thresholds with alarms in the same snippets as the one below them have no row of their own.
function atLevel(facts, level) {
  return facts.levels.findLast((row) => row.level <= Math.round(level * STEPS));
}

function createEntry(facts) {
  const score = element("span", { class: "peak", title: "highest score" }, facts.alarm.toFixed(2));
  return element(
    "li",
    { role: "option", id: `video-${facts.number}`, "data-number": facts.number, "aria-selected": "false" },
    element("div", { class: "name", dir: "auto", title: facts.id }, facts.id),
    score,
    spark(facts.spark),
    element("div", { class: "what" }),
    element("div", { class: "notes" }, element("span", { class: "outcome" }), element("span", { class: "judged" })),
    ...(facts.unlikeTraining ? [element("div", { class: "unlike" }, facts.unlikeTraining)] : []),
  );
}

// What depends on the threshold.
function describeEntry(entry, { now, hasAudio }, index) {
  const what = [element("span", { class: "none" }, "no alarm")];
  if (now.loudest) {
    const [label, start, end] = now.loudest;
    what.splice(0, 1, chip(label, index), element("span", { class: "when" }, span(start, end)));
    if (now.nAlarms > 1) what.push(element("span", { class: "more" }, `+${now.nAlarms - 1}`));
  }
  const notes = [];
  if (!hasAudio) notes.push(element("span", { class: "note" }, "no sound"));
  if (now.outcome) notes.push(element("span", { class: `note ${now.outcome.replace(" ", "-")}` }, OUTCOMES[now.outcome]));
  entry.classList.toggle("calm", now.nAlarms === 0);
  entry.querySelector(".what").replaceChildren(...what);
  entry.querySelector(".outcome").replaceChildren(...notes);
}

function chip(label, index) {
  return element("span", { class: "chip" }, paint(element("i"), index.classColors[label] ?? "#8A8A8A"), label);
}

function spark(percents) {
  const height = 22;
  const steps = percents.map((percent, i) => `${i ? "" : "M0 22"}V${short((1 - percent / 100) * height)}H${i + 1}`);
  return shape(
    "svg",
    { class: "spark", viewBox: `0 0 ${percents.length} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    shape("path", { d: `${steps.join("")}V${height}z` }),
  );
}
