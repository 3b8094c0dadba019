// A store's pages in headless Chromium: the editor's live preview, the way of an answer, the log that
// follows, keyboard and phone. Screenshots go beside those of the journey.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { startDemo } from './demo.mjs';

const OUT = process.env.BEHALF_SCREENSHOTS ?? new URL('../../target/screenshots', import.meta.url).pathname;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WAIT = { timeout: 30_000 };
const STORE = '01HGHVBYEX0000000000000000';
const SETUP = readFileSync(new URL('playground.yaml', import.meta.url), 'utf8');

mkdirSync(OUT, { recursive: true });
let passed = 0;
function ok(condition, what) {
  if (!condition) throw new Error(what);
  passed += 1;
}

const demo = await startDemo({ setup: SETUP });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const at = (rest) => `${demo.base}/console/authorization/${STORE}${rest}`;
const ASK = '?user=user:anne&relation=can_push&object=repo:openfga/openfga';

async function device(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.on('pageerror', (error) => {
    throw new Error(`script failed on ${page.url()}: ${error}`);
  });
  // What the page's own policy refuses is said on the console.
  page.on('console', (message) => {
    if (/content security policy/i.test(message.text())) throw new Error(message.text());
  });
  return page;
}

const says = (page, selector, text) => page.locator(selector).filter({ hasText: text }).first().waitFor(WAIT);

