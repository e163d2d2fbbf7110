// The embedding with its moves, the loss terms as bars, the agent in its maze, and the maps of the random mazes.

const actionsOf = () => data.maze.successor.shape[1];

// Bounds of all embeddings of the page, so that the picture keeps its scale while it moves.
let boundsKept = null;
function bounds() {
  if (boundsKept) return boundsKept;
  const size = net.size, box = [Infinity, -Infinity, Infinity, -Infinity];
  const look = (stops) => {
    for (let k = 0; k < stops.values.length; k += size) {
      const x = stops.values[k], y = size > 1 ? stops.values[k + 1] : 0;
      box[0] = Math.min(box[0], x);
      box[1] = Math.max(box[1], x);
      box[2] = Math.min(box[2], y);
      box[3] = Math.max(box[3], y);
    }
  };
  data.surfaces.forEach((surface) => surface.encoder && look(surface.encoder));
  data.ways.filter((way) => !way.name.startsWith("flat")).forEach((way) => look(way.embeddings));
  const margin = 0.1 * Math.max(box[1] - box[0], box[3] - box[2]);
  boundsKept = [box[0] - margin, box[1] + margin, box[2] - margin, box[3] + margin];
  return boundsKept;
}

function drawEmbedding(embedding, seen) {
  const { pen, width, height } = cleared("embedding"), size = net.size, [x0, x1, y0, y1] = bounds();
  const scale = Math.min(width / (x1 - x0), height / (y1 - y0)), middle = [(x0 + x1) / 2, (y0 + y1) / 2];
  const px = (values, k) => [width / 2 + (values[k] - middle[0]) * scale, height / 2 - ((size > 1 ? values[k + 1] : 0) - middle[1]) * scale];
  const { successor, rooms } = data.maze, states = successor.shape[0], actions = actionsOf(), one = (k) => px(embedding, k * size);
  [pen.strokeStyle, pen.lineWidth] = [color("line"), 3];
  for (let move = 0; move < states * actions; move++) {
    const [from, to] = [Math.floor(move / actions), successor.values[move]];
    if (from >= to) continue;
    pen.beginPath();
    pen.moveTo(...one(from));
    pen.lineTo(...one(to));
    pen.stroke();
  }
  for (const wrong of [false, true]) {
    for (let move = 0; move < states * actions; move++) {
      if ((seen.nearest[move] !== successor.values[move]) !== wrong) continue;
      arrow(pen, one(Math.floor(move / actions)), px(seen.reached, move * size), wrong ? color("bad") : color("good"), wrong ? 1.7 : 1.2);
    }
  }
  const radius = Math.max(4, Math.min(9, 110 / Math.sqrt(states * 4)));
  for (let state = 0; state < states; state++) {
    const [x, y] = one(state), [row, column] = [data.maze.positions.values[2 * state], data.maze.positions.values[2 * state + 1]];
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    const door = rooms.values[state] < 0; // as dark as the text, so that it shows on either ground
    [pen.fillStyle, pen.strokeStyle, pen.lineWidth] = [door ? color("fg") : data.maze.colors[rooms.values[state]], color("panel"), 1.2];
    pen.fill();
    pen.stroke();
    if (states > 60) continue;
    pen.font = "bold 9px system-ui, sans-serif";
    text(pen, `${row}${column}`, x, y + 0.5, "center", "middle", door ? color("bg") : "#fff");
  }
}

function arrow(pen, [x0, y0], [x1, y1], tone, thick) {
  const length = Math.hypot(x1 - x0, y1 - y0), [ux, uy] = [(x1 - x0) / (length || 1), (y1 - y0) / (length || 1)];
  if (length < 3) return;
  [pen.strokeStyle, pen.fillStyle, pen.lineWidth] = [tone, tone, thick];
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1 - 5 * ux, y1 - 5 * uy);
  pen.stroke();
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x1 - 7 * ux - 3.2 * uy, y1 - 7 * uy + 3.2 * ux);
  pen.lineTo(x1 - 7 * ux + 3.2 * uy, y1 - 7 * uy - 3.2 * ux);
  pen.fill();
}

