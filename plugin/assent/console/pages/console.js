// Conveniences of the console's pages: keys, looks without a page in between, zoom, drawing, the claim's clock. All
// words stand in the page; without this script every form and link does the same.
"use strict";

const find = (wanted, within = document) => within.querySelector(wanted);
const all = (wanted, within = document) => [...within.querySelectorAll(wanted)];
const FRESH = 300; // ms after a page opens in which no key acts: it was meant for the case before
const BEAT = 60_000; // ms between two extensions of a claim
const opened = performance.mark("opened").startTime;
const frame = find(".frame");
const svg = frame && find("svg", frame);
const picture = svg && find("image", svg);
const deciding = find("#deciding");
const state = { veil: 1, full: null, shown: false, since: 0, seconds: 0, zoom: 1, touched: Date.now(), area: null };

function post(path, fields) {
  const body = new URLSearchParams({ form: frame.dataset.form, ...fields });
  return fetch(path, { method: "POST", body, headers: { accept: "application/json" }, redirect: "manual" });
}

// The picture in full: asked for and counted once, then kept for as long as the page is open.
async function askLook() {
  if (state.full) return;
  state.full = "asked";
  const answer = await post(`${frame.dataset.path}/look`, {});
  if (!answer.ok) { // the server's own page says why
    find("[data-act=look]").form.submit();
    return;
  }
  const { look } = await answer.json();
  const full = picture.cloneNode();
  full.setAttribute("class", "full");
  full.setAttribute("href", look);
  full.addEventListener("load", () => performance.mark("full"));
  full.setAttribute("visibility", state.shown ? "visible" : "hidden");
  picture.after(full);
  state.full = full;
}

function show(shown) {
  if (!picture || state.shown === shown) return;
  state.shown = shown;
  find("[data-act=look]")?.setAttribute("aria-pressed", shown);
  if (shown) {
    state.since = performance.now();
    askLook();
  } else {
    state.seconds += (performance.now() - state.since) / 1000;
    if (deciding) deciding.elements.seconds.value = Math.round(state.seconds);
  }
  if (state.full?.setAttribute) state.full.setAttribute("visibility", shown ? "visible" : "hidden");
}

function nextVeil() {
  state.veil = 3 - state.veil;
  picture.setAttribute("href", `${frame.dataset.path}/veil/${state.veil}`);
  show(false);
}

function zoom(by) {
  state.zoom = by === 0 ? (state.zoom > 1 ? 1 : 2) : Math.min(8, Math.max(1, state.zoom * by));
  const [width, height] = [frame.dataset.width / state.zoom, frame.dataset.height / state.zoom];
  svg.setAttribute("viewBox", [(frame.dataset.width - width) / 2, (frame.dataset.height - height) / 2, width, height].join(" "));
}

function cover() {
  show(false);
  state.full?.remove?.();
  state.full = null;
  state.veil = 1;
  picture.setAttribute("href", `${frame.dataset.path}/veil/1`);
  endDrawing();
}

// Hiding an area: drawn with the pointer, or moved and sized with arrows.
function beginDrawing() {
  const [width, height] = [Number(frame.dataset.width), Number(frame.dataset.height)];
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  find(".drawn", svg).append(rect);
  state.area = { rect, x: width * 0.375, y: height * 0.375, width: width / 4, height: height / 4 };
  svg.classList.add("drawing");
  drawArea();
  frame.focus();
}

function drawArea() {
  const area = state.area;
  const [width, height] = [Number(frame.dataset.width), Number(frame.dataset.height)];
  area.width = Math.min(Math.max(1, area.width), width);
  area.height = Math.min(Math.max(1, area.height), height);
  area.x = Math.min(Math.max(0, area.x), width - area.width);
  area.y = Math.min(Math.max(0, area.y), height - area.height);
  for (const side of ["x", "y", "width", "height"]) area.rect.setAttribute(side, Math.floor(area[side]));
}

function endDrawing() {
  state.area?.rect.remove();
  state.area = null;
  svg?.classList.remove("drawing");
}

function addArea() {
  const list = find(".areas");
  const item = document.createElement("li");
  const label = document.createElement("label");
  const box = document.createElement("input");
  const value = ["x", "y", "width", "height"].map((side) => state.area.rect.getAttribute(side)).join(",");
  Object.assign(box, { type: "checkbox", name: "hide", value, checked: true });
  label.className = "choice";
  label.append(box, ` ${list.dataset.remove} ${value}`);
  item.append(label);
  list.append(item);
  const kept = state.area.rect.cloneNode();
  find(".drawn", svg).append(kept);
  box.addEventListener("change", () => kept.setAttribute("visibility", box.checked ? "visible" : "hidden"));
  endDrawing();
}

