// Chat clients of every generation of the AI SDK, unmodified, against a running server:
//
//   node chat.mjs BASE USER PASSWORD CLIENT_ID CLIENT_SECRET APPROVER_ID APPROVER_SECRET [ACCOUNT]
//
// USER is a person who has connected no account yet; the client may use the password grant; the
// approver is a client marked `approver` that may, too. ACCOUNT is the person at the provider. The
// server's model is the scripted one, its provider the scripted one. Nothing is started here.
import { checks } from '../server.mjs';
import { Person } from '../person.mjs';

const [base, user, password, clientId, clientSecret, approverId, approverSecret, account] = process.argv.slice(2);
if (!approverSecret) {
  console.error('usage: node chat.mjs BASE USER PASSWORD CLIENT_ID CLIENT_SECRET APPROVER_ID APPROVER_SECRET [ACCOUNT]');
  process.exit(2);
}
const api = `${base}/api/chat`;
const REPOSITORIES = 'Show me popular Next.js repositories about AI';
const TEXT = 'Good morning';
const gist = (name) => `Publish a public Gist titled "From ${name}" with the text "Hello from ${name}"`;
const run = Date.now();

async function token(id, secret, audience, scope) {
  const answer = await fetch(`${base}/oauth/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ grant_type: 'password', username: user, password, client_id: id, client_secret: secret, audience, scope }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()).access_token;
}

const chatToken = await token(clientId, clientSecret, `${base}/api/`, 'openid chat');
const approverToken = await token(approverId, approverSecret, `${base}/me/`, 'read:me:approvals update:me:approvals');
const headers = { authorization: `Bearer ${chatToken}` };

async function decide(id, verdict) {
  const answer = await fetch(`${base}/me/v1/approvals/${id}/${verdict}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${approverToken}`, 'content-type': 'application/json' },
    body: '{}',
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
}

// Connects the account on our page and the provider's, as a browser without script does.
async function connect(path) {
  const here = new Person(base, user, password);
  const page = await here.open(path);
  const sent = await here.submit(page.text, {}, (form) => form.includes('/account/connect'));
  const away = sent.headers.get('location');
  const there = new Person(new URL(away).origin, account ?? user, '');
  let shown = await there.open(away);
  for (let step = 0; shown.text && step < 3; step++) {
    const answer = await there.submit(shown.text, { login: account ?? user, decision: 'authorize' });
    const location = answer.headers.get('location');
    const isHome = new URL(location, there.base).origin === new URL(base).origin;
    shown = isHome ? { left: location } : await there.open(location);
  }
  await here.open(shown.left);
}

// ---- AI SDK 5, 6, 7: the real chat with the real transport, and state of our own ----------------

function chatOf(ai, id, body, headers) {
  class Chat extends ai.AbstractChat {
    constructor() {
      const state = {
        status: 'ready', error: undefined, messages: [],
        pushMessage: (message) => state.messages.push(message),
        popMessage: () => state.messages.pop(),
        replaceMessage: (at, message) => { state.messages[at] = message; },
        snapshot: (thing) => structuredClone(thing),
      };
      super({ id, state, transport: new ai.DefaultChatTransport({ api, headers, body }), onData: () => {} });
      this.state_ = state;
    }
  }
  const chat = new Chat();
  const settle = (call) => async (...given) => {
    await call.apply(chat, given);
    if (chat.state_.error) throw chat.state_.error;
    return chat.state_.messages.at(-1);
  };
  const interrupts = (message) => message.parts.filter((part) => part.type === 'data-behalf-interrupt');
  return {
    messages: () => chat.state_.messages,
    ask: settle((text) => chat.sendMessage({ text })),
    again: settle(() => chat.regenerate()),
    resume: settle(() => chat.resumeStream()),
    text: (message) => message.parts.filter((part) => part.type === 'text').map((part) => part.text).join(''),
    interrupt: (message) => interrupts(message).at(-1)?.data,
    interrupts: (message) => interrupts(message).length,
    output: (message) => message.parts.find((part) => part.type.startsWith('tool-') && part.state === 'output-available')?.output,
    tool: (message) => message.parts.find((part) => part.type.startsWith('tool-')),
  };
}

// ---- AI SDK 3.4 and 4: the function that `useChat` calls ---------------------------------------

function oldChatOf(utils, id, sendsParts, headers) {
  const messages = [];
  let data = [];
  async function call() {
    // 3.4 makes a message of each step, 4 and newer one of all.
    let made = [];
    const sent = messages.map(({ role, content, parts, toolInvocations }) => ({
      role, content, ...(sendsParts && parts && { parts }), ...(toolInvocations && { toolInvocations }),
    }));
    await utils.callChatApi({
      api, headers, body: { ...(id && { id }), messages: sent },
      streamProtocol: 'data', credentials: undefined, abortController: () => new AbortController(),
      restoreMessagesOnFailure: () => {}, onResponse: undefined,
      onUpdate: (...given) => {
        const update = given.length > 1 ? { messages: given[0], data: given[1] } : given[0];
        if (update.data) data = update.data;
        made = update.messages ?? (update.message ? [update.message] : made);
      },
      generateId: () => `m${Math.random()}`, fetch: globalThis.fetch,
      lastMessage: messages.at(-1), requestType: 'generic',
    });
    if (messages.at(-1).role === 'assistant') messages.pop();
    const whole = {
      role: 'assistant',
      content: made.map((message) => message.content).join(''),
      parts: made.flatMap((message) => message.parts ?? []),
      toolInvocations: made.flatMap((message) => message.toolInvocations ?? []),
    };
    messages.push(whole);
    return { ...whole, data };
  }
  const parts = (message) => (message.data ?? []).flat().filter((part) => part?.type === 'data-behalf-interrupt');
  return {
    messages: () => messages,
    ask: (text) => {
      data = [];
      messages.push({ role: 'user', content: text, parts: [{ type: 'text', text }] });
      return call();
    },
    again: () => {
      if (messages.at(-1).role === 'assistant') messages.pop();
      return call();
    },
    text: (message) => message.content,
    interrupt: (message) => parts(message).at(-1)?.data,
    interrupts: (message) => new Set(parts(message).map((part) => part.id)).size,
    output: (message) => message.toolInvocations?.find((call) => call.state === 'result')?.result,
    tool: (message) => message.toolInvocations?.[0],
  };
}

const modern = (name, sdk) => async () => {
  const ai = await import(name);
  return (id, given = headers) => chatOf(ai, id, sdk ? { sdk } : {}, given);
};
const old = (name, sendsParts, sendsId = true) => async () => {
  const utils = await import(name);
  // 3.4 gives its chats no id: what was asked first names them.
  return (id, given = headers) => oldChatOf(utils, sendsId ? id : null, sendsParts, given);
};
const CLIENTS = [
  ['ai@3.4.33', old('ui-utils3', false, false)],
  ['ai@4.0.0', old('ui-utils40', false)],
  ['ai@4.3.19', old('ui-utils4', true)],
  ['ai@5.0.0', modern('ai50')],
  ['ai@5.0.277', modern('ai5')],
  ['ai@6.0.0', modern('ai60')],
  ['ai@6.0.326', modern('ai6')],
  ['ai@6.0.326, told', modern('ai6', 6)],
  ['ai@7.0.173', modern('ai7')],
  ['ai@7.0.173, told', modern('ai7', 7)],
];

let isConnected = false;
for (const [name, load] of CLIENTS) {
  const show = checks(name);
  let open;
  try {
    open = await load();
  } catch (error) {
    console.log(`${name}: NOT RUN on Node ${process.version}: ${error.message}`);
    continue;
  }
  const chat = (what) => open(`${run}-${name}-${what}`);

  const talk = chat('text');
  const said = talk.text(await talk.ask(`${TEXT}, ${name} ${run}`));
  show.ok(said.includes('I am a script'), `a text arrives: ${said}`);

  const search = chat('search');
  let message = await search.ask(`${REPOSITORIES} (${name} ${run})`);
  if (!isConnected) {
    show.equal(search.interrupt(message).kind, 'connect_account', 'an account is needed');
    await connect(search.interrupt(message).connection.connectUrl);
    isConnected = true;
    message = await search.again();
  }
  show.equal(search.output(message)?.status, 'done', 'the tool ran');
  show.ok(search.text(message).includes('stars'), 'its output is told');
  show.equal((await search.again(), search.messages().length), 2, 'the same history again is one answer');

  const stranger = open(`${run}-${name}-stranger`, { authorization: 'Bearer nonsense' });
  await show.rejects(stranger.ask(TEXT), 'a refusal is a sentence', (error) => error.message === 'The access token is not valid.');

  for (const verdict of ['approve', 'deny']) {
    const write = chat(verdict);
    message = await write.ask(`${gist(name)} (${verdict} ${run})`);
    const part = write.interrupt(message);
    show.equal([part.kind, part.status], ['approval', 'pending'], 'an approval is asked for');
    show.equal(write.interrupts(message), 1, 'one part for one call');
    show.ok(!write.output(message), 'nothing is done before');
    if (write.resume) {
      // Another tab, which knows nothing but the thread's name.
      const tab = chat(verdict);
      show.equal(tab.interrupt(await tab.resume()).status, 'pending', 'another tab sees it wait');
    }
    await decide(part.approval.id, verdict);
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
