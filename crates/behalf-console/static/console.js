// What script adds to pages that work without it: live regions, swapping in place, keys, copying,
// local time. No dependencies, nothing evaluated, nothing styled from here.

const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// ---- Regions: a part of the page with an id, replaced by the same part of a fresh page ----------

async function fetchPage(url, options = {}) {
  const response = await fetch(url, {
    credentials: 'same-origin',
    headers: { accept: 'text/html' },
    ...options,
  });
  const type = response.headers.get('content-type') || '';
  if (!type.startsWith('text/html')) return null;
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  return { page, url: response.url, ok: response.ok };
}

// What a person is doing in a region must survive its replacement.
function replaceRegion(id, page) {
  const old = document.getElementById(id);
  const fresh = page.getElementById(id);
  if (!old || !fresh) return false;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const focusKey = focused && (focused.id || focused.getAttribute('href'));
  const opened = new Set($$('details[open][id]', old).map((details) => details.id));
  const selected = $$('[data-row].selected', old).map((row) => row.dataset.row)[0];
  old.replaceWith(document.adoptNode(fresh));
  for (const id of opened) document.getElementById(id)?.setAttribute('open', '');
  if (selected) {
    $$('[data-row]', fresh).find((row) => row.dataset.row === selected)?.classList.add('selected');
  }
  if (focusKey) {
    const again = $$('[id], a[href]', fresh)
      .find((element) => element.id === focusKey || element.getAttribute('href') === focusKey);
    again?.focus({ preventScroll: true });
  }
  enhance(fresh);
  return true;
}

async function swap(region, url, options, keepsAddress) {
  const element = document.getElementById(region);
  element?.setAttribute('aria-busy', 'true');
  try {
    const fetched = await fetchPage(url, options);
    if (!fetched || !replaceRegion(region, fetched.page)) {
      // Signed out, or another page: go there as without script.
      window.location.assign(fetched ? fetched.url : url);
      return;
    }
    if (!keepsAddress) window.history.pushState({ region }, '', fetched.url);
    document.title = fetched.page.title;
    const { hash } = new URL(url, window.location.href);
    // Beside each other both are in sight; below each other the new one comes into it.
    if (hash) document.querySelector(hash)?.scrollIntoView({ block: 'nearest' });
  } catch {
    window.location.assign(url);
  } finally {
    document.getElementById(region)?.removeAttribute('aria-busy');
  }
}

// <a data-swap="region"> and <form method="get" data-swap="region">.
document.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-swap]');
  const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !isPlain || event.defaultPrevented) return;
  event.preventDefault();
  swap(link.dataset.swap, link.href);
});

document.addEventListener('submit', (event) => {
  const form = event.target;
  const question = event.submitter?.dataset.confirm || form.dataset.confirm;
  if (question && !window.confirm(question)) {
    event.preventDefault();
    return;
  }
  if (!form.dataset.swap || form.method !== 'get') return;
  event.preventDefault();
  const url = new URL(form.action);
  for (const [name, value] of new FormData(form)) if (value) url.searchParams.append(name, value);
  swap(form.dataset.swap, url);
});

// A form that filters does so when a choice is made.
document.addEventListener('change', (event) => {
  if (event.target.matches('form[data-swap] select')) event.target.form.requestSubmit();
});

window.addEventListener('popstate', (event) => {
  if (event.state?.region) swap(event.state.region, window.location.href, {}, true);
  else if (document.querySelector('[data-swap]')) window.location.reload();
});

// ---- Live: <div id="region" data-live="/path/of/events"> is replaced when something happens ------

const followed = new Map();

function follow(element) {
  const { id } = element;
  if (!id || followed.has(id)) return;
  const source = new EventSource(element.dataset.live);
  followed.set(id, source);
  let isDue = false;
  const refresh = async () => {
    if (isDue) return;
    isDue = true;
    // Many events in a moment are one change.
    await new Promise((resolve) => setTimeout(resolve, 250));
    isDue = false;
    if (document.hidden) {
      document.addEventListener('visibilitychange', refresh, { once: true });
      return;
    }
    const region = document.getElementById(id);
    // Not under somebody's hands: she is typing, or has a menu open.
    if (!region || region.contains(document.activeElement?.closest('input, textarea, select'))) return;
    try {
      const fetched = await fetchPage(window.location.href);
      if (fetched?.ok) replaceRegion(id, fetched.page);
    } catch {
      // The connection is gone; the source says so below and tries again.
    }
  };
  for (const name of (element.dataset.liveEvents || 'message').split(' ')) {
    source.addEventListener(name, refresh);
  }
  const tell = (state) => $$(`[data-live-state="${CSS.escape(id)}"]`).forEach((sign) => {
    sign.hidden = false;
    sign.dataset.state = state;
    sign.textContent = state === 'on' ? 'Live' : 'Reconnecting';
  });
  source.addEventListener('open', () => tell('on'));
  source.addEventListener('error', () => tell('off'));
}

