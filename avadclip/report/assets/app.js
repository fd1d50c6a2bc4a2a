// The page: which video is shown, keys that work everywhere, tabs, light and dark.

const index = JSON.parse(byId("index").textContent);
const facts = new Map(index.videos.map((entry) => [entry.number, entry]));
const narrow = matchMedia("(max-width: 900px)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const judgements = createJudgements(index);
const viewer = createViewer(index, judgements, {
  onThreshold: () => (list.followLevel(), summarise()),
  onJudged: (video) => list.noteJudged([video]),
});
const list = createList(index, judgements, {
  onChoose: choose,
  threshold: () => (viewer.threshold.isOwn ? viewer.threshold.value : null),
});

createCorrections(index, judgements, { onLoaded: () => (list.noteJudged(index.videos), viewer.showSegments()) });

function choose(number, { isTap = false, toAlarm = false } = {}) {
  history.replaceState(null, "", `#${number}`); // a link to the page opens this video
  list.choose(number);
  viewer.show(facts.get(number), toAlarm);
  if (isTap && narrow.matches) bringIntoView("video-title");
}

function bringIntoView(id) {
  byId(id).scrollIntoView({ behavior: calm.matches ? "auto" : "smooth" });
}
byId("to-list").addEventListener("click", () => bringIntoView("browser")); // there only where the list lies below

function summarise() {
  const seconds = index.videos.reduce((sum, entry) => sum + entry.seconds, 0);
  const alarming = index.videos.filter((entry) => entry.now.nAlarms > 0).length;
  const parts = [counted(index.videos.length, "video"), clock(seconds), `${alarming} with an alarm`];
  byId("summary").textContent = index.videos.length ? parts.join(" · ") : "";
}

function start() {
  summarise();
  list.refresh();
  if (!index.videos.length) {
    byId("videos").replaceChildren(element("p", { class: "empty whole" }, "There is no video on this page."));
    return;
  }
  const wanted = location.hash.slice(1);
  choose(facts.has(wanted) ? wanted : index.videos[0].number);
  addEventListener("hashchange", () => facts.has(location.hash.slice(1)) && choose(location.hash.slice(1)));
}

const KEYS = {
  " ": () => viewer.toggle(),
  ArrowLeft: (event) => viewer.stepSnippets(event.shiftKey ? -10 : -1),
  ArrowRight: (event) => viewer.stepSnippets(event.shiftKey ? 10 : 1),
  n: () => viewer.stepAlarm(1),
  p: () => viewer.stepAlarm(-1),
  j: () => list.step(1),
  k: () => list.step(-1),
  "+": () => viewer.threshold.move(1),
  "=": () => viewer.threshold.move(1),
  "-": () => viewer.threshold.move(-1),
  0: () => viewer.threshold.reset(),
  i: () => viewer.zoom(2),
  o: () => viewer.zoom(1 / 2),
  r: () => viewer.judging.judge("right"),
  w: () => viewer.judging.judge("wrong"),
  u: () => viewer.judging.judge("unsure"),
  c: () => viewer.judging.nextClass(),
  m: () => viewer.stepUnjudged() || list.stepUnjudged(),
  "/": () => byId("search").focus(),
  "?": () => byId("help").showModal(),
};

for (const [key, edge, by] of [["a", "start", -1], ["s", "start", 1], ["d", "end", -1], ["f", "end", 1]]) {
  KEYS[key] = () => viewer.judging.moveEdge(edge, by);
  KEYS[key.toUpperCase()] = () => viewer.judging.moveEdge(edge, 10 * by);
}

addEventListener("keydown", (event) => {
  const at = event.target;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (byId("help").open || byId("videos").hidden || !index.videos.length || at.closest("input, select")) return;
  if (event.key === " " && at.closest("button, summary, [role=tab]")) return; // the browser presses them
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action(event);
});

byId("help-button").addEventListener("click", () => byId("help").showModal());

const tabs = [byId("tab-videos"), byId("tab-results")];
function openTab(tab) {
  for (const each of tabs) {
    const isOpen = each === tab;
    each.setAttribute("aria-selected", String(isOpen));
    each.tabIndex = isOpen ? 0 : -1;
    byId(each.getAttribute("aria-controls")).hidden = !isOpen;
  }
  if (tab !== tabs[0]) byId("player").pause();
}
for (const tab of tabs) {
  tab.addEventListener("click", () => openTab(tab));
  tab.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    event.preventDefault();
    const other = tabs[1 - tabs.indexOf(tab)];
    openTab(other);
    other.focus();
  });
}

// The system's choice, until the button is pressed.
const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
function nameTheme() {
  byId("theme-button").textContent = isDark() ? "Light" : "Dark";
}
byId("theme-button").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
});
dark.addEventListener("change", nameTheme);
nameTheme();

globalThis.avadclipPage = { receive, findAlarms };
start();
document.documentElement.dataset.ready = ""; // everything has its place now and may be seen
