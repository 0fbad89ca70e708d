// The page: the list of runs, the run that is shown, what all runs are together, and the keys.
const LISTED = 400;
let current = -1, listed = [];

const failed = run => run.verdict !== 'ok';

function list() {
  const wanted = by('find-run').value.trim().toLowerCase(), only = by('only-failed').checked;
  listed = data.runs.map((run, index) => index).filter(index => {
    const run = data.runs[index];
    return (!only || failed(run)) && (run.scenario + ' seed ' + run.seed + ' ' + run.verdict + ' ' + run.title).toLowerCase().includes(wanted);
  });
  fill(by('runs'), listed.slice(0, LISTED).map(index => {
    const run = data.runs[index], parts = run.scenario.split('/');
    return make('li', null, make('button', { type: 'button', 'data-run': index, title: visible(run.scenario + '\n' + run.title), 'aria-current': index === current ? 'true' : null, on: { click: () => open(index) } },
      make('span', { class: failed(run) ? 'bad' : 'good', 'aria-label': run.verdict }, glyph(run.verdict)), make('span', { class: 'name' }, parts.slice(-2).join('/')), make('span', { class: 'seed' }, run.seed)));
  }));
  const notes = [];
  if (listed.length > LISTED) notes.push('The first ' + LISTED + ' of ' + number(listed.length) + ' runs: filter for others.');
  if (!listed.length) notes.push('No run is like that.');
  if (data.runs_left_out) notes.push(plural(data.runs_left_out, 'run') + ' that hold are not on this page; results.json has them.');
  by('runs-note').textContent = notes.join(' ');
}

function open(index) {
  const run = data.runs[index];
  if (!run) return;
  current = index;
  for (const button of by('runs').querySelectorAll('button')) {
    const is = Number(button.dataset.run) === index;
    if (is) { button.setAttribute('aria-current', 'true'); if (button.scrollIntoViewIfNeeded) button.scrollIntoViewIfNeeded(false); } else button.removeAttribute('aria-current');
  }
  history.replaceState(null, '', '#run=' + index);
  by('run-name').textContent = visible(run.scenario + ', seed ' + run.seed);
  by('run-verdict').textContent = glyph(run.verdict) + ' ' + run.verdict;
  by('run-verdict').className = 'verdict ' + (failed(run) ? 'bad' : 'good');
  by('run-title').textContent = visible(run.title);
  const times = run.simulated_seconds / Math.max(run.real_seconds, .001);
  figures(by('run-figures'), [['pods', number(run.pods)], ['ADD', number(run.adds)], ['DEL', number(run.dels)], [run.world === 'sim' ? 'simulated' : 'in this world', milliseconds(run.simulated_seconds * 1000)],
    ['really', milliseconds(run.real_seconds * 1000)], ...(run.world !== 'sim' ? [] : [['faster', digits(times, 3) + ' \u00d7']])]);
  show(by('wrong'), failed(run));
  const violation = run.violation;
  by('violation').textContent = violation ? visible(violation.invariant + ' violated on ' + violation.node + ' at ' + violation.time_ms + ' ms: ' + violation.details) : '';
  by('complaints').textContent = visible(run.complaints.join('\n'));
  by('replay').textContent = visible(run.replay);
  const difference = violation ? violation.difference : [];
  show(by('difference'), difference.length);
  fill(by('difference-rows'), difference.map(one => make('tr', { class: one.differs ? 'differs' : null }, make('td', { class: 'mark', 'aria-label': one.differs ? 'differs' : 'the same' }, one.differs ? '\u2260' : ''),
    make('td', { class: 'mono' }, one.subject), make('td', null, one.aspect), make('td', { class: 'mono' }, one.expected), make('td', { class: 'mono' }, one.found))));
  const detail = run.detail === null ? null : data.details[run.detail];
  timeline.showRun(detail);
  show(by('no-timeline'), !detail);
  by('no-timeline').textContent = visible(detail ? '' : run.trace ? 'Its timeline is not on this page, which has those of failed runs and of each scenario\u2019s first seed, as far as there is room. ' + run.trace + '.trace.json opens in ui.perfetto.dev.' : 'No trace of it was written.');
  latencies(by('run-latency'), run.latency);
}