window.addEventListener('pagehide', () => followed.forEach((source) => source.close()));
window.addEventListener('pageshow', (event) => {
  if (!event.persisted) return;
  followed.clear();
  $$('[data-live]').forEach(follow);
});

// ---- Times: relative words stay true, and the title is the person's own zone --------------------

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always' });
const local = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' });

function words(millis) {
  const secs = Math.round((millis - Date.now()) / 1000);
  const size = Math.abs(secs);
  if (size < 45) return secs > 0 ? 'in a moment' : 'just now';
  if (size < 5400) return relative.format(Math.round(secs / 60), 'minute');
  if (size < 129600) return relative.format(Math.round(secs / 3600), 'hour');
  return relative.format(Math.round(secs / 86400), 'day');
}

function tellTime(element) {
  const millis = Date.parse(element.dateTime);
  if (Number.isNaN(millis)) return;
  element.title = local.format(millis);
  if (element.dataset.absolute === undefined) element.textContent = words(millis);
}

setInterval(() => $$('time[datetime]').forEach(tellTime), 30_000);

// ---- Copying: <button data-copy="text" hidden> ---------------------------------------------------

document.addEventListener('click', async (event) => {
  const button = event.target.closest('button[data-copy]');
  if (!button) return;
  const sign = button.querySelector('[data-copied]') || button;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.dataset.state = 'copied';
    sign.setAttribute('aria-label', 'Copied');
    setTimeout(() => {
      delete button.dataset.state;
      sign.setAttribute('aria-label', 'Copy');
    }, 1500);
  } catch {
    button.hidden = true;
  }
});

// ---- Keys ----------------------------------------------------------------------------------------

const KEYS = [
  ['/', 'Search'],
  ['j', 'Next row'],
  ['k', 'Previous row'],
  ['Enter', 'Open the row'],
  ['+ −', 'In a drawing: larger, smaller'],
  ['f', 'In a drawing: fit'],
  ['o c', 'In a drawing: open all, close all'],
  ['?', 'These keys'],
  ['Esc', 'Close'],
];

function showKeys() {
  let dialog = document.getElementById('keys');
  if (!dialog) {
    dialog = document.createElement('dialog');
    dialog.id = 'keys';
    dialog.setAttribute('aria-label', 'Keys');
    const title = document.createElement('h2');
    title.textContent = 'Keys';
    const list = document.createElement('dl');
    for (const [key, meaning] of KEYS) {
      const name = document.createElement('dt');
      const cap = document.createElement('kbd');
      cap.textContent = key;
      name.append(cap);
      const what = document.createElement('dd');
      what.textContent = meaning;
      list.append(name, what);
    }
    const form = document.createElement('form');
    form.method = 'dialog';
    const close = document.createElement('button');
    close.className = 'button quiet';
    close.textContent = 'Close';
    form.append(close);
    dialog.append(title, list, form);
    document.body.append(dialog);
  }
  if (!dialog.open) dialog.showModal();
}

function move(step) {
  const rows = $$('[data-row]').filter((row) => row.getClientRects().length > 0);
  if (rows.length === 0) return;
  const at = rows.findIndex((row) => row.classList.contains('selected'));
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1)
    : Math.min(rows.length - 1, Math.max(0, at + step));
  rows.forEach((row, index) => row.classList.toggle('selected', index === next));
  const row = rows[next];
  row.querySelector('a[href]')?.focus({ preventScroll: true });
  row.scrollIntoView({ block: 'nearest' });
}

document.addEventListener('keydown', (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || event.isComposing) return;
  const isTyping = event.target.closest?.('input, textarea, select, [contenteditable], dialog');
  if (event.key === 'Escape' && isTyping?.matches('input')) event.target.blur();
  if (isTyping) return;
  if (event.key === '/') {
    const field = document.querySelector('[data-search], input[type="search"]');
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === 'j' || event.key === 'k') {
    event.preventDefault();
    move(event.key === 'j' ? 1 : -1);
  } else if (event.key === 'Enter' && event.target === document.body) {
    document.querySelector('[data-row].selected a[href]')?.click();
  } else if (event.key === '?') {
    event.preventDefault();
    showKeys();
  } else if (event.key === 'Escape') {
    $$('details.menu[open]').forEach((menu) => menu.removeAttribute('open'));
  }
});

