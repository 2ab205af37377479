// Forecast: what is still to come today, queue by queue: the day's forecast, what is expected now, and the agents it takes.

import { byName, clock, count, duration, el, get, icon, Keyed, minute, percent, put, svg, words } from './format.js';

// Less than this is no change worth a word.
const LEVEL_PCT = 1;

const COLUMNS = [
  { name: 'Queue', text: true },
  { name: 'Day', text: true, title: 'Contacts by interval: bars came, the dashed line was forecast, the solid line is expected now' },
  { name: 'Came', group: true, title: 'Contacts offered in the intervals that are over' },
  { name: 'Forecast', title: "What the day's forecast expected of the same intervals" },
  { name: 'Forecast', group: true, title: "What the day's forecast expects of the rest of the day" },
  { name: 'Expected', title: 'What is expected now of the rest of the day' },
  { name: 'Change', text: true, title: 'Expected against forecast, for the rest of the day' },
  { name: 'AHT', title: 'Average handle time that is expected of the rest of the day' },
  { name: 'Off by', group: true, title: 'Sum of the errors of past forecasts of the rest of a day, of the sum of what came (WAPE), by the method in use' },
  { name: 'Day\u2019s own', title: 'The same for the day\u2019s forecast as it was (static)' },
  { name: 'Agents now', group: true, title: 'Agents who reach the target in the interval under way, by Erlang C, without shrinkage' },
  { name: 'Peak', title: 'The most agents that an interval of the rest of the day takes, and when' },
  { name: 'As of', group: true, text: true, title: 'Latest refresh, and its method' },
];
const [WIDTH, HEIGHT] = [120, 24];

export class Forecast {
  constructor(feed) {
    this.feed = feed;
    const table = get('forecast-table');
    const head = COLUMNS.map(({ name, text, title, group }) =>
      el('th', { scope: 'col', class: classes({ text, group }), title }, name));
    const groups = [['', 2], ['So far', 2], ['Rest of the day', 4], ['Past error', 2], ['Agents needed', 2], ['', 1]];
    const over = groups.map(([name, span]) => name === ''
      ? el('td', { colspan: span }) : el('th', { scope: 'colgroup', colspan: span, class: 'group over' }, name));
    table.append(
      el('caption', { class: 'hidden' }, 'Rest of the day by queue: forecast against what is expected now'),
      el('thead', {}, el('tr', {}, ...over), el('tr', {}, ...head)));
    this.table = new Keyed(table, day => day.empty ? this.makeEmpty() : this.makeRow(day));
  }

  show() {
    const days = this.collect();
    put(get('forecast-note'), days.length > 0 && this.feed.view('reforecast')?.truncated ? 'some queues are not shown' : '');
    const items = days.length > 0 ? days : [{ id: 'none', empty: true }];
    this.table.show(items, ({ id }) => id, (node, day) => { if (!day.empty) this.update(node, day); });
  }

  collect() {
    const view = this.feed.view('reforecast');
    if (!view?.has('reforecast_volume')) return [];
    const queues = new Map();
    for (const row of view.rows.values()) {
      const item = Object.fromEntries(view.columns.map((column, index) => [column, row[index]]));
      if (!queues.has(item.queue_id)) queues.set(item.queue_id, { id: item.queue_id, intervals: [] });
      queues.get(item.queue_id).intervals.push(item);
    }
    const errors = this.errors();
    for (const day of queues.values()) {
      day.intervals.sort((a, b) => a.interval_start_ms - b.interval_start_ms);
      day.latest = day.intervals.reduce((a, b) => b.refreshed_ms > a.refreshed_ms ? b : a);
      const over = ({ interval_end_ms }) => interval_end_ms <= day.latest.refreshed_ms;
      day.past = day.intervals.filter(over);
      day.rest = day.intervals.filter(interval => !over(interval));
      day.error = method => errors.get(JSON.stringify([day.id, method]));
    }
    return [...queues.values()].sort((a, b) => byName(a.id, b.id));
  }

  // What a method was off by, over all times of day.
  errors() {
    const view = this.feed.view('reforecast_accuracy');
    const sums = new Map();
    if (!view?.has('absolute_error')) return new Map();
    for (const row of view.rows.values()) {
      const key = JSON.stringify([view.cell(row, 'queue_id'), view.cell(row, 'method')]);
      const sum = sums.get(key) ?? { off: 0, came: 0 };
      sum.off += view.cell(row, 'absolute_error') ?? 0;
      sum.came += view.cell(row, 'actual') ?? 0;
      sums.set(key, sum);
    }
    return new Map([...sums].filter(([, { came }]) => came > 0).map(([key, { off, came }]) => [key, 100 * off / came]));
  }

  makeEmpty() {
    return { root: el('tbody', {}, el('tr', {}, el('td', { class: 'text muted', colspan: COLUMNS.length },
      'No forecast of today is known, and too little history to make one.'))) };
  }

