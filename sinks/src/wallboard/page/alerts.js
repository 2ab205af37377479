// Alerts: open ones first, then what was resolved, and struck through what was taken back and why.

import { clock, count, duration, el, get, icon, isTime, Keyed, minute, put, words } from './format.js';

const SHOWN_MAX = 60;
const MEMBERS_MAX = 6;
const ORDER = { open: 0, retracted: 1, resolved: 1 };
const TONES = { open: 'out', resolved: 'muted', retracted: 'odd' };

// Members and causes come as an array in a text cell, or as plain text.
export function list(cell) {
  if (Array.isArray(cell)) return cell;
  if (cell === null || cell === undefined || cell === '') return [];
  try {
    const parsed = JSON.parse(cell);
    if (Array.isArray(parsed)) return parsed;
    return [parsed];
  } catch {
    return String(cell).split(/[,;]\s*/).filter(Boolean);
  }
}

export class Alerts {
  constructor(feed) {
    this.feed = feed;
    this.list = new Keyed(get('alert-list'), alert => alert.empty ? this.makeEmpty() : this.make());
  }

  show() {
    const view = this.feed.view('alerts');
    const alerts = view ? [...view.rows.values()].map(row =>
      Object.fromEntries(view.columns.map((column, index) => [column, row[index]]))) : [];
    const recent = alert => isTime(alert.known_ms) ? alert.known_ms : alert.from_ms;
    alerts.sort((a, b) => (ORDER[a.status] ?? 1) - (ORDER[b.status] ?? 1) || recent(b) - recent(a));
    const open = alerts.filter(({ status }) => status === 'open').length;
    const left = alerts.length - SHOWN_MAX;
    put(get('alerts-count'), alerts.length === 0 ? '' : `${open} open${left > 0 ? `, ${left} older not shown` : ''}`);
    const shown = alerts.length > 0 ? alerts.slice(0, SHOWN_MAX) : [{ alert_id: 'none', empty: true }];
    this.list.show(shown, ({ alert_id }) => alert_id, (node, alert) => { if (!alert.empty) this.update(node, alert); });
  }

  // Reads out what is new, without flooding.
  announce(notices) {
    if (notices.length === 0) return;
    const say = ({ step, rule, scope, value, threshold }) => `Alert ${step}: ${words(rule)}, ${scope}, ${value}, limit ${threshold}.`;
    get('announce').textContent = notices.length <= 3 ? notices.map(say).join(' ') : `${notices.length} alert changes.`;
  }

  makeEmpty() { return { root: el('li', { class: 'empty' }, 'No alerts.') }; }

  make() {
    const step = el('span'), what = el('span'), when = el('span', { class: 'when muted' });
    const facts = el('p', { class: 'facts' }), why = el('p', { class: 'odd' });
    const root = el('li', {}, el('p', { class: 'line' }, step, when), el('p', { class: 'what' }, what), facts, why);
    return { root, step, what, when, facts, why };
  }

  update(node, alert) {
    const { status } = alert;
    node.alert = alert;
    if (node.status !== status) {
      node.status = status;
      node.root.className = status;
      node.step.className = `step ${TONES[status] ?? 'muted'}`;
      const shape = status === 'open' ? 'out' : status;
      node.step.replaceChildren(icon(shape), status);
    }
    put(node.what, `${words(alert.rule)} ${alert.scope}`);
    const members = list(alert.members);
    const names = members.slice(0, MEMBERS_MAX).join(', ') + (members.length > MEMBERS_MAX ? ` and ${members.length - MEMBERS_MAX} more` : '');
    put(node.facts, `${count(alert.value)}, limit ${count(alert.threshold)}${names ? `: ${names}` : ''}`);
    const why = reason(alert);
    put(node.why, why);
    node.why.hidden = why === '';
    this.tickOne(node);
  }

  tick() {
    for (const node of this.list.nodes.values()) if (node.alert) this.tickOne(node);
  }

  tickOne({ alert, when }) {
    const now = this.feed.clock.now();
    if (alert.status === 'open') put(when, `since ${clock(alert.from_ms)}, for ${duration(now - alert.from_ms)}`);
    else put(when, isTime(alert.to_ms) ? `${minute(alert.from_ms)} to ${minute(alert.to_ms)}` : minute(alert.from_ms));
  }
}

// Why it ended or was taken back, where the condition's own end is not why, and which records showed it.
function reason({ status, reason, latest_causes: causes }) {
  const shown = list(causes ?? '');
  const records = shown.length > 0 ? `, journal record${shown.length > 1 ? 's' : ''} ${shown.slice(0, 3).join(', ')}${shown.length > 3 ? '…' : ''}` : '';
  const merged = 'merged into ';
  if (reason?.startsWith(merged)) return `Part of ${reason.slice(merged.length)}, which was found to cover it${records}.`;
  if (status === 'retracted') return records ? `Never was true: a late event showed it${records}.` : 'Never was true: what it counted on had ended by then.';
  return reason ? `Ended because: ${reason}.` : '';
}