// The phone's menu closes when somebody touches beside it.
document.addEventListener('click', (event) => {
  $$('details.menu[open]').filter((menu) => !menu.contains(event.target))
    .forEach((menu) => menu.removeAttribute('open'));
});

// ---- Drawings: the lines of the block or row under the pointer or with the focus stand out ---------

function trace(place) {
  $$('[data-graph].tracing').forEach((graph) => {
    graph.classList.remove('tracing');
    $$('.lit, .touched', graph).forEach((piece) => piece.classList.remove('lit', 'touched'));
  });
  if (!place) return;
  const graph = place.closest('[data-graph]');
  const lanes = (kind) => new Set($$(`path.${kind}`, place).map((path) => path.dataset.lane));
  const [from, into] = [lanes('out'), lanes('in')];
  if (from.size + into.size === 0) return;
  // A type's name stands for its relations.
  const own = place.matches('summary') ? place.parentElement : place;
  graph.classList.add('tracing');
  for (const path of $$('path[data-lane]', graph)) {
    const { lane } = path.dataset;
    const isOwn = own.contains(path);
    if (from.has(lane) || (into.has(lane) && (isOwn || !path.matches('.in')))) {
      path.classList.add('lit');
      if (path.matches('.in, .out')) path.closest('[data-lines]').classList.add('touched');
    }
  }
}

for (const kind of ['pointerover', 'focusin']) {
  document.addEventListener(kind, (event) => {
    const place = event.target.closest?.('[data-lines]');
    if (place || document.querySelector('[data-graph].tracing')) trace(place);
  });
}

// Opened and closed at once, and drawn smaller or larger; what was chosen stays when it is drawn anew.
const SIZES = [35, 50, 65, 80, 100, 125, 150];
let size = 100;

function resize(drawn) {
  const figure = drawn.querySelector('.drawing');
  const { scrollTop, scrollHeight } = figure;
  figure.dataset.size = size;
  // What is in the middle stays there.
  figure.scrollTop = (scrollTop * figure.scrollHeight) / scrollHeight;
  drawn.querySelector('output').value = `${size} %`;
  const at = SIZES.indexOf(size);
  drawn.querySelector('[data-draw="smaller"]').disabled = at === 0;
  drawn.querySelector('[data-draw="larger"]').disabled = at === SIZES.length - 1;
}

// The largest size at which all of it is seen, if there is one.
function fit(drawn) {
  const figure = drawn.querySelector('.drawing');
  const room = Math.min(parseFloat(getComputedStyle(figure).maxHeight) || Infinity, window.innerHeight);
  const fitting = [...SIZES].reverse().filter((one) => one <= 100).find((one) => {
    figure.dataset.size = one;
    return figure.scrollHeight <= room;
  });
  size = fitting ?? SIZES[0];
}

function draw(drawn, what) {
  if (what === 'open' || what === 'close') {
    $$('details', drawn).forEach((type) => { type.open = what === 'open'; });
    return;
  }
  const at = SIZES.indexOf(size);
  if (what === 'fit') fit(drawn);
  if (what === 'smaller') size = SIZES[Math.max(0, at - 1)];
  if (what === 'larger') size = SIZES[Math.min(SIZES.length - 1, at + 1)];
  if (what === 'plain') size = 100;
  resize(drawn);
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-draw]');
  if (button) draw(button.closest('[data-drawn]'), button.dataset.draw);
});

const DRAW = { '+': 'larger', '=': 'larger', '-': 'smaller', 0: 'plain', f: 'fit', o: 'open', c: 'close' };

document.addEventListener('keydown', (event) => {
  const drawn = event.target.closest?.('[data-drawn]:has([data-tools])');
  const what = DRAW[event.key];
  if (!drawn || !what || event.metaKey || event.ctrlKey || event.altKey) return;
  event.preventDefault();
  draw(drawn, what);
});

// ---- Start ---------------------------------------------------------------------------------------

function enhance(root) {
  if (root.matches?.('[data-live]')) follow(root);
  $$('[data-live]', root).forEach(follow);
  $$('time[datetime]', root).forEach(tellTime);
  $$('button[data-copy]', root).forEach((button) => { button.hidden = false; });
  $$('[data-tools]', root).forEach((tools) => {
    tools.hidden = false;
    resize(tools.closest('[data-drawn]'));
  });
}

// Other scripts say what they have put into the page.
document.addEventListener('fresh', (event) => enhance(event.target));

document.documentElement.dataset.script = 'on';
enhance(document);
