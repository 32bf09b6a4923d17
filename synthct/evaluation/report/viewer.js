"use strict";
// The viewer: MR | sCT | CT | error of one patient in three linked planes. Volumes lie in the page as gzip in base64.
(() => {
  const byId = (id) => document.getElementById(id);
  const holder = byId("viewer");
  if (!holder) return;
  const data = JSON.parse(byId("viewer-data").textContent);
  const panes = byId("panes"), readout = byId("readout"), message = byId("viewer-message");
  const control = Object.fromEntries(
    ["patient", "model", "window", "planes", "error", "error-max", "overlay", "crosshair"].map((id) => [id, byId(id)]));
  const state = { patient: null, volumes: null, at: { x: 0, y: 0, z: 0 }, active: "axial", loading: 0 };
  let canvases = [];

  async function inflate(id) {
    const element = byId(id);
    if (!element) return null;
    const bytes = Uint8Array.from(atob(element.textContent.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  async function load(index) {
    const turn = ++state.loading, patient = data.patients[index];
    message.textContent = `Unpacking ${patient.patient} …`;
    const names = ["mr", "ct", "labels", ...patient.models.map((_, i) => `sct-${i}`)];
    const buffers = await Promise.all(names.map((name) => inflate(`volume-${index}-${name}`)));
    if (turn !== state.loading) return;  // another patient was chosen meanwhile
    const [mr, ct, labels, ...scts] = buffers;
    const another = state.patient !== null;
    state.patient = patient;
    state.size = { z: patient.shape[0], y: patient.shape[1], x: patient.shape[2] };
    state.stride = { x: 1, y: patient.shape[2], z: patient.shape[1] * patient.shape[2] };
    state.volumes = { mr: mr && new Uint8Array(mr), ct: new Int16Array(ct), labels: new Uint8Array(labels),
      scts: scts.map((sct) => new Int16Array(sct)) };
    for (const axis of "xyz") state.at[axis] = Math.floor(state.size[axis] / 2);
    const chosen = another ? control.model.value : patient.worst;
    control.model.replaceChildren(...patient.models.map((model) => new Option(model.label, model.label)));
    if (patient.models.some((model) => model.label === chosen)) control.model.value = chosen;
    control.patient.value = String(index);
    message.textContent = "";
    build();
  }

  // -- panes ------------------------------------------------------------------------------------------------------

  const shownPlanes = () => control.planes.value === "all" ? Object.keys(PLANES) : [control.planes.value];
  const modelIndex = () => Math.max(0, control.model.selectedIndex);
  const levels = () => data.windows[control.window.selectedIndex];

  function build() {
    const kinds = state.volumes.mr ? ["mr", "sct", "ct", "error"] : ["sct", "ct", "error"];
    panes.className = shownPlanes().length === 1 ? "one-plane" : "";
    panes.style.setProperty("--columns", kinds.length);
    canvases = [];
    panes.replaceChildren(...shownPlanes().flatMap((plane) => kinds.map((kind) => {
      const canvas = document.createElement("canvas");
      canvas.dataset.plane = plane;
      canvas.dataset.kind = kind;
      canvas.setAttribute("role", "img");
      canvases.push(canvas);
      listen(canvas);
      return canvas;
    })));
    if (!shownPlanes().includes(state.active)) state.active = shownPlanes()[0];
    draw();
  }

  function layout(plane) {  // all planes have one scale, so that sizes can be compared
    const { right, down } = PLANES[plane];
    const widest = Math.max(...shownPlanes().map((one) => state.size[PLANES[one].right]));
    return { columns: state.size[right], rows: state.size[down], widest };
  }

  function draw() {
    if (!state.volumes) return;
    for (const canvas of canvases) drawPane(canvas);
    tell(state.at);
    describeScales();
  }

  function drawPane(canvas) {
    const { plane, kind } = canvas.dataset;
    const { columns, rows, widest } = layout(plane);
    const width = Math.max(1, Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)));
    const scale = width / widest, left = (widest - columns) / 2 * scale;
    canvas.width = width;
    canvas.height = Math.round(rows * scale);
    canvas.geometry = { scale, left };
    const context = canvas.getContext("2d");
    const image = new ImageData(columns, rows);
    paintSlice(image.data, columns, rows, plane, kind, {
      ...state.volumes, sct: state.volumes.scts[modelIndex()], at: state.at, stride: state.stride, step: data.step_hu,
      window: levels().slice(1), signed: control.error.value === "signed", most: Number(control["error-max"].value),
      colours: data.colours[control.error.value], overlay: control.overlay.checked && kind !== "mr",
    });
    const small = document.createElement("canvas");
    small.width = columns;
    small.height = rows;
    small.getContext("2d").putImageData(image, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(small, left, 0, columns * scale, canvas.height);
    decorate(context, canvas, plane, kind);
    canvas.classList.toggle("active", plane === state.active);
    const { fixed } = PLANES[plane];
    canvas.setAttribute("aria-label",
      `${title(kind)}, ${plane} slice ${state.at[fixed] + 1} of ${state.size[fixed]}, ${state.patient.patient}`);
  }

  function decorate(context, canvas, plane, kind) {
    const ratio = window.devicePixelRatio || 1, { width, height } = canvas, [one, other, top, bottom] = PLANES[plane].sides;
    const { x, y } = onScreen(canvas, plane, state.at);
    if (control.crosshair.checked) {
      context.strokeStyle = "rgba(255, 214, 10, 0.85)";
      context.lineWidth = ratio;
      context.beginPath();
      for (const gap of [-1, 1]) {
        context.moveTo(x + gap * 7 * ratio, y);
        context.lineTo(gap < 0 ? 0 : width, y);
        context.moveTo(x, y + gap * 7 * ratio);
        context.lineTo(x, gap < 0 ? 0 : height);
      }
      context.stroke();
    }
    const say = (text, left, low, align, baseline, bold) => {
      context.font = `${bold ? "600 " : ""}${12 * ratio}px system-ui, sans-serif`;
      context.textAlign = align;
      context.textBaseline = baseline;
      context.lineWidth = 3 * ratio;
      context.strokeStyle = "rgba(0, 0, 0, 0.8)";
      context.fillStyle = "#fff";
      context.strokeText(text, left, low);
      context.fillText(text, left, low);
    };
    const edge = 5 * ratio;
    say(title(kind), edge, edge, "left", "top", true);
    say(one, edge, height / 2, "left", "middle");
    say(other, width - edge, height / 2, "right", "middle");
    say(top, width / 2, edge, "center", "top");
    say(bottom, width / 2, height - edge, "center", "bottom");
    const bar = 50 / data.spacing_mm * canvas.geometry.scale;  // 50 mm
    context.fillStyle = "#000";
    context.fillRect(width - edge - bar - ratio, height - edge - 4 * ratio, bar + 2 * ratio, 4 * ratio);
    context.fillStyle = "#fff";
    context.fillRect(width - edge - bar, height - edge - 3 * ratio, bar, 2 * ratio);
    if (kind === "mr" || !state.volumes.mr && kind === "sct") say("50 mm", width - edge, height - edge - 5 * ratio, "right", "bottom");
  }

  const title = (kind) =>
    ({ mr: "MR", sct: "sCT", ct: "CT", error: control.error.value === "signed" ? "sCT − CT" : "|sCT − CT|" })[kind];

  function onScreen(canvas, plane, at) {
    const { right, down, flip } = PLANES[plane], { scale, left } = canvas.geometry;
    const row = flip ? state.size[down] - 1 - at[down] : at[down];
    return { x: left + (at[right] + 0.5) * scale, y: (row + 0.5) * scale };
  }

  function under(canvas, event) {  // the voxel under the pointer
    const { plane } = canvas.dataset, { fixed, right, down, flip } = PLANES[plane], { scale, left } = canvas.geometry;
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    const column = Math.floor(((event.clientX - box.left) * ratio - left) / scale);
    const row = Math.floor((event.clientY - box.top) * ratio / scale);
    return within({ [fixed]: state.at[fixed], [right]: column, [down]: flip ? state.size[down] - 1 - row : row });
  }

  const within = (at) => Object.fromEntries(
    [..."xyz"].map((axis) => [axis, Math.min(state.size[axis] - 1, Math.max(0, at[axis]))]));

  // -- words and scales ---------------------------------------------------------------------------------------------

  function tell(at) {
    const { mr, ct, labels, scts } = state.volumes;
    const index = at.x * state.stride.x + at.y * state.stride.y + at.z * state.stride.z;
    const parts = [], [low, high] = state.patient.mr_range;
    if (mr) parts.push(`MR ${Math.round(low + mr[index] / 255 * (high - low))}`);
    const sct = scts[modelIndex()][index] * data.step_hu, reference = ct[index] * data.step_hu;
    parts.push(`sCT ${sct} HU`);
    if (labels[index] & UNKNOWN) parts.push("CT unknown here");
    else parts.push(`CT ${reference} HU`, `error ${sct - reference > 0 ? "+" : ""}${sct - reference} HU`);
    parts.push(labels[index] & INSIDE ? "inside the mask" : "outside the mask: not counted");
    const place = [..."xyz"].map((axis) => `${axis} ${at[axis] + 1}/${state.size[axis]}`).join(" ");
    readout.textContent = `${parts.join(" · ")} (${place})`.replaceAll("-", "−");
  }

  function describeScales() {
    const [name, low, high] = levels(), most = control["error-max"].value, model = state.patient.models[modelIndex()];
    const colours = data.colours[control.error.value];
    const stops = Array.from({ length: 17 }, (_, i) => {
      const place = 3 * Math.round(i / 16 * 255);
      return `rgb(${colours.slice(place, place + 3).join(" ")})`;
    });
    byId("scale-ct").textContent = `${low} … ${high} HU`.replaceAll("-", "−");
    byId("scale-error").textContent = control.error.value === "signed" ? `−${most} … +${most} HU` : `0 … ${most} HU`;
    byId("scale-error-bar").style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    byId("viewer-scores").textContent = `${state.patient.patient}, ${model.label}: ${model.scores} (${state.patient.why}).`;
    panes.setAttribute("aria-label", `Images of ${state.patient.patient}, ${model.label}, window ${name}`);
  }

  // -- pointer and keyboard -------------------------------------------------------------------------------------------

  function move(plane, axis, by) {
    state.active = plane;
    state.at = within({ ...state.at, [axis]: state.at[axis] + by });
    draw();
  }

  function listen(canvas) {
    const { plane } = canvas.dataset;
    const point = (event) => {
      state.active = plane;
      state.at = under(canvas, event);
      draw();
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      panes.focus({ preventScroll: true });
      point(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons ? point(event) : tell(under(canvas, event)));
    canvas.addEventListener("pointerleave", () => tell(state.at));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      move(plane, PLANES[plane].fixed, Math.sign(event.deltaY) * (plane === "axial" ? -1 : 1));
    }, { passive: false });
  }

  function next(select) {
    select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    select.dispatchEvent(new Event("change"));
  }

  function toggle(box) {
    box.checked = !box.checked;
    draw();
  }

  panes.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !state.volumes) return;
    const plane = state.active, { fixed, right, down, flip } = PLANES[plane], up = flip ? 1 : -1;
    const slice = plane === "axial" ? 1 : -1, planes = ["all", ...Object.keys(PLANES)];
    const act = {
      ArrowLeft: () => move(plane, right, -1),
      ArrowRight: () => move(plane, right, 1),
      ArrowUp: () => move(plane, down, up),
      ArrowDown: () => move(plane, down, -up),
      PageUp: () => move(plane, fixed, slice),
      PageDown: () => move(plane, fixed, -slice),
      Home: () => move(plane, fixed, slice * state.size[fixed]),
      End: () => move(plane, fixed, -slice * state.size[fixed]),
      w: () => next(control.window),
      m: () => next(control.model),
      p: () => next(control.patient),
      e: () => toggle(control.overlay),
      c: () => toggle(control.crosshair),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act) act();
    else if ("0123".includes(event.key)) {
      control.planes.value = planes[Number(event.key)];
      state.active = Number(event.key) ? planes[Number(event.key)] : plane;
      build();
    } else return;
    event.preventDefault();
  });

  // -- start ------------------------------------------------------------------------------------------------------------

  control.patient.replaceChildren(
    ...data.patients.map((one, index) => new Option(`${one.patient} (${one.why})`, String(index))));
  control.window.replaceChildren(...data.windows.map(([name]) => new Option(name)));
  control.patient.addEventListener("change", () => start(Number(control.patient.value)));
  control.planes.addEventListener("change", build);
  for (const id of ["model", "window", "error", "error-max", "overlay", "crosshair"])
    control[id].addEventListener("change", draw);
  new ResizeObserver(() => draw()).observe(panes);
  document.addEventListener("click", (event) => {  // buttons of the table of patients
    const button = event.target.closest("button[data-view]");
    if (!button) return;
    const index = data.patients.findIndex((one) => one.patient === button.dataset.view);
    start(index).then(() => {
      control.model.value = button.dataset.model;
      draw();
      holder.scrollIntoView();
      panes.focus({ preventScroll: true });
    });
  });

  function start(index) {
    return load(index).catch((fault) => { message.textContent = `The volumes cannot be unpacked: ${fault}`; });
  }

  if (!("DecompressionStream" in window)) {
    message.textContent = "This browser cannot unpack the volumes; it takes Chrome or Edge 80, Firefox 113, Safari 16.4 or "
      + "later. Everything else on this page works.";
    panes.hidden = true;
    return;
  }
  for (const data_of of Object.keys(data.colours))
    data.colours[data_of] = Uint8Array.from(atob(data.colours[data_of]), (letter) => letter.charCodeAt(0));
  start(0);
})();
