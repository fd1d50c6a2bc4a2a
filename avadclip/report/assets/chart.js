// Everything over time, in rows that share one axis: scores, alarms, annotations, the class that each detector sees,
// its uncertainty, and the sound. Rows have the same heights for every video, so that nothing moves between videos.

function createChart(index, { onSeek, onSegment, onEdge, onHover }) {
  const host = byId("chart");
  const rows = {};
  const seenRow = (detector) => `seen by ${detector}`;
  const addRow = (key, label, kind) => {
    const plot = element("div", { class: "plot" });
    const name = element("span", { class: "row-label", title: label }, label);
    host.append(element("div", { class: `row ${kind}` }, name, plot));
    rows[key] = { plot, name };
  };
  addRow("score", "score", "score");
  addRow("time", "", "time");
  addRow("alarms", "alarms", "band alarm");
  if (index.isAnnotated) addRow("annotated", "marked by people", "band");
  const seeing = index.detectors.filter((detector) => detector.seesClasses);
  for (const { name, color } of seeing) {
    addRow(seenRow(name), `${name} sees`, "band");
    paint(rows[seenRow(name)].name, color);
  }
  if (index.uncertaintyRange) addRow("unsure", "unsure", "unsure");
  addRow("sound", "sound", "sound");

  const surface = element("div", { class: "surface", role: "slider", tabindex: "0", "aria-label": "Moment" });
  const playhead = element("div", { class: "playhead" });
  const hover = element("div", { class: "playhead hover" });
  const overlay = element("div", { class: "overlay" }, surface, hover, playhead);
  host.append(overlay);
  const zoom = createZoom(host, surface, { onChange: draw });

  let video = null;
  let segments = [];
  let width = 0;
  let nowSeconds = 0;
  const hidden = new Set(); // detectors switched off in the legend
  const looks = new Map(index.detectors.map((detector) => [detector.name, detector]));
  const classColor = (name) => index.classColors[name] ?? "#8A8A8A";

  const toX = (seconds) => ((seconds - zoom.start) / (zoom.end - zoom.start)) * width;
  const secondsAt = (clientX) => {
    const x = clamp(clientX - surface.getBoundingClientRect().left, 0, width);
    return zoom.start + (x / width) * (zoom.end - zoom.start);
  };

  const edges = createEdges(overlay, { secondsPerPixel: () => (zoom.end - zoom.start) / width, onMove: onEdge });
  const placeEdges = () => edges.place(toX, width, rows.alarms.plot);

  function picture(key, height, shapes) {
    const view = { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" };
    rows[key].plot.querySelector("svg")?.remove();
    rows[key].plot.prepend(shape("svg", view, ...shapes));
  }

  function scene() {
    const [start, end] = [zoom.start, zoom.end];
    const [first, last] = [start, end].map((seconds) => snippetAt(video.edges, seconds));
    const scale = width / (end - start); // once, since it is asked for every snippet of every curve
    const toX = (seconds) => (seconds - start) * scale;
    return { video, width, toX, first, end: last + 1, looks, classColor, hidden };
  }

  function draw() {
    width = Math.floor(rows.score.plot.clientWidth);
    if (!video || !width) return;
    const now = scene();
    picture("score", SCORE_HEIGHT, drawScores(now));
    picture("time", 20, drawTimes(now, zoom.start, zoom.end));
    picture("alarms", ALARM_HEIGHT, drawAlarms(now, segments));
    if (index.isAnnotated) picture("annotated", BAND_HEIGHT, drawAnnotated(now));
    for (const { name } of seeing) {
      const curve = video.curves.find(({ detector, seenClass }) => detector === name && seenClass);
      rows[seenRow(name)].name.classList.toggle("absent", !curve);
      picture(seenRow(name), BAND_HEIGHT, curve ? drawSeen(now, curve) : []);
    }
    if (index.uncertaintyRange) picture("unsure", UNSURE_HEIGHT, drawUncertainty(now, index.uncertaintyRange));
    const sound = rows.sound.plot.querySelector("img");
    sound?.style.setProperty("left", `${toX(video.startSeconds)}px`);
    sound?.style.setProperty("width", `${toX(video.endSeconds) - toX(video.startSeconds)}px`);
    placePlayhead();
    placeEdges();
  }

  function showSound(facts) {
    const words = facts.hasAudio ? "the video file is not beside this page" : "no sound";
    const image = element("img", { src: facts.sound, alt: "Spectrogram of the sound, 0 to 8 kHz", draggable: "false" });
    rows.sound.plot.replaceChildren(facts.sound ? image : element("span", { class: "words" }, words));
  }

  function placePlayhead() {
    const x = toX(nowSeconds);
    playhead.hidden = x < -1 || x > width + 1;
    playhead.style.setProperty("transform", `translateX(${x}px)`);
    surface.setAttribute("aria-valuenow", nowSeconds.toFixed(1));
    surface.setAttribute("aria-valuetext", `${clock(nowSeconds, 1)} of ${clock(video.endSeconds)}`);
  }

  function segmentAt({ clientX, clientY }) {
    const band = rows.alarms.plot.getBoundingClientRect();
    const seconds = secondsAt(clientX);
    const slack = (2 / width) * (zoom.end - zoom.start); // two pixels, since a short alarm is hardly wider
    if (clientY < band.top || clientY > band.bottom) return undefined;
    return segments.find((s) => s.startSeconds - slack <= seconds && seconds <= s.endSeconds + slack);
  }

  surface.addEventListener("pointerdown", (event) => {
    if (!video || event.button !== 0) return;
    surface.setPointerCapture(event.pointerId);
    const found = segmentAt(event);
    if (found) onSegment(found);
    else onSeek(secondsAt(event.clientX));
  });
  surface.addEventListener("pointermove", (event) => {
    if (!video) return;
    const seconds = secondsAt(event.clientX);
    hover.style.setProperty("transform", `translateX(${toX(seconds)}px)`);
    host.classList.add("pointed");
    if (event.buttons & 1 && surface.hasPointerCapture(event.pointerId)) onSeek(seconds);
    else onHover(seconds);
  });
  surface.addEventListener("pointerleave", () => {
    host.classList.remove("pointed");
    onHover(null);
  });
  // Around the playhead, or the edge that is nearest to it.
  const zoomBy = (factor) => video && zoom.zoom(factor, clamp(nowSeconds, zoom.start, zoom.end));
  zoom.onStep(zoomBy);
  new ResizeObserver(() => Math.floor(rows.score.plot.clientWidth) !== width && draw()).observe(rows.score.plot);

  return {
    scoreRow: rows.score.plot,
    secondsAt,
    zoom: zoomBy,
    place(seconds) {
      nowSeconds = seconds;
      if (!video) return;
      zoom.reveal(seconds);
      placePlayhead();
    },
    show(facts, nextVideo) {
      video = nextVideo;
      zoom.showAll(video);
      edges.setRange(video);
      surface.setAttribute("aria-valuemin", video.startSeconds.toFixed(1));
      surface.setAttribute("aria-valuemax", video.endSeconds.toFixed(1));
      showSound(facts);
      draw();
    },
    clear() {
      video = null;
      segments = [];
      edges.show(null);
      for (const { plot } of Object.values(rows)) plot.querySelector("svg, img, .words")?.remove();
    },
    showSegments(found) {
      segments = found;
      if (video && width) picture("alarms", ALARM_HEIGHT, drawAlarms(scene(), segments));
    },
    // Of the alarm that is judged: { start, end } in seconds, or null.
    showEdges(span) {
      edges.show(span);
      if (video && width) placeEdges();
    },
    setHidden(detector, isHidden) {
      if (isHidden) hidden.add(detector);
      else hidden.delete(detector);
      draw();
    },
    isHidden: (detector) => hidden.has(detector),
  };
}
