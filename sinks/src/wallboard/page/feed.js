// The page's copy of the views: a snapshot, then deltas by sequence. A gap starts it over.

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;
// The server speaks at least every two seconds; after this long the link is taken for dead.
const SILENCE_MS = 8_000;

// Rows of a view by key, read by column name, so that a missing or an extra column does no harm.
class View {
  constructor({ columns, key, truncated }) {
    this.columns = columns;
    this.index = new Map(columns.map((name, index) => [name, index]));
    this.key = key;
    this.truncated = truncated;
    this.rows = new Map();
  }
  set(row) { this.rows.set(JSON.stringify(row.slice(0, this.key)), row); }
  remove(key) { this.rows.delete(JSON.stringify(key)); }
  has(column) { return this.index.has(column); }
  cell(row, column) {
    const index = this.index.get(column);
    return index === undefined ? null : row[index];
  }
}

// Event time between messages: it runs on at the pace of the last ones, and stops when they stop.
class EventClock {
  observe(eventMs, wallMs) {
    if (typeof eventMs !== 'number') return;
    const before = this.last;
    if (before && wallMs > before.wall && eventMs >= before.event) {
      const pace = (eventMs - before.event) / (wallMs - before.wall);
      const smooth = this.pace === undefined ? pace : this.pace * 0.7 + pace * 0.3;
      this.pace = Math.abs(smooth - 1) < 0.25 ? 1 : smooth;
    }
    this.last = { event: eventMs, wall: wallMs, at: performance.now() };
  }
  now() {
    if (!this.last) return null;
    const run = Math.min(performance.now() - this.last.at, 4_000) * (this.pace ?? 0);
    const now = this.last.event + run;
    // Small steps back come from the estimate: hold still instead. Large ones are a new run.
    this.shown = this.shown - now < 60_000 ? Math.max(this.shown, now) : now;
    return this.shown;
  }
}

export class Feed {
  constructor(changed) {
    this.changed = changed;
    this.clock = new EventClock();
    this.views = new Map();
    this.status = null;
    this.site = null;
    this.watermark = null;
    this.corrections = [];
    this.link = 'connecting';
    this.seq = 0;
    this.retry = RETRY_FIRST_MS;
    this.parts = [];
    this.heardAt = performance.now();
    setInterval(() => this.watch(), 1_000);
  }

  view(name) { return this.views.get(name); }

  // Milliseconds since the last word from the server.
  silence() { return performance.now() - this.heardAt; }

  connect(token) {
    this.token = token ?? this.token;
    clearTimeout(this.timer);
    const before = this.socket;
    if (this.link === 'locked') this.link = 'connecting';
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(`${scheme}//${location.host}/ws`, ['highwater.v1']);
    this.socket = socket;
    before?.close();
    this.openedAt = performance.now();
    this.parts = [];
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.heardAt = performance.now();
      this.take(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.socket) this.lost(code, reason);
    };
  }

  lost(code, reason) {
    this.socket = null;
    this.reason = reason;
    if (code === 1008 && /token/.test(reason)) {
      this.token = null;
      this.tell('locked');
      return;
    }
    this.tell('lost');
    // Spread out, so that a restart is not met by every page at once.
    const wait = this.retry * (0.5 + Math.random());
    this.retry = Math.min(this.retry * 2, RETRY_MAX_MS);
    this.timer = setTimeout(() => this.connect(), wait);
  }

  watch() {
    if (this.socket && Math.min(this.silence(), performance.now() - this.openedAt) > SILENCE_MS) {
      const socket = this.socket;
      this.lost(1006, 'no word from the server');
      socket.close();
    }
  }

  tell(link) {
    this.link = link;
    this.changed(['link']);
  }

  take(message) {
    if (message.type === 'auth_required') {
      if (this.token) this.socket.send(JSON.stringify({ type: 'auth', token: this.token }));
      else this.tell('locked');
      return;
    }
    if (message.type === 'status') {
      this.takeStatus(message);
      this.changed(['status']);
      return;
    }
    // Parts of one message are applied together, so that no half state is ever shown.
    if (message.part === 0) this.parts = [];
    this.parts.push(message);
    if (message.more) return;
    const parts = this.parts;
    this.parts = [];
    if (message.type === 'snapshot') this.takeSnapshot(parts);
    else if (message.type === 'delta') this.takeDelta(parts);
  }

  takeSnapshot(parts) {
    const views = new Map();
    for (const part of parts) {
      for (const [name, sent] of Object.entries(part.views)) {
        if (!views.has(name)) views.set(name, new View(sent));
        sent.rows.forEach(row => views.get(name).set(row));
      }
    }
    const [first] = parts;
    this.views = views;
    this.site = first.site;
    this.seq = first.seq;
    this.watermark = first.watermark;
    this.corrections = first.corrections.map(correction => ({ ...correction, at: -Infinity }));
    this.takeStatus(first);
    this.retry = RETRY_FIRST_MS;
    this.link = 'live';
    this.changed(['all']);
  }

  takeDelta(parts) {
    const [first] = parts;
    if (first.from !== this.seq) {
      this.socket.send(JSON.stringify({ type: 'resync' }));
      return;
    }
    const names = ['watermark'];
    for (const part of parts) {
      for (const { view: name, rows } of part.changes) {
        const view = this.views.get(name);
        if (!view) continue;
        names.push(name);
        for (const [diff, cells] of rows) {
          if (diff > 0) view.set(cells);
          else view.remove(cells);
        }
      }
    }
    this.seq = first.seq;
    this.watermark = first.watermark;
    const at = performance.now();
    if (first.corrections) {
      this.corrections.push(...first.corrections.map(correction => ({ ...correction, at })));
      this.corrections.splice(0, this.corrections.length - 60);
      names.push('corrections');
    }
    this.changed(names, first.alerts ?? []);
  }

  takeStatus(status) {
    this.status = { ...status, at: performance.now() };
    // Where events are few, the watermark goes on with the clock.
    const reached = [status.event_time_ms, status.watermark_ms].filter(Number.isFinite);
    this.clock.observe(reached.length ? Math.max(...reached) : null, status.now_ms);
  }
}
