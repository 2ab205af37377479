// Queues: totals as tiles, one row per queue, and on demand a queue's last intervals with what late events changed.

import { byName, count, duration, el, get, icon, Keyed, minute, mark, percent, put, svg, text } from './format.js';

// The service-level definitions, by column; the definition is part of the figure's identity.
const DEFINITIONS = [
  ['service_level_pct', 'each queue by its own'],
  ['sl_offered_pct', 'answered in time of offered'],
  ['sl_answered_pct', 'answered in time of answered'],
  ['sl_connect_pct', 'left queue in time of offered'],
  ['sl_excl_abandoned_pct', 'early abandons excluded'],
  ['sl_excl_short_pct', 'short abandons excluded'],
];
const TARGET_PCT = 80;
const DETAIL_MAX = 8;

const COLUMNS = [
  { name: 'Queue', text: true },
  { name: 'Waiting', title: 'Contacts waiting now' },
  { name: 'Longest', title: 'Longest wait now' },
  { name: 'Service level', group: true },
  { name: 'ASA', title: 'Average speed of answer, this interval' },
  { name: 'AHT', title: 'Average handle time, this interval' },
  { name: 'Aband.', title: 'Abandoned of offered, this interval' },
  { name: 'Offered' },
  { name: 'Answered' },
  { name: 'In prog.', title: 'In progress: neither answered nor abandoned, or still being handled' },
  { name: 'Idle', group: true, title: 'Agents available' },
  { name: 'On call' },
  { name: 'ACW', title: 'After-call work' },
  { name: 'Aux' },
  { name: '5 min', group: true, title: 'Arrivals in the last five minutes, over the last half hour' },
  { name: 'Interval', text: true, title: 'open: still running; closing: late events may still change it; final: only corrections do' },
];

export class Queues {
  constructor(feed) {
    this.feed = feed;
    this.opened = new Set();
    this.definition = localStorage.getItem('highwater.definition') ?? DEFINITIONS[0][0];
    const table = get('queue-table');
    const head = COLUMNS.map(({ name, text, title, group }) =>
      el('th', { scope: 'col', class: [text && 'text', group && 'group'].filter(Boolean).join(' '), title }, name));
    table.append(el('caption', { class: 'hidden' }, 'Queues'), el('thead', {}, el('tr', {}, ...head)));
    this.table = new Keyed(table, queue => queue.detail ? this.makeDetail() : this.makeRow(queue));
    this.tiles = new Keyed(get('tiles'), ({ name }) => {
      const value = el('dd');
      return { root: el('div', {}, el('dt', {}, name), value), value };
    });
    get('definition').addEventListener('change', ({ target }) => {
      this.definition = target.value;
      localStorage.setItem('highwater.definition', target.value);
      this.show();
    });
  }

  show() {
    this.showDefinitions();
    const queues = this.collect();
    this.showTiles(queues);
    const items = queues.flatMap(queue => this.opened.has(queue.id) ? [queue, { id: `${queue.id} detail`, detail: true, queue }] : [queue]);
    this.table.show(items, item => item.id, (node, item) => item.detail ? this.updateDetail(node, item.queue) : this.updateRow(node, item));
    const starts = queues.map(({ interval }) => interval?.interval_start_ms).filter(Number.isFinite);
    if (starts.length > 0) {
      const last = queues.find(({ interval }) => interval?.interval_start_ms === Math.max(...starts)).interval;
      put(get('interval'), `interval ${minute(last.interval_start_ms)} to ${minute(last.interval_end_ms)}`);
    }
  }

  showDefinitions() {
    const view = this.feed.view('queue_interval');
    const known = DEFINITIONS.filter(([column]) => view?.has(column));
    const select = get('definition');
    if (select.options.length === known.length) return;
    select.replaceChildren(...known.map(([column, name]) => el('option', { value: column }, name)));
    if (!known.some(([column]) => column === this.definition) && known.length > 0) this.definition = known[0][0];
    select.value = this.definition;
  }

