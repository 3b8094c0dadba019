// Chat clients of five generations against a fresh demo, each for a person of its own: a text, a
// tool that first needs an account, and a Gist that is approved and one that is denied.
//
// The streams stay open for a second only, because whoever decides here does it at once; what
// follows is then the turn that ran on without its client.
import { startDemo } from '../../browser/demo.mjs';
import { Person } from '../person.mjs';
import { checks } from '../server.mjs';
import { CLIENTS } from './clients.mjs';

const REPOSITORIES = 'Show me popular Next.js repositories about AI';
const TEXT = 'Good morning';
const gist = (name) => `Publish a public Gist titled "From ${name}" with the text "Hello from ${name}"`;
const userOf = (at) => ({ username: `person-${at}`, password: `password of ${at}` });
const SETUP = `
users:
${CLIENTS.map((_, at) => userOf(at)).map((user) => `  - {user_id: "auth0|${user.username}", username: ${user.username}, password: "${user.password}"}`).join('\n')}
clients:
  - {client_id: chat-app, client_secret: chat-app-secret, name: Chat app, callbacks: [], grant_types: [password]}
  - {client_id: chat-approver, client_secret: chat-approver-secret, name: Approver, approver: true, callbacks: [], grant_types: [password]}
`;

const demo = await startDemo({ setup: SETUP, args: ['--chat-hold', '1'] });
try {
  const runs = await Promise.allSettled(CLIENTS.map((client, at) => journey(client, userOf(at))));
  for (const run of runs.filter((run) => run.status === 'rejected')) {
    console.error(run.reason);
    process.exitCode = 1;
  }
} finally {
  await demo.stop();
  demo.forget();
}

async function journey({ name, load }, user) {
  const show = checks(name);
  const open = await load().catch((error) => {
    // What a client of its time needs, an older Node may lack.
    if (Number(process.versions.node.split('.')[0]) >= 20) throw error;
    console.log(`${name}: NOT RUN on Node ${process.version}: ${error.message}`);
  });
  if (!open) return;
  const headers = { authorization: `Bearer ${await token(user, 'chat-app', 'api/', 'openid chat')}` };
  const approver = await token(user, 'chat-approver', 'me/', 'read:me:approvals update:me:approvals');
  const chat = (what, given = headers) => open({ api: `${demo.base}/api/chat`, headers: given }, `${name}-${what}`);

  const talk = chat('text');
  const said = talk.text(await talk.ask(TEXT));
  show.ok(said.includes('I am a script'), `a text arrives: ${said}`);

  const search = chat('search');
  const needs = search.interrupt(await search.ask(REPOSITORIES));
  show.equal(needs.kind, 'connect_account', 'an account is needed');
  await connect(user, needs.connection.connectUrl);
  const found = await search.again();
  show.equal(search.output(found)?.status, 'done', 'the tool ran');
  show.ok(search.text(found).includes('stars'), 'its output is told');
  show.equal((await search.again(), search.messages().length), 2, 'the same history again is one answer');

  const stranger = chat('stranger', { authorization: 'Bearer nonsense' });
  await show.rejects(stranger.ask(TEXT), 'a refusal is a sentence', (error) => error.message === 'The access token is not valid.');

  for (const verdict of ['approve', 'deny']) {
    const write = chat(verdict);
    let message = await write.ask(`${gist(name)} (${verdict})`);
    const part = write.interrupt(message);
    show.equal([part.kind, part.status], ['approval', 'pending'], 'an approval is asked for');
    show.equal(write.interrupts(message), 1, 'one part for one call');
    show.ok(!write.output(message), 'nothing is done before');
    if (write.resume) {
      // Another tab, which knows nothing but the thread's name.
      const tab = chat(verdict);
      show.equal(tab.interrupt(await tab.resume()).status, 'pending', 'another tab sees it wait');
    }
    await decide(approver, part.approval.id, verdict);
    message = await write.again();
    const status = verdict === 'approve' ? 'done' : 'denied';
    show.equal(write.interrupt(message).status, status, `the part says ${status}`);
    const output = write.output(message);
    if (output || !name.includes('told')) show.equal(output.status, status, 'so does the output');
    else show.equal(write.tool(message).state, 'output-denied', 'the tool was denied');
    show.ok(write.text(message).length > 0, 'and the answer goes on');
  }
  show.done();
}

async function token(user, clientId, audience, scope) {
  const answer = await fetch(`${demo.base}/oauth/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ grant_type: 'password', ...user, client_id: clientId, client_secret: `${clientId}-secret`, audience: `${demo.base}/${audience}`, scope }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()).access_token;
}

async function decide(approver, id, verdict) {
  const answer = await fetch(`${demo.base}/me/v1/approvals/${id}/${verdict}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${approver}`, 'content-type': 'application/json' },
    body: '{}',
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
}

// Connects an account on our page and the provider's, as a browser without script does. The
// scripted provider knows Ben; that several people connect him is their business.
async function connect(user, path) {
  const here = new Person(demo.base, user.username, user.password);
  const page = await here.open(path);
  const sent = await here.submit(page.text, {}, (form) => form.includes('/account/connect'));
  const away = sent.headers.get('location');
  const there = new Person(new URL(away).origin, 'ben', '');
  let shown = await there.open(away);
  for (let step = 0; shown.text && step < 3; step++) {
    const answer = await there.submit(shown.text, { login: 'ben', decision: 'authorize' });
    const location = answer.headers.get('location');
    const isHome = new URL(location, there.base).origin === new URL(demo.base).origin;
    shown = isHome ? { left: location } : await there.open(location);
  }
  await here.open(shown.left);
}
