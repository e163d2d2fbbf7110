// What the agent makes of its embedding: moves as it predicts them, and the way it walks to a goal.

// Predicted abstract states (states x actions x size), the nearest state to each, and the share that is right.
function predictions(embedding, weights) {
  const { successor } = data.maze, states = successor.shape[0], actions = successor.shape[1], size = net.size;
  const reached = new Float64Array(states * actions * size), nearest = new Int32Array(states * actions);
  let right = 0;
  for (let state = 0; state < states; state++) {
    for (let action = 0; action < actions; action++) {
      const move = state * actions + action, made = transition(weights, embedding.subarray(state * size, (state + 1) * size), action);
      reached.set(made, move * size);
      let least = Infinity;
      for (let other = 0; other < states; other++) {
        let off = 0;
        for (let c = 0; c < size; c++) off += (made[c] - embedding[other * size + c]) ** 2;
        if (off < least) [least, nearest[move]] = [off, other];
      }
      right += nearest[move] === successor.values[move];
    }
  }
  return { reached, nearest, accuracy: right / (states * actions) };
}

// Moves to `goal` from every state by a table of successors; the number of states where it cannot be reached.
function distancesTo(goal, table, states, actions) {
  const sources = Array.from({ length: states }, () => []), away = new Int32Array(states).fill(states), queue = [goal];
  for (let move = 0; move < states * actions; move++) sources[table[move]].push(Math.floor(move / actions));
  away[goal] = 0;
  for (let head = 0; head < queue.length; head++) {
    for (const from of sources[queue[head]]) {
      if (away[from] === states && from !== goal) {
        away[from] = away[queue[head]] + 1;
        queue.push(from);
      }
    }
  }
  return away;
}

const distances = (goal, nearest) => {
  const [states, actions] = data.maze.successor.shape;
  return { away: distancesTo(goal, nearest, states, actions), truth: distancesTo(goal, data.maze.successor.values, states, actions) };
};

// The walk to a goal: at every step the shortest route among the predicted moves, whose first action is taken in the true maze.
// `known` has what the model and the maze say of the distances to that goal.
function walk(start, goal, nearest, known = distances(goal, nearest)) {
  const { successor } = data.maze, states = successor.shape[0], actions = successor.shape[1], { away, truth } = known;
  const allowed = 2 * truth[start] + 2, cells = [start], plans = [];
  const best = (state) => {
    let action = 0;
    for (let a = 1; a < actions; a++) if (away[nearest[state * actions + a]] < away[nearest[state * actions + action]]) action = a;
    return action;
  };
  let state = start;
  while (state !== goal && cells.length - 1 < allowed && away[nearest[state * actions + best(state)]] < states) {
    const plan = [state];
    while (plan[plan.length - 1] !== goal && plan.length <= states) {
      const here = plan[plan.length - 1];
      plan.push(nearest[here * actions + best(here)]);
    }
    plans.push(plan);
    state = successor.values[state * actions + best(state)];
    cells.push(state);
  }
  plans.push([state]);
  return { cells, plans, reached: state === goal, shortest: truth[start], planned: away[start] < states };
}

// Share of (start, goal) pairs that the agent solves; null in mazes where counting them would keep the page waiting.
function navigation(nearest) {
  const states = data.maze.successor.shape[0];
  if (states > 40) return null;
  let solved = 0;
  for (let goal = 0; goal < states; goal++) {
    const known = distances(goal, nearest);
    for (let start = 0; start < states; start++) solved += start !== goal && walk(start, goal, nearest, known).reached;
  }
  return solved / (states * (states - 1));
}
