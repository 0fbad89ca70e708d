// The timeline of one run: lanes on a canvas that draws what is in view, an overview with the addresses in use, a table of
// what is in view. Items are arrays: lane, row, kind, begin, end, what, detail, trouble.
const [LANE, ROW, KIND, BEGIN, END, WHAT, DETAIL, TROUBLE] = [0, 1, 2, 3, 4, 5, 6, 7];
const KINDS = ['ADD', 'DEL', 'call', 'up', 'request', 'down', 'mark'];
const LEGEND = ['ADD', 'DEL', 'CHECK, GC, STATUS', 'attached', 'request, wait for the controller', 'switch stopped', 'moment'];
const COLOURS = ['--add', '--del', '--call', '--up', '--request', '--bad', '--mark'];
const ROW_HEIGHT = 15, THIN_ROW = 10, LANE_GAP = 5, RULER = 22, HEAD = 38, TABLE_ROWS = 200, MAX_VIEW = 620;

const timeline = (() => {
  const canvas = by('canvas'), paper = canvas.getContext('2d'), box = by('lanes'), overview = by('overview');
  let detail = null, lanes = [], view = [0, 1], chosen = null, colours = {}, hatch = null, lanesOf = new Map(), drawn = 0, asked = false;

  const text = index => detail.strings[index];
  const width = () => box.clientWidth;
  const gutter = () => width() < 560 ? 96 : 190;
  const x = time => gutter() + (time - view[0]) / (view[1] - view[0]) * (width() - gutter() - 8);
  const time = at => view[0] + (at - gutter()) / (width() - gutter() - 8) * (view[1] - view[0]);

  function learnColours() {
    colours = { kinds: COLOURS.map(style) };
    for (const name of ['ink', 'muted', 'line', 'soft', 'card', 'bad', 'fault', 'fault-soft', 'select', 'paper']) colours[name] = style('--' + name);
    const tile = document.createElement('canvas');
    tile.width = tile.height = 8;
    const pen = tile.getContext('2d');
    pen.strokeStyle = colours.fault;
    pen.globalAlpha = .4;
    pen.beginPath();
    for (const shift of [-8, 0, 8]) { pen.moveTo(shift - 1, 9); pen.lineTo(shift + 9, -1); }
    pen.stroke();
    hatch = paper.createPattern(tile, 'repeat');
  }

  // Puts the lanes that are wanted below each other.
  function lay() {
    const wanted = by('find-lane').value.trim().toLowerCase(), trouble = by('only-trouble').checked;
    lanes = [];
    lanesOf = new Map();
    let top = HEAD, group = null;
    detail.lanes.forEach(([of, name], lane) => {
      let items = detail.by[lane];
      const named = !wanted || name.toLowerCase().includes(wanted);
      if (!named) items = items.filter(item => (text(item[WHAT]) + ' ' + text(item[DETAIL])).toLowerCase().includes(wanted));
      if (trouble) items = items.filter(item => item[TROUBLE]);
      if (!items.length) return;
      if (group !== of) { lanes.push({ head: detail.groups[of], top, height: 20 }); top += 20; group = of; }
      const row = of === 2 ? ROW_HEIGHT : THIN_ROW, rows = items.reduce((most, item) => Math.max(most, item[ROW]), 0) + 1;
      const height = Math.max(rows * row, ROW_HEIGHT) + LANE_GAP;
      const one = { lane, name: visible(name), items, top, height, row, longest: items.reduce((most, item) => Math.max(most, item[END] - item[BEGIN]), 0) };
      lanes.push(one);
      lanesOf.set(lane, one);
      top += height;
    });
    by('spacer').style.height = '0';
    const high = Math.max(60, Math.min(MAX_VIEW, top + 6));
    box.style.height = high + 2 + 'px';
    by('spacer').style.height = Math.max(0, top + 6 - high) + 'px';
    box.dataset.lanes = lanesOf.size;
    redraw();
  }

  const first = (items, from) => {
    let low = 0, high = items.length;
    while (low < high) { const middle = (low + high) >> 1; if (items[middle][BEGIN] < from) low = middle + 1; else high = middle; }
    return low;
  };
  // The items of a lane that are in view.
  function* inView(lane) {
    for (let at = first(lane.items, view[0] - lane.longest); at < lane.items.length && lane.items[at][BEGIN] <= view[1]; at += 1)
      if (lane.items[at][END] >= view[0]) yield lane.items[at];
  }

  function sized(target, pen, wide, high) {
    const scale = devicePixelRatio || 1;
    if (target.width !== Math.round(wide * scale) || target.height !== Math.round(high * scale)) {
      target.width = Math.round(wide * scale);
      target.height = Math.round(high * scale);
      target.style.height = high + 'px';
    }
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, wide, high);
  }

  function draw() {
    asked = false;
    if (!detail || !width()) return;
    const high = box.clientHeight, wide = width(), shift = box.scrollTop;
    sized(canvas, paper, wide, high);
    paper.font = '11px system-ui, "DejaVu Sans", sans-serif';
    paper.textBaseline = 'middle';
    bands(paper, x, HEAD, high, gutter());
    drawn = 0;
    for (const lane of lanes) {
      const top = lane.top - shift;
      if (top + lane.height < HEAD || top > high) continue;
      if (lane.head) {
        paper.fillStyle = colours.soft;
        paper.fillRect(0, top, wide, lane.height);
        paper.fillStyle = colours.muted;
        paper.fillText(lane.head.toUpperCase(), 8, top + lane.height / 2 + 1);
        continue;
      }
      paper.strokeStyle = colours.line;
      paper.beginPath();
      paper.moveTo(0, Math.round(top + lane.height) + .5);
      paper.lineTo(wide, Math.round(top + lane.height) + .5);
      paper.stroke();
      paper.save();
      paper.beginPath();
      paper.rect(gutter(), HEAD, wide - gutter(), high);
      paper.clip();
      for (const item of inView(lane)) shape(paper, item, top + LANE_GAP / 2 + item[ROW] * lane.row, lane.row - 1);
      paper.restore();
      paper.fillStyle = colours.ink;
      paper.fillText(fitting(lane.name, gutter() - 14), 8, top + ROW_HEIGHT / 2 + LANE_GAP / 2);
    }
    ruler(wide, high);
    box.dataset.drawn = drawn;
    drawOverview();
    table();
  }

  function fitting(name, most) {
    if (paper.measureText(name).width <= most) return name;
    let length = name.length;
    while (length > 1 && paper.measureText('\u2026' + name.slice(-length)).width > most) length -= 1;
    return '\u2026' + name.slice(-length);
  }

  // Kinds differ by form, not by colour alone: calls are full and named, what is attached is a thin line, requests are framed,
  // a stopped switch is hatched, moments are triangles, trouble has a cross.
  function shape(pen, item, top, high) {
    drawn += 1;
    const left = x(item[BEGIN]), wide = Math.max(x(item[END]) - left, 1.5), kind = item[KIND], colour = item[TROUBLE] ? colours.bad : colours.kinds[kind];
    const from = Math.max(left, gutter() - 4), seen = Math.min(left + wide, width() + 4) - from;
    pen.fillStyle = pen.strokeStyle = colour;
    if (kind === 6) {
      pen.beginPath();
      pen.moveTo(left, top + 1);
      pen.lineTo(left + 4, top + high - 1);
      pen.lineTo(left - 4, top + high - 1);
      pen.closePath();
      if (item[TROUBLE]) pen.fill(); else pen.stroke();
    } else if (kind === 3) {
      pen.fillRect(from, top + high / 2 - 2, seen, 4);
    } else if (kind === 4) {
      pen.globalAlpha = .3;
      pen.fillRect(from, top + 1, seen, high - 2);
      pen.globalAlpha = 1;
      if (seen > 3) pen.strokeRect(from + .5, top + 1.5, seen - 1, high - 3);
    } else if (kind === 5) {
      pen.fillStyle = hatch;
      pen.fillRect(from, top, seen, high);
      pen.strokeRect(from + .5, top + .5, seen - 1, high - 1);
    } else {
      pen.fillRect(from, top + 1, seen, high - 2);
      if (seen > 28 && high > 12) {
        pen.fillStyle = colours.paper;
        pen.fillText(fitting(text(item[WHAT]), seen - 8), from + 4, top + 7.5);
      }
    }
    if (item[TROUBLE] && kind !== 6) {
      const middle = left + Math.min(wide, 12) / 2, centre = top + high / 2;
      pen.strokeStyle = wide > 9 ? colours.paper : colours.bad;
      pen.lineWidth = 1.6;
      pen.beginPath();
      pen.moveTo(middle - 3, centre - 3); pen.lineTo(middle + 3, centre + 3);
      pen.moveTo(middle + 3, centre - 3); pen.lineTo(middle - 3, centre + 3);
      pen.stroke();
      pen.lineWidth = 1;
    }
    if (item === chosen) {
      pen.strokeStyle = colours.select;
      pen.lineWidth = 2;
      pen.strokeRect(left - 3, top - 1, Math.max(wide, 4) + 6, high + 2);
      pen.lineWidth = 1;
    }
  }

  function bands(pen, place, top, bottom, edge) {
    for (const [, , begin, end] of detail.bands) {
      const left = place(begin), right = Math.max(place(end), left + 2);
      if (right < edge || left > width()) continue;
      const from = Math.max(left, edge);
      pen.fillStyle = colours['fault-soft'];
      pen.fillRect(from, top, right - from, bottom - top);
      pen.fillStyle = hatch;
      pen.fillRect(from, top, right - from, edge ? bottom - top : 6);
      pen.fillStyle = colours.fault;
      pen.fillRect(from, top, right - from, 3);
    }
    if (detail.violation && place(detail.violation[0]) >= edge) {
      pen.fillStyle = colours.bad;
      pen.fillRect(place(detail.violation[0]) - 1, top, 2, bottom - top);
    }
  }

  function steps(seen, wide) {
    const rough = seen / Math.max(2, wide / 90), power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map(times => times * power).find(step => step >= rough);
  }

  function ruler(wide, high) {
    paper.fillStyle = colours.card;
    paper.fillRect(0, 0, wide, HEAD);
    let free = gutter();
    paper.fillStyle = colours.fault;
    for (const [fault, node, begin, end] of detail.bands) {
      const from = Math.max(x(begin), gutter()), right = x(end);
      if (right < gutter() || from > wide) continue;
      paper.fillRect(from, HEAD - 3, Math.max(right - from, 2), 3);
      const name = visible(fault + (node ? ' ' + node : '')), long = paper.measureText(name).width;
      if (from < free || from + long > wide) continue;
      paper.fillText(name, from + 1, RULER + 7);
      free = from + long + 10;
    }
    if (detail.bands.length) { paper.fillStyle = colours.muted; paper.fillText('faults', 8, RULER + 7); }
    paper.strokeStyle = colours.line;
    paper.beginPath();
    paper.moveTo(0, HEAD - .5); paper.lineTo(wide, HEAD - .5);
    paper.moveTo(gutter() - .5, 0); paper.lineTo(gutter() - .5, high);
    paper.stroke();
    const seen = view[1] - view[0], step = steps(seen, wide - gutter());
    paper.fillStyle = colours.muted;
    for (let at = Math.ceil(view[0] / step) * step; at <= view[1]; at += step) {
      const left = x(at);
      paper.fillRect(left, RULER - 5, 1, 5);
      if (left < wide - 30) paper.fillText(moment(at, seen), left + 3, RULER / 2 - 1);
    }
  }

  function drawOverview() {
    const pen = overview.getContext('2d'), wide = overview.clientWidth, high = 54;
    sized(overview, pen, wide, high);
    overview.style.height = '56px';
    const place = at => at / detail.end * wide, peak = Math.max(1, ...detail.addresses.map(one => one[1]));
    bands(pen, place, 0, high, 0);
    pen.fillStyle = colours.kinds[3];
    let last = [0, 0];
    for (const one of [...detail.addresses, [detail.end, 0]]) {
      const tall = last[1] / peak * (high - 10);
      if (tall) pen.fillRect(place(last[0]), high - tall, Math.max(place(one[0]) - place(last[0]), .5), tall);
      last = one;
    }
    const [left, right] = view.map(place);
    if (right - left < wide - 1) {
      pen.fillStyle = colours.paper;
      pen.globalAlpha = .62;
      pen.fillRect(0, 0, left, high);
      pen.fillRect(right, 0, wide - right, high);
      pen.globalAlpha = 1;
      pen.strokeStyle = colours.select;
      pen.lineWidth = 1.5;
      pen.strokeRect(left + .75, .75, Math.max(right - left - 1.5, 2), high - 1.5);
      pen.lineWidth = 1;
    }
  }

  // What is in view, for who does not see the canvas.
  function table() {
    if (!by('events-box').open) { by('events-count').textContent = ''; return; }
    const found = [];
    let count = 0;
    for (const lane of lanes) if (!lane.head) for (const item of inView(lane)) { count += 1; if (found.length < 5000) found.push([lane, item]); }
    found.sort((one, other) => one[1][BEGIN] - other[1][BEGIN]);
    by('events-count').textContent = count > TABLE_ROWS ? '(the first ' + TABLE_ROWS + ' of ' + number(count) + ': zoom in or filter)' : '(' + count + ')';
    fill(by('event-rows'), found.slice(0, TABLE_ROWS).map(([lane, item]) => make('tr', { class: item[TROUBLE] ? 'bad' : null },
      make('td', { class: 'number' }, moment(item[BEGIN], 1e6)), make('td', { class: 'number' }, item[END] > item[BEGIN] ? span(item[END] - item[BEGIN]) : ''),
      make('td', null, detail.lanes[lane.lane][1]), make('td', null, (item[TROUBLE] ? '\u2717 ' : '') + text(item[WHAT])), make('td', null, text(item[DETAIL])))));
  }

  function redraw() { if (!asked) { asked = true; requestAnimationFrame(draw); } }

  function look(begin, end) {
    const least = Math.min(1000, detail.end), length = Math.min(Math.max(end - begin, least), detail.end);
    const from = Math.min(Math.max(begin, 0), detail.end - length);
    view = [from, from + length];
    redraw();
  }
  function zoom(times, around) {
    const middle = around === undefined ? (view[0] + view[1]) / 2 : around;
    look(middle - (middle - view[0]) * times, middle + (view[1] - middle) * times);
  }
  const move = parts => { const by = (view[1] - view[0]) * parts; look(view[0] + by, view[1] + by); };

  const told = item => text(item[WHAT]) + ' \u00b7 ' + detail.lanes[item[LANE]][1] + '\nat ' + moment(item[BEGIN], 1e6)
    + (item[END] > item[BEGIN] ? ', for ' + span(item[END] - item[BEGIN]) : '') + (text(item[DETAIL]) ? '\n' + text(item[DETAIL]) : '');

  function choose(item) {
    chosen = item;
    by('inspector').className = 'inspector' + (item && item[TROUBLE] ? ' bad' : '');
    by('inspector').textContent = item ? visible((item[TROUBLE] ? '\u2717 ' : '') + told(item).replaceAll('\n', ' \u00b7 ')) : 'Nothing is chosen: point at something, or press n for the next trouble.';
    redraw();
  }

  function next(forward) {
    if (!detail) return;
    const troubles = detail.items.filter(item => item[TROUBLE] && lanesOf.has(item[LANE]));
    if (!troubles.length) { by('inspector').textContent = 'Nothing in these lanes went wrong.'; return; }
    const at = troubles.indexOf(chosen), count = troubles.length;
    const item = troubles[at < 0 ? (forward ? 0 : count - 1) : (at + (forward ? 1 : count - 1)) % count];
    if (item[BEGIN] < view[0] || item[END] > view[1]) { const half = (view[1] - view[0]) / 2; look(item[BEGIN] - half, item[BEGIN] + half); }
    const lane = lanesOf.get(item[LANE]);
    if (lane.top < box.scrollTop + HEAD || lane.top + lane.height > box.scrollTop + box.clientHeight) box.scrollTop = lane.top - box.clientHeight / 2;
    choose(item);
  }

  function under(event) {
    const frame = box.getBoundingClientRect(), left = event.clientX - frame.left, top = event.clientY - frame.top + box.scrollTop;
    if (left < gutter()) return null;
    const lane = lanes.find(one => !one.head && top >= one.top && top < one.top + one.height);
    if (!lane) return null;
    const row = Math.floor((top - lane.top - LANE_GAP / 2) / lane.row);
    let best = null, least = 7;
    for (const item of inView(lane)) {
      if (item[KIND] !== 6 && item[ROW] !== row) continue;
      const away = Math.max(x(item[BEGIN]) - left, left - x(item[END]), 0) + (item[KIND] === 3 ? .5 : 0);
      if (away <= least) { best = item; least = away; }
    }
    return best;
  }

  function listen() {
    let dragged = null;
    box.addEventListener('scroll', redraw);
    box.addEventListener('pointermove', event => {
      if (dragged) { const along = time(event.clientX) - time(dragged.at); look(dragged.view[0] - along, dragged.view[1] - along); return; }
      const item = detail && under(event), tip = by('tip');
      show(tip, item);
      if (!item) return;
      tip.textContent = visible(told(item));
      tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + 'px';
      tip.style.top = (event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18) + 'px';
    });
    box.addEventListener('pointerdown', event => { if (event.button === 0 && event.pointerType === 'mouse') dragged = { at: event.clientX, view: [...view] }; });
    addEventListener('pointerup', event => {
      if (dragged && Math.abs(event.clientX - dragged.at) < 4) choose(under(event));
      dragged = null;
    });
    box.addEventListener('pointerleave', () => show(by('tip'), false));
    box.addEventListener('wheel', event => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.25 : .8, time(event.clientX - box.getBoundingClientRect().left));
    }, { passive: false });
    const at = event => (event.clientX - overview.getBoundingClientRect().left) / overview.clientWidth * detail.end;
    let from = null;
    overview.addEventListener('pointerdown', event => { from = at(event); overview.setPointerCapture(event.pointerId); });
    overview.addEventListener('pointermove', event => { if (from !== null && Math.abs(at(event) - from) > detail.end / 200) look(Math.min(from, at(event)), Math.max(from, at(event))); });
    overview.addEventListener('pointerup', event => {
      if (from !== null && Math.abs(at(event) - from) <= detail.end / 200) { const half = (view[1] - view[0]) / 2; look(from - half, from + half); }
      from = null;
    });
    by('find-lane').addEventListener('input', lay);
    by('only-trouble').addEventListener('change', lay);
    by('events-box').addEventListener('toggle', redraw);
    by('zoom-in').addEventListener('click', () => zoom(.5));
    by('zoom-out').addEventListener('click', () => zoom(2));
    by('zoom-fit').addEventListener('click', () => look(0, detail.end));
    addEventListener('resize', () => { if (detail) lay(); });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { learnColours(); legend(); redraw(); });
  }

  function legend() {
    const entries = LEGEND.map((name, kind) => [name, kind, 0]);
    entries.push(['trouble', 0, 1]);
    const keep = [detail, view, chosen];
    fill(by('legend'), entries.map(([name, kind, trouble]) => {
      const sample = make('canvas', { width: 44, height: 28 }), pen = sample.getContext('2d');
      pen.scale(2, 2);
      const before = paper.font;
      sampled(pen, kind, trouble);
      paper.font = before;
      return make('span', null, sample, name);
    }), make('span', null, sampleOfBand(), 'fault'));
    [detail, view, chosen] = keep;
  }
  function sampled(pen, kind, trouble) {
    const colour = trouble ? colours.bad : colours.kinds[kind];
    pen.fillStyle = pen.strokeStyle = colour;
    if (kind === 6) { pen.beginPath(); pen.moveTo(11, 2); pen.lineTo(15.5, 12); pen.lineTo(6.5, 12); pen.closePath(); pen.stroke(); }
    else if (kind === 3) pen.fillRect(0, 5, 22, 4);
    else if (kind === 4) { pen.globalAlpha = .3; pen.fillRect(0, 2, 22, 10); pen.globalAlpha = 1; pen.strokeRect(.5, 2.5, 21, 9); }
    else if (kind === 5) { pen.fillStyle = hatch; pen.fillRect(0, 1, 22, 12); pen.strokeRect(.5, 1.5, 21, 11); }
    else pen.fillRect(0, 1, 22, 12);
    if (trouble) { pen.strokeStyle = colours.paper; pen.lineWidth = 1.6; pen.beginPath(); pen.moveTo(8, 4); pen.lineTo(14, 10); pen.moveTo(14, 4); pen.lineTo(8, 10); pen.stroke(); }
  }
  function sampleOfBand() {
    const sample = make('canvas', { width: 44, height: 28 }), pen = sample.getContext('2d');
    pen.scale(2, 2);
    pen.fillStyle = colours['fault-soft']; pen.fillRect(0, 0, 22, 14);
    pen.fillStyle = hatch; pen.fillRect(0, 0, 22, 14);
    pen.fillStyle = colours.fault; pen.fillRect(0, 0, 22, 3);
    return sample;
  }

  // Shows a run's details, or none.
  function showRun(given) {
    detail = given;
    chosen = null;
    show(by('timeline'), detail);
    if (!detail) return;
    if (!detail.by) {
      detail.by = detail.lanes.map(() => []);
      for (const item of detail.items) detail.by[item[LANE]].push(item);
      detail.end = Math.max(detail.end, 1);
    }
    const peak = Math.max(0, ...detail.addresses.map(one => one[1]));
    by('peak').textContent = '(' + number(peak) + ' at most)';
    view = [0, detail.end];
    if (detail.cut) view = detail.cut === 'first' ? [0, Math.max(...detail.items.map(item => item[BEGIN]))] : [Math.min(...detail.items.map(item => item[BEGIN])), detail.end];
    const notes = [];
    if (detail.cut) notes.push('This page shows the ' + detail.cut + ' ' + number(detail.items.length) + ' of ' + plural(detail.of, 'event') + '; the trace beside it has all.');
    if (detail.left_out) notes.push('Of ' + plural(detail.left_out, 'request or change', 'requests and changes') + ' more only the number was kept.');
    by('timeline-note').textContent = notes.join(' ');
    by('find-lane').value = '';
    by('only-trouble').checked = false;
    box.scrollTop = 0;
    choose(null);
    lay();
    legend();
    draw();
  }

  learnColours();
  listen();
  return { showRun, zoom, move, next, fit: () => look(0, detail.end) };
})();
