// The whole journey in headless Chromium, with both people of the demo: connect, approve on another
// device, deny, expire, documents of one's own, a permission taken away, the trace, the proof.
// Screenshots go to BEHALF_SCREENSHOTS (default: target/screenshots).
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { startDemo } from './demo.mjs';

const OUT = process.env.BEHALF_SCREENSHOTS ?? new URL('../../target/screenshots', import.meta.url).pathname;
const BINARY = process.env.BEHALF_BINARY ?? new URL('../../target/debug/behalf', import.meta.url).pathname;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PEOPLE = { ann: 'ann likes tea', ben: 'ben likes cake' };
const QUESTION = 'What do our internal documents say about remote work?';
const PAGES = ['/console', '/console/chat', '/console/traces', '/console/documents', '/console/authorization', '/console/connections', '/console/audit', '/account', '/account/approvals', '/account/connections'];
const WAIT = { timeout: 30_000 };

mkdirSync(OUT, { recursive: true });
let passed = 0;
function ok(condition, what) {
  if (!condition) throw new Error(what);
  passed += 1;
}

const demo = await startDemo();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

// A browser of its own: another context shares no cookie. Axe looks at a page's tree from outside
// the page's own policy.
async function device(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, bypassCSP: true, ...options });
  const page = await context.newPage();
  page.on('pageerror', (error) => {
    throw new Error(`script failed on ${page.url()}: ${error}`);
  });
  return page;
}

async function signIn(page, name, path = '/console/chat', at = demo) {
  await page.goto(at.base + path);
  ok(page.url().startsWith(`${at.base}/u/login`), `${path} asks an unknown browser to sign in`);
  await page.fill('#username', name);
  await page.fill('#password', PEOPLE[name]);
  await page.click('text="Continue"');
  await page.waitForURL(at.base + path, WAIT);
  ok(true, 'and comes back');
}

const shot = (page, name) => page.screenshot({ path: join(OUT, `${name}.png`) });

async function ask(page, text) {
  await page.fill('#text', text);
  await page.click('[data-composer] button[type=submit]');
}

const lastTurn = (page) => page.locator('.turn').last();
const finished = (page, turns) => page.waitForFunction((turns) => document.querySelectorAll('.turn[data-standing="over"]').length >= turns, turns, WAIT);

// What axe finds, in words.
async function accessible(page, name) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const words = violations.map((one) => `${one.id}: ${one.nodes[0].html}`);
  ok(violations.length === 0, `${name}: ${words.join('; ')}`);
}

async function connectGitHub(page, name, at = demo) {
  await page.locator('.turn a[href^="/account/connect"]').last().click();
  await page.waitForURL(/\/account\/connect/, WAIT);
  await accessible(page, 'connect');
  if (name === 'ann') await shot(page, 'connect');
  await page.getByRole('button', { name: /connect/i }).first().click();
  await page.waitForURL(new RegExp(`^${at.provider}`), WAIT);
  if (name === 'ann') await shot(page, 'provider');
  const login = page.locator('input[type=radio], select').first();
  if ((await login.count()) > 0 && (await login.getAttribute('type')) === 'radio') await page.locator(`input[value="${name}"]`).check();
  await page.getByRole('button', { name: /authorize/i }).click();
  await page.waitForURL(new RegExp(`^${at.base}/`), WAIT);
}

async function decide(page, verb) {
  await page.goto(`${demo.base}/account/approvals`);
  await accessible(page, 'approvals');
  await page.locator('a[href*="/account/approvals/"]').first().click();
  await page.waitForURL(/\/account\/approvals\/.+/, WAIT);
  await accessible(page, 'approval');
  if (verb === 'Approve') await shot(page, 'approve');
  await page.getByRole('button', { name: new RegExp(`^${verb}`) }).click();
  await page.waitForFunction((word) => document.body.innerText.toLowerCase().includes(word), verb === 'Approve' ? 'approved' : 'denied', WAIT);
}

