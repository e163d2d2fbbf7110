// What the reader chose, what lies there, and the controls.
const find = (id) => document.getElementById(id);
const moving = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
const view = { surface: 0, way: -1, x: 0, y: 0, t: 0, term: "total", start: 0, goal: 0, step: 0, wait: 0, playing: 0 };
const way = () => data.ways[view.way], surface = () => data.surfaces[view.surface];
const ends = (chosen) => [chosen.position.values[0], chosen.position.values[chosen.position.values.length - 1]];

// The embedding and the dynamics at the chosen place, and where exactly that is.
function placeOf({ way: number, t, surface: which, x, y }) {
  const chosen = data.ways[number], plane = data.surfaces[which];
  if (chosen) {
    const at = chosen.position.values, found = chosen.embeddings && between(at, chosen.embeddings, t, chosen.straight);
    const weights = chosen.dynamics ? between(at, chosen.dynamics, t, chosen.straight).values : net && net.own.values;
    return { embedding: found && found.values, weights, t: found ? found.snapped : t, x: chosen.surface && plane && plane.kind === "product" ? t : null, y: 0 };
  }
  if (plane.kind === "placement") return { embedding: unroll([x, y], net.own.values), weights: net.own.values, x, y, live: true };
  if (!net) return { x: plane.x.values[nearestOf(plane.x.values, x)], y: plane.y.values[nearestOf(plane.y.values, y)] };
  const found = between(plane.at.values, plane.encoder, x, plane.straight);
  const weights = Float64Array.from(net.own.values, (value, k) => value + y * (plane.adapted.values[k] - value));
  return { embedding: found.values, weights, x: found.snapped, y };
}

// All that is shown of a place: losses, predictions, share of routes solved.
function sight(place) {
  if (net) {
    const seen = predictions(place.embedding, place.weights);
    return { ...place, terms: lossTerms(place.embedding, place.weights, place.live), seen, navigation: navigation(seen.nearest) };
  }
  if (way()) return { ...place, terms: { ...(way().bars && barsAt(way().bars, place.t)), total: heightAt(way(), place.t) }, maps: way().maps && mapsAt(way().maps, nearestOf(way().maps.at.values, place.t)) };
  const plane = surface(), column = nearestOf(plane.x.values, place.x), row = nearestOf(plane.y.values, place.y);
  const terms = Object.fromEntries(Object.keys(plane.values).map((name) => [name, plane.values[name].values[row * plane.x.values.length + column]]));
  return { ...place, terms, maps: data.maps && mapsOf(place.x, place.y) };
}

// Maps of the stops `k` of (stops, shown, size).
function mapsAt(maps, k) {
  const size = data.maps.shown * data.maps.shape.reduce((a, b) => a * b), row = (stops) => stops.values.subarray(k * size, (k + 1) * size);
  return { state: row(maps.state), actual: row(maps.actual), predicted: row(maps.predicted) };
}

function mapsOf(x, y) {
  const { at, rows, state, actual, predicted } = data.maps, column = nearestOf(at.values, x), row = nearestOf(rows.values, y);
  return { ...mapsAt({ state, actual, predicted: state }, column), predicted: mapsAt({ state: predicted, actual: predicted, predicted }, row * at.values.length + column).predicted, x: at.values[column], y: rows.values[row] };
}

const distance = (chosen, t) => (chosen.unit === "of the way" ? `${(100 * t).toFixed(1)} % of the way` : `${t.toFixed(3)} ${chosen.unit}`);

function whereWords(here) {
  const chosen = way(), plane = surface(), near = (value) => Number(value.toFixed(3)), said = [];
  if (chosen) said.push(`${chosen.label}, ${distance(chosen, here.t)}${chosen.straight ? "" : " (the nearest stop)"}`);
  else if (plane.kind === "placement") said.push(`start state at (${near(here.x)}, ${near(here.y)})`);
  else said.push(`encoder ${near(here.x)}, dynamics ${near(here.y)}${net && plane.straight ? "" : " (the nearest grid point)"}`);
  said.push(`total loss ${short(here.terms.total)}`);
  if (here.seen) said.push(`${(100 * here.seen.accuracy).toFixed(1)} % of moves predicted rightly`);
  if (here.maps) said.push(`mean error ${short(mapsError(here.maps))} of the mean change, of the maps shown${here.maps.x === undefined ? "" : ` (encoder ${near(here.maps.x)}, dynamics ${near(here.maps.y)})`}`);
  if (here.seen && here.navigation !== null) said.push(`the agent solves ${(100 * here.navigation).toFixed(1)} % of all routes`);
  return said.join(" · ");
}

