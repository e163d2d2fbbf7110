// Buttons, pointer and keys, and the first picture.
function listenToSurface() {
  const canvas = find("surface"), spot = (event) => [event.clientX - canvas.getBoundingClientRect().left, event.clientY - canvas.getBoundingClientRect().top];
  const at = () => frame(surface(), canvas.getBoundingClientRect().width, canvas.getBoundingClientRect().height);
  const near = (event) => shown.x !== null && Math.hypot(spot(event)[0] - at().px(shown.x), spot(event)[1] - at().py(shown.y)) < 44;
  const go = (event) => {
    const [x, y] = at().place(...spot(event));
    choose({ way: -1, x, y });
  };
  let held = false;
  canvas.addEventListener("touchstart", (event) => near(event.touches[0]) && event.preventDefault(), { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    held = event.pointerType !== "touch" || near(event); // a finger that lands elsewhere scrolls the page
    if (!held) return;
    canvas.setPointerCapture(event.pointerId);
    go(event);
  });
  canvas.addEventListener("pointermove", (event) => held && go(event));
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (held = false));
  canvas.addEventListener("click", go);
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key], { x, y } = surface();
    if (!step) return;
    event.preventDefault();
    const moved = (axis, from, by) => {
      const [low, high] = [axis[0], axis[axis.length - 1]];
      return Math.min(high, Math.max(low, Math.round((from + (by * (event.shiftKey ? 5 : 1) * (high - low)) / 60) * 1e6) / 1e6));
    };
    const on = way() && shown.x !== null && shown.x !== undefined ? shown : view; // a key may come before the last one is drawn
    choose({ way: -1, x: moved(x.values, on.x, step[0]), y: moved(y.values, on.y, step[1]) });
  });
}

function listenToMaze() {
  const canvas = find("maze"), { positions, successor } = data.maze;
  const stateAt = (event) => {
    const box = canvas.getBoundingClientRect(), { cell, left, top } = board(box.width, box.height);
    const [row, column] = [Math.floor((event.clientY - box.top - top) / cell), Math.floor((event.clientX - box.left - left) / cell)];
    for (let k = 0; 2 * k < positions.values.length; k++) if (positions.values[2 * k] === row && positions.values[2 * k + 1] === column) return k;
    return -1;
  };
  let before = view.goal;
  canvas.addEventListener("click", (event) => {
    const state = stateAt(event);
    if (state < 0 || state === view.goal) return;
    before = view.goal;
    show({ goal: state, step: 0 });
  });
  canvas.addEventListener("dblclick", (event) => stateAt(event) >= 0 && show({ start: stateAt(event), goal: before, step: 0 }));
  canvas.addEventListener("keydown", (event) => {
    const action = { ArrowUp: 0, ArrowDown: 1, ArrowLeft: 2, ArrowRight: 3 }[event.key];
    if (action === undefined && event.key !== "Enter") return;
    event.preventDefault();
    if (action === undefined) show({ start: view.goal, step: 0 });
    else show({ goal: successor.values[view.goal * successor.shape[1] + action], step: 0 });
  });
  setInterval(() => {
    if (!route || !moving) return;
    if (view.step < route.cells.length - 1) view.step++;
    else if (++view.wait > 4) [view.step, view.wait] = [0, 0];
    drawMaze(route, view.step, view.goal);
  }, 420);
}

// How far the losses of this page are from the measured ones, where both are known: the largest relative difference of totals.
function compared() {
  const off = [], against = (place, total) => Number.isFinite(total) && off.push(Math.abs(lossTerms(place.embedding, place.weights, place.live).total - total) / Math.max(1e-12, Math.abs(total)));
  data.surfaces.forEach((plane, which) => {
    const columns = plane.x.values.length, rows = plane.y.values.length, cells = columns * rows;
    for (let k = 0; k < 16; k++) {
      const cell = Math.floor(((k + 0.5) * cells) / 16), [x, y] = [plane.x.values[cell % columns], plane.y.values[Math.floor(cell / columns)]];
      against(placeOf({ way: -1, surface: which, x, y }), plane.values.total.values[cell]);
    }
  });
  data.ways.forEach((chosen, number) => chosen.heights && ends(chosen).forEach((t) => against(placeOf({ way: number, t }), heightAt(chosen, t))));
  return { places: off.length, most: Math.max(...off) };
}

