// Everything over time, in rows that share one axis: scores, alarms, what is annotated, what each detector sees, how
// unsure it is, and the sound. Rows have the same heights for every video, so that nothing moves from one to the next.

const SCORE_HEIGHT = 168;
const ALARM_HEIGHT = 20;
const BAND_HEIGHT = 12;
const UNSURE_HEIGHT = 26;

function createChart(index, { onSeek, onSegment }) {
  const host = byId("chart");
  const rows = Object.create(null); // by name, detectors among them
  const addRow = (key, label, kind) => {
    const plot = element("div", { class: "plot" });
    const name = element("span", { class: "row-label" }, label);
    host.append(element("div", { class: `row ${kind}` }, name, plot));
    rows[key] = { plot, name };
  };
  addRow("score", "score", "score");
  addRow("time", "", "time");
  addRow("alarms", "alarms", "band alarm");
  if (index.isAnnotated) addRow("annotated", "marked by people", "band");
  const seeing = index.detectors.filter((detector) => detector.seesClasses);
  for (const { name, color } of seeing) {
    addRow(name, `${name} sees`, "band");
    paint(rows[name].name, color);
  }
  if (index.uncertaintyRange) addRow("unsure", "unsure", "unsure");
  addRow("sound", "sound", "sound");

  const surface = element("div", { class: "surface", role: "slider", tabindex: "0", "aria-label": "Moment" });
  const playhead = element("div", { class: "playhead" });
  const hover = element("div", { class: "playhead hover" });
  host.append(element("div", { class: "overlay" }, surface, hover, playhead));

  let video = null;
  let facts = null;
  let segments = [];
  let width = 0;
  let shownSeconds = 0;
  const hidden = new Set(); // detectors switched off in the legend
  const looks = new Map(index.detectors.map((detector) => [detector.name, detector]));
  const classColor = (name) => index.classColors[name] ?? "#8A8A8A";

  const toX = (seconds) => ((seconds - video.startSeconds) / (video.endSeconds - video.startSeconds)) * width;
  const toSeconds = (x) => video.startSeconds + (clamp(x, 0, width) / width) * (video.endSeconds - video.startSeconds);
  const secondsAt = (clientX) => toSeconds(clientX - surface.getBoundingClientRect().left);

  function canvas(key, height, ...children) {
    const picture = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...children);
    rows[key].plot.querySelector("svg")?.remove();
    rows[key].plot.prepend(picture);
  }

  function box(start, end, height, className, color = null, y = 0) {
    const x = toX(start);
    const node = shape("rect", { x, y, width: Math.max(toX(end) - x, 1), height, class: className });
    return color ? paint(node, color) : node;
  }

  function draw() {
    width = Math.floor(rows.score.plot.clientWidth);
    if (!video || !width) return;
    drawScores();
    drawTimes();
    drawSegments();
    if (index.isAnnotated) drawAnnotated();
    drawSeen();
    if (index.uncertaintyRange) drawUncertainty();
    place(shownSeconds);
  }

  function drawScores() {
    const toY = (score) => (1 - score) * SCORE_HEIGHT;
    const grid = [0.25, 0.5, 0.75].map((score) =>
      shape("line", { x1: 0, x2: width, y1: toY(score), y2: toY(score), class: "grid" }),
    );
    const events = (video.annotated ?? []).map(([, start, end]) => box(start, end, SCORE_HEIGHT, "event"));
    const lines = video.curves
      .map((curve, i) => {
        if (hidden.has(curve.detector)) return null;
        const { path, nPoints } = curvePath(curve.anomaly, video.edges, toX, toY, width);
        const look = looks.get(curve.detector);
        const kind = `curve${i === 0 ? " deciding" : ""}${look.dashed ? " dashed" : ""}`;
        return paint(shape("path", { d: path, class: kind, "data-points": nPoints }), look.color);
      })
      .filter(Boolean);
    canvas("score", SCORE_HEIGHT, ...events, ...grid, ...lines.reverse());
  }

  function drawTimes() {
    const seconds = video.endSeconds - video.startSeconds;
    const steps = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
    const step = steps.find((candidate) => (candidate / seconds) * width >= 64) ?? 14400;
    const marks = [];
    for (let t = Math.ceil(video.startSeconds / step) * step; t <= video.endSeconds; t += step) {
      const x = toX(t);
      const anchor = x < 16 ? "start" : x > width - 20 ? "end" : "middle";
      marks.push(shape("line", { x1: x, x2: x, y1: 0, y2: 4, class: "tick" }));
      marks.push(shape("text", { x, y: 16, "text-anchor": anchor }, clock(t, step < 1 ? 1 : 0)));
    }
    canvas("time", 20, ...marks);
  }

  function drawSegments() {
    if (!video || !width) return;
    const boxes = segments.map((s) => box(s.startSeconds, s.endSeconds, ALARM_HEIGHT, "segment", classColor(s.label)));
    const names = segments
      .filter((s) => toX(s.endSeconds) - toX(s.startSeconds) > 8 * s.label.length + 8)
      .map((s) => shape("text", { x: toX(s.startSeconds) + 6, y: 14, class: "inside" }, s.label));
    canvas("alarms", ALARM_HEIGHT, ...boxes, ...names);
  }

  function drawAnnotated() {
    const events = video.annotated ?? [];
    const labels = [...new Set(events.map(([label]) => label))]; // events of different kinds may overlap: one lane each
    const lane = BAND_HEIGHT / Math.max(labels.length, 1);
    const boxes = events.map(([label, start, end]) =>
      box(start, end, lane, "seen", classColor(label), labels.indexOf(label) * lane),
    );
    canvas("annotated", BAND_HEIGHT, shape("rect", { width, height: BAND_HEIGHT, class: "calm" }), ...boxes);
  }

  function drawSeen() {
    for (const { name } of seeing) {
      const curve = video.curves.find(({ detector }) => detector === name);
      rows[name].name.classList.toggle("absent", !curve?.seenClass);
      if (!curve?.seenClass) {
        rows[name].plot.querySelector("svg")?.remove();
        continue;
      }
      const paths = bandPaths(curve.seenClass, video.edges, toX, BAND_HEIGHT);
      const bands = [...paths].map(([k, d]) => paint(shape("path", { d, class: "seen" }), classColor(video.classes[k])));
      canvas(name, BAND_HEIGHT, shape("rect", { width, height: BAND_HEIGHT, class: "calm" }), ...bands);
    }
  }

  function drawUncertainty() {
    const [low, high] = index.uncertaintyRange;
    const unsure = video.curves.filter((curve) => curve.uncertainty && !hidden.has(curve.detector));
    const toY = (value) => (1 - (value - low) / (high - low || 1)) * (UNSURE_HEIGHT - 2) + 1;
    const areas = unsure.map((curve) => {
      const { path } = curvePath(curve.uncertainty, video.edges, toX, toY, width);
      const area = `${path}V${UNSURE_HEIGHT}H${short(toX(video.edges[0]))}z`;
      return paint(shape("path", { d: area, class: "uncertainty" }), looks.get(curve.detector).color);
    });
    canvas("unsure", UNSURE_HEIGHT, ...areas);
  }

  function showSound() {
    const words = facts.hasAudio ? "the video file is not beside this page" : "no sound";
    const picture = element("img", { src: facts.sound, alt: "Spectrogram of the sound, 0 to 8 kHz", draggable: "false" });
    rows.sound.plot.replaceChildren(facts.sound ? picture : element("span", { class: "words" }, words));
  }

  function place(seconds) {
    shownSeconds = seconds;
    if (!video) return;
    playhead.style.setProperty("transform", `translateX(${toX(seconds)}px)`);
    surface.setAttribute("aria-valuenow", seconds.toFixed(1));
    surface.setAttribute("aria-valuetext", `${clock(seconds, 1)} of ${clock(video.endSeconds)}`);
  }

  const pointed = (event) => {
    const seconds = secondsAt(event.clientX);
    hover.style.setProperty("transform", `translateX(${toX(seconds)}px)`);
    return seconds;
  };
  surface.addEventListener("pointerdown", (event) => {
    if (!video || event.button !== 0) return;
    surface.setPointerCapture(event.pointerId);
    const band = rows.alarms.plot.getBoundingClientRect();
    const seconds = secondsAt(event.clientX);
    const onBand = event.clientY >= band.top && event.clientY <= band.bottom;
    const found = onBand && segments.find((s) => toX(s.startSeconds) - 2 <= toX(seconds) && seconds <= s.endSeconds);
    if (found) onSegment(found);
    else onSeek(seconds);
  });
  let hovered = null;
  surface.addEventListener("pointermove", (event) => {
    if (!video) return;
    hovered = pointed(event);
    host.classList.add("pointed");
    if (event.buttons & 1 && surface.hasPointerCapture(event.pointerId)) onSeek(hovered);
    else host.dispatchEvent(new CustomEvent("hover", { detail: hovered }));
  });
  surface.addEventListener("pointerleave", () => {
    host.classList.remove("pointed");
    host.dispatchEvent(new CustomEvent("hover", { detail: null }));
  });
  new ResizeObserver(() => Math.floor(rows.score.plot.clientWidth) !== width && draw()).observe(rows.score.plot);

  return {
    scoreRow: rows.score.plot,
    secondsAt,
    place,
    onHover: (listener) => host.addEventListener("hover", (event) => listener(event.detail)),
    show(nextFacts, nextVideo) {
      [facts, video] = [nextFacts, nextVideo];
      surface.setAttribute("aria-valuemin", video.startSeconds.toFixed(1));
      surface.setAttribute("aria-valuemax", video.endSeconds.toFixed(1));
      showSound();
      draw();
    },
    clear() {
      video = null;
      for (const { plot } of Object.values(rows)) plot.querySelector("svg, img, .words")?.remove();
    },
    showSegments(found) {
      segments = found;
      drawSegments();
    },
    setHidden(detector, isHidden) {
      if (isHidden) hidden.add(detector);
      else hidden.delete(detector);
      draw();
    },
    isHidden: (detector) => hidden.has(detector),
  };
}
