// Canvases, colours and axes; the loss surface and the profile of a path.
const style = () => getComputedStyle(document.documentElement);
const color = (name) => style().getPropertyValue(`--${name}`).trim();
const ink = (given) => (given === "#000000" ? color("fg") : given);

// A canvas of `id` at the resolution of the screen, cleared: its context with width and height in CSS pixels.
function cleared(id) {
  const canvas = document.getElementById(id), box = canvas.getBoundingClientRect(), scale = Math.max(2, window.devicePixelRatio || 1);
  const [width, height] = [Math.max(1, Math.round(box.width)), Math.max(1, Math.round(box.height))];
  if (canvas.width !== width * scale || canvas.height !== height * scale) [canvas.width, canvas.height] = [width * scale, height * scale];
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  pen.lineJoin = "round";
  return { pen, width, height };
}

const short = (value) => (!Number.isFinite(value) ? "not finite" : value === 0 ? "0" : Math.abs(value) >= 0.01 && Math.abs(value) < 1000 ? String(Number(value.toPrecision(3))) : value.toExponential(1));

function text(pen, words, x, y, align = "left", base = "alphabetic", fill = color("muted")) {
  [pen.textAlign, pen.textBaseline, pen.fillStyle] = [align, base, fill];
  pen.fillText(words, x, y);
}

const viridis = (share) => {
  const k = 3 * Math.round(255 * Math.min(1, Math.max(0, share)));
  return [data.colormap.values[k], data.colormap.values[k + 1], data.colormap.values[k + 2]];
};

// Where a surface's axes lie on its canvas: place -> pixel, and back.
function frame(surface, width, height) {
  const [left, right, top, bottom] = [52, 74, 8, 40], xs = surface.x.values, ys = surface.y.values;
  const [x0, x1, y0, y1] = [xs[0], xs[xs.length - 1], ys[0], ys[ys.length - 1]];
  let [w, h] = [width - left - right, height - top - bottom];
  if (surface.kind === "placement") w = h = Math.min(w, h);
  return {
    left, top, w, h, px: (x) => left + ((x - x0) / (x1 - x0)) * w, py: (y) => top + h - ((y - y0) / (y1 - y0)) * h,
    place: (x, y) => [x0 + (Math.min(Math.max(x - left, 0), w) / w) * (x1 - x0), y0 + (Math.min(Math.max(top + h - y, 0), h) / h) * (y1 - y0)],
  };
}

// Logarithms of a term of a surface with their ends; NaN where the loss is not finite.
const heightsKept = new Map();
function heightsOf(surface, term) {
  const key = `${data.surfaces.indexOf(surface)} ${term}`;
  if (!heightsKept.has(key)) {
    const values = Array.from(surface.values[term].values, (v) => (Number.isFinite(v) ? Math.log10(Math.max(v, 1e-9)) : NaN)), known = values.filter(Number.isFinite);
    heightsKept.set(key, { values, low: Math.min(...known), high: Math.max(...known) });
  }
  return heightsKept.get(key);
}

// The picture of a surface: a cell around every grid point, and contours between them.
function drawSurface(surface, term, marker) {
  const { pen, width, height } = cleared("surface"), at = frame(surface, width, height);
  const { values, low, high } = heightsOf(surface, term), xs = surface.x.values, ys = surface.y.values, columns = xs.length;
  const edges = (axis, to, k) => [to(k === 0 ? axis[0] : (axis[k - 1] + axis[k]) / 2), to(k === axis.length - 1 ? axis[k] : (axis[k] + axis[k + 1]) / 2)];
  for (let row = 0; row < ys.length; row++) {
    const [y0, y1] = edges(ys, at.py, row);
    for (let column = 0; column < columns; column++) {
      const [x0, x1] = edges(xs, at.px, column), value = values[row * columns + column];
      pen.fillStyle = Number.isNaN(value) ? color("line") : `rgb(${viridis((value - low) / (high - low || 1))})`;
      pen.fillRect(x0, y1, x1 - x0 + 0.6, y0 - y1 + 0.6);
    }
  }
  pen.strokeStyle = "rgba(255, 255, 255, 0.28)";
  pen.lineWidth = 1;
  for (let level = 1; level < 12; level++) contour(pen, values, xs, ys, low + (level / 12) * (high - low), at);
  ticks(pen, at, surface);
  for (let k = 0; k < 64; k++) {
    pen.fillStyle = `rgb(${viridis(k / 63)})`;
    pen.fillRect(at.left + at.w + 10, at.top + at.h * (1 - (k + 1) / 64), 10, at.h / 64 + 0.6);
  }
  for (const share of [0, 0.5, 1]) text(pen, short(10 ** (low + share * (high - low))), at.left + at.w + 24, at.top + at.h * (1 - share), "left", share === 1 ? "top" : share ? "middle" : "bottom");
  if (surface.slice) {
    pen.setLineDash([6, 4]);
    for (const [tone, thick] of [["#fff", 3.5], ["#111", 1.6]]) {
      [pen.strokeStyle, pen.lineWidth] = [tone, thick];
      pen.beginPath();
      pen.moveTo(at.left, at.py(0));
      pen.lineTo(at.left + at.w, at.py(0));
      pen.stroke();
    }
    pen.setLineDash([]);
  }
  for (const mark of surface.marks) drawMark(pen, mark, at.px(mark.x), at.py(mark.y));
  if (marker) {
    const [x, y] = [at.px(marker[0]), at.py(marker[1])];
    for (const [tone, thick] of [["#fff", 5], ["#c8102e", 2.4]]) {
      [pen.strokeStyle, pen.lineWidth] = [tone, thick];
      pen.beginPath();
      pen.arc(x, y, 11, 0, 2 * Math.PI);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        pen.moveTo(x + 6 * dx, y + 6 * dy);
        pen.lineTo(x + 17 * dx, y + 17 * dy);
      }
      pen.stroke();
    }
  }
}