// An approval that runs out in front of her, on a server that gives her a few seconds.
async function expires(at) {
  const page = await device();
  await signIn(page, 'ann', '/console/chat', at);
  await ask(page, 'Publish a public Gist titled "Too late" with the text "Nobody answered."');
  await page.locator('.turn a[href^="/account/connect"]').waitFor(WAIT);
  const chat = page.url();
  await connectGitHub(page, 'ann', at);
  if (!page.url().includes('/console/chat')) await page.goto(chat);
  const review = page.locator('.turn a[href^="/account/approvals/"]').last();
  await review.waitFor(WAIT);
  const question = await page.context().newPage();
  await question.goto(at.base + (await review.getAttribute('href')));
  const form = await question.locator('.approval form').evaluate((form) => [form.action, [...new FormData(form)]]);

  // Both pages say so by themselves.
  await finished(page, 1);
  const said = await lastTurn(page).innerText();
  ok(/nobody answered in time/i.test(said) && /nothing was/i.test(said), `the chat says that it expired: ${said}`);
  ok((await lastTurn(page).locator('a[href^="/account/approvals/"]').count()) === 0, 'and offers nothing to decide');
  await accessible(page, 'chat with an expired card');
  await shot(page, 'gist-expired');
  await question.locator('.verdict').waitFor(WAIT);
  ok(/nobody answered in time\. nothing was sent/i.test(await question.innerText('.approval')), 'so does the approval');
  ok((await question.locator('[name=decision]').count()) === 0, 'which takes no decision');
  await accessible(question, 'expired approval');
  await shot(question, 'approval-expired');

  // What she would have sent is refused now, and no effect was ever begun.
  const late = await question.evaluate(async ([action, fields]) => {
    const answer = await fetch(action, { method: 'POST', body: new URLSearchParams([...fields, ['decision', 'approve']]) });
    return [answer.status, await answer.text()];
  }, form);
  ok(late[0] === 409 && late[1].includes('Your click changed nothing'), `a late decision is refused: ${late[0]}`);
  await question.goto(`${at.base}/console/audit`);
  await question.reload();
  const log = await question.innerText('main');
  ok(log.includes('tool_call.expired') && !log.includes('tool_call.started'), 'nothing was sent');
  // Left open: a page that follows live does not keep the server from stopping.
  await question.goto(`${at.base}/account/approvals`);
  return page.context();
}

