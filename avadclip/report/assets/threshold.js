// The threshold, from which on an alarm is raised: dragged with mouse or finger, or moved with keys.

const STEPS = 100; // from 0 to 1, so that the threshold can be read and written into params.yaml

// `row` is the element of the score curve, from 1 at its top to 0 at its bottom.
function createThreshold(row, { onChange, onTap }) {
  const line = element(
    "div",
    { class: "threshold", role: "slider", tabindex: "0", "aria-label": "Threshold", "aria-orientation": "vertical" },
    element("span", { class: "grip", "aria-hidden": "true" }),
  );
  line.setAttribute("aria-valuemin", "0");
  line.setAttribute("aria-valuemax", "1");
  row.append(line);
  let own = null; // what a person has chosen; null: the threshold of the evaluation
  let given = 0.5;

  const value = () => own ?? given;

  function show() {
    line.style.setProperty("top", `${(1 - value()) * 100}%`);
    line.setAttribute("aria-valuenow", value().toFixed(2));
    byId("threshold-value").textContent = Number(value().toFixed(3)).toString();
    byId("threshold-reset").hidden = own === null;
  }

  function set(wanted) {
    const next = wanted === null ? null : clamp(wanted, 0, 1);
    if (next === own) return;
    own = next;
    show();
    onChange();
  }

  const move = (steps) => set(Math.round(value() * STEPS + steps) / STEPS);

  line.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    line.setPointerCapture(event.pointerId);
    const startY = event.clientY;
    let dragged = false;
    const drag = (moved) => {
      dragged ||= Math.abs(moved.clientY - startY) > 3;
      if (!dragged) return;
      const box = row.getBoundingClientRect();
      set(Math.round((1 - (moved.clientY - box.top) / box.height) * STEPS) / STEPS);
    };
    const finish = (ended) => {
      line.removeEventListener("pointermove", drag);
      line.removeEventListener("pointerup", finish);
      line.removeEventListener("pointercancel", finish);
      // A click that does not move the line is meant for the curve behind it.
      if (!dragged && ended.type === "pointerup" && event.target === line) onTap(ended.clientX);
    };
    line.addEventListener("pointermove", drag);
    line.addEventListener("pointerup", finish);
    line.addEventListener("pointercancel", finish);
  });

  line.addEventListener("keydown", (event) => {
    const moves = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
    if (event.key in moves) move(moves[event.key] * (event.shiftKey ? 10 : 1));
    else if (event.key === "Home") set(0);
    else if (event.key === "End") set(1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  byId("threshold-reset").addEventListener("click", () => {
    set(null);
    line.focus();
  });

  return {
    get value() {
      return value();
    },
    get isOwn() {
      return own !== null;
    },
    // The threshold of the evaluation; a person's choice overrides it.
    setGiven(threshold) {
      given = threshold;
      show();
    },
    move,
    reset: () => set(null),
  };
}
