// What the page knows, and the agent's losses at any embedding under any dynamics: the same formulas as the package, in double precision.
const data = JSON.parse(document.getElementById("data").textContent);

function unpack(plain) {
  const raw = atob(plain.data), bytes = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k++) bytes[k] = raw.charCodeAt(k);
  return new { f4: Float32Array, i4: Int32Array, u1: Uint8Array }[plain.type](bytes.buffer);
}

// Replaces every packed array by {values, shape}.
function unpackAll(plain) {
  if (plain === null || typeof plain !== "object") return plain;
  if (typeof plain.type === "string" && typeof plain.data === "string") return { values: unpack(plain), shape: plain.shape };
  for (const key of Object.keys(plain)) plain[key] = unpackAll(plain[key]);
  return plain;
}
unpackAll(data);

const net = data.net;
const layers = {};
if (net) {
  let offset = 0;
  for (const [block, widths] of Object.entries(net.widths)) {
    layers[block] = [];
    for (let k = 0; k + 1 < widths.length; k++) {
      const [inside, outside] = [widths[k], widths[k + 1]];
      layers[block].push({ weight: offset, bias: offset + inside * outside, inside, outside, made: new Float64Array(outside) });
      offset += inside * outside + outside;
    }
  }
}

// A dense network on one input; what it returns is overwritten by its next call.
function dense(weights, block, input) {
  let x = input;
  layers[block].forEach((layer, number) => {
    for (let row = 0; row < layer.outside; row++) {
      let sum = weights[layer.bias + row];
      const first = layer.weight + row * layer.inside;
      for (let k = 0; k < layer.inside; k++) sum += weights[first + k] * x[k];
      layer.made[row] = number + 1 < layers[block].length ? Math.tanh(sum) : sum;
    }
    x = layer.made;
  });
  return x;
}

// The abstract state that the dynamics expect after an action, from `from`.
function transition(weights, from, action) {
  const size = net.size, input = new Float64Array(size + net.actions);
  input.set(from);
  input[size + action] = 1;
  const step = dense(weights, "transition", input);
  return Float64Array.from(from, (value, k) => value + step[k]);
}

function pairwise(embedding, one, other) {
  let squared = 0;
  for (let k = 0; k < net.size; k++) squared += (embedding[one * net.size + k] - embedding[other * net.size + k]) ** 2;
  squared = Math.min(Math.max(squared, net.loss.pair_min), net.loss.pair_max);
  return Math.exp(-net.loss.pair_scale * Math.sqrt(squared));
}

// All loss terms and their total at (embedding, weights), as `Loss` of the package; `live` takes bootstrap values from the model itself.
function lossTerms(embedding, weights, live) {
  const size = net.size, batch = net.batch, count = batch.state.values.length, set = net.loss;
  const values = [];
  for (let row = 0; row * size < embedding.length; row++) {
    values.push(Float64Array.from(dense(weights, "value", embedding.subarray(row * size, (row + 1) * size))));
  }
  const sums = { transition: 0, reward: 0, discount: 0, ball: 0, random_pairs: 0, consecutive: 0, value: 0 };
  const input = new Float64Array(size + net.actions);
  for (let k = 0; k < count; k++) {
    const state = batch.state.values[k], next = batch.next.values[k], action = batch.action.values[k], goes = 1 - batch.terminated.values[k];
    input.fill(0);
    let largest = 0;
    for (let c = 0; c < size; c++) {
      input[c] = embedding[state * size + c];
      largest = Math.max(largest, input[c] ** 2);
    }
    input[size + action] = 1;
    const step = dense(weights, "transition", input);
    let error = 0;
    for (let c = 0; c < size; c++) error += (input[c] + step[c] - embedding[next * size + c]) ** 2;
    sums.transition += (goes * error) / size;
    sums.reward += (dense(weights, "reward", input)[0] - batch.reward.values[k]) ** 2;
    sums.discount += (dense(weights, "discount", input)[0] - goes * set.discount) ** 2;
    sums.ball += Math.min(Math.max(largest - set.ball_radius ** 2, 0), set.ball_max);
    sums.consecutive += pairwise(embedding, state, next);
    const wanted = batch.target && !live ? batch.target.values[k] : batch.reward.values[k] + goes * set.discount * Math.max(...values[next]);
    sums.value += (values[state][action] - wanted) ** 2;
  }
  const pairs = batch.pairs.values, half = pairs.length / 2;
  for (let k = 0; k < half; k++) sums.random_pairs += pairwise(embedding, pairs[k], pairs[half + k]) * (count / half);
  if (set.value_over_actions) sums.value /= net.actions;
  const terms = { total: 0 };
  for (const [name, sum] of Object.entries(sums)) {
    terms[name] = sum / count;
    terms.total += (net.weights[name] || 0) * terms[name];
  }
  return terms;
}

// The embedding that follows from a place of the start state along a spanning tree of the maze, breadth first.
function unroll(place, weights) {
  const { successor, start } = data.maze, states = successor.shape[0], actions = successor.shape[1], size = net.size;
  const made = new Float64Array(states * size), met = new Uint8Array(states), queue = [start];
  made.set(place, start * size);
  met[start] = 1;
  for (let head = 0; head < queue.length; head++) {
    const state = queue[head];
    for (let action = 0; action < actions; action++) {
      const next = successor.values[state * actions + action];
      if (met[next]) continue;
      made.set(transition(weights, made.slice(state * size, (state + 1) * size), action), next * size);
      met[next] = 1;
      queue.push(next);
    }
  }
  return made;
}

// Row `t` of stops (k, ...) at ascending positions: between two stops on the straight line, or the nearest stop where that is not what lies there.
function between(at, stops, t, straight) {
  const width = stops.values.length / at.length, row = (k) => stops.values.subarray(k * width, (k + 1) * width);
  let last = at.length - 1;
  if (!straight) return { values: Float64Array.from(row(nearestOf(at, t))), snapped: at[nearestOf(at, t)] };
  let k = 0;
  while (k < last - 1 && at[k + 1] < t) k++;
  const share = last === 0 ? 0 : (t - at[k]) / (at[k + 1] - at[k]), a = row(k), b = row(Math.min(k + 1, last));
  return { values: Float64Array.from(a, (value, n) => value + share * (b[n] - value)), snapped: t };
}

function nearestOf(at, t) {
  let best = 0;
  for (let k = 1; k < at.length; k++) if (Math.abs(at[k] - t) < Math.abs(at[best] - t)) best = k;
  return best;
}
