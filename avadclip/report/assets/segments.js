// Alarms of one video, found exactly as `find_alarms` of avadclip/evaluation/segments.py does.

// scores: Float32Array [n]. probabilities: Float32Array [n * nAnomalies] without the class `normal`, or null.
// Returns [{ first, end, classIndex, score }]: maximal runs of snippets in which an alarm is on.
function findAlarms(scores, probabilities, nAnomalies, threshold, rule) {
  const alarmed = alarmedSnippets(scores, threshold, rule);
  const alarms = [];
  for (let first = 0; first < scores.length; first++) {
    if (!alarmed[first]) continue;
    let end = first;
    let score = 0;
    while (end < scores.length && alarmed[end]) score = Math.max(score, scores[end++]);
    alarms.push({ first, end, classIndex: classOf(probabilities, nAnomalies, first, end), score });
    first = end;
  }
  return alarms;
}

// The anomaly class with the highest mean probability, counted with `normal` as 0; the first of equals.
function classOf(probabilities, nAnomalies, first, end) {
  if (probabilities === null) return null;
  let best = 0;
  let highest = -Infinity;
  for (let k = 0; k < nAnomalies; k++) {
    let sum = 0;
    for (let i = first; i < end; i++) sum += probabilities[i * nAnomalies + k];
    const mean = sum / (end - first);
    if (mean > highest) [best, highest] = [k, mean];
  }
  return best + 1;
}

// Alarms with a class name, and in seconds.
function findSegments(video, threshold) {
  const nAnomalies = video.classes.length - 1;
  return findAlarms(video.curves[0].anomaly, video.probabilities, nAnomalies, threshold, video.alarmRule).map((alarm) => ({
    ...alarm,
    label: alarm.classIndex === null ? "anomaly" : video.classes[alarm.classIndex],
    startSeconds: video.edges[alarm.first],
    endSeconds: video.edges[alarm.end],
  }));
}
