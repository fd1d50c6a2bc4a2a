// Curves and bands as SVG paths, with no more points than a screen can show: lowest and highest per column of pixels.

// values [n] hold between edges [n + 1]. Steps where each has a pixel of its own; returns { path, nPoints }.
function curvePath(values, edges, toX, toY, width) {
  return values.length <= width ? steps(values, edges, toX, toY) : columns(values, edges, toX, toY);
}

function steps(values, edges, toX, toY) {
  const pieces = [`M${short(toX(edges[0]))} ${short(toY(values[0]))}`];
  for (let i = 0; i < values.length; i++) {
    if (i) pieces.push(`V${short(toY(values[i]))}`);
    pieces.push(`H${short(toX(edges[i + 1]))}`);
  }
  return { path: pieces.join(""), nPoints: pieces.length };
}

function columns(values, edges, toX, toY) {
  const points = [];
  let x = toX(edges[0]);
  for (let i = 0; i < values.length; ) {
    const column = Math.floor(x);
    let low = i;
    let high = i;
    do {
      if (values[i] < values[low]) low = i;
      if (values[i] > values[high]) high = i;
      x = toX(edges[++i]);
    } while (i < values.length && x < column + 1);
    for (const k of low === high ? [low] : [Math.min(low, high), Math.max(low, high)]) {
      points.push(`${column + 0.5} ${short(toY(values[k]))}`);
    }
  }
  return { path: `M${points.join("L")}`, nPoints: points.length };
}

// Runs of equal classes between edges -> Map from class to the path of its boxes, none narrower than a column. Where
// several share a column, the most frequent anomaly is shown, since a moment that is drawn as calm would be missed.
function bandPaths(classes, edges, toX, height) {
  const boxes = new Map();
  let open = null; // { shown, x, end }
  const close = () => {
    if (!open || open.shown === 0) return;
    const box = `M${short(open.x)} 0H${short(Math.max(open.end, open.x + 1))}V${height}H${short(open.x)}z`;
    boxes.set(open.shown, (boxes.get(open.shown) ?? "") + box);
  };
  let next = toX(edges[0]);
  for (let i = 0; i < classes.length; ) {
    const x = next;
    const column = Math.floor(x);
    const first = i;
    do next = toX(edges[++i]);
    while (i < classes.length && next < column + 1 && toX(edges[i + 1]) - next < 1);
    const shown = mostFrequentAnomaly(classes, first, i);
    if (open?.shown !== shown) {
      close();
      open = { shown, x, end: x };
    }
    open.end = next;
  }
  close();
  return boxes;
}

function mostFrequentAnomaly(classes, first, end) {
  if (end - first === 1) return classes[first];
  const counts = new Map();
  for (let i = first; i < end; i++) if (classes[i]) counts.set(classes[i], (counts.get(classes[i]) ?? 0) + 1);
  let best = 0;
  for (const [shown, count] of counts) if (best === 0 || count > counts.get(best)) best = shown;
  return best;
}

function short(number) {
  return Math.round(number * 100) / 100;
}
