// Judgements as a file, corrections.csv, which `avadclip corrections apply` reads; and that file back into the page.

const COLUMNS = [
  ...["dataset", "video", "content_hash", "judgement", "start_seconds", "end_seconds", "class"],
  ...["alarm_start_seconds", "alarm_end_seconds", "alarm_class"],
];

function writeCorrections(index, judgements) {
  const rows = index.videos.flatMap((facts) =>
    judgements.of(facts).map(({ judgement, start, end, label, alarmStart, alarmEnd, alarmLabel }) => [
      ...[index.dataset, facts.id, facts.contentHash, judgement, start.toFixed(3), end.toFixed(3), label],
      ...[alarmStart.toFixed(3), alarmEnd.toFixed(3), alarmLabel],
    ]),
  );
  return [COLUMNS, ...rows].map((cells) => `${cells.map(quoted).join(",")}\r\n`).join("");
}

// As RFC 4180 says.
function quoted(cell) {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

function parseTable(text) {
  const rows = [];
  let cells = [];
  let consumed = 0;
  // A cell, quoted or not, and what ends it.
  for (const [whole, inQuotes, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/gy)) {
    consumed += whole.length;
    cells.push(inQuotes === undefined ? plain : inQuotes.replaceAll('""', '"'));
    if (end === ",") continue;
    if (cells.length > 1 || cells[0]) rows.push(cells);
    cells = [];
  }
  if (consumed < text.length) throw new Error(`a quote does not end where it should, after row ${rows.length}`);
  return rows;
}

// The judgements of a file on the videos of this page: [[facts, judgement], ...]. An Error says what is wrong with it.
function readCorrections(index, text) {
  const [header, ...rows] = parseTable(text.replace(/^\uFEFF/, ""));
  if (String(header) !== String(COLUMNS)) throw new Error(`line 1 is not ${COLUMNS.join(",")}`);
  const videos = new Map(index.videos.map((facts) => [JSON.stringify([facts.id, facts.contentHash]), facts]));
  return rows.flatMap((cells, i) => {
    const refuse = (why) => new Error(`row ${i + 1}: ${why}`);
    if (cells.length !== COLUMNS.length) throw refuse(`${COLUMNS.length} cells were expected, not ${cells.length}`);
    const [dataset, id, contentHash, judgement, start, end, label, alarmStart, alarmEnd, alarmLabel] = cells;
    const seconds = [start, end, alarmStart, alarmEnd].map((cell) => (cell.trim() ? Number(cell) : NaN));
    if (dataset !== index.dataset) throw refuse(`it is of data set "${dataset}", this page of "${index.dataset}"`);
    if (!Object.hasOwn(JUDGEMENTS, judgement)) throw refuse(`"${judgement}" is not a judgement`);
    if (!seconds.every(Number.isFinite)) throw refuse("a time is not a number");
    const facts = videos.get(JSON.stringify([id, contentHash]));
    // Its alarms are known only when the video is shown, so these count as alarms at the threshold of the evaluation.
    const [s, e, alarmS, alarmE] = seconds;
    const read = { judgement, start: s, end: e, label, alarmStart: alarmS, alarmEnd: alarmE, alarmLabel };
    return facts ? [[facts, { ...read, levels: [facts.given.level] }]] : [];
  });
}

function createCorrections(index, judgements, { onLoaded }) {
  const said = byId("corrections-said");
  const file = byId("corrections-file");
  byId("corrections-save").addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([writeCorrections(index, judgements)], { type: "text/csv" }));
    element("a", { href: url, download: "corrections.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000); // by then it is saved
  });
  byId("corrections-load").addEventListener("click", () => file.click());
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    try {
      const text = await chosen.text();
      const found = readCorrections(index, text);
      for (const [facts, judgement] of found) judgements.put(facts, judgement);
      const left = parseTable(text).length - 1 - found.length;
      said.textContent = `${counted(found.length, "judgement")} loaded${left ? `, ${left} of videos that are not on this page left out` : ""}.`;
      onLoaded();
    } catch (error) {
      said.textContent = `${chosen.name}: ${error.message}; nothing was loaded.`;
    }
    file.value = ""; // so that the same file can be chosen again
  });
}
