// Orders of the list. Videos are given in the order of their highest score, which is kept among equals.

function createOrders(index, judgements, levelOf) {
  const uncertainty = createUncertainty(index);
  const isDone = (facts) => Number(judgements.count(facts) >= facts.now.nAlarms);

  // How much a judgement of the video is likely to teach, 0..1: the mean of those that are known of
  // - borderline: 1 - |highest score - threshold|;
  // - uncertainty: of the detector where the score is highest, 0 for the surest video of the page, 1 for the least sure;
  // - disagreement: |highest score of the deciding detector - highest score of the one shown beside it|.
  function informative(facts) {
    const borderline = 1 - Math.abs(facts.alarm - levelOf(facts));
    const known = [borderline, uncertainty(facts), facts.doubt.disagreement].filter((part) => part !== null);
    return known.reduce((sum, part) => sum + part, 0) / known.length;
  }

  return {
    alarm: (a, b) => b.alarm - a.alarm,
    // Videos without an alarm left to judge come last.
    informative: (a, b) => isDone(a) - isDone(b) || informative(b) - informative(a),
    time: (a, b) => b.now.seconds - a.now.seconds,
    name: (a, b) => a.id.localeCompare(b.id, "en", { numeric: true }),
    length: (a, b) => b.seconds - a.seconds,
  };
}

// Each detector has its own scale of uncertainty, so each is compared with itself only.
function createUncertainty(index) {
  const ranges = new Map();
  for (const [detector, value] of index.videos.map(({ doubt }) => doubt.uncertainty).filter(Boolean)) {
    const [low, high] = ranges.get(detector) ?? [value, value];
    ranges.set(detector, [Math.min(low, value), Math.max(high, value)]);
  }
  return ({ doubt }) => {
    if (!doubt.uncertainty) return null;
    const [detector, value] = doubt.uncertainty;
    const [low, high] = ranges.get(detector);
    return (value - low) / (high - low || 1);
  };
}
