// One video: player, curves, alarms, and the text about the playhead.

// Into a snippet, not onto its edge: a player that rounds would show the picture before it.
const INTO_SECONDS = 1e-3;

function createViewer(index, judgements, { onThreshold, onJudged }) {
  let facts = null;
  let video = null;
  let segments = [];
  let chosen = null; // the alarm that is judged: where the playhead is, or was last
  const player = createPlayer({ onMove: move, onState: showState });
  const chart = createChart(index, {
    onSeek: seek,
    onSegment: seekSegment,
    onEdge: (edge, seconds) => judging.setEdge(edge, seconds),
    onHover: (seconds) => describe(seconds ?? player.seconds),
  });
  const threshold = createThreshold(chart.scoreRow, {
    onChange: () => (onThreshold(), showSegments()),
    onTap: (clientX) => video && seek(chart.secondsAt(clientX)),
  });
  const judging = createJudging(index, judgements, {
    showEdges: chart.showEdges,
    onSeek: seek,
    onJudged: (segment) => (describeVerdict(segment), onJudged(facts)),
  });
  const legend = createLegend();
  byId("play").addEventListener("click", player.toggle);
  byId("alarms").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) seekSegment(segments[Number(button.dataset.at)]);
  });

  function seek(seconds) {
    player.seek(seconds);
  }

  function seekSegment(segment) {
    choose(segment);
    seek(segment.startSeconds + INTO_SECONDS);
  }

  function move() {
    chart.place(player.seconds);
    describe(player.seconds);
    followPlayhead();
  }

  function showState() {
    const button = byId("play");
    button.disabled = !player.isPlayable;
    button.textContent = player.isPlaying ? "Pause" : "Play";
    button.setAttribute("aria-label", button.textContent);
  }

  // toAlarm: the playhead goes to the first alarm that is not judged.
  async function show(nextFacts, toAlarm = false) {
    facts = nextFacts;
    video = null;
    segments = [];
    choose(null);
    chart.clear();
    byId("alarms").replaceChildren();
    byId("readout").textContent = "";
    byId("video-title").textContent = facts.id;
    byId("video-title").title = facts.path;
    byId("video-facts").textContent = describeVideo(facts);
    player.load(facts);
    threshold.setGiven(facts.threshold);
    let loaded;
    try {
      loaded = await loadVideo(facts.number);
    } catch (error) {
      if (facts === nextFacts) byId("readout").textContent = error.message; // shown in place of the text about the curve
      return;
    }
    if (facts !== nextFacts) return; // another video was chosen meanwhile
    video = loaded;
    player.setRange(video.startSeconds, video.endSeconds);
    chart.show(facts, video);
    showLegend();
    showSegments();
    move();
    const open = toAlarm && segments.find(isOpen);
    if (open) seekSegment(open);
  }

  function describeVideo({ seconds, hasAudio, annotated, distance, unlikeTraining }) {
    const marked = annotated && (annotated.length ? annotated.map((label) => (label === "*" ? "anomaly" : label)).join(", ") : "nothing");
    const parts = [clock(seconds), hasAudio ? "with sound" : "no sound"];
    if (unlikeTraining) parts.splice(1, 0, unlikeTraining); // before what a narrow screen cuts off
    if (marked) parts.push(`marked by people: ${marked}`);
    if (distance !== null) parts.push(`distance from the training: ${distance.toFixed(2)}`);
    return parts.join(" · ");
  }

  // One switch for every detector of the page, always in its place.
  function createLegend() {
    return index.detectors.map(({ name, color }) => {
      const what = element("span", { class: "quiet" });
      const label = element("span", { class: "detector" }, name);
      const button = element("button", { class: "curve-switch", "aria-pressed": "true" }, paint(element("i"), color), label, what);
      button.addEventListener("click", () => {
        const isShown = button.getAttribute("aria-pressed") === "true";
        button.setAttribute("aria-pressed", String(!isShown));
        chart.setHidden(name, isShown);
        describe(player.seconds);
      });
      byId("legend").append(button);
      return { name, button, what };
    });
  }

  function showLegend() {
    for (const { name, button, what } of legend) {
      const curve = video.curves.find(({ detector }) => detector === name);
      const decides = curve === video.curves[0];
      button.disabled = !curve;
      button.classList.toggle("deciding", decides);
      const seen = curve ? (MODALITIES[curve.modality] ?? curve.modality) : "not run on this video";
      what.textContent = decides ? `${seen}, decides` : seen;
    }
  }

  function showSegments() {
    if (!video) return;
    segments = findSegments(video, threshold.value);
    judgements.meet(facts, facts.now.level, segments);
    chart.showSegments(segments);
    const digits = video.endSeconds - video.startSeconds < 600 ? 1 : 0;
    // A threshold close to the curve can give thousands of alarms; people read the first ones and move the threshold.
    const rows = segments.slice(0, 500).map((segment, i) =>
      element(
        "li",
        {},
        element(
          "button",
          { "data-at": i },
          chip(segment.label, index),
          element("span", { class: "when" }, span(segment.startSeconds, segment.endSeconds, digits)),
          element("span", { class: "peak" }, segment.score.toFixed(2)),
          ...verdict(facts, segment, judgements),
        ),
      ),
    );
    if (segments.length > rows.length) rows.push(element("li", { class: "empty" }, `and ${segments.length - rows.length} more`));
    if (!rows.length) rows.push(element("li", { class: "empty" }, emptyWords()));
    byId("alarms").replaceChildren(...rows);
    byId("alarms-title").textContent = segments.length ? counted(segments.length, "alarm") : "No alarm";
    const isSame = (s) => chosen && s.first === chosen.first && s.end === chosen.end;
    choose(segments.find(isSame) ?? alarmAt(player.seconds) ?? segments.find(isOpen) ?? segments[0] ?? null);
    onJudged(facts);
  }

  const isOpen = (segment) => !judgements.find(facts, segment);
  const alarmAt = (now) => segments.find((segment) => segment.startSeconds <= now && now < segment.endSeconds);
  const itemOf = (segment) => byId("alarms").querySelector(`[data-at="${segments.indexOf(segment)}"]`);

  function describeVerdict(segment) {
    const item = itemOf(segment);
    item?.querySelectorAll(".verdict, .before").forEach((part) => part.remove());
    item?.append(...verdict(facts, segment, judgements));
  }

  function emptyWords() {
    return `The score stays below ${Number(threshold.value.toFixed(3))}; its highest value is ${facts.alarm.toFixed(2)}.`;
  }

  function choose(segment) {
    chosen = segment;
    byId("alarms").querySelector("[aria-current]")?.removeAttribute("aria-current");
    if (segment) itemOf(segment)?.setAttribute("aria-current", "true");
    judging.show(facts, video, segment);
  }

  // An alarm stays chosen until the playhead is in another one.
  function followPlayhead() {
    const now = player.seconds;
    const at = judging.holds(now) ? null : alarmAt(now);
    if (at && at !== chosen) choose(at);
  }

  // Time and scores: the text under the player.
  function describe(seconds) {
    if (!video) return;
    const i = snippetAt(video.edges, seconds);
    const parts = [element("strong", {}, clock(seconds, 1))];
    for (const curve of video.curves) {
      if (chart.isHidden(curve.detector)) continue;
      const look = index.detectors.find((detector) => detector.name === curve.detector);
      const seen = curve.seenClass ? ` ${video.classes[curve.seenClass[i]]}` : "";
      const said = `${curve.anomaly[i].toFixed(2)}${seen}`;
      parts.push(element("span", { title: curve.detector }, paint(element("i"), look.color), said));
    }
    byId("readout").replaceChildren(...parts);
  }

  return {
    show,
    showSegments,
    threshold,
    judging,
    toggle: player.toggle,
    zoom: chart.zoom,
    // Whole snippets back or forward, to their beginning.
    stepSnippets(by) {
      if (!video) return;
      const i = snippetAt(video.edges, player.seconds);
      seek(video.edges[clamp(i + by, 0, video.nSnippets - 1)] + INTO_SECONDS);
    },
    stepAlarm(by) {
      const now = player.seconds;
      const ahead = by > 0 ? segments.find((s) => s.startSeconds > now + 1e-2) : segments.findLast((s) => s.startSeconds < now - 0.5);
      if (ahead) seekSegment(ahead);
    },
    // Go to the next alarm of this video that is not judged; false if there is none.
    stepUnjudged() {
      const at = segments.indexOf(chosen);
      const next = [...segments.slice(at + 1), ...segments.slice(0, at)].find(isOpen);
      if (next) seekSegment(next);
      return Boolean(next);
    },
  };
}
