// The chat clients against a fresh demo, to which an application and an approver are added.
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BINARY, startDemo } from '../../browser/demo.mjs';

const demo = await startDemo();
try {
  const setup = join(demo.dir, 'clients.yaml');
  writeFileSync(
    setup,
    `clients:
  - {client_id: chat-app, client_secret: chat-app-secret, name: Chat app, callbacks: [], grant_types: [password]}
  - {client_id: chat-approver, client_secret: chat-approver-secret, name: Approver, approver: true, callbacks: [], grant_types: [password]}
`,
  );
  execFileSync(BINARY, ['apply', '--data', join(demo.dir, 'data'), setup], { stdio: 'inherit' });
  const { status } = spawnSync(
    process.execPath,
    ['chat.mjs', demo.base, 'ben', 'ben likes cake', 'chat-app', 'chat-app-secret', 'chat-approver', 'chat-approver-secret', 'ben'],
    { stdio: 'inherit' },
  );
  process.exitCode = status ?? 1;
} finally {
  await demo.stop();
  demo.forget();
}
