// docs/how-to/start-from-openfga.md: its program, unchanged, on the store that its commands make.
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BINARY, checks, startServer } from './server.mjs';

const here = new URL('.', import.meta.url).pathname;
const text = readFileSync(join(here, '../../docs/how-to/start-from-openfga.md'), 'utf8');
const blocks = (language) => text.split(`\`\`\`${language}\n`).slice(1).map((rest) => rest.split('```')[0]);
const [setup, plans] = blocks('yaml');
const check = checks('start');

const server = await startServer(() => setup);
// Beside the SDK, which it imports.
const program = join(here, '.app.mjs');
try {
  writeFileSync(join(server.dir, 'plans.fga.yaml'), plans);
  const args = ['fga', 'import', 'plans.fga.yaml', '--data', 'data'];
  const said = execFileSync(BINARY, args, { cwd: server.dir, encoding: 'utf8' });
  const store = said.match(/^made the store Plans: (\S+)$/m);
  check.ok(store, `the import prints the store's id: ${said}`);
  writeFileSync(program, blocks('js')[0]);
  const env = {
    ...process.env,
    FGA_API_URL: server.base,
    FGA_API_TOKEN: setup.match(/key: "([^"]+)"/)[1],
    FGA_STORE_ID: store[1],
  };
  const answer = execFileSync(process.execPath, [program], { env, encoding: 'utf8' });
  check.ok(answer.includes('allowed: true'), `the program prints what the document says: ${answer}`);
  check.done();
} finally {
  rmSync(program, { force: true });
  await server.stop();
}
