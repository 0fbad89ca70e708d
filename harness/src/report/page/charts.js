// Latencies as histograms, the fault matrix, sweeps as curves: small SVGs and tables, each with its numbers in text.
const W = 300, H = 110, BASE = 88;

function histogram(command, latency) {
  const buckets = latency.buckets.filter(one => one[1] > 0);
  const drawing = svg('svg', { viewBox: '0 0 ' + W + ' ' + H, role: 'img', 'aria-label': command + ': half within ' + milliseconds(latency.p50_ms) + ', 99 of 100 within ' + milliseconds(latency.p99_ms) });
  const least = Math.max(10, buckets.length ? buckets[0][0] : 1), most = Math.max(latency.max_ms * 1000, least * 1.3);
  const scale = Math.log(most * 1.08 / (least * .92));
  const at = micros => 6 + (W - 12) * Math.min(1, Math.max(0, Math.log(Math.max(micros, least * .92) / (least * .92)) / scale));
  const columns = new Map();
  for (const [begin, count] of buckets) {
    const column = Math.min(59, Math.floor((at(begin * 1.03) - 6) / (W - 12) * 60));
    columns.set(column, (columns.get(column) || 0) + count);
  }
  const tallest = Math.max(1, ...columns.values()), wide = (W - 12) / 60;
  for (const [column, count] of columns)
    drawing.append(svg('rect', { class: 'bar', x: 6 + column * wide, width: wide - .6, y: BASE - Math.max(1.5, count / tallest * 66), height: Math.max(1.5, count / tallest * 66) }));
  drawing.append(svg('line', { class: 'axis', x1: 6, x2: W - 6, y1: BASE, y2: BASE }));
  const marks = [['50', latency.p50_ms], ['99', latency.p99_ms]];
  let before = -100;
  for (const [name, value] of marks) {
    const left = at(value * 1000), height = left - before < 26 ? 8 : 19;
    drawing.append(svg('line', { class: 'rule', x1: left, x2: left, y1: height + 3, y2: BASE }));
    drawing.append(svg('text', { x: Math.min(Math.max(left, 6), W - 6), y: height, 'text-anchor': left > W - 30 ? 'end' : left < 30 ? 'start' : 'middle' }, 'p' + name));
    before = left;
  }
  drawing.append(svg('text', { x: 6, y: H - 6 }, buckets.length && buckets[0][0] ? milliseconds(least / 1000) : '0'));
  drawing.append(svg('text', { x: W - 6, y: H - 6, 'text-anchor': 'end' }, milliseconds(latency.max_ms)));
  drawing.append(svg('text', { x: W / 2, y: H - 6, 'text-anchor': 'middle' }, 'log scale'));
  const row = (name, value) => make('tr', null, make('th', { scope: 'row' }, name), make('td', { class: 'number' }, value));
  return make('div', { class: 'chart' }, make('h4', null, command + ' ', make('span', { class: 'muted small' }, plural(latency.count, 'call'))), drawing,
    make('table', null, row('half within', milliseconds(latency.p50_ms)), row('90 %', milliseconds(latency.p90_ms)), row('99 %', milliseconds(latency.p99_ms)), row('longest', milliseconds(latency.max_ms)), row('mean', milliseconds(latency.mean_ms))));
}

const ORDER = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION'];
function latencies(box, all) {
  const names = Object.keys(all).sort((one, other) => ORDER.indexOf(one) - ORDER.indexOf(other));
  fill(box, names.filter(name => all[name].count).map(name => histogram(name, all[name])));
  if (!box.children.length) fill(box, make('p', { class: 'muted' }, 'No call has ended.'));
}

