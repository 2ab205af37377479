// Adherence: counts by team, and the agents who are out, longest first.

import { byName, clock, count, duration, el, get, icon, isTime, Keyed, minute, put, text, words } from './format.js';

const STATUSES = ['out', 'in', 'neutral', 'unscheduled', 'unknown', 'ignored'];
const TONES = { in: 'in', out: 'out', neutral: 'muted', unscheduled: 'muted', unknown: 'odd', ignored: 'muted' };
const ROWS_MAX = 150;
const COLUMNS = ['Agent', 'Team', 'Status', 'Time out', 'Scheduled', 'Actual', 'Since', 'Next'];

export class Adherence {
  constructor(feed) {
    this.feed = feed;
    this.team = null;
    const table = get('agent-table');
    const body = el('tbody');
    const head = COLUMNS.map(name => el('th', { scope: 'col', class: name === 'Time out' ? '' : 'text' }, name));
    table.append(el('caption', { class: 'hidden' }, 'Agents'), el('thead', {}, el('tr', {}, ...head)), body);
    this.agents = new Keyed(body, agent => agent.empty ? this.makeEmpty() : this.makeAgent());
    this.teams = new Keyed(get('teams'), team => this.makeTeam(team));
    this.legend = new Keyed(get('legend'), ({ status }) => {
      const n = el('strong');
      return { root: el('li', {}, icon(status, TONES[status]), n, el('span', { class: 'muted' }, status)), n };
    });
    for (const id of ['search', 'everyone']) get(id).addEventListener('input', () => this.show());
    get('all-teams').addEventListener('click', () => this.choose(null));
  }

  choose(team) {
    this.team = this.team === team ? null : team;
    this.show();
  }

  show() {
    const view = this.feed.view('adherence_now');
    const teams = new Map();
    const totals = Object.fromEntries(STATUSES.map(status => [status, 0]));
    const agents = [];
    const search = get('search').value.trim().toLowerCase();
    // A search looks through everyone: whoever is looked for may well be in.
    const everyone = get('everyone').checked || search !== '' || this.team !== null;
    if (view) {
      const at = column => view.index.get(column) ?? -1;
      const [agentAt, nameAt, teamAt, statusAt] = ['agent_id', 'name', 'team_id', 'status'].map(at);
      for (const row of view.rows.values()) {
        const status = STATUSES.includes(row[statusAt]) ? row[statusAt] : 'unknown';
        const teamId = row[teamAt] ?? 'no team';
        let team = teams.get(teamId);
        if (!team) teams.set(teamId, team = { id: teamId, total: 0, counts: Object.fromEntries(STATUSES.map(s => [s, 0])) });
        team.total += 1;
        team.counts[status] += 1;
        totals[status] += 1;
        if (this.team !== null && teamId !== this.team) continue;
        if (!everyone && status !== 'out') continue;
        if (search && !`${row[agentAt]} ${row[nameAt] ?? ''} ${teamId}`.toLowerCase().includes(search)) continue;
        agents.push({ row, status, teamId, id: row[agentAt] });
      }
    }
    this.showLegend(totals);
    const list = [...teams.values()].sort((a, b) => byName(a.id, b.id));
    this.teams.show(list, ({ id }) => id, (node, team) => this.updateTeam(node, team));
    this.showAgents(view, agents);
    get('all-teams').hidden = this.team === null;
    put(get('agents-title'), this.team !== null ? `Team ${this.team}` : search ? 'Agents found' : everyone ? 'All agents' : 'Agents out of adherence');
  }

  showLegend(totals) {
    const shown = STATUSES.filter(status => status !== 'ignored' || totals[status] > 0).map(status => ({ status }));
    this.legend.show(shown, ({ status }) => status, (node, { status }) => put(node.n, count(totals[status])));
  }

