// Small helpers: elements, whose text is always text and never markup, and times as text.

const SVG = "http://www.w3.org/2000/svg";

function byId(id) {
  return document.getElementById(id);
}

function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function shape(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// 75.25 -> "1:15", with one digit "1:15.3"; hours where there are any.
function clock(seconds, digits = 0) {
  const scale = 10 ** digits;
  const total = Math.max(0, Math.round(seconds * scale)) / scale;
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor(total / 60) % 60;
  const rest = (total % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function span(start, end, digits = 0) {
  return `${clock(start, digits)} – ${clock(end, digits)}`;
}

function counted(n, noun) {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

// A colour of the figures, brightened in the dark by the style sheet.
function paint(node, color) {
  node.style.setProperty("--color", color);
  return node;
}

const MODALITIES = { audio_visual: "picture and sound", visual: "picture only", audio: "sound only" };
