// Chat clients of every generation of the AI SDK, unmodified, behind one shape: `load` gives a
// function that opens the chat named `id` at `{ api, headers }`.

// ---- AI SDK 5, 6, 7: the real chat with the real transport, and state of our own ----------------

function chatOf(ai, { api, headers }, id, body) {
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

function oldChatOf(utils, { api, headers }, id, sendsParts) {
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
  return (server, id) => chatOf(ai, server, id, sdk ? { sdk } : {});
};
const old = (name, sendsParts, sendsId = true) => async () => {
  const utils = await import(name);
  // 3.4 gives its chats no id: what was asked first names them.
  return (server, id) => oldChatOf(utils, server, sendsId ? id : null, sendsParts);
};
// "told": it says which SDK it is, and gets what only that one knows.
export const CLIENTS = [
  { name: 'ai@3.4.33', load: old('ui-utils3', false, false) },
  { name: 'ai@4.0.0', load: old('ui-utils40', false) },
  { name: 'ai@4.3.19', load: old('ui-utils4', true) },
  { name: 'ai@5.0.0', load: modern('ai50') },
  { name: 'ai@5.0.277', load: modern('ai5') },
  { name: 'ai@6.0.0', load: modern('ai60') },
  { name: 'ai@6.0.326', load: modern('ai6') },
  { name: 'ai@6.0.326, told', load: modern('ai6', 6) },
  { name: 'ai@7.0.173', load: modern('ai7') },
  { name: 'ai@7.0.173, told', load: modern('ai7', 7) },
];