  makeTeam({ id }) {
    const name = el('span', { class: 'name', title: id }, id);
    const parts = Object.fromEntries(STATUSES.map(status => [status, el('i', { class: `f-${status}` })]));
    const bar = el('span', { class: 'stack', 'aria-hidden': 'true' }, ...Object.values(parts));
    const outs = el('span', { class: 'outs' }), of = el('span', { class: 'of' });
    const button = el('button', { type: 'button', 'aria-pressed': 'false' }, name, bar, outs, of);
    button.addEventListener('click', () => this.choose(id));
    return { root: el('li', {}, button), button, parts, outs, of };
  }

  updateTeam(node, { id, total, counts }) {
    const shown = JSON.stringify(counts);
    node.button.setAttribute('aria-pressed', this.team === id);
    if (node.shown === shown) return;
    node.shown = shown;
    for (const status of STATUSES) {
      node.parts[status].style.flexGrow = counts[status];
      node.parts[status].hidden = counts[status] === 0;
    }
    const tone = counts.out > 0 ? 'out' : 'muted';
    node.outs.className = `outs ${tone}`;
    node.outs.replaceChildren(...counts.out > 0 ? [icon('out')] : [], ` ${counts.out} out`);
    put(node.of, `of ${total}`);
    const words = STATUSES.filter(status => counts[status] > 0).map(status => `${counts[status]} ${status}`);
    node.button.title = words.join(', ');
    node.button.setAttribute('aria-label', `Team ${id}: ${words.join(', ')}`);
  }

  showAgents(view, agents) {
    const out = ({ row }) => view.cell(row, 'out_since_ms') ?? view.cell(row, 'since_ms') ?? Infinity;
    // Ids are compared as they are: collating ten thousand of them would be felt.
    const rank = { out: 0, unknown: 1, neutral: 2, in: 3, unscheduled: 4, ignored: 5 };
    agents.sort((a, b) => rank[a.status] - rank[b.status]
      || (a.status === 'out' ? out(a) - out(b) : 0) || (a.id < b.id ? -1 : 1));
    const shown = agents.length > 0 ? agents.slice(0, ROWS_MAX) : [{ id: '', empty: true }];
    this.agents.show(shown, ({ id }) => id, (node, agent) => agent.empty ? put(node.label, this.emptyText(view)) : this.updateAgent(node, agent, view));
    const more = agents.length - ROWS_MAX;
    put(get('agents-more'), more > 0 ? `${count(more)} more: narrow them down by team or search.` : '');
  }

  emptyText(view) {
    if (!view || view.rows.size === 0) return 'No agents yet.';
    return get('search').value ? 'Nobody matches.' : 'Nobody is out of adherence.';
  }

  makeEmpty() {
    const label = el('td', { class: 'text muted', colspan: String(COLUMNS.length) });
    return { root: el('tr', {}, label), label };
  }

  makeAgent() {
    const cells = COLUMNS.map(name => el('td', { class: name === 'Time out' ? 'wide' : 'text' }));
    cells[0].classList.add('truncate', 'wide');
    const shape = el('span'), word = el('span');
    cells[2].append(shape, word);
    return { root: el('tr', {}, ...cells), cells, shape, word };
  }

  updateAgent(node, { row, status, teamId, id }, view) {
    const { cells } = node;
    const cell = column => view.cell(row, column);
    const name = cell('name');
    put(cells[0], name && name !== id ? `${name} (${id})` : id);
    put(cells[1], teamId);
    if (put(node.word, status)) {
      node.shape.replaceChildren(icon(status, TONES[status]));
      node.word.className = TONES[status];
    }
    node.outSince = status === 'out' ? cell('out_since_ms') ?? cell('since_ms') : null;
    put(cells[4], words(cell('activity')), true);
    put(cells[5], words(cell('state')).toLowerCase(), true);
    put(cells[6], clock(cell('since_ms')));
    const next = cell('next_activity_ms');
    put(cells[7], isTime(next) ? `${words(cell('next_activity'))} ${minute(next)}` : text(cell('next_activity')));
    this.tickOne(node);
  }

  tick() {
    for (const node of this.agents.nodes.values()) if (node.cells) this.tickOne(node);
  }

  tickOne({ cells, outSince }) {
    const now = this.feed.clock.now();
    put(cells[3], outSince !== null && now !== null ? duration(now - outSince) : '');
  }
}
