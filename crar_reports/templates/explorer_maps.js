// Abstract states that are maps: an observation, its abstract state, what the dynamics make of it after an action, what it really becomes, and the difference.
const MAP_HEADS = ["abstract", "predicted", "actual", "difference"];

// On a wide canvas a row an observation with its channels side by side; on a narrow one the channels below each other, for fewer observations.
function drawMaps(here) {
  const { pen, width, height } = cleared("embedding"), maps = data.maps, [channels, rows, columns] = maps.shape, size = channels * rows * columns;
  const wide = width > 480, count = wide ? maps.shown : Math.min(2, maps.shown), [gap, head, low] = [wide ? 10 : 16, 18, 16];
  const across = wide ? 1 + MAP_HEADS.length * channels : 1 + MAP_HEADS.length, down = wide ? count : count * channels;
  const tall = (height - head - count * low) / down - 2, cell = Math.max(4, Math.min((width - gap * MAP_HEADS.length) / across, tall));
  const left = (group, channel) => cell + gap + group * ((wide ? channels : 1) * cell + gap) + (wide ? channel * cell : 0);
  const top = (n, channel) => head + (wide ? n : n * channels + channel) * (cell + 2) + n * low;
  pen.font = `${wide ? 12 : 10}px system-ui, sans-serif`;
  text(pen, "seen", 0, 11, "left", "alphabetic", color("fg"));
  MAP_HEADS.forEach((words, group) => text(pen, words, left(group, 0), 11, "left", "alphabetic", color("fg")));
  const tile = (values, offset, x, y, tones, high, broad) => {
    const [w, h] = [(cell - 2) / broad, (cell - 2) / high];
    for (let k = 0; k < broad * high; k++) {
      pen.fillStyle = tones(values[offset + k]);
      pen.fillRect(x + (k % broad) * w, y + Math.floor(k / broad) * h, w + 0.4, h + 0.4);
    }
  };
  // Blue below 0, orange above, white at 0; the difference is red where the prediction is wrong.
  const mixed = (tone, share) => `rgb(${tone.map((part) => Math.round(248 + Math.min(1, share) * (part - 248)))})`;
  const signed = (value) => mixed(value > 0 ? [230, 97, 1] : [0, 90, 160], Math.abs(value) / maps.limit);
  const wrong = (value) => mixed([200, 16, 46], Math.abs(value) / (0.5 * maps.limit)), gray = (value) => `rgb(${value}, ${value}, ${value})`;
  const [, high, broad] = maps.observed.shape;
  for (let n = 0; n < count; n++) {
    tile(maps.observed.values, n * high * broad, 0, top(n, 0), gray, high, broad);
    text(pen, maps.words_of[n], 0, top(n, wide ? 0 : channels - 1) + cell + 11, "left", "alphabetic");
    for (let channel = 0; channel < channels; channel++) {
      const offset = n * size + channel * rows * columns, off = Float64Array.from({ length: rows * columns }, (_, k) => here.predicted[offset + k] - here.actual[offset + k]);
      [here.state, here.predicted, here.actual].forEach((values, group) => tile(values, offset, left(group, channel), top(n, channel), signed, rows, columns));
      tile(off, 0, left(3, channel), top(n, channel), wrong, rows, columns);
    }
  }
}

// The mean over what is shown of |predicted - actual|, over the mean of |actual - abstract|: 1 is as wrong as expecting no change.
function mapsError(here) {
  let [off, moved] = [0, 0];
  here.actual.forEach((value, k) => {
    off += Math.abs(here.predicted[k] - value);
    moved += Math.abs(here.state[k] - value);
  });
  return off / (moved || 1);
}