  // One object per queue, from whichever views know it.
  collect() {
    const queues = new Map();
    const of = id => {
      if (!queues.has(id)) queues.set(id, { id, intervals: [], rolling: [] });
      return queues.get(id);
    };
    const each = (name, take) => {
      const view = this.feed.view(name);
      if (!view?.has('queue_id')) return;
      for (const row of view.rows.values()) {
        const item = {};
        view.columns.forEach((column, index) => { item[column] = row[index]; });
        take(of(item.queue_id), item);
      }
    };
    each('queue_now', (queue, item) => { queue.now = item; });
    each('queue_interval', (queue, item) => queue.intervals.push(item));
    each('queue_rolling', (queue, item) => queue.rolling.push(item));
    for (const queue of queues.values()) {
      queue.intervals.sort((a, b) => b.interval_start_ms - a.interval_start_ms);
      // The newest with a contact in it would jump about: it is the newest that has begun.
      const now = this.feed.clock.now() ?? Infinity;
      queue.interval = queue.intervals.find(({ interval_start_ms }) => interval_start_ms <= now) ?? queue.intervals[0];
      queue.rolling.sort((a, b) => a.window_end_ms - b.window_end_ms);
    }
    return [...queues.values()].sort((a, b) => byName(a.id, b.id));
  }

  waiting({ now }) { return now?.contacts_waiting ?? now?.waiting_by_events ?? null; }
  abandon(interval) { return interval?.offered > 0 ? 100 * interval.abandoned / interval.offered : null; }
  target({ now, interval }) { return interval?.sl_target_pct ?? now?.sl_target_pct ?? TARGET_PCT; }

  showTiles(queues) {
    const sum = read => {
      const values = queues.map(read).filter(Number.isFinite);
      return values.length > 0 ? values.reduce((a, b) => a + b, 0) : null;
    };
    const offered = sum(({ interval }) => interval?.offered);
    // Weighted by what each definition divides by, as near as the rows allow.
    const base = this.definition === 'sl_answered_pct' ? 'answered' : 'offered';
    const weight = interval => interval[base] - (interval.wait_unknown ?? 0);
    const rated = queues.filter(({ interval }) => Number.isFinite(interval?.[this.definition]) && weight(interval) > 0);
    const weights = rated.reduce((total, { interval }) => total + weight(interval), 0);
    const level = weights > 0 ? rated.reduce((total, { interval }) => total + interval[this.definition] * weight(interval), 0) / weights : null;
    const longest = Math.max(-1, ...queues.map(({ now }) => now?.longest_wait_s ?? -1));
    const tiles = [
      { name: 'Waiting', value: count(sum(queue => this.waiting(queue))) },
      { name: 'Longest wait', value: longest < 0 ? '–' : duration(longest * 1000) },
      { name: `Service level, target ${TARGET_PCT}\u202f%`, value: percent(level), low: level !== null && level < TARGET_PCT },
      { name: 'Abandoned', value: percent(offered > 0 ? 100 * sum(({ interval }) => interval?.abandoned) / offered : null) },
      { name: 'Offered / answered', value: `${count(offered)} / ${count(sum(({ interval }) => interval?.answered))}` },
      { name: 'In progress', value: count(sum(({ interval, now }) => now?.in_progress_by_events ?? interval?.in_progress)) },
      { name: 'Idle', value: count(sum(({ now }) => now?.agents_available)) },
      { name: 'On call', value: count(sum(({ now }) => now?.agents_on_call)) },
    ];
    this.tiles.show(tiles, ({ name }) => name, (node, { value, low }) => {
      if (node.shown === value + low) return;
      node.shown = value + low;
      node.value.replaceChildren(...low ? [icon('out', 'out'), ` ${value}`, el('span', { class: 'hidden' }, ' below target')] : [value]);
    });
  }

  makeRow({ id }) {
    const cells = COLUMNS.map(({ text, group }) => el('td', { class: [text && 'text', group && 'group'].filter(Boolean).join(' ') }));
    const opener = el('button', { class: 'opener', type: 'button', 'aria-expanded': 'false', title: 'Show the last intervals' }, icon('chevron', 'muted'), el('span', {}, id));
    opener.addEventListener('click', () => {
      if (!this.opened.delete(id)) this.opened.add(id);
      opener.setAttribute('aria-expanded', this.opened.has(id));
      this.show();
    });
    const channel = el('span', { class: 'muted' });
    cells[0].append(opener, ' ', channel);
    const bar = el('i'), meter = el('span', { class: 'meter', 'aria-hidden': 'true' }, bar);
    const level = el('span', { class: 'wide' }), low = el('span');
    cells[3].append(low, meter, level);
    const spark = svg('svg', { class: 'spark', viewBox: '0 0 84 22', role: 'img' });
    const line = svg('polyline', { fill: 'none', stroke: 'currentColor', 'stroke-width': '1.6' });
    spark.append(line);
    cells[14].append(spark);
    const status = el('span'), shape = el('span');
    cells[15].append(shape, status);
    return { root: el('tbody', {}, el('tr', {}, ...cells)), cells, channel, bar, meter, level, low, spark, line, status, shape };
  }