function matrix() {
  const all = by('all-faults').checked, faults = Object.keys(data.coverage), operations = new Set();
  for (const fault of faults) for (const operation of Object.keys(data.coverage[fault])) operations.add(operation);
  const order = [...operations].sort((one, other) => (ORDER.indexOf(one) + 1 || 99) - (ORDER.indexOf(other) + 1 || 99) || (one < other ? -1 : 1));
  const most = Math.max(1, ...faults.flatMap(fault => Object.values(data.coverage[fault])));
  const ink = style('--fault-soft'), rows = [];
  let struck = 0;
  for (const fault of faults) {
    const cells = data.coverage[fault], is = Object.keys(cells).length > 0;
    struck += is;
    if (!is && !all) continue;
    rows.push(make('tr', null, make('th', { scope: 'row' }, fault), order.map(operation => {
      const times = cells[operation] || 0, cell = make('td', { class: times ? null : 'never' }, times ? number(times) : '\u2013');
      if (times) cell.style.background = 'color-mix(in srgb, ' + ink + ' ' + Math.round(25 + 75 * Math.log1p(times) / Math.log1p(most)) + '%, transparent)';
      return cell;
    })));
  }
  const head = make('thead', null, make('tr', null, make('th', { scope: 'col' }, struck + ' of ' + faults.length + ' faults struck'), order.map(name => make('th', { scope: 'col' }, name || '(any)'))));
  fill(by('matrix'), head, make('tbody', null, rows));
}

// A number that a sweep has varied, and what came of it: half and 99 of 100 ADDs.
function sweep(one) {
  const points = one.points.filter(point => point.p99_ms !== null), wide = 560, high = 230, left = 56, base = 196;
  const xs = points.map(point => point.x), most = Math.max(...points.map(point => point.p99_ms), .001) * 1.1;
  const from = Math.min(...xs), to = Math.max(...xs), at = value => left + (to > from ? (value - from) / (to - from) : .5) * (wide - left - 16), up = value => base - value / most * (base - 14);
  const drawing = svg('svg', { viewBox: '0 0 ' + wide + ' ' + high, role: 'img', 'aria-label': one.verb + ' by ' + one.key });
  for (const part of [0, .25, .5, .75, 1]) {
    drawing.append(svg('line', { class: 'axis', x1: left, x2: wide - 16, y1: up(most * part), y2: up(most * part) }));
    drawing.append(svg('text', { x: left - 6, y: up(most * part) + 4, 'text-anchor': 'end' }, milliseconds(most * part)));
  }
  for (const [name, value] of [['curve', 'p50_ms'], ['curve second', 'p99_ms']]) {
    drawing.append(svg('polyline', { class: name, points: points.map(point => at(point.x) + ',' + up(point[value])).join(' ') }));
    for (const point of points) drawing.append(value === 'p50_ms' ? svg('circle', { class: 'dot', cx: at(point.x), cy: up(point[value]), r: 3 }) : svg('rect', { class: 'dot second', x: at(point.x) - 3, y: up(point[value]) - 3, width: 6, height: 6 }));
  }
  for (const value of points.length > 12 ? [from, to] : xs) drawing.append(svg('text', { x: at(value), y: base + 16, 'text-anchor': 'middle' }, digits(value, 4)));
  drawing.append(svg('text', { x: (left + wide) / 2, y: high - 4, 'text-anchor': 'middle' }, one.key + (one.unit ? ' (' + one.unit + ')' : '')));
  const rows = one.points.map(point => make('tr', { class: point.failed ? 'bad' : null }, make('td', { class: 'number' }, digits(point.x, 6)), make('td', { class: 'number' }, number(point.count)),
    ...['p50_ms', 'p99_ms'].map(name => make('td', { class: 'number' }, point[name] === null ? '\u2013' : milliseconds(point[name]))), make('td', { class: 'number' }, point.failed ? '\u2717 ' + point.failed : '0')));
  return make('div', null, make('h3', null, one.verb + ' by ' + one.key), make('div', { class: 'chart' }, drawing, make('p', { class: 'muted small' }, 'Circles: half within. Squares, dashed: 99 of 100 within.'),
    make('div', { class: 'scroll-x' }, make('table', null, make('thead', null, make('tr', null, [one.key, one.verb, 'half within', '99 % within', 'failed runs'].map(name => make('th', { scope: 'col' }, name)))), make('tbody', null, rows)))));
}
