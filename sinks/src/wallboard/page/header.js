// The header: site time, watermark, sources, the link, and the banner that says when figures are not to be trusted.

import { clock, el, get, icon, Keyed, put, setZone, zoneName, span, words, minute, count } from './format.js';

const FRESH_MS = 60_000;
const CHIPS_MAX = 8;

export class Header {
  constructor(feed) {
    this.feed = feed;
    this.chips = new Keyed(get('corrections'), () => {
      const label = el('span');
      return { root: el('li', {}, icon('retracted'), label), label };
    });
    this.sources = new Keyed(get('sources'), () => {
      const name = el('span'), age = el('span', { class: 'muted' });
      const shape = el('span');
      return { root: el('li', {}, shape, name, age), shape, name, age, kind: '' };
    });
    this.retractions = [];
  }

  // Once after each snapshot.
  arrive() {
    const { site } = this.feed;
    setZone(site.time_zone);
    put(get('site'), site.name);
    put(get('zone'), zoneName());
    document.title = `${site.name} · Highwater`;
  }

  // Every second, and whenever something changed.
  tick() {
    const { feed } = this;
    const now = feed.clock.now();
    put(get('clock'), now === null ? '--:--:--' : clock(now));
    const { watermark } = feed;
    const ended = watermark === 'end';
    put(get('watermark'), ended ? 'end of data' : watermark === null ? '--:--:--' : clock(watermark));
    put(get('behind'), ended || watermark === null || now === null ? '' : `${span(now - watermark)} behind`);
    this.showLink();
    this.showSources();
    this.showBanner();
    this.showCorrections();
    this.showTotals();
  }

  // Wall-clock milliseconds since a source last delivered, by the server's clock.
  age(source) {
    const { status } = this.feed;
    if (typeof source.last_received_ms !== 'number') return null;
    return status.now_ms - source.last_received_ms + (performance.now() - status.at);
  }

  stale(source) {
    const age = this.age(source);
    return !source.ended && (source.error !== null || (!source.idle && age !== null && age > this.feed.site.stale_after_ms));
  }

  showLink() {
    const [shape, tone, word] = {
      live: ['in', 'in', 'Live'],
      connecting: ['unscheduled', 'muted', 'Connecting'],
      lost: ['out', 'out', 'Lost, retrying'],
      locked: ['unknown', 'odd', 'Token needed'],
    }[this.feed.link];
    const node = get('link');
    if (node.dataset.word === word) return;
    node.dataset.word = word;
    node.replaceChildren(icon(shape, tone), el('span', {}, word));
  }

  showSources() {
    const sources = this.feed.status?.sources ?? [];
    this.sources.show(sources, source => source.name, (node, source) => {
      const age = this.age(source);
      const [kind, tone, word] = source.error ? ['out', 'out', 'failing']
        : source.ended ? ['final', 'muted', 'ended']
          : this.stale(source) ? ['out', 'out', `${span(age)} ago, stale`]
            : source.idle ? ['unscheduled', 'muted', age === null ? 'idle' : `${span(age)} ago, idle`]
              : age === null ? ['unscheduled', 'muted', 'nothing yet'] : ['in', 'in', `${span(age)} ago`];
      if (node.kind !== kind + tone) node.shape.replaceChildren(icon(kind, tone));
      node.kind = kind + tone;
      put(node.name, source.name);
      put(node.age, word);
      node.root.title = source.error ?? `${count(source.events)} events, the newest of ${clock(source.last_event_ms)}`;
    });
  }

  // Read aloud as an alert whenever its words change: nothing in it may tick.
  showBanner() {
    const { feed } = this;
    const lines = [];
    if (feed.link === 'lost' && feed.status) {
      lines.push(`Connection lost: figures stand still at watermark ${typeof feed.watermark === 'number' ? clock(feed.watermark) : 'none'}. Trying again.`);
    } else if (feed.link === 'lost') {
      lines.push(`The service does not answer${feed.reason ? ` (${feed.reason})` : ''}. Trying again.`);
    }
    const { status } = feed;
    if (feed.link === 'live' && status) {
      if (status.catching_up) lines.push('Catching up with the journal: figures are not current yet.');
      else if (status.not_ready) lines.push(status.not_ready);
      const stale = status.sources.filter(source => this.stale(source));
      for (const source of stale.slice(0, 3)) {
        lines.push(source.error ? `${source.name} fails: ${source.error}`
          : `No events from ${source.name} for ${Math.max(1, Math.floor(this.age(source) / 60_000))} min: its figures may be out of date.`);
      }
      if (stale.length > 3) lines.push(`${stale.length - 3} more sources are stale.`);
      for (const [name, view] of feed.views) {
        if (view.truncated) lines.push(`${words(name)} has more rows than the page holds: some are not shown. The read API has them all.`);
      }
    }
    const node = get('banner');
    const shown = lines.join('\n');
    if (node.dataset.shown === shown) return;
    node.dataset.shown = shown;
    node.hidden = lines.length === 0;
    node.replaceChildren(...lines.map(line => el('p', {}, icon('warn'), el('span', {}, line))));
  }

  // A retracted alert is a correction as well.
  retracted(notices) {
    const at = performance.now();
    for (const notice of notices) {
      if (notice.step === 'retracted') {
        const label = `${words(notice.rule)} ${notice.scope} ${minute(notice.from_ms)}: alert retracted`;
        this.retractions.push({ id: `${notice.alert_id}#${notice.revision}`, label, at });
      }
    }
    this.retractions.splice(0, this.retractions.length - CHIPS_MAX);
  }

  showCorrections() {
    // The columns of one row that changed together make one chip.
    const chips = new Map();
    for (const correction of this.feed.corrections) {
      const id = `${correction.view}${JSON.stringify(correction.key)}@${correction.known_ms}`;
      const chip = chips.get(id) ?? { id, of: correction, changes: [], at: correction.at };
      const change = `${words(correction.column)} ${count(correction.was)} → ${count(correction.now)}`;
      // Last is what is shown: answered says most.
      if (correction.column === 'answered') chip.changes.push(change);
      else chip.changes.unshift(change);
      chips.set(id, chip);
    }
    const label = ({ of, changes }) => {
      const key = of.key.map(cell => typeof cell === 'number' && cell > 1e11 ? minute(cell) : cell).join(' ');
      const rest = changes.length > 1 ? `, ${changes.length - 1} more` : '';
      return `${key} ${changes.at(-1)}${rest}`;
    };
    const all = [...chips.values()].map(chip => ({ ...chip, label: label(chip), title: chip.changes.join(', ') })).concat(this.retractions);
    all.sort((a, b) => a.at - b.at);
    const shown = all.slice(-CHIPS_MAX).reverse();
    const now = performance.now();
    this.chips.show(shown, chip => chip.id, (node, chip) => {
      put(node.label, chip.label);
      node.root.title = chip.title ?? '';
      node.root.classList.toggle('fresh', now - chip.at < FRESH_MS);
    });
    get('corrections').classList.toggle('none', shown.length === 0);
  }

  showTotals() {
    // A row each; what the page does not hold is told apart, in the banner.
    const total = name => this.feed.view(name)?.rows.size ?? null;
    const late = total('late_events'), dead = total('dead_letters');
    const parts = [];
    if (late !== null) parts.push(`${count(late)} late events`);
    if (dead !== null) parts.push(`${count(dead)} dead letters`);
    put(get('totals'), parts.join(' · '));
  }
}
