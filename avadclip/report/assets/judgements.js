// Judgements of alarms. The browser keeps them for this data set and these scores, so that they survive a reload.

const JUDGEMENTS = { right: "right", wrong: "wrong", unsure: "unsure", other_class: "other class" };
const STORED = "avadclip judgements ";

// A judgement: { judgement, start, end, label, alarmStart, alarmEnd, alarmLabel, levels }, in seconds as corrections.csv
// has them. `levels` are the keys of the thresholds (see `unpackRow`) at which the detector raises this alarm.
function createJudgements(index) {
  const own = new Map(); // video -> its judgements, in order of time
  const earlier = new Map(); // the same, for the scores of an earlier training
  const nameOf = ({ id, contentHash }) => JSON.stringify([id, contentHash]);
  let isKept = true;

  function read() {
    for (const item of Object.keys(localStorage).filter((name) => name.startsWith(STORED))) {
      try {
        const [dataset, identity, id, contentHash] = JSON.parse(item.slice(STORED.length));
        if (dataset !== index.dataset) continue;
        const [target, name] = [identity === index.identity ? own : earlier, nameOf({ id, contentHash })];
        target.set(name, [...(target.get(name) ?? []), ...JSON.parse(localStorage.getItem(item))]);
      } catch {
        continue; // not an entry of this page
      }
    }
  }
  try {
    read();
  } catch {
    isKept = false; // the browser allows no storage
  }

  const of = (facts) => own.get(nameOf(facts)) ?? [];

  function replace(facts, judgements) {
    own.set(nameOf(facts), judgements.sort((a, b) => a.alarmStart - b.alarmStart));
    const item = STORED + JSON.stringify([index.dataset, index.identity, facts.id, facts.contentHash]);
    try {
      if (judgements.length) localStorage.setItem(item, JSON.stringify(judgements));
      else localStorage.removeItem(item);
    } catch {
      isKept = false;
    }
  }

  return {
    of,
    get isKept() {
      return isKept;
    },
    find: (facts, alarm) => of(facts).find((judgement) => isOf(judgement, alarm)),
    remove: (facts, alarm) => replace(facts, of(facts).filter((judgement) => !isOf(judgement, alarm))),
    // The last judgement counts: those of overlapping alarms at another threshold are removed.
    put(facts, judgement) {
      const { alarmStart, alarmEnd } = judgement;
      replace(facts, [...of(facts).filter((other) => other.alarmEnd <= alarmStart || alarmEnd <= other.alarmStart), judgement]);
    },
    wasWrong(facts, alarm) {
      const before = [...(earlier.get(nameOf(facts)) ?? []), ...of(facts).filter((judgement) => !isOf(judgement, alarm))];
      return before.some(
        ({ judgement, alarmStart, alarmEnd }) => judgement === "wrong" && alarmStart < alarm.endSeconds && alarm.startSeconds < alarmEnd,
      );
    },
    // The alarms of a video at a threshold are known: note which of its judgements are of one of them.
    meet(facts, level, alarms) {
      const met = (judgement) => alarms.some((alarm) => isOf(judgement, alarm));
      const changed = of(facts).filter((judgement) => judgement.levels.includes(level) !== met(judgement));
      for (const judgement of changed) {
        judgement.levels = judgement.levels.filter((other) => other !== level);
        if (met(judgement)) judgement.levels.push(level);
      }
      if (changed.length) replace(facts, of(facts));
    },
    // How many alarms of a video are judged, among those at the threshold that the list shows.
    count: (facts) => of(facts).filter(({ levels }) => levels.includes(facts.now.level)).length,
  };
}

function isOf({ alarmStart, alarmEnd, alarmLabel }, { startSeconds, endSeconds, label }) {
  return alarmLabel === label && alarmStart === milliseconds(startSeconds) && alarmEnd === milliseconds(endSeconds);
}

// Seconds as in corrections.csv.
function milliseconds(seconds) {
  return Number(seconds.toFixed(3));
}
