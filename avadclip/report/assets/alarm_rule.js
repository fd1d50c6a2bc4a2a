// Where an alarm is on, exactly as by `AlarmRule.alarmed` of avadclip/evaluation/alarm_rule.py.

// scores: Float32Array [n]. rule: { smooth, off, bridge, shortest, pad }, in snippets; see there.
// Returns a Uint8Array [n].
function alarmedSnippets(scores, threshold, rule) {
  // Scores are float32, and NumPy compares in their precision.
  const on = Math.fround(threshold);
  const off = Math.fround(rule.off * threshold);
  const smoothed = smoothScores(scores, rule.smooth);
  const runs = [];
  for (let first = 0; first < smoothed.length; first++) {
    if (!(smoothed[first] >= off)) continue;
    let end = first;
    let isOn = false;
    while (end < smoothed.length && smoothed[end] >= off) isOn = smoothed[end++] >= on || isOn;
    const last = runs.at(-1);
    if (isOn && last && first - last.end <= rule.bridge) last.end = end;
    else if (isOn) runs.push({ first, end });
    first = end;
  }
  const alarmed = new Uint8Array(scores.length);
  for (const { first, end } of runs) {
    if (end - first >= rule.shortest) alarmed.fill(1, Math.max(0, first - rule.pad), end + rule.pad);
  }
  return alarmed;
}

// The mean over `reach` snippets on either side, fewer at the ends.
function smoothScores(scores, reach) {
  if (!reach) return scores;
  const sums = new Float64Array(scores.length + 1);
  scores.forEach((score, i) => (sums[i + 1] = sums[i] + score));
  return scores.map((_, i) => {
    const first = Math.max(i - reach, 0);
    const end = Math.min(i + reach + 1, scores.length);
    return (sums[end] - sums[first]) / (end - first);
  });
}