  updateRow(node, queue) {
    const { now, interval } = queue;
    const { cells } = node;
    put(node.channel, now?.channel ? String(now.channel).toLowerCase() : '');
    put(cells[1], count(this.waiting(queue)), true);
    put(cells[2], Number.isFinite(now?.longest_wait_s) ? duration(now.longest_wait_s * 1000) : '–');
    const level = interval?.[this.definition] ?? null;
    const target = this.target(queue);
    const below = level !== null && level < target;
    put(node.level, percent(level), true);
    node.bar.style.transform = `scaleX(${Math.min(1, Math.max(0, (level ?? 0) / 100))})`;
    node.meter.classList.toggle('below', below);
    if (node.below !== below) node.low.replaceChildren(...below ? [icon('out', 'out'), el('span', { class: 'hidden' }, 'below target ')] : []);
    node.below = below;
    put(cells[4], duration(interval?.asa_ms));
    put(cells[5], duration(interval?.aht_ms));
    put(cells[6], percent(this.abandon(interval)));
    put(cells[7], count(interval?.offered), true);
    put(cells[8], count(interval?.answered), true);
    put(cells[9], count(interval?.in_progress));
    put(cells[10], count(now?.agents_available), true);
    put(cells[11], count(now?.agents_on_call));
    put(cells[12], count(now?.agents_acw));
    put(cells[13], count(now?.agents_aux));
    this.updateSpark(node, queue.rolling);
    this.updateStatus(node, interval?.status);
  }

  updateStatus(node, status) {
    if (!put(node.status, text(status))) return;
    const known = ['open', 'closing', 'final'].includes(status);
    node.shape.replaceChildren(...known ? [icon(status, status === 'open' ? 'in' : 'muted')] : []);
  }

  updateSpark(node, rolling) {
    const values = rolling.slice(-60).map(({ arrivals }) => arrivals ?? 0);
    const max = Math.max(1, ...values);
    const step = 82 / Math.max(1, values.length - 1);
    const points = values.map((value, index) => `${(1 + index * step).toFixed(1)},${(20 - 18 * value / max).toFixed(1)}`).join(' ');
    if (node.points === points) return;
    node.points = points;
    node.line.setAttribute('points', points);
    const last = values.at(-1);
    node.spark.setAttribute('aria-label', last === undefined ? 'no volume yet' : `${last} in the last five minutes, at most ${max}`);
  }

  makeDetail() {
    const root = el('tbody', { class: 'detail' });
    const rows = new Keyed(root, () => {
      const cells = COLUMNS.map(({ text, group }) => el('td', { class: [text && 'text', group && 'group'].filter(Boolean).join(' ') }));
      const shape = el('span'), status = el('span');
      cells[15].append(shape, status);
      return { root: el('tr', {}, ...cells), cells, shape, status };
    });
    return { root, rows };
  }

  updateDetail(node, queue) {
    const corrected = new Map();
    for (const { view, key, column, was } of this.feed.corrections) {
      if (view === 'queue_interval' && key[0] === queue.id) {
        const id = key[1];
        if (!corrected.has(id)) corrected.set(id, new Map());
        // The first of several corrections is the one from the published figure.
        if (!corrected.get(id).has(column)) corrected.get(id).set(column, was);
      }
    }
    const past = queue.intervals.filter(interval => interval !== queue.interval && interval.interval_start_ms < queue.interval.interval_start_ms);
    node.rows.show(past.slice(0, DETAIL_MAX), interval => interval.interval_start_ms, ({ root, cells, ...status }, interval) => {
      const was = corrected.get(interval.interval_start_ms);
      const show = column => was?.has(column) && was.get(column) !== interval[column]
        ? `${count(was.get(column))} → ${count(interval[column])}` : count(interval[column]);
      put(cells[0], `${minute(interval.interval_start_ms)} to ${minute(interval.interval_end_ms)}${was ? ' corrected' : ''}`);
      put(cells[3], percent(interval[this.definition]));
      put(cells[4], duration(interval.asa_ms));
      put(cells[5], duration(interval.aht_ms));
      put(cells[6], percent(this.abandon(interval)));
      if (put(cells[7], show('offered')) && was) mark(cells[7]);
      if (put(cells[8], show('answered')) && was) mark(cells[8]);
      put(cells[9], count(interval.in_progress));
      root.classList.toggle('late', was !== undefined);
      this.updateStatus(status, interval.status);
    });
  }
}