try {
  // 1. Sign in: an unknown browser is sent to sign in, and comes back.
  const ann = await device();
  await ann.goto(`${demo.base}/console/chat`);
  await accessible(ann, 'sign-in');
  await shot(ann, 'sign-in');
  await signIn(ann, 'ann');
  await shot(ann, 'chat');
  await accessible(ann, 'chat');

  // 2. Repositories: the chat asks her to connect, then goes on by itself.
  await ann.getByRole('button', { name: /Next\.js/ }).click();
  await ann.locator('.turn a[href^="/account/connect"]').waitFor(WAIT);
  await shot(ann, 'connect-card');
  await accessible(ann, 'chat with a connect card');
  const chat = ann.url();
  await connectGitHub(ann, 'ann');
  ok(ann.url() === chat, `who connected is back in the chat: ${ann.url()}`);
  await finished(ann, 1);
  ok((await lastTurn(ann).innerText()).includes('next'), 'repositories are named');
  await shot(ann, 'repositories');

  // 3. A Gist: nothing is sent before she approves, on another device.
  await ask(ann, 'Publish a public Gist titled "Hello from Behalf" with the text "An agent wrote this, and I approved it."');
  await ann.locator('a[href^="/account/approvals/"]').last().waitFor(WAIT);
  await shot(ann, 'approval-card');
  const phone = await device({ viewport: { width: 390, height: 844 }, isMobile: true });
  await signIn(phone, 'ann', '/account/approvals');
  await decide(phone, 'Approve');
  await shot(phone, 'approved-on-phone');
  await finished(ann, 2);
  const done = await lastTurn(ann).innerText();
  ok(/gist/i.test(done) && (await lastTurn(ann).locator('a[href*="gist"]').count()) > 0, `the Gist's address is shown: ${done}`);
  await shot(ann, 'gist-done');
  await phone.goto(ann.url());
  const overflow = await phone.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  ok(overflow <= 0, `the Gist's long address makes the phone's page ${overflow} px too wide`);

  // Denied: nothing is sent, and the answer says so.
  await ask(ann, 'Publish a public Gist titled "Not this one" with the text "Nobody should read this."');
  await ann.locator('.turn').last().locator('a[href^="/account/approvals/"]').waitFor(WAIT);
  await decide(phone, 'Deny');
  await finished(ann, 3);
  ok(/denied|nothing/i.test(await lastTurn(ann).innerText()), 'a denial is stated');
  await shot(ann, 'gist-denied');

  // Expired: in front of her, on a server of its own.
  const brief = await startDemo({ args: ['--approval-lifetime', '8'] });
  const left = await expires(brief).catch(async (error) => {
    await brief.stop();
    throw error;
  });
  const told = Date.now();
  await brief.stop();
  ok(Date.now() - told < 5_000, `the server stops at once, not after ${Date.now() - told} ms`);
  await left.close();
  brief.forget();

  // 4. Documents: each finds what she may read.
  await ask(ann, QUESTION);
  await finished(ann, 4);
  const hers = await lastTurn(ann).innerText();
  ok(/handbook/i.test(hers) && /hiring plan/i.test(hers) && !/sales playbook/i.test(hers), `Ann reads hers: ${hers}`);
  await shot(ann, 'documents-ann');
  const ben = await device();
  await signIn(ben, 'ben');
  await ask(ben, QUESTION);
  await finished(ben, 1);
  const his = await lastTurn(ben).innerText();
  ok(/handbook/i.test(his) && /sales playbook/i.test(his) && !/hiring plan/i.test(his), `Ben reads his: ${his}`);
  await shot(ben, 'documents-ben');

  // A permission that comes and goes.
  const api = async (method, path, body) => {
    const answer = await ann.evaluate(
      async ([method, path, body]) => (await fetch(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).status,
      [method, path, body],
    );
    ok(answer < 300, `${method} ${path}: ${answer}`);
  };
  const share = { user: 'user:auth0|ben', relation: 'viewer' };
  await api('POST', '/api/v1/documents/hiring-plan/share', share);
  await ask(ben, QUESTION);
  await finished(ben, 2);
  ok(/hiring plan/i.test(await lastTurn(ben).innerText()), 'what was shared is found');
  await api('DELETE', '/api/v1/documents/hiring-plan/share', share);
  await ask(ben, QUESTION);
  await finished(ben, 3);
  ok(!/hiring plan/i.test(await lastTurn(ben).innerText()), 'what was withdrawn is gone from the next answer');
  ok((await api0(ben, '/api/v1/documents/hiring-plan')) === 404, 'and does not exist for him');

  // 5. The trace, and the proof.
  await ann.locator('.turn').nth(1).getByRole('link', { name: 'What happened here' }).click();
  await ann.waitForURL(/\/console\/traces\//, WAIT);
  await accessible(ann, 'trace');
  const trace = new URL(ann.url()).pathname;
  await ann.locator('.waterfall a', { hasText: 'gate createPublicGist' }).last().click();
  await ann.locator('#span .path').waitFor(WAIT);
  await accessible(ann, 'trace of a decision');
  await shot(ann, 'trace');
  for (const path of PAGES) {
    await ann.goto(demo.base + path);
    ok((await ann.title()).includes('Behalf'), `${path} is a page`);
    await accessible(ann, path);
  }
  const bundle = join(demo.dir, 'bundle.zip');
  execFileSync(BINARY, ['export', '--data', join(demo.dir, 'data'), '--out', bundle], { encoding: 'utf8' });
  const verdict = execFileSync(BINARY, ['verify', bundle], { encoding: 'utf8' });
  ok(verdict.includes('valid, unwitnessed'), `the export verifies: ${verdict}`);

  // 6. Roles: Ben sees no audit; a browser without a session sees no page.
  ok((await api0(ben, '/console/audit')) === 403, 'a plain user sees no audit');
  ok((await api0(ben, '/api/v1/exports')) >= 400, 'and no export');
  const stranger = await fetch(`${demo.base}/api/v1/documents`);
  ok(stranger.status === 401, 'an API answers 401 to nobody');

  // Every page at both widths, light and dark.
  const state = await ann.context().storageState();
  await ann.goto(`${demo.base}/account/approvals`);
  const decided = await ann.locator('td a[href^="/account/approvals/"]').first().getAttribute('href');
  await ann.goto(`${demo.base}/console/audit`);
  const record = await ann.locator('td a[href^="/console/audit/records/"]').first().getAttribute('href');
  const details = { approval: decided, record, trace, thread: chat.slice(demo.base.length) };
  for (const colorScheme of ['light', 'dark']) {
    for (const [width, height] of [[1280, 900], [390, 844]]) {
      const page = await device({ viewport: { width, height }, colorScheme, storageState: state });
      const lists = [...PAGES, '/console/documents/new', '/console/documents?q=remote+work', '/console/documents/hiring-plan', '/console/authorization/01K0DEM0000000000000000000', '/console/audit/exports'];
      const named = lists.map((path) => [path.slice(1).replaceAll(/[^a-z0-9]+/gi, '-'), path]);
      for (const [name, path] of [...named, ...Object.entries(details)]) {
        await page.goto(demo.base + path);
        await page.screenshot({ path: join(OUT, `${name}-${width}-${colorScheme}.png`), fullPage: true });
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        ok(overflow <= 0, `${path} scrolls sideways by ${overflow} px at ${width} px`);
      }
      await page.context().close();
    }
  }

  // 7. Nothing secret lies about: in the data folder or the log.
  const cookies = (await Promise.all([ann, ben, phone].map((page) => page.context().cookies()))).flat();
  const needles = [...Object.values(PEOPLE), 'scripted-provider-secret', ...cookies.map((cookie) => cookie.value).filter((value) => value.startsWith('bhf_'))];
  await browser.close();
  const code = await demo.stop();
  ok(code === 0, `the demo ends by itself with 0, not ${code}`);
  const tokens = /gh[opusr]_[A-Za-z0-9]{16,}|bhf_(?:rt|br|at)_[A-Za-z0-9_-]{16,}/;
  for (const file of files(demo.dir)) {
    if (file.endsWith('.zip')) continue;
    const text = readFileSync(file, 'latin1');
    for (const needle of needles) ok(!text.includes(needle), `${file} holds a secret`);
    ok(!tokens.test(text), `${file} holds a token: ${text.match(tokens)?.[0].slice(0, 8)}…`);
  }
  demo.forget();
  console.log(`journey: ${passed} checks passed, screenshots in ${OUT}`);
} catch (error) {
  for (const context of browser.contexts()) {
    for (const page of context.pages()) {
      console.error('open:', page.url());
      await page.screenshot({ path: join(OUT, `failed-${context.pages().indexOf(page)}-${Date.now()}.png`) }).catch(() => null);
    }
  }
  await browser.close().catch(() => null);
  await demo.stop();
  console.error(`the demo's folder is ${demo.dir}`);
  throw error;
}

async function api0(page, path) {
  return page.evaluate(async (path) => (await fetch(path, { redirect: 'manual' })).status, path);
}

function files(dir) {
  return readdirSync(dir).flatMap((name) => {
    const path = join(dir, name);
    const stat = statSync(path);
    return stat.isDirectory() ? files(path) : stat.isFile() ? [path] : [];
  });
}
