"use strict";
// The viewer: MR | sCT | CT | error of one patient in three linked planes, or MR | CT | sCTs | errors of two models.
(() => {
  const byId = (id) => document.getElementById(id);
  const holder = byId("viewer");
  if (!holder) return;
  const data = JSON.parse(byId("viewer-data").textContent);
  const panes = byId("panes"), readout = byId("readout"), message = byId("viewer-message");
  const control = Object.fromEntries(
    ["patient", "model", "second", "window", "planes", "error", "error-max", "overlay", "crosshair"]
      .map((id) => [id, byId(id)]));
  const state = { patient: null, volumes: null, model: "", at: { x: 0, y: 0, z: 0 }, active: "axial", loading: 0 };
  let canvases = [];

  async function load(index) {
    const turn = ++state.loading, patient = data.patients[index];
    message.textContent = `Unpacking ${patient.patient} …`;
    const volumes = await readVolumes(index, patient.models.length);
    if (turn !== state.loading) return;  // another patient was chosen meanwhile
    const wanted = state.patient ? [control.model.value, control.second.value] : [patient.worst, ""];
    state.patient = patient;
    state.size = { z: patient.shape[0], y: patient.shape[1], x: patient.shape[2] };
    state.stride = { x: 1, y: patient.shape[2], z: patient.shape[1] * patient.shape[2] };
    state.volumes = volumes;
    for (const axis of "xyz") state.at[axis] = Math.floor(state.size[axis] / 2);
    offerModels(...wanted);
    control.patient.value = String(index);
    message.textContent = "";
    build();
  }

  // -- one model or two -------------------------------------------------------------------------------------------

  const shownModels = () => [control.model.value, control.second.value].filter((label) => label !== "")
    .map((label) => state.patient.models.findIndex((model) => model.label === label));
  const ofTwo = () => control.second.value !== "";

  function offerModels(first, second) {  // those of this patient; the wanted ones, where there are any
    const labels = state.patient.models.map((model) => model.label);
    const options = () => labels.map((label) => new Option(label));
    control.model.replaceChildren(...options());
    control.second.replaceChildren(new Option("no other", ""), ...options());
    control.model.value = state.model = labels.includes(first) ? first : labels[0];
    control.second.value = labels.includes(second) && second !== state.model ? second : "";
    control.second.disabled = labels.length < 2;
    forbidTwice();
  }

  function chooseModel(label) {  // one that is beside it already changes places with it
    control.model.value = label;
    if (control.second.value === label) control.second.value = state.model;
    state.model = label;
    forbidTwice();
    draw();
  }

  function forbidTwice() {
    for (const option of control.second.options) option.disabled = option.value === state.model;
  }

  // -- panes ------------------------------------------------------------------------------------------------------

  const shownPlanes = () => control.planes.value === "all" ? Object.keys(PLANES) : [control.planes.value];
  const levels = () => data.windows[control.window.selectedIndex];

  function build() {
    const kinds = ofTwo() ? ["mr", "ct", "sct", "sct", "error", "error"] : ["mr", "sct", "ct", "error"];
    const shown = kinds.map((kind, i) => ({ kind, place: kinds.indexOf(kind) < i ? 1 : 0 }))
      .filter(({ kind }) => state.volumes.mr || kind !== "mr");
    panes.classList.toggle("one-plane", shownPlanes().length === 1);
    panes.classList.toggle("two-models", ofTwo());
    panes.style.setProperty("--columns", shown.length);
    canvases = [];
    panes.replaceChildren(...shownPlanes().flatMap((plane) => shown.map(({ kind, place }) => {
      const canvas = document.createElement("canvas");
      canvas.dataset.plane = plane;
      canvas.dataset.kind = kind;
      canvas.place = place;  // of its model among those shown
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
    const { plane, kind } = canvas.dataset, model = shownModels()[canvas.place];
    const { columns, rows, widest } = layout(plane);
    const width = Math.max(1, Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)));
    const scale = width / widest, left = (widest - columns) / 2 * scale;
    canvas.width = width;
    canvas.height = Math.round(rows * scale);
    canvas.geometry = { scale, left };
    const context = canvas.getContext("2d");
    const image = new ImageData(columns, rows);
    paintSlice(image.data, columns, rows, plane, kind, {
      ...state.volumes, sct: state.volumes.scts[model], at: state.at, stride: state.stride, step: data.step_hu,
      window: levels().slice(1), signed: control.error.value === "signed", most: Number(control["error-max"].value),
      colours: data.colours[control.error.value],
      overlay: control.overlay.checked && (kind === "sct" || kind === "ct" && !ofTwo()),  // over the CT: whose of two?
    });
    const small = document.createElement("canvas");
    small.width = columns;
    small.height = rows;
    small.getContext("2d").putImageData(image, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(small, left, 0, columns * scale, canvas.height);
    const { fixed, sides } = PLANES[plane], words = [title(kind)];
    if (ofTwo() && kind !== "mr" && kind !== "ct") {
      canvas.dataset.model = state.patient.models[model].label;
      words.push(canvas.dataset.model);
    }
    drawMarks(context, { words, sides, ratio: window.devicePixelRatio || 1, barLength: 50 / data.spacing_mm * scale,
      barWords: canvas === canvases.find((one) => one.dataset.plane === plane) ? "50 mm" : "",
      crosshair: control.crosshair.checked ? onScreen(canvas, plane, state.at) : null });
    canvas.classList.toggle("active", plane === state.active);
    canvas.setAttribute("aria-label",
      `${words.join(", ")}, ${plane} slice ${state.at[fixed] + 1} of ${state.size[fixed]}, ${state.patient.patient}`);
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
    if (mr) parts.push(`MR ${minus(Math.round(low + mr[index] / 255 * (high - low)))}`);
    const unknown = labels[index] & UNKNOWN;
    const reference = unknown ? "CT unknown here" : `CT ${minus(ct[index] * data.step_hu)} HU`;
    if (ofTwo()) parts.push(reference);
    for (const model of shownModels()) {
      const hu = scts[model][index] * data.step_hu, error = hu - ct[index] * data.step_hu;
      const off = `${error > 0 ? "+" : ""}${minus(error)} HU`;
      if (ofTwo()) parts.push(`${state.patient.models[model].label} ${minus(hu)} HU${unknown ? "" : ` (${off})`}`);
      else parts.push(`sCT ${minus(hu)} HU`, reference, ...(unknown ? [] : [`error ${off}`]));
    }
    parts.push(labels[index] & INSIDE ? "inside the mask" : "outside the mask: not counted");
    const place = [..."xyz"].map((axis) => `${axis} ${at[axis] + 1}/${state.size[axis]}`).join(" ");
    readout.textContent = `${parts.join(" · ")} (${place})`;
  }

  const minus = (number) => String(number).replace("-", "−");

  function describeScales() {
    const [name, low, high] = levels(), most = control["error-max"].value;
    const models = shownModels().map((model) => state.patient.models[model]), labels = models.map(({ label }) => label);
    const colours = data.colours[control.error.value];
    const stops = Array.from({ length: 17 }, (_, i) => {
      const place = 3 * Math.round(i / 16 * 255);
      return `rgb(${colours.slice(place, place + 3).join(" ")})`;
    });
    byId("scale-ct").textContent = `${minus(low)} … ${minus(high)} HU`;
    byId("scale-error").textContent = control.error.value === "signed" ? `−${most} … +${most} HU` : `0 … ${most} HU`;
    byId("scale-error-bar").style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    const scores = models.map(({ label, scores }) => `${label}: ${scores}`).join("; ");
    byId("viewer-scores").textContent = `${state.patient.patient}, ${scores} (${state.patient.why}).`;
    panes.setAttribute("aria-label", `Images of ${state.patient.patient}, ${labels.join(" and ")}, window ${name}`);
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
    const { options } = select;
    do select.selectedIndex = (select.selectedIndex + 1) % options.length; while (options[select.selectedIndex].disabled);
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
      n: () => next(control.second),
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
  control.second.closest("label").hidden = data.patients.every((one) => one.models.length < 2);
  control.model.addEventListener("change", () => chooseModel(control.model.value));
  for (const id of ["second", "planes"]) control[id].addEventListener("change", build);
  for (const id of ["window", "error", "error-max", "overlay", "crosshair"])
    control[id].addEventListener("change", draw);
  new ResizeObserver(() => draw()).observe(panes);
  document.addEventListener("click", (event) => {  // buttons of the table of patients
    const button = event.target.closest("button[data-view]");
    if (!button) return;
    const index = data.patients.findIndex((one) => one.patient === button.dataset.view);
    start(index).then(() => {
      chooseModel(button.dataset.model);
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
  for (const [name, colours] of Object.entries(data.colours)) data.colours[name] = bytesOf(colours);
  start(0);
})();