function steer(event) {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (event.key === "Enter") addArea();
  else if (!step) return false;
  else {
    const [across, down] = [step[0] * frame.dataset.width * 0.02, step[1] * frame.dataset.height * 0.02];
    if (event.shiftKey) [state.area.width, state.area.height] = [state.area.width + across, state.area.height + down];
    else [state.area.x, state.area.y] = [state.area.x + across, state.area.y + down];
    drawArea();
  }
  event.preventDefault();
  return true;
}

function placeOf(event) {
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
}

function drawByPointer(begun) {
  if (!state.area) return;
  const from = placeOf(begun);
  svg.setPointerCapture(begun.pointerId);
  const move = (event) => {
    const to = placeOf(event);
    Object.assign(state.area, {
      x: Math.min(from.x, to.x), y: Math.min(from.y, to.y), width: Math.abs(to.x - from.x), height: Math.abs(to.y - from.y),
    });
    drawArea();
  };
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerup", () => {
    svg.removeEventListener("pointermove", move);
    if (state.area) addArea();
  }, { once: true });
}

const ACTS = {
  look: () => show(!state.shown),
  veil: nextVeil,
  grey: () => svg.classList.toggle("grey"),
  boxes: () => svg.classList.toggle("plain"),
  zoom: () => zoom(0),
  nearer: () => zoom(1.5),
  farther: () => zoom(1 / 1.5),
  cover,
  hide: beginDrawing,
};

function act(event) {
  const name = event.currentTarget.dataset.act;
  if (name !== "hide") event.preventDefault();
  else if (event.currentTarget.parentElement.open) return; // it closes
  ACTS[name](event);
}

// One key, one element: a button, link or box is pressed, a field is entered; so is one that a button needs filled in.
function press(key) {
  const target = all("[data-key]").find((one) => one.dataset.key === key && !one.disabled && one.checkVisibility());
  if (!target) return false;
  const needed = target.dataset.needs && document.getElementById(target.dataset.needs);
  if (needed && !needed.value) needed.focus();
  else if (target.matches("input:not([type=checkbox]), textarea, select")) target.focus();
  else target.click();
  return true;
}

function isWriting(target) {
  return target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;
}

function keyDown(event) {
  state.touched = Date.now();
  if (event.key === "Escape" && picture) { cover(); return; }
  if (event.key === " " && state.shown) event.preventDefault(); // held down, it would scroll
  if (event.repeat || isWriting(event.target) || performance.now() - opened < FRESH) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
    const undo = find("form.undo button");
    if (undo && !undo.disabled) { event.preventDefault(); undo.click(); }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (state.area && steer(event)) return;
  if (event.key === " ") {
    const holds = find('[data-key=" "]');
    if (!holds || event.target.closest("button, a, summary, input, label")) return;
    event.preventDefault();
    show(true);
  } else if (press(event.key.toLowerCase())) event.preventDefault();
}

async function beat() {
  const idle = Date.now() - state.touched;
  if (document.visibilityState !== "visible" || idle > BEAT) return;
  const seconds = Math.round(state.seconds);
  state.seconds = 0;
  deciding.elements.seconds.value = 0;
  const answer = await post(`${frame.dataset.path}/extend`, { claim: frame.dataset.claim, seconds });
  const left = answer.ok ? (await answer.json()).seconds : 0;
  const told = left > 0 ? frame.dataset.left.replace("#", Math.ceil(left / 60)) : frame.dataset.over;
  find("[data-lease]")?.replaceChildren(told);
}

function countDown(form) {
  const shown = find("[data-seconds]", form);
  const timer = setInterval(() => {
    shown.textContent = Math.max(0, Number(shown.textContent) - 1);
    if (shown.textContent === "0") {
      clearInterval(timer);
      find("button", form).disabled = true;
    }
  }, 1000);
}

for (const one of all("[data-act]")) { one.hidden = false; one.addEventListener("click", act); }
for (const one of all("[data-script]")) one.hidden = false;
for (const form of all("[data-count]")) countDown(form);
document.addEventListener("keydown", keyDown);
document.addEventListener("keyup", (event) => { if (event.key === " ") show(false); });
document.addEventListener("pointerdown", () => { state.touched = Date.now(); });
window.addEventListener("blur", () => show(false));
svg?.addEventListener("pointerdown", drawByPointer);
picture?.addEventListener("load", () => performance.mark("veil"));
if (frame?.dataset.claim && deciding) setInterval(beat, BEAT);