function profileOf(chosen, number) {
  const [first, last] = ends(chosen), at = Float64Array.from({ length: 61 }, (_, k) => first + (k / 60) * (last - first));
  const total = at.map((t) => lossTerms(placeOf({ way: number, t }).embedding, net.own.values).total);
  return { at: { values: at }, total: { values: total } };
}

// The terms and the models of a surface.
function tell(plane) {
  find("term").replaceChildren(...data.terms.filter((name) => plane.values[name]).map((name) => new Option(name.replace("_", " "), name)));
  find("term").value = plane.values[view.term] ? view.term : "total";
  find("marks").replaceChildren();
  key("marks", plane.marks.map((mark) => [{ o: "", s: "square", "*": "star" }[mark.shape], mark.color, mark.label]));
}

let check = null;
function begin() {
  data.surfaces.forEach((plane, k) => button(plane.name, () => choose({ surface: k, way: -1, x: plane.begin[0], y: plane.begin[1] })));
  data.ways.forEach((chosen, k) => {
    if (!chosen.heights && net) [chosen.heights, chosen.computed] = [profileOf(chosen, k), true];
    button(chosen.label, () => choose({ way: k, t: chosen.name.startsWith("flat") ? 0 : ends(chosen)[0] }));
  });
  find("slider").addEventListener("input", (event) => {
    const [first, last] = ends(way());
    choose({ t: first + (event.target.value / 1000) * (last - first) });
  });
  find("play").addEventListener("click", () => (playing() ? pause() : play()));
  const plane = data.surfaces[0];
  find("surface-panel").hidden = !plane;
  if (plane) {
    find("term").addEventListener("change", (event) => show({ term: event.target.value }));
    listenToSurface();
  }
  find("maze-panel").hidden = !net;
  find("panels").className = !plane ? "plain" : net ? "" : data.maps ? "maps" : "still";
  find("embedding-panel").hidden = !net && !data.maps;
  key("ends", data.ends.map((end) => ["line", end.color, `tick: ${end.label}`]));
  if (net) {
    [view.start, view.goal] = [data.maze.start, data.maze.goal];
    const rooms = data.maze.rooms.values.some((room) => room < 0) ? [["", "var(--fg)", "door"]] : [];
    key("embedding-key", [...data.maze.roomNames.map((name, k) => ["", data.maze.colors[k], name]), ...rooms, ["line", "var(--line)", "moves as they are"], ["line", "var(--good)", "predicted"], ["line", "var(--bad)", "predicted wrongly"]]);
    key("maze-key", [["square", "var(--plan)", "goal and planned route"], ["", "#d64541", "agent"]]);
    find("maze-key").insertAdjacentHTML("beforeend", '<span class="hint">Click a cell to go there, double-click one to start there.</span>');
    listenToMaze();
    check = compared();
    data.notes.push(`Losses, moves and routes are computed on this page, from weights in single precision, at whichever place is shown. At ${check.places} places that were measured too, the total differs by at most ${check.most.toExponential(0)} (relative).`);
  }
  find("embedding-words").textContent = data.maps ? data.maps.words : "each state as the encoder places it; arrows are predicted moves";
  find("bars-words").textContent = "unweighted, logarithmic";
  for (const note of data.notes) {
    const item = document.createElement("li");
    item.textContent = note;
    find("notes").append(item);
  }
  for (const query of ["(prefers-color-scheme: dark)", "print"]) window.matchMedia(query).addEventListener("change", draw);
  window.addEventListener("resize", ask);
  window.addEventListener("beforeprint", draw);
  show(plane ? { x: plane.begin[0], y: plane.begin[1] } : { way: 0, t: ends(data.ways[0])[0] });
}
begin();
window.explorer = { data, view, show: choose, sight, placeOf, compared: () => check, shown: () => shown, route: () => route, playing };
