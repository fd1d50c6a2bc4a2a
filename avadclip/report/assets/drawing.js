// The rows of the chart as pictures. Each function gets a `scene` and returns the shapes of one row.
// scene: { video, width, toX, first, end, looks, classColor, hidden }, where snippets [first, end) are in view.

const SCORE_HEIGHT = 168;
const ALARM_HEIGHT = 20;
const BAND_HEIGHT = 12;
const UNSURE_HEIGHT = 26;
const TIME_STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];

// The part of a curve that is in view.
const viewed = (scene, values) => values.subarray(scene.first, scene.end);
const viewedEdges = (scene) => scene.video.edges.subarray(scene.first, scene.end + 1);

function box(scene, start, end, height, className, color = null, y = 0) {
  const x = scene.toX(start);
  const node = shape("rect", { x: short(x), y, width: short(Math.max(scene.toX(end) - x, 1)), height, class: className });
  return color ? paint(node, color) : node;
}

function drawScores(scene) {
  const toY = (score) => (1 - score) * SCORE_HEIGHT;
  const grid = [0.25, 0.5, 0.75].map((score) =>
    shape("line", { x1: 0, x2: scene.width, y1: toY(score), y2: toY(score), class: "grid" }),
  );
  const events = (scene.video.annotated ?? []).map(([, start, end]) => box(scene, start, end, SCORE_HEIGHT, "event"));
  const lines = scene.video.curves.flatMap((curve, i) => {
    if (scene.hidden.has(curve.detector)) return [];
    const { path, nPoints } = curvePath(viewed(scene, curve.anomaly), viewedEdges(scene), scene.toX, toY, scene.width);
    const look = scene.looks.get(curve.detector);
    const kind = `curve${i === 0 ? " deciding" : ""}${look.dashed ? " dashed" : ""}`;
    return [paint(shape("path", { d: path, class: kind, "data-points": nPoints }), look.color)];
  });
  return [...events, ...grid, ...lines.reverse()]; // the deciding curve lies on top
}

function drawTimes(scene, start, end) {
  const step = TIME_STEPS.find((seconds) => (seconds / (end - start)) * scene.width >= 64) ?? TIME_STEPS.at(-1);
  const marks = [];
  for (let t = Math.ceil(start / step) * step; t <= end; t += step) {
    const x = scene.toX(t);
    const anchor = x < 16 ? "start" : x > scene.width - 20 ? "end" : "middle";
    marks.push(shape("line", { x1: x, x2: x, y1: 0, y2: 4, class: "tick" }));
    marks.push(shape("text", { x, y: 16, "text-anchor": anchor }, clock(t, step < 1 ? 1 : 0)));
  }
  return marks;
}

// Alarms as a band, however many there are, with a name where there is room for it.
function drawAlarms(scene, segments) {
  const labels = [null, ...new Set(segments.map((segment) => segment.label))];
  const on = new Uint8Array(scene.video.nSnippets);
  for (const segment of segments) on.fill(labels.indexOf(segment.label), segment.first, segment.end);
  const names = segments
    .map(({ label, startSeconds, endSeconds }) => ({ label, from: Math.max(scene.toX(startSeconds), 0), to: scene.toX(endSeconds) }))
    .filter(({ label, from, to }) => from < scene.width && to - from > 8 * label.length + 8)
    .map(({ label, from }) => shape("text", { x: short(from + 6), y: 14, class: "inside" }, label));
  return [...drawBand(scene, on, labels, ALARM_HEIGHT, "segment"), ...names];
}

function drawAnnotated(scene) {
  const events = [...(scene.video.annotated ?? [])].sort(([, a], [, b]) => a - b);
  const laneEnds = []; // events that overlap share the height of the band
  const lanes = events.map(([, start, end]) => {
    const free = laneEnds.findIndex((laneEnd) => laneEnd <= start);
    const lane = free < 0 ? laneEnds.length : free;
    laneEnds[lane] = end;
    return lane;
  });
  const height = BAND_HEIGHT / Math.max(laneEnds.length, 1);
  const boxes = events.map(([label, start, end], i) =>
    box(scene, start, end, height, "seen", scene.classColor(label), lanes[i] * height),
  );
  return [calmBand(scene), ...boxes];
}

function drawSeen(scene, curve) {
  return [calmBand(scene), ...drawBand(scene, curve.seenClass, scene.video.classes, BAND_HEIGHT, "seen")];
}

function drawBand(scene, kinds, names, height, className) {
  const paths = bandPaths(viewed(scene, kinds), viewedEdges(scene), scene.toX, height);
  return [...paths].map(([kind, d]) => paint(shape("path", { d, class: className }), scene.classColor(names[kind])));
}

function calmBand(scene) {
  return shape("rect", { width: scene.width, height: BAND_HEIGHT, class: "calm" });
}

function drawUncertainty(scene, [low, high]) {
  const toY = (value) => (1 - (value - low) / (high - low || 1)) * (UNSURE_HEIGHT - 2) + 1;
  const unsure = scene.video.curves.filter((curve) => curve.uncertainty && !scene.hidden.has(curve.detector));
  return unsure.map((curve) => {
    const edges = viewedEdges(scene);
    const { path } = curvePath(viewed(scene, curve.uncertainty), edges, scene.toX, toY, scene.width);
    const area = `${path}V${UNSURE_HEIGHT}H${short(scene.toX(edges[0]))}z`;
    return paint(shape("path", { d: area, class: "uncertainty" }), scene.looks.get(curve.detector).color);
  });
}
