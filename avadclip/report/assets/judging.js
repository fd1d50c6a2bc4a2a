// Judge one alarm, with buttons or keys: right, wrong, unsure, of another class; and correct its edges.

const EDGE_STEP = 0.1; // seconds by which a key moves an edge

function createJudging(index, judgements, { showEdges, onSeek, onJudged }) {
  let facts = null;
  let video = null;
  let alarm = null; // a segment, or null
  const buttons = [...byId("judge").querySelectorAll("[data-judgement]")];
  const select = byId("other-class");

  const current = () => alarm && judgements.find(facts, alarm);
  // What corrections.csv would have: the person's judgement so far, or the detector's alarm.
  const draft = () =>
    current() ?? {
      judgement: null,
      start: milliseconds(alarm.startSeconds),
      end: milliseconds(alarm.endSeconds),
      label: alarm.label,
      alarmStart: milliseconds(alarm.startSeconds),
      alarmEnd: milliseconds(alarm.endSeconds),
      alarmLabel: alarm.label,
      levels: [facts.now.level],
    };
  const otherClasses = () => video.classes.slice(1).filter((name) => name !== alarm.label);

  function describe() {
    const said = current();
    for (const button of buttons) {
      button.disabled = !alarm;
      button.setAttribute("aria-pressed", String(said?.judgement === button.dataset.judgement));
    }
    const names = alarm ? otherClasses() : [];
    const options = names.map((name) => element("option", { value: name }, name));
    select.replaceChildren(element("option", { value: "" }, "Other class"), ...options);
    select.disabled = !names.length;
    select.value = said?.judgement === "other_class" ? said.label : "";
    select.classList.toggle("pressed", select.value !== "");
    const what = [element("span", { class: "none" }, "No alarm to judge")];
    if (alarm) {
      const { start, end } = draft();
      what.splice(0, 1, chip(alarm.label, index), element("span", { class: "when" }, span(start, end, 1)));
      if (judgements.wasWrong(facts, alarm)) what.push(element("span", { class: "before" }, WRONG_BEFORE));
    }
    byId("judged-alarm").replaceChildren(...what);
    showEdges(alarm && draft());
  }

  function put(judgement) {
    judgements.put(facts, judgement);
    describe();
    onJudged(alarm);
  }

  function takeBack() {
    judgements.remove(facts, alarm);
    describe();
    onJudged(alarm);
  }

  // The same judgement twice is taken back.
  function judge(judgement) {
    if (!alarm) return;
    const next = draft();
    if (next.judgement === judgement) takeBack();
    else if (judgement === "wrong") put({ ...next, judgement, start: next.alarmStart, end: next.alarmEnd, label: "" });
    else put({ ...next, judgement, label: alarm.label });
  }

  function setClass(label) {
    if (label) put({ ...draft(), judgement: "other_class", label });
    else takeBack();
  }

  // Moving an edge means that there is an event.
  function setEdge(edge, seconds) {
    if (!alarm) return;
    const next = draft();
    const shortest = Math.min(EDGE_STEP, next.alarmEnd - next.alarmStart);
    const [low, high] = edge === "start" ? [0, next.end - shortest] : [next.start + shortest, video.endSeconds];
    const moved = milliseconds(clamp(seconds, low, high));
    if (moved === next[edge]) return;
    const isEvent = next.judgement === "unsure" || next.judgement === "other_class";
    put({ ...next, [edge]: moved, ...(isEvent ? {} : { judgement: "right", label: alarm.label }) });
    onSeek(moved); // to see what is there
  }

  for (const button of buttons) button.addEventListener("click", () => judge(button.dataset.judgement));
  select.addEventListener("change", () => setClass(select.value));
  // Chosen with a mouse: letters are keys of the page again.
  let byPointer = false;
  select.addEventListener("pointerdown", () => (byPointer = true));
  select.addEventListener("change", () => byPointer && select.blur());
  select.addEventListener("blur", () => (byPointer = false));

  return {
    show(nextFacts, nextVideo, nextAlarm) {
      [facts, video, alarm] = [nextFacts, nextVideo, nextAlarm];
      describe();
    },
    holds(seconds) {
      if (!alarm) return false;
      const { start, end, alarmStart, alarmEnd } = draft();
      return Math.min(start, alarmStart) - 1e-2 <= seconds && seconds <= Math.max(end, alarmEnd) + 1e-2;
    },
    judge,
    nextClass() {
      if (!alarm) return;
      const names = otherClasses();
      const said = current();
      if (names.length) setClass(names[(names.indexOf(said?.judgement === "other_class" ? said.label : "") + 1) % names.length]);
    },
    setEdge,
    moveEdge: (edge, steps) => alarm && setEdge(edge, draft()[edge] + steps * EDGE_STEP),
  };
}

const WRONG_BEFORE = "judged wrong before";

// What the list of alarms shows for one.
function verdict(facts, alarm, judgements) {
  const said = judgements.find(facts, alarm);
  const parts = [];
  if (said) {
    const words = said.judgement === "other_class" ? said.label : JUDGEMENTS[said.judgement];
    parts.push(element("span", { class: `verdict ${said.judgement}`, title: words }, words));
  }
  if (judgements.wasWrong(facts, alarm)) parts.push(element("span", { class: "before" }, `still there: ${WRONG_BEFORE}`));
  return parts;
}
