// One video: player, curves, alarms, and what is said at the playhead.

// Into a snippet, not onto its edge: a player that rounds would show the picture before it.
const INTO_SECONDS = 1e-3;

function createViewer(index, { onThreshold }) {
  let facts = null;
  let video = null;
  let segments = [];
  const player = createPlayer({ onMove: move, onState: showState });
  const chart = createChart(index, {
    onSeek: seek,
    onSegment: seekSegment,
    onHover: (seconds) => describe(seconds ?? player.seconds),
  });
  const threshold = createThreshold(chart.scoreRow, {
    onChange: () => (showSegments(), onThreshold()),
    onTap: (clientX) => video && seek(chart.secondsAt(clientX)),
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
    seek(segment.startSeconds + INTO_SECONDS);
  }

  function move() {
    chart.place(player.seconds);
    describe(player.seconds);
    markCurrent();
  }

  function showState() {
    const button = byId("play");
    button.disabled = !player.isPlayable;
    button.textContent = player.isPlaying ? "Pause" : "Play";
    button.setAttribute("aria-label", button.textContent);
  }

  async function show(nextFacts) {
    facts = nextFacts;
    video = null;
    segments = [];
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
      if (facts === nextFacts) byId("readout").textContent = error.message; // told where the curve's words would be
      return;
    }
    if (facts !== nextFacts) return; // another video was chosen meanwhile
    video = loaded;
    player.setRange(video.startSeconds, video.endSeconds);
    chart.show(facts, video);
    showLegend();
    showSegments();
    move();
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
    chart.showSegments(segments);
    const digits = video.endSeconds - video.startSeconds < 600 ? 1 : 0;
    // A level close to the curve can give thousands; a person reads the first ones and moves the level.
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
        ),
      ),
    );
    if (segments.length > rows.length) rows.push(element("li", { class: "empty" }, `and ${segments.length - rows.length} more`));
    if (!rows.length) rows.push(element("li", { class: "empty" }, emptyWords()));
    byId("alarms").replaceChildren(...rows);
    byId("alarms-title").textContent = segments.length ? counted(segments.length, "alarm") : "No alarm";
    markCurrent();
  }

  function emptyWords() {
    return `The score stays below ${Number(threshold.value.toFixed(3))}; its highest value is ${facts.alarm.toFixed(2)}.`;
  }

  function markCurrent() {
    const now = player.seconds;
    const at = segments.findIndex((segment) => segment.startSeconds <= now && now < segment.endSeconds);
    const before = byId("alarms").querySelector("[aria-current]");
    const current = at < 0 ? null : byId("alarms").querySelector(`[data-at="${at}"]`);
    if (before === current) return;
    before?.removeAttribute("aria-current");
    current?.setAttribute("aria-current", "true");
  }

  // When, and what: the words under the player.
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
    threshold,
    toggle: player.toggle,
    zoom: chart.zoom,
    // Whole snippets back or on, from where they begin.
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
  };
}
