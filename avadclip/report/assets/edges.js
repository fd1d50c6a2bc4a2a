// Where an alarm begins and ends on the timeline: two handles that are dragged, or moved with arrow keys.

function createEdges(host, { secondsPerPixel, onMove }) {
  const frame = element("div", { class: "edges" });
  const handles = { start: createHandle("start", "Alarm begins"), end: createHandle("end", "Alarm ends") };
  frame.hidden = true;
  frame.append(handles.start, handles.end);
  host.append(frame);
  let span = null;

  function createHandle(edge, label) {
    const handle = element("div", { class: `edge ${edge}`, role: "slider", tabindex: "0", "aria-label": label });
    handle.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      handle.setPointerCapture(event.pointerId);
      const from = event.clientX;
      const before = span[edge];
      let dragged = false;
      const drag = ({ clientX }) => {
        dragged ||= Math.abs(clientX - from) > 2;
        if (dragged) onMove(edge, before + (clientX - from) * secondsPerPixel());
      };
      const finish = () => handle.removeEventListener("pointermove", drag);
      handle.addEventListener("pointermove", drag);
      handle.addEventListener("pointerup", finish, { once: true });
      handle.addEventListener("pointercancel", finish, { once: true });
    });
    handle.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: -EDGE_STEP, ArrowDown: -EDGE_STEP, ArrowRight: EDGE_STEP, ArrowUp: EDGE_STEP };
      if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
      onMove(edge, span[edge] + moves[event.key] * (event.shiftKey ? 10 : 1));
      event.preventDefault();
      event.stopPropagation();
    });
    return handle;
  }

  return {
    // next: { start, end } in seconds, or null.
    show(next) {
      span = next;
      frame.hidden = !span;
      for (const edge of span ? ["start", "end"] : []) {
        handles[edge].setAttribute("aria-valuenow", span[edge].toFixed(1));
        handles[edge].setAttribute("aria-valuetext", clock(span[edge], 1));
      }
    },
    setRange({ startSeconds, endSeconds }) {
      for (const handle of Object.values(handles)) {
        handle.setAttribute("aria-valuemin", startSeconds.toFixed(1));
        handle.setAttribute("aria-valuemax", endSeconds.toFixed(1));
      }
    },
    // Over the row of alarms, as far as it is in view.
    place(toX, width, row) {
      if (!span) return;
      const [from, to] = [toX(span.start), toX(span.end)];
      handles.start.hidden = from < -1 || from > width + 1;
      handles.end.hidden = to < -1 || to > width + 1;
      const left = clamp(from, 0, width);
      frame.style.setProperty("top", `${row.offsetTop - host.offsetTop}px`);
      frame.style.setProperty("left", `${left}px`);
      frame.style.setProperty("width", `${clamp(to, 0, width) - left}px`);
      frame.hidden = to < 0 || from > width;
    },
  };
}
