// A fresh server for a run: its own folder, its own port, its own CA; stopped by its process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync, createWriteStream } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const BINARY = process.env.BEHALF_BINARY ?? new URL('../../target/debug/behalf', import.meta.url).pathname;

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

// Starts `behalf serve` with the set-up file that `setup` makes of the issuer; waits until it answers.
export async function startServer(setup, args = []) {
  const dir = mkdtempSync(join(tmpdir(), 'behalf-ecosystem-'));
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  writeFileSync(join(dir, 'setup.yaml'), setup(`${base}/`));
  const log = createWriteStream(join(dir, 'server.log'));
  const child = spawn(
    BINARY,
    ['serve', '--data', join(dir, 'data'), '--http', `127.0.0.1:${port}`, '--apply', join(dir, 'setup.yaml'), ...args],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  child.stdout.pipe(log);
  child.stderr.pipe(log);
  let ended = null;
  child.on('exit', (code) => (ended = code ?? 'a signal'));
  for (let attempt = 0; ; attempt++) {
    if (ended !== null || attempt > 600) throw new Error(`the server did not start (${ended}); see ${dir}/server.log`);
    const answer = await fetch(`${base}/readyz`).catch(() => null);
    if (answer?.ok) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    base,
    issuer: `${base}/`,
    dir,
    async stop() {
      if (ended === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

// Counts what a run has shown; a run that shows nothing has failed.
export function checks(name) {
  let passed = 0;
  return {
    ok(condition, what) {
      if (!condition) throw new Error(`${name}: ${what}`);
      passed += 1;
    },
    equal(found, expected, what) {
      const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
      if (a !== b) throw new Error(`${name}: ${what}: found ${a}, expected ${b}`);
      passed += 1;
    },
    async rejects(promise, what, test = () => true) {
      const error = await promise.then(() => null, (error) => error);
      if (!error || !test(error)) throw new Error(`${name}: ${what}: ${error ?? 'no error'}`);
      passed += 1;
    },
    done() {
      if (passed === 0) throw new Error(`${name}: nothing was checked`);
      console.log(`${name}: ${passed} checks passed`);
    },
  };
}