  makeRow({ id }) {
    const cells = COLUMNS.map(({ text, group }, nth) => nth === 0
      ? el('th', { scope: 'row', class: 'text' }, id) : el('td', { class: classes({ text, group }) }));
    const chart = svg('svg', { class: 'day', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img' });
    const bars = svg('path', { class: 'came' });
    const was = svg('polyline', { class: 'was' });
    const is = svg('polyline', { class: 'is' });
    chart.append(bars, was, is);
    cells[1].append(chart);
    const shape = el('span'), change = el('span');
    cells[6].append(shape, change);
    const when = el('span'), method = el('span', { class: 'muted' });
    cells[12].append(when, ' ', method);
    return { root: el('tbody', {}, el('tr', {}, ...cells)), cells, chart, bars, was, is, shape, change, when, method };
  }

  update(node, day) {
    const { cells } = node;
    const { past, rest, latest } = day;
    const came = total(past, 'actual_volume'), meant = total(past, 'forecast_volume');
    const forecast = total(rest, 'forecast_volume');
    const expected = rest.reduce((sum, it) => sum + (it.reforecast_volume ?? it.forecast_volume ?? 0), 0);
    put(cells[2], count(came));
    put(cells[3], count(Math.round(meant)));
    put(cells[4], rest.length > 0 ? count(Math.round(forecast)) : '–');
    put(cells[5], rest.length > 0 ? count(Math.round(expected)) : '–', true);
    this.updateChange(node, forecast > 0 && rest.length > 0 ? 100 * (expected / forecast - 1) : null);
    const handled = rest.filter(({ reforecast_aht_ms, reforecast_volume }) => reforecast_aht_ms > 0 && reforecast_volume > 0);
    const contacts = total(handled, 'reforecast_volume');
    const aht = handled.reduce((sum, it) => sum + it.reforecast_aht_ms * it.reforecast_volume, 0) / contacts;
    put(cells[7], contacts > 0 ? duration(aht) : '–');
    put(cells[8], percent(day.error(latest.method)));
    put(cells[9], percent(day.error('static')));
    const needs = rest.filter(({ required_agents }) => Number.isFinite(required_agents));
    put(cells[10], count(rest[0]?.required_agents), true);
    const peak = needs.reduce((most, it) => most && most.required_agents >= it.required_agents ? most : it, null);
    put(cells[11], peak ? `${count(peak.required_agents)} at ${minute(peak.interval_start_ms)}` : '–');
    put(node.when, clock(latest.refreshed_ms));
    put(node.method, words(latest.method));
    this.updateChart(node, day);
  }

  // A shape, a sign and a word: colour says nothing of its own.
  updateChange(node, change) {
    const shown = change === null ? '–' : `${change < 0 ? '−' : '+'}${percent(Math.abs(change))}`;
    if (!put(node.change, shown, true)) return;
    const flat = change === null || Math.abs(change) < LEVEL_PCT;
    const [shape, word] = flat ? ['level', 'as forecast'] : change > 0 ? ['up', 'more'] : ['down', 'fewer'];
    node.shape.replaceChildren(...change === null ? [] : [icon(shape, flat ? 'muted' : change > 0 ? 'out' : 'in')]);
    if (change !== null) node.change.append(el('span', { class: flat ? 'hidden' : 'muted' }, ` ${word}`));
  }

  updateChart(node, { id, intervals, rest }) {
    const was = intervals.map(({ forecast_volume }) => forecast_volume ?? 0);
    const is = intervals.map(({ reforecast_volume, forecast_volume }) => reforecast_volume ?? forecast_volume ?? 0);
    const came = intervals.map(({ actual_volume }) => actual_volume ?? 0);
    const shown = JSON.stringify([was, is, came]);
    if (node.shown === shown) return;
    node.shown = shown;
    const most = Math.max(1, ...was, ...is, ...came);
    const step = WIDTH / Math.max(1, intervals.length);
    const y = value => (HEIGHT - 1 - (HEIGHT - 3) * value / most).toFixed(1);
    const x = index => ((index + 0.5) * step).toFixed(1);
    const line = values => values.map((value, index) => `${x(index)},${y(value)}`).join(' ');
    node.was.setAttribute('points', line(was));
    const begun = intervals.length - rest.length;
    node.is.setAttribute('points', is.map((value, index) => index < begun ? '' : `${x(index)},${y(value)}`).join(' ').trim());
    const bar = (value, index) => value > 0 ? `M${(index * step).toFixed(1)} ${HEIGHT - 1}V${y(value)}h${Math.max(0.6, step - 0.4).toFixed(1)}V${HEIGHT - 1}z` : '';
    node.bars.setAttribute('d', came.map(bar).join(''));
    node.chart.setAttribute('aria-label', `${id}: ${rest.length} of ${intervals.length} intervals are still to come`);
  }
}

const classes = ({ text, group }) => [text && 'text', group && 'group'].filter(Boolean).join(' ');
const total = (intervals, column) => intervals.reduce((sum, interval) => sum + (interval[column] ?? 0), 0);