try {
  const page = await device();
  await page.goto(at(''));
  await page.fill('#username', 'ann');
  await page.fill('#password', 'ann likes tea');
  await page.click('text="Continue"');
  await page.waitForURL(at(''), WAIT);
  const storageState = await page.context().storageState();

  // An answer comes in place, with its way, and its address is the question.
  await page.fill('#user', 'user:anne');
  await page.fill('#relation', 'can_push');
  await page.fill('#object', 'repo:openfga/openfga');
  await page.keyboard.press('Enter');
  await says(page, '.verdict.ok', 'Allowed');
  ok(page.url().includes('relation=can_push'), `the address is the question: ${page.url()}`);
  const nodes = await page.locator('.way .node .what').allInnerTexts();
  ok(nodes.join(' ') === 'user:anne team:core team:backend repo:openfga/openfga', `the way: ${nodes}`);
  ok((await page.locator('.code .line.used').count()) > 2, 'the rules on the way are marked in the text');
  await page.locator('.ask-box').screenshot({ path: join(OUT, 'playground-answer.png') });
  await page.fill('#user', 'user:erik');
  await page.keyboard.press('Enter');
  await says(page, '.verdict.danger', 'Denied');
  await says(page, '.gaps', 'No tuple makes user:erik');

  // The editor: colours follow the keys, the preview follows a moment later.
  await page.goto(at('/model'));
  const text = await page.inputValue('#text');
  ok((await page.locator('[data-colours]').textContent()).trimEnd() === text.trimEnd(), 'what is seen is what is typed');
  const fonts = await page.evaluate(() => ['#text', '[data-colours] code', '[data-numbers]'].map((of) => {
    const { fontSize, fontFamily, lineHeight, letterSpacing } = getComputedStyle(document.querySelector(of));
    return [fontSize, fontFamily, lineHeight, letterSpacing].join();
  }));
  ok(new Set(fonts).size === 1, `letters lie on their colours: ${fonts.join(' | ')}`);
  await page.fill('#text', text.replace('writer but not banned', 'writer but not band'));
  await says(page, '#preview .troubles', 'Line');
  await page.locator('#preview a[data-line]').first().click();
  const selected = await page.evaluate(() => {
    const field = document.getElementById('text');
    return field.value.slice(field.selectionStart, field.selectionEnd);
  });
  ok(selected === 'band', `the place of the error is selected: ${selected}`);
  ok((await page.locator('[data-numbers] .wrong').count()) === 1, 'and its line is marked');
  await page.fill('#text', text.replace('writer but not banned', 'writer'));
  await says(page, '#preview .verdict', /Nobody|No change/);
  const edited = `# Who may read what.\n${text.replace('reader but not banned', 'reader')}`;
  await page.fill('#text', edited);
  await says(page, '#preview .effects', 'user:charles can_read repo:openfga/sdk');
  await page.screenshot({ path: join(OUT, 'model-preview.png') });
  await page.fill('#reason', 'nobody is banned');
  await page.getByRole('button', { name: 'Save as new version' }).click();
  await says(page, '.notice.ok', 'The new version is saved');
  await says(page, '.table', 'nobody is banned');
  ok((await page.inputValue('#text')).startsWith('# Who may read'), 'an author\'s comments stay');

  // The drawing: a block's lines stand out under the pointer, and a closed block keeps them joined.
  const repo = page.locator('.graph summary', { hasText: 'repo' });
  await repo.hover();
  ok((await page.locator('.graph.tracing path.lit').count()) > 5, 'lines of the block under the pointer stand out');
  const rows = await page.locator('.graph .row:visible').count();
  await repo.click();
  ok((await page.locator('.graph .row:visible').count()) === rows - 8, 'a block closes');
  ok((await repo.locator('.closed path.in').count()) > 2, 'and keeps its lines');
  await page.getByRole('button', { name: 'Close all' }).click();
  ok((await page.locator('.graph .row:visible').count()) === 0, 'all close at once');
  await page.locator('.drawing').focus();
  await page.keyboard.press('o');
  ok((await page.locator('.graph .row:visible').count()) === rows, 'and open by a key');
  const height = async () => (await page.locator('.graph').boundingBox()).height;
  const full = await height();
  await page.keyboard.press('+');
  ok((await page.textContent('.drawn output')) === '125 %' && (await height()) > full * 1.2, 'drawn larger');
  await page.getByRole('button', { name: 'Fit' }).click();
  const fits = await page.locator('.drawing').evaluate((figure) => figure.scrollHeight <= figure.clientHeight);
  ok(fits && (await height()) <= full, `all of it fits: ${await height()} of ${full} px`);
  // What is drawn anew has the same size.
  const chosen = await page.textContent('.drawn output');
  const kept = await page.inputValue('#text');
  await page.fill('#text', kept.replace('condition ', 'type robot\n\ncondition '));
  await says(page, '.graph b', 'robot');
  ok((await page.textContent('.drawn output')) === chosen && (await height()) <= full, `it stays at ${chosen}`);
  await page.fill('#text', kept);

  // The log follows without a reload.
  const log = await device({ storageState });
  await log.goto(at('/changes'));
  await log.locator('[data-live-state="changes"][data-state="on"]').waitFor(WAIT);
  await page.goto(at('/tuples?new_user=user:frank&new_relation=member&new_object=team:core'));
  // What a tuple would give is said before it is written, and what a deletion takes before that.
  await page.getByRole('button', { name: 'Show what would change' }).click();
  await says(page, '.foreseen .verdict', 'gained');
  ok((await page.textContent('.foreseen')).includes('user:frank can_push repo:openfga/openfga'), 'along teams, to the repository');
  ok((await page.inputValue('#wu')) === 'user:frank', 'what was typed stays');
  await page.screenshot({ path: join(OUT, 'tuples-foreseen.png'), fullPage: true });
  await page.getByRole('button', { name: 'Write tuple' }).click();
  await says(page, '.notice.ok', 'written');
  await says(log, '#changes', 'user:frank');
  ok(true, 'a write shows in the open log');
  await page.getByRole('link', { name: /^Delete.* user:frank member team:core/ }).click();
  await says(page, '#confirm .verdict', 'lost');
  await page.getByRole('button', { name: 'Delete 1 tuple' }).click();
  await says(page, '.notice.ok', 'The tuple is deleted');
  await says(log, '#changes', 'deleted');
  // A page that follows live does not keep the server from stopping.
  await log.context().close();

  // Every page at both widths, light and dark: nothing overflows, axe finds nothing.
  const pages = { playground: ASK, 'playground-denied': ASK.replace('anne', 'erik'), model: '/model', tuples: '/tuples', 'tuples-delete': '/tuples?user=user:charles&relation=banned&object=repo:openfga/sdk&confirm=delete', lists: '/lists?user=user:anne&relation=can_read&type=repo', 'lists-users': '/lists?object=repo:openfga/sdk&relation=can_read&users=user', tests: '/tests', changes: '/changes' };
  for (const colorScheme of ['light', 'dark']) {
    for (const [width, height] of [[1280, 900], [390, 844]]) {
      const seen = await device({ viewport: { width, height }, colorScheme, storageState, bypassCSP: true });
      for (const [name, path] of Object.entries(pages)) {
        await seen.goto(at(path));
        await seen.screenshot({ path: join(OUT, `${name}-${width}-${colorScheme}.png`), fullPage: true });
        const overflow = await seen.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        ok(overflow <= 0, `${name} scrolls sideways by ${overflow} px at ${width} px`);
        await seen.evaluate(AXE);
        const { violations } = await seen.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
        ok(violations.length === 0, `${name} at ${width}: ${violations.map((one) => `${one.id}: ${one.nodes[0].html}`)}`);
      }
      await seen.context().close();
    }
  }

  // On a phone filters do not stand before the tuples; on a wide page they are there.
  for (const [width, isOpen] of [[390, false], [1280, true]]) {
    const seen = await device({ viewport: { width, height: 844 }, storageState });
    await seen.goto(at('/tuples'));
    ok((await seen.locator('#fu').isVisible()) === isOpen, `filters at ${width} px: ${isOpen}`);
    if (!isOpen) {
      const top = (await seen.locator('.tuples [data-row]').first().boundingBox()).y;
      await seen.locator('#filters summary').click();
      await seen.fill('#fu', 'user:anne');
      await seen.keyboard.press('Enter');
      await says(seen, '#filters summary', 'Filter: user user:anne');
      ok(top < 500, `the first tuple is in sight, at ${top} px`);
    }
    await seen.context().close();
  }

  // Without script the same form has a button.
  const plain = await device({ storageState, javaScriptEnabled: false });
  await plain.goto(at('/model'));
  await plain.fill('#text', text.replace('[user, team#member]', '[usr]'));
  await plain.getByRole('button', { name: 'Check and preview' }).click();
  await says(plain, '.troubles', 'usr');
  ok((await plain.inputValue('#text')).includes('[usr]'), 'what was typed stays');

  await browser.close();
  const code = await demo.stop();
  ok(code === 0, `the demo ends by itself with 0, not ${code}`);
  demo.forget();
  console.log(`playground: ${passed} checks passed, screenshots in ${OUT}`);
} catch (error) {
  await browser.close().catch(() => null);
  await demo.stop();
  throw error;
}