function step(by) {
  if (!listed.length) return;
  const at = listed.indexOf(current);
  open(listed[at < 0 ? 0 : Math.min(Math.max(at + by, 0), listed.length - 1)]);
}

function nextFailed() {
  const all = listed.filter(index => failed(data.runs[index]));
  if (all.length) open(all.find(index => index > current) ?? all[0]);
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const field = event.target.closest('input, textarea');
  if (field && field.type !== 'checkbox') { if (event.key === 'Escape') field.blur(); return; }
  const all = {
    '/': () => by('find-run').focus(), j: () => step(1), k: () => step(-1), f: nextFailed, n: () => timeline.next(true), p: () => timeline.next(false),
    '+': () => timeline.zoom(.5), '=': () => timeline.zoom(.5), '-': () => timeline.zoom(2), 0: timeline.fit,
    ArrowLeft: () => timeline.move(-.2), ArrowRight: () => timeline.move(.2),
  };
  const run = all[event.key];
  if (!run || event.key.startsWith('Arrow') && event.target !== by('lanes')) return;
  if ('+=-0np'.includes(event.key) || event.key.startsWith('Arrow')) if (by('timeline').hidden) return;
  event.preventDefault();
  run();
}

function start() {
  const all = data.summary;
  by('headline').textContent = all.runs === 0 ? 'No run' : all.failed === 0 ? (all.runs === 1 ? 'The run holds' : 'All ' + number(all.runs) + ' runs hold') : number(all.failed) + ' of ' + plural(all.runs, 'run') + (all.failed === 1 ? ' fails' : ' fail');
  by('headline').className = all.failed ? 'bad' : 'good';
  document.title = by('headline').textContent;
  by('subline').textContent = 'nuage-cni harness ' + visible(data.version) + (all.not_deterministic ? '; ' + plural(all.not_deterministic, 'run') + ' not deterministic' : '');
  figures(by('figures'), [['hold', number(all.held)], ['fail', number(all.failed)], ['simulated', milliseconds(all.simulated_seconds * 1000)], ['really', milliseconds(all.real_seconds * 1000)],
    ['faster', digits(all.simulated_seconds / Math.max(all.real_seconds, .001), 3) + ' \u00d7']]);
  const notices = [];
  if (data.interrupted) notices.push('Somebody ended this before it was over.');
  if (data.not_begun) notices.push(plural(data.not_begun, 'run was', 'runs were') + ' not begun.');
  show(by('notice'), notices.length);
  by('notice').textContent = notices.join(' ');
  by('about').textContent = 'At most ' + number(data.caps.items) + ' events of a run are drawn here, ' + number(data.caps.all_items) + ' of all runs and ' + number(data.caps.runs) + ' runs. results.json and traces have everything.';
  by('find-run').addEventListener('input', list);
  by('only-failed').addEventListener('change', list);
  by('all-faults').addEventListener('change', matrix);
  by('copy').addEventListener('click', () => {
    const range = document.createRange();
    range.selectNodeContents(by('replay'));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    by('copy').textContent = document.execCommand('copy') ? 'Copied' : 'Chosen';
  });
  addEventListener('keydown', keys);
  latencies(by('latency'), all.latency);
  matrix();
  fill(by('sweeps'), data.sweeps.map(sweep));
  list();
  const asked = /^#run=(\d+)$/.exec(location.hash), worst = data.runs.findIndex(failed);
  open(asked && data.runs[Number(asked[1])] ? Number(asked[1]) : Math.max(worst, 0));
  Object.assign(document.body.dataset, { ready: 'true', errors: String(errors), runs: String(all.runs), failed: String(all.failed), details: String(data.details.length) });
}
start();
