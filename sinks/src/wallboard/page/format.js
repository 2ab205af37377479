// Words, numbers and times as the page writes them, and the few ways it touches the document.
// Text always goes in through textContent: data never becomes markup.

const NONE = '–';
let zone = 'UTC';
let clockFormat, minuteFormat;
setZone('UTC');

export function setZone(name) {
  const options = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
  try {
    clockFormat = new Intl.DateTimeFormat('en-GB', { ...options, second: '2-digit', timeZone: name });
    zone = name;
  } catch {
    clockFormat = new Intl.DateTimeFormat('en-GB', { ...options, second: '2-digit', timeZone: 'UTC' });
    zone = 'UTC';
  }
  minuteFormat = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: zone });
}
export const zoneName = () => zone;

// Dates reach to 8.64e15 ms; beyond is "for ever".
const real = ms => typeof ms === 'number' && Math.abs(ms) < 8.64e15;
export const isTime = real;
export const clock = ms => real(ms) ? clockFormat.format(ms) : NONE;
export const minute = ms => real(ms) ? minuteFormat.format(ms) : NONE;

// 8 s, 2:05, 1 h 04: short enough for a column.
export function duration(ms) {
  if (!real(ms)) return NONE;
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  const pad = n => String(n).padStart(2, '0');
  const m = Math.floor(s / 60);
  return m < 60 ? `${m}:${pad(s % 60)}` : `${Math.floor(m / 60)} h ${pad(m % 60)}`;
}

// The same in a sentence, where 15:00 would read as a time of day.
export function span(ms) {
  if (!real(ms)) return NONE;
  const s = Math.max(0, Math.floor(ms / 1000));
  return s < 120 ? `${s} s` : s < 7200 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h`;
}

export const count = n => typeof n === 'number' ? n.toLocaleString('en-US') : NONE;
export const percent = x => typeof x === 'number' ? `${x.toFixed(1)}\u202f%` : NONE;
export const text = x => x === null || x === undefined || x === '' ? NONE : String(x);
export const words = name => name ? String(name).replaceAll('_', ' ') : NONE;
export const byName = new Intl.Collator('en', { numeric: true }).compare;

// Makes an element: el('td', { class: 'text', title }, child, 'text', …).
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';
export function svg(tag, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// A status shape; the word beside it says the same, so it is hidden from readers.
export function icon(name, tone) {
  const node = svg('svg', { class: `icon ${tone ?? ''}`.trim(), 'aria-hidden': 'true' });
  node.append(svg('use', { href: `#i-${name}` }));
  return node;
}

export const get = id => document.getElementById(id);

// Sets text only when it differs: untouched nodes cost no layout and keep the reader's place.
export function put(node, value, flash = false) {
  const next = String(value);
  if (node.textContent === next) return false;
  const first = node.textContent === '';
  node.textContent = next;
  if (flash && !first) mark(node);
  return true;
}

// Lets a changed cell light up for a moment.
export function mark(node) {
  node.classList.remove('flash');
  void node.offsetWidth;
  node.classList.add('flash');
  if (!node.dataset.marks) {
    node.dataset.marks = 'yes';
    node.addEventListener('animationend', () => node.classList.remove('flash'));
  }
}

// Keeps a parent's children in step with a list: nodes are made once per key, updated, ordered, removed.
export class Keyed {
  constructor(parent, make) {
    this.parent = parent;
    this.make = make;
    this.nodes = new Map();
    // Children that were there before (a caption, a head) stay in front.
    this.fixed = parent.lastElementChild;
  }

  show(items, key, update) {
    const ids = new Set(items.map(key));
    for (const [id, node] of this.nodes) {
      if (ids.has(id)) continue;
      node.root.remove();
      this.nodes.delete(id);
    }
    let place = this.fixed ? this.fixed.nextElementSibling : this.parent.firstElementChild;
    for (const item of items) {
      const id = key(item);
      let node = this.nodes.get(id);
      if (!node) {
        node = this.make(item);
        this.nodes.set(id, node);
      }
      update(node, item);
      if (node.root === place) place = place.nextElementSibling;
      else this.parent.insertBefore(node.root, place);
    }
  }
}
