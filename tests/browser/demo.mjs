// A fresh `behalf demo` for a run: its own folder and port; stopped by its process. `setup` is the
// text of a set-up file to apply on top of the sample tenant.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const BINARY = process.env.BEHALF_BINARY ?? new URL('../../target/debug/behalf', import.meta.url).pathname;

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

export async function startDemo({ setup, args = [] } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'behalf-browser-'));
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const log = createWriteStream(join(dir, 'demo.log'));
  const given = [...args];
  if (setup) {
    writeFileSync(join(dir, 'setup.yaml'), setup);
    given.push('--apply', join(dir, 'setup.yaml'));
  }
  const child = spawn(BINARY, ['demo', '--data', join(dir, 'data'), '--http', `127.0.0.1:${port}`, ...given], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  // What it prints are the sample sign-ins; the log is what it writes beside.
  child.stdout.on('data', (text) => (said += text));
  child.stderr.pipe(log);
  let ended = null;
  child.on('exit', (code) => (ended = code ?? 'a signal'));
  for (let attempt = 0; ; attempt++) {
    if (ended !== null || attempt > 1200) throw new Error(`the demo did not start (${ended}); see ${dir}/demo.log`);
    const answer = await fetch(`${base}/readyz`).catch(() => null);
    if (answer?.ok && said.includes('stands in for GitHub')) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    base,
    dir,
    provider: said.match(/scripted: (http:\S+) stands in/)[1],
    async stop() {
      if (ended === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      return ended;
    },
    forget: () => rmSync(dir, { recursive: true, force: true }),
  };
}