function drawMark(pen, mark, x, y) {
  pen.beginPath();
  if (mark.shape === "o") pen.arc(x, y, 6.5, 0, 2 * Math.PI);
  else if (mark.shape === "s") pen.rect(x - 6, y - 6, 12, 12);
  else {
    for (let k = 0; k < 10; k++) {
      const [size, turn] = [k % 2 ? 4.2 : 10, (k * Math.PI) / 5];
      pen.lineTo(x + size * Math.sin(turn), y - size * Math.cos(turn));
    }
    pen.closePath();
  }
  [pen.fillStyle, pen.strokeStyle, pen.lineWidth] = [mark.color, "#fff", 1.6];
  pen.fill();
  pen.stroke();
}

function ticks(pen, at, surface) {
  const row = (from, to, count) => Array.from({ length: count }, (_, k) => from + (k / (count - 1)) * (to - from));
  const steps = surface.kind === "placement" ? row(-1, 1, 5) : [0, 0.25, 0.5, 0.75, 1];
  for (const t of steps) {
    text(pen, String(t), at.px(t), at.top + at.h + 5, "center", "top");
    text(pen, String(t), at.left - 6, at.py(t), "right", "middle");
  }
  text(pen, surface.xlabel, at.left + at.w / 2, at.top + at.h + 22, "center", "top", color("fg"));
  pen.save();
  pen.translate(12, at.top + at.h / 2);
  pen.rotate(-Math.PI / 2);
  text(pen, surface.ylabel, 0, 0, "center", "middle", color("fg"));
  pen.restore();
}

// The line where the heights cross a level, cell by cell.
function contour(pen, values, xs, ys, level, at) {
  const columns = xs.length;
  pen.beginPath();
  for (let row = 0; row + 1 < ys.length; row++) {
    for (let column = 0; column + 1 < columns; column++) {
      const k = row * columns + column, corners = [[k, 0, 0], [k + 1, 1, 0], [k + columns + 1, 1, 1], [k + columns, 0, 1]], met = [];
      for (let side = 0; side < 4; side++) {
        const [a, ax, ay] = corners[side], [b, bx, by] = corners[(side + 1) % 4];
        if (values[a] < level === values[b] < level) continue;
        const share = (level - values[a]) / (values[b] - values[a]);
        const x = xs[column] + (ax + share * (bx - ax)) * (xs[column + 1] - xs[column]), y = ys[row] + (ay + share * (by - ay)) * (ys[row + 1] - ys[row]);
        met.push([at.px(x), at.py(y)]);
      }
      for (let side = 0; side + 1 < met.length; side += 2) {
        pen.moveTo(...met[side]);
        pen.lineTo(...met[side + 1]);
      }
    }
  }
  pen.stroke();
}

// The measured loss along a path, with the place on it.
function drawProfile(way, position) {
  const { pen, width, height } = cleared("profile"), at = way.heights.at.values, totals = way.heights.total.values;
  const [left, right, top, bottom] = [52, 14, 10, 26], shown = Array.from(totals).filter(Number.isFinite), high = Math.max(...shown), low = Math.min(0, ...shown);
  const px = (x) => left + ((x - at[0]) / (at[at.length - 1] - at[0])) * (width - left - right), py = (y) => height - bottom - ((y - low) / (high - low || 1)) * (height - top - bottom);
  pen.strokeStyle = color("grid");
  for (const y of [low, (low + high) / 2, high]) {
    pen.beginPath();
    pen.moveTo(left, py(y));
    pen.lineTo(width - right, py(y));
    pen.stroke();
    text(pen, short(y), left - 6, py(y), "right", "middle");
  }
  for (const t of [at[0], (at[0] + at[at.length - 1]) / 2, at[at.length - 1]]) text(pen, String(Number(t.toFixed(2))), px(t), height - bottom + 6, t === at[0] ? "left" : t === at[at.length - 1] ? "right" : "center", "top");
  [pen.strokeStyle, pen.lineWidth] = [color("fg"), 2];
  pen.beginPath();
  at.forEach((x, k) => Number.isFinite(totals[k]) && pen.lineTo(px(x), py(totals[k])));
  pen.stroke();
  const here = px(position);
  [pen.strokeStyle, pen.lineWidth] = [color("bad"), 2];
  pen.beginPath();
  pen.moveTo(here, top);
  pen.lineTo(here, height - bottom);
  pen.stroke();
  pen.fillStyle = color("bad");
  pen.beginPath();
  pen.arc(here, py(heightAt(way, position)), 5, 0, 2 * Math.PI);
  pen.fill();
}

// What was measured at `at`, at a position between: on the line between two samples.
function along(at, values, position) {
  let k = 0;
  while (k < at.length - 2 && at[k + 1] < position) k++;
  const share = Math.min(1, Math.max(0, (position - at[k]) / (at[k + 1] - at[k] || 1)));
  return values[k] + share * (values[k + 1] - values[k]);
}
const heightAt = (way, position) => along(way.heights.at.values, way.heights.total.values, position);
const barsAt = ({ at, values }, position) => Object.fromEntries(Object.entries(values).map(([name, each]) => [name, along(at.values, each.values, position)]));
