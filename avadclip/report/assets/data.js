// The curves of a video come as a script, because a page that is opened from disk may not read files in any other way.

const KEPT = 8; // videos; the curves of a long one take some megabytes
const kept = new Map(); // number -> video, the one used last at the end
const waiting = new Map(); // number -> function that takes the raw data

// Called by data/page-<number>.js.
function receive(number, raw) {
  waiting.get(number)?.(raw);
}

async function loadVideo(number) {
  if (!kept.has(number)) {
    const video = unpack(await loadRaw(number));
    kept.set(number, video);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  }
  const video = kept.get(number);
  kept.delete(number);
  kept.set(number, video);
  return video;
}

function loadRaw(number) {
  return new Promise((resolve, reject) => {
    const script = element("script", { src: `data/page-${number}.js` });
    const finish = () => {
      waiting.delete(number);
      script.remove();
    };
    waiting.set(number, (raw) => (finish(), resolve(raw)));
    script.onerror = () => (finish(), reject(new Error(`data/page-${number}.js is missing beside this page`)));
    document.head.append(script);
  });
}

function unpack(raw) {
  const edges = numbers(raw.boundarySeconds, Float64Array);
  return {
    ...raw,
    edges,
    nSnippets: edges.length - 1,
    probabilities: numbers(raw.anomalyProbabilities, Float32Array),
    curves: raw.curves.map((curve) => ({
      ...curve,
      anomaly: numbers(curve.anomaly, Float32Array),
      seenClass: numbers(curve.seenClass, Uint8Array),
      uncertainty: numbers(curve.uncertainty, Float32Array),
    })),
  };
}

function numbers(base64, Kind) {
  if (base64 === null) return null;
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Kind(bytes.buffer);
}

// The snippet that is on at a moment; the first or last one outside of the video.
function snippetAt(edges, seconds) {
  let low = 0;
  let high = edges.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (edges[middle] <= seconds) low = middle;
    else high = middle - 1;
  }
  return low;
}