// Bars on a logarithmic axis; the ends of the story are ticks on each.
function drawBars(terms) {
  const { pen, width, height } = cleared("bars"), names = data.terms.filter((name) => name in terms), [left, right, bottom] = [96, 66, 22];
  const known = data.ends.flatMap((end) => Object.values(end.terms)).filter((value) => value > 1e-9);
  const [low, high] = [known.length ? Math.floor(Math.log10(Math.min(...known))) - 1 : -9, 1]; // the same at every place
  const px = (value) => left + (Math.min(Math.max((Math.log10(value) - low) / (high - low), 0), 1)) * (width - left - right), step = Math.min(40, (height - bottom) / names.length);
  for (let power = low; power <= high; power += Math.max(1, Math.ceil((high - low) / 5))) {
    pen.strokeStyle = color("grid");
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(px(10 ** power), 0);
    pen.lineTo(px(10 ** power), height - bottom);
    pen.stroke();
    text(pen, power === 0 ? "1" : `1e${power}`, px(10 ** power), height - bottom + 5, "center", "top");
  }
  names.forEach((name, k) => {
    const y = k * step, value = terms[name], tall = Math.min(20, step * 0.62), top = y + (step - tall) / 2;
    text(pen, name.replace("_", " "), left - 8, y + step / 2, "right", "middle", color("fg"));
    pen.fillStyle = ink(data.colors[name]);
    if (value > 0) pen.fillRect(left, top, Math.max(1, px(value) - left), tall);
    text(pen, short(value), width - right + 8, y + step / 2, "left", "middle", color("fg"));
    for (const end of data.ends) {
      if (!(end.terms[name] >= 10 ** low)) continue; // left of the axis
      for (const [tone, wide] of [[color("bg"), 5], [end.color, 3]]) {
        pen.fillStyle = tone;
        pen.fillRect(px(end.terms[name]) - wide / 2, top - 3, wide, tall + 6);
      }
    }
  });
}

// Where a cell of the maze lies on its canvas.
function board(width, height) {
  const [rows, columns] = data.maze.walls.shape, cell = Math.min(width / columns, height / rows);
  return { rows, columns, cell, left: (width - cell * columns) / 2, top: (height - cell * rows) / 2 };
}

// The maze, the agent after some steps of a walk, what it plans from there, and its goal.
function drawMaze(route, step, goal) {
  const { pen, width, height } = cleared("maze"), { rows, columns, cell, left, top } = board(width, height), walls = data.maze.walls.values;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      pen.fillStyle = walls[row * columns + column] ? color("wall") : color("floor");
      pen.fillRect(left + column * cell, top + row * cell, cell - 1, cell - 1);
    }
  }
  const middle = (state) => [left + (data.maze.positions.values[2 * state + 1] + 0.5) * cell, top + (data.maze.positions.values[2 * state] + 0.5) * cell];
  const [gx, gy] = middle(goal);
  [pen.strokeStyle, pen.lineWidth] = [color("plan"), 3];
  pen.strokeRect(gx - cell * 0.36, gy - cell * 0.36, cell * 0.72, cell * 0.72);
  const line = (states, tone, thick, dash) => {
    [pen.strokeStyle, pen.lineWidth] = [tone, thick];
    pen.setLineDash(dash);
    pen.beginPath();
    states.forEach((state) => pen.lineTo(...middle(state)));
    pen.stroke();
    pen.setLineDash([]);
  };
  line(route.cells.slice(0, step + 1), color("muted"), 2, []);
  line(route.plans[Math.min(step, route.plans.length - 1)], color("plan"), 2.5, [5, 4]);
  const [x, y] = middle(route.cells[Math.min(step, route.cells.length - 1)]);
  pen.fillStyle = "#d64541";
  pen.beginPath();
  pen.arc(x, y, cell * 0.33, 0, 2 * Math.PI);
  pen.fill();
  pen.fillStyle = "#fff";
  for (const side of [-1, 1]) {
    pen.beginPath();
    pen.arc(x + side * cell * 0.12, y - cell * 0.07, cell * 0.065, 0, 2 * Math.PI);
    pen.fill();
  }
}
