// The model's editor: colours and line numbers that follow the typing, and the server's preview a
// moment after it. Without this the same form has a button. Nothing is decided here: the words below
// only choose a colour, what is wrong is the server's to say.

const form = document.querySelector('form[data-editor]');
const field = form?.elements.text;
const colours = form?.querySelector('[data-colours] code');
const numbers = form?.querySelector('[data-numbers]');
const preview = () => document.getElementById(form.dataset.editor);

const WORDS = /^(model|schema|type|relations|define|condition|module|extend|or|and|but|not|from|with)$/;
const PIECES = /(?:^|(?<=\s))#.*|\/\/.*|"[^"]*"?|'[^']*'?|[A-Za-z_][\w./-]*|\d[\d.]*|\s+|./gu;
const MAX_LINES = 2000;

// The pieces of a line with their classes, as the server colours them.
function pieces(line, state) {
  let expects = '';
  let list = false;
  let names = 0;
  const out = [];
  for (const [text] of line.matchAll(PIECES)) {
    let name = '';
    const isWord = /^[A-Za-z_]/.test(text);
    if ((text[0] === '#' && text.length > 1) || text.startsWith('//')) name = 'c-note';
    else if (/^["']/.test(text)) name = 'c-text';
    else if (/^\d/.test(text)) name = 'c-number';
    else if (state.depth > 0 && isWord) name = /^(true|false|null|in)$/.test(text) ? 'c-key' : '';
    else if (isWord && WORDS.test(text) && !(expects === 'name' && names === 0)) {
      name = 'c-key';
      if (text === 'type') expects = 'type';
      if (text === 'define') expects = 'name';
      if (text === 'condition' || text === 'with') expects = 'condition';
    } else if (isWord && expects) {
      name = expects === 'name' && names > 0 ? 'c-relation' : `c-${expects}`;
      names += 1;
      if (list && expects === 'condition') expects = 'type';
      else if (!list && expects !== 'name') expects = '';
    } else if (text === '[') [list, expects] = [true, 'type'];
    else if (text === ']') [list, expects] = [false, 'name'];
    else if (text === '#' && list) expects = 'name';
    else if (text === ',' && list) expects = 'type';
    else if (text === '{') state.depth += 1;
    else if (text === '}') state.depth = Math.max(0, state.depth - 1);
    out.push([name, text]);
  }
  return out;
}

function paint() {
  const lines = field.value.split('\n');
  const state = { depth: 0 };
  const painted = lines.slice(0, MAX_LINES).map((line) => {
    const row = document.createElement('span');
    row.className = 'line';
    for (const [name, text] of pieces(line, state)) {
      if (!name) row.append(text);
      else {
        const piece = document.createElement('span');
        piece.className = name;
        piece.textContent = text;
        row.append(piece);
      }
    }
    row.append('\n');
    return row;
  });
  colours.replaceChildren(...painted, lines.slice(MAX_LINES).join('\n'));
  numbers.replaceChildren(...lines.map((_, index) => {
    const row = document.createElement('span');
    row.className = 'line';
    row.textContent = `${index + 1}\n`;
    return row;
  }));
  field.rows = lines.length + 2;
  field.cols = lines.reduce((most, line) => Math.max(most, line.length), 0) + 2;
}

// The lines that the server found wrong.
function mark() {
  const wrong = new Set([...preview().querySelectorAll('[data-line]')].map((place) => Number(place.dataset.line)));
  for (const column of [colours, numbers]) {
    [...column.children].forEach((row, index) => row.classList.toggle('wrong', wrong.has(index)));
  }
  field.toggleAttribute('aria-invalid', wrong.size > 0);
}

let asked = 0;
let waits = null;

async function look() {
  const turn = ++asked;
  const body = new URLSearchParams(new FormData(form));
  body.set('live', '1');
  try {
    preview().setAttribute('aria-busy', 'true');
    const answer = await fetch(form.action, { method: 'POST', body, credentials: 'same-origin', headers: { accept: 'text/html' } });
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const fresh = page.getElementById(form.dataset.editor);
    // Another key was pressed meanwhile, or this is another page: the button says which.
    if (turn !== asked || !fresh) return;
    const before = new Map([...preview().querySelectorAll('details[id]')].map((one) => [one.id, one.open]));
    preview().replaceWith(document.adoptNode(fresh));
    for (const one of fresh.querySelectorAll('details[id]')) {
      // What changes is shown whatever was closed.
      const isUsed = one.querySelector('summary')?.matches('.used');
      if (before.has(one.id) && !isUsed) one.open = before.get(one.id);
    }
    fresh.dispatchEvent(new CustomEvent('fresh', { bubbles: true }));
    mark();
    // For those who do not see the panel: its first words.
    const words = [...preview().querySelectorAll('h2, .verdict strong')].slice(0, 2).map((one) => one.textContent);
    form.querySelector('[data-summary]').textContent = words.join(': ');
  } catch {
    // Offline: the button tries again.
  } finally {
    preview().removeAttribute('aria-busy');
  }
}

if (form && field && colours && numbers) {
  form.querySelector('.editor').dataset.live = 'on';
  const initial = field.value;
  paint();
  mark();
  field.addEventListener('input', () => {
    paint();
    clearTimeout(waits);
    waits = setTimeout(look, 350);
  });
  // To the place of an error.
  document.addEventListener('click', (event) => {
    const place = event.target.closest('a[data-line]');
    if (!place) return;
    event.preventDefault();
    const { line, column, length } = place.dataset;
    const before = field.value.split('\n').slice(0, Number(line)).reduce((sum, text) => sum + text.length + 1, 0);
    const start = before + Number(column) - 1;
    field.focus({ preventScroll: true });
    field.setSelectionRange(start, start + Number(length));
    numbers.children[Number(line)]?.scrollIntoView({ block: 'center' });
  });
  // What was typed is not lost by a slip.
  let isSent = false;
  form.addEventListener('submit', () => { isSent = true; });
  window.addEventListener('beforeunload', (event) => {
    if (!isSent && field.value !== initial) event.preventDefault();
  });
}
