// The wallboard: takes the feed's changes and draws the sections they touch, at most a few times a second.

import { Feed } from './feed.js';
import { get, put } from './format.js';
import { Header } from './header.js';
import { Queues } from './queues.js';
import { Forecast } from './forecast.js';
import { Alerts } from './alerts.js';
import { Adherence } from './adherence.js';

// A section is drawn again no sooner: eyes cannot follow more, and long lists stay cheap.
const REDRAW_MS = 250;
const SECTIONS = {
  queue_now: 'queues', queue_interval: 'queues', queue_rolling: 'queues', corrections: 'queues',
  reforecast: 'forecast', reforecast_accuracy: 'forecast', adherence_now: 'adherence', alerts: 'alerts',
};

const feed = new Feed(changed);
const header = new Header(feed);
const sections = { queues: new Queues(feed), forecast: new Forecast(feed), alerts: new Alerts(feed), adherence: new Adherence(feed) };
const dirty = new Set();
let drawnAt = -Infinity;
let planned = false;

function changed(names, notices = []) {
  if (names.includes('all')) {
    header.arrive();
    Object.keys(sections).forEach(name => dirty.add(name));
  }
  names.forEach(name => { if (SECTIONS[name]) dirty.add(SECTIONS[name]); });
  header.retracted(notices);
  sections.alerts.announce(notices);
  if (names.includes('link') || names.includes('all')) showSignIn();
  plan();
}

function plan() {
  if (planned) return;
  planned = true;
  const wait = Math.max(0, REDRAW_MS - (performance.now() - drawnAt));
  // A hidden page gets no animation frames: it is drawn when it is looked at again.
  setTimeout(() => requestAnimationFrame(draw), wait);
}

function draw() {
  planned = false;
  drawnAt = performance.now();
  for (const name of dirty) sections[name].show();
  dirty.clear();
  header.tick();
}

setInterval(() => {
  if (document.hidden) return;
  header.tick();
  sections.alerts.tick();
  sections.adherence.tick();
}, 1_000);

function showSignIn() {
  const locked = feed.link === 'locked';
  document.body.classList.toggle('locked', locked);
  const form = get('sign-in');
  if (locked && form.hidden) {
    sessionStorage.removeItem('highwater.token');
    put(get('sign-in-error'), feed.reason ?? '');
    form.hidden = false;
    get('token').focus();
  } else if (!locked) {
    form.hidden = true;
  }
}

get('sign-in').addEventListener('submit', event => {
  event.preventDefault();
  const token = get('token').value.trim();
  get('token').value = '';
  get('sign-in').hidden = true;
  // For this tab only, and gone with it.
  sessionStorage.setItem('highwater.token', token);
  feed.connect(token);
});

if (new URLSearchParams(location.search).has('big')) document.documentElement.classList.add('big');
feed.connect(sessionStorage.getItem('highwater.token') ?? undefined);
