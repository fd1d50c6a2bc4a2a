// Which part of a video the chart shows: all of it at first, less when zoomed; the bar below moves the part.

const FEWEST_SNIPPETS = 12; // more than this is shown at any time

function createZoom(host, surface, { onChange }) {
  let all = [0, 1];
  let part = [0, 1];
  let shortest = 1;
  const thumb = element("div", { class: "thumb" });
  const bar = element("div", { class: "zoom-bar" }, thumb);
  const closer = element("button", { class: "tool", "aria-label": "Zoom in" }, "+");
  const wider = element("button", { class: "tool", "aria-label": "Zoom out" }, "−");
  host.append(element("div", { class: "zoom" }, bar, wider, closer));

  function set(start, seconds) {
    const length = clamp(seconds, Math.min(shortest, all[1] - all[0]), all[1] - all[0]);
    const first = clamp(start, all[0], all[1] - length);
    part = [first, first + length];
    show();
    onChange();
  }

  function show() {
    const full = all[1] - all[0];
    thumb.style.setProperty("left", `${((part[0] - all[0]) / full) * 100}%`);
    thumb.style.setProperty("width", `${((part[1] - part[0]) / full) * 100}%`);
    wider.disabled = part[1] - part[0] >= 0.999 * full;
    closer.disabled = part[1] - part[0] <= 1.001 * shortest;
    bar.classList.toggle("zoomed", !wider.disabled);
  }

  // The moment `at` stays where it is on the screen.
  function zoom(factor, at) {
    const share = (at - part[0]) / (part[1] - part[0]);
    const seconds = clamp((part[1] - part[0]) / factor, Math.min(shortest, all[1] - all[0]), all[1] - all[0]);
    set(at - share * seconds, seconds);
  }

  bar.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || wider.disabled) return;
    bar.setPointerCapture(event.pointerId);
    const move = ({ clientX }) => {
      const box = bar.getBoundingClientRect();
      const middle = all[0] + ((clientX - box.left) / box.width) * (all[1] - all[0]);
      set(middle - (part[1] - part[0]) / 2, part[1] - part[0]);
    };
    move(event);
    bar.addEventListener("pointermove", move);
    const finish = () => bar.removeEventListener("pointermove", move);
    bar.addEventListener("pointerup", finish, { once: true });
    bar.addEventListener("pointercancel", finish, { once: true });
  });

  // Pinching a touchpad arrives as a wheel with Ctrl; a plain wheel scrolls the page as everywhere.
  surface.addEventListener(
    "wheel",
    (event) => {
      const box = surface.getBoundingClientRect();
      const perPixel = (part[1] - part[0]) / box.width;
      if (event.ctrlKey) zoom(Math.exp(-event.deltaY / 120), part[0] + (event.clientX - box.left) * perPixel);
      else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) set(part[0] + event.deltaX * perPixel, part[1] - part[0]);
      else return;
      event.preventDefault();
    },
    { passive: false },
  );

  return {
    get start() {
      return part[0];
    },
    get end() {
      return part[1];
    },
    showAll(video) {
      all = [video.startSeconds, video.endSeconds];
      part = [...all];
      shortest = (FEWEST_SNIPPETS * (all[1] - all[0])) / Math.max(video.nSnippets, FEWEST_SNIPPETS);
      show();
    },
    zoom,
    // Moves on to a moment that is not shown, if need be.
    reveal(seconds) {
      const slack = 0.01 * (part[1] - part[0]); // players stop slightly before or after the wanted time
      if (seconds >= part[0] - slack && seconds <= part[1] + slack) return;
      set(seconds - 0.1 * (part[1] - part[0]), part[1] - part[0]);
    },
    onStep(listener) {
      closer.addEventListener("click", () => listener(2));
      wider.addEventListener("click", () => listener(1 / 2));
    },
  };
}