let [told, shown, route, asked] = [null, null, null, false];
function draw() {
  asked = false;
  shown = sight(placeOf(view));
  find("where").textContent = whereWords(shown);
  if (data.surfaces.length) {
    const term = surface().values[view.term] ? view.term : "total";
    drawSurface(surface(), term, shown.x === null || shown.x === undefined ? null : [shown.x, shown.y]);
    find("surface-panel").classList.toggle("away", Boolean(way()) && shown.x === null);
    find("surface-words").textContent = way() && shown.x === null ? "this path leaves the surface" : "drag the marker, or use the arrow keys";
  }
  if (net) drawEmbedding(shown.embedding, shown.seen);
  if (shown.maps) drawMaps(shown.maps);
  if (way() && way().heights) drawProfile(way(), shown.t);
  drawBars(shown.terms);
  if (net) drawRoute();
}

function drawRoute() {
  route = walk(view.start, view.goal, shown.seen.nearest);
  view.step = Math.min(view.step, route.cells.length - 1);
  drawMaze(route, view.step, view.goal);
  const taken = route.cells.length - 1, cell = (state) => `(${data.maze.positions.values[2 * state]}, ${data.maze.positions.values[2 * state + 1]})`;
  const outcome = route.reached ? `arrives in ${taken} moves (shortest: ${route.shortest})` : taken ? `does not arrive within ${taken} moves (shortest: ${route.shortest})` : "sees no way and stays";
  find("maze-words").textContent = `from ${cell(view.start)} to ${cell(view.goal)}: ${outcome}`;
}

function ask() {
  if (!asked) requestAnimationFrame(draw);
  asked = true;
}

// Changes what is shown; everything else follows.
function show(changes) {
  Object.assign(view, changes);
  const chosen = way();
  find("player").hidden = find("profile-panel").hidden = !chosen;
  if (surface() && surface() !== told) tell((told = surface()));
  if (chosen) {
    const [first, last] = ends(chosen);
    find("slider").value = Math.round((1000 * (view.t - first)) / (last - first));
    find("slider").setAttribute("aria-valuetext", distance(chosen, view.t));
    find("profile-words").textContent = chosen.computed ? "computed here" : "as measured";
  }
  find("about").textContent = chosen ? [chosen.about, chosen.thinned].filter(Boolean).join(" ") : surface().about;
  document.querySelectorAll("#choices button").forEach((button, k) => button.setAttribute("aria-pressed", String(k < data.surfaces.length ? !chosen && k === view.surface : k - data.surfaces.length === view.way)));
  ask();
}

function play() {
  const [first, last] = ends(way()), from = view.t >= last - 1e-9 ? first : view.t, token = ++view.playing, began = performance.now(), time = 7000 * ((last - from) / (last - first));
  find("play").textContent = "⏸ Pause";
  const frameOf = (now) => {
    if (token !== view.playing) return;
    const share = Math.min(1, Math.max(0, (now - began) / time));
    show({ t: from + share * (last - from) });
    if (share < 1) requestAnimationFrame(frameOf);
    else pause();
  };
  requestAnimationFrame(frameOf);
}

function pause() {
  view.playing++;
  find("play").textContent = "▶ Play";
}
const playing = () => find("play").textContent.includes("Pause");

function choose(changes) {
  pause();
  show(changes);
}

function button(words, act) {
  const made = document.createElement("button");
  [made.type, made.textContent] = ["button", words];
  made.addEventListener("click", act);
  find("choices").append(made);
}

function key(id, entries) {
  for (const [shape, tone, words] of entries) {
    const span = document.createElement("span"), sign = document.createElement("i");
    [span.className, sign.className] = ["key", shape];
    sign.style.background = tone;
    span.append(sign, words);
    find(id).append(span);
  }
}

{% include "explorer_hands.js" %}
