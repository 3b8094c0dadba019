// The chat page: sends without leaving, shows the answer as it comes, and swaps in what the server
// renders whenever something other than text happens. Text of the model only ever becomes a text
// node. Without this file the page works by forms and links.

const chat = document.querySelector("[data-chat]");
const turns = document.querySelector("#turns");
const composer = document.querySelector("[data-composer]");
const announce = document.querySelector("[data-announce]");
const field = composer.elements.namedItem("text");
let thread = chat.dataset.thread;
let following = null;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const pageOf = (id) => `/console/chat?id=${encodeURIComponent(id)}`;
const element = (name, className, text) => {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

// Reads a stream of server-sent events and gives each event's JSON.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const frames = rest.split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      if (!frame.startsWith("data: ") || frame === "data: [DONE]") continue;
      yield JSON.parse(frame.slice(6));
    }
  }
}

const isAtEnd = () => window.innerHeight + window.scrollY >= document.body.scrollHeight - 80;
const toEnd = () => window.scrollTo({ top: document.body.scrollHeight });

// Shows the thread as the server renders it now. A part that is the same stays, with its focus.
let refreshing = Promise.resolve();
const refresh = () => (refreshing = refreshing.then(swap, swap));
async function swap() {
  const response = await fetch(pageOf(thread), { headers: { accept: "text/html" } });
  if (!response.ok || response.redirected) return window.location.reload();
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const stays = isAtEnd();
  const fresh = page.querySelector("#turns");
  turns.querySelectorAll("[data-empty], [data-draft]").forEach((part) => part.remove());
  for (const turn of [...fresh.querySelectorAll(".turn")]) {
    const known = document.getElementById(turn.id);
    const made = document.importNode(turn, true);
    if (!known) turns.append(made);
    else if (!known.isEqualNode(made)) {
      const open = [...known.querySelectorAll("details")].map((details) => details.open);
      made.querySelectorAll("details").forEach((details, place) => (details.open = !!open[place]));
      known.replaceWith(made);
    }
  }
  const threads = page.querySelector("#threads");
  document.querySelector("#threads").replaceWith(document.importNode(threads, true));
  const title = page.querySelector(".page-head h1").textContent;
  document.querySelector(".page-head h1").textContent = title;
  document.title = page.title;
  composer.elements.namedItem("message_id").value =
    page.querySelector("[data-composer] [name=message_id]").value;
  const cards = turns.querySelectorAll(".turn:last-child [data-say]");
  const last = cards[cards.length - 1];
  if (last && announce.textContent !== last.dataset.say) announce.textContent = last.dataset.say;
  if (stays) toEnd();
}

// Follows one stream to its end. Text is added as it comes.
async function show(response) {
  let texts = new Map();
  for await (const event of events(response)) {
    const stays = isAtEnd();
    switch (event.type) {
      case "text-start": {
        const answer = turns.querySelector(".turn:last-child .answer");
        const prose = element("div", "prose streaming", "");
        answer?.querySelector("[data-working]")?.before(prose) ?? answer?.append(prose);
        texts.set(event.id, prose);
        break;
      }
      case "text-delta":
        texts.get(event.id)?.append(event.delta);
        break;
      case "text-end":
        announce.textContent = texts.get(event.id)?.textContent ?? "";
        break;
      case "tool-input-available":
      case "tool-output-available":
      case "tool-output-error":
      case "tool-output-denied":
      case "data-behalf-interrupt":
        await refresh();
        texts = new Map();
        break;
      case "error":
        announce.textContent = event.errorText;
        break;
    }
    if (stays) toEnd();
  }
  await refresh();
}

// Follows whatever runs or waits in the thread, for as long as it does.
async function follow() {
  if (following) return following;
  following = (async () => {
    for (let failures = 0; failures < 5; ) {
      try {
        const path = `/api/chat/${encodeURIComponent(thread)}/stream`;
        const response = await fetch(path);
        if (response.status === 204) break;
        if (response.status === 401) return window.location.reload();
        if (!response.ok) throw new Error(await response.text());
        failures = 0;
        await watch(response);
      } catch {
        failures += 1;
        await pause(1000 * failures);
      }
    }
    await refresh();
  })();
  await following;
  following = null;
}

// A stream that begins with what is shown already: only what is new in it leads to a swap.
async function watch(response) {
  let seen = 0;
  let timer = null;
  for await (const _event of events(response)) {
    seen += 1;
    clearTimeout(timer);
    timer = setTimeout(refresh, seen > 1 ? 120 : 0);
  }
  clearTimeout(timer);
  await refresh();
}

async function send(text, messageId) {
  turns.querySelector("[data-empty]")?.remove();
  const draft = element("section", "turn");
  draft.dataset.draft = "";
  const asked = element("div", "asked");
  asked.append(element("p", "who-line", "You"), element("p", "asked-text", text));
  const answer = element("div", "answer");
  const working = element("p", "working", "Working");
  working.dataset.working = "";
  working.prepend(element("span", "dot"));
  answer.append(element("p", "who-line", "Agent"), working);
  draft.append(asked, answer);
  turns.append(draft);
  toEnd();
  history.replaceState(null, "", pageOf(thread));
  const message = { id: messageId, role: "user", parts: [{ type: "text", text }] };
  const body = JSON.stringify({ id: thread, trigger: "submit-message", messages: [message] });
  try {
    const headers = { "content-type": "application/json" };
    const response = await fetch("/api/chat", { method: "POST", headers, body });
    if (response.status === 401) return window.location.reload();
    if (!response.ok) throw new Error(await response.text());
    await show(response);
    await follow();
  } catch (error) {
    working.remove();
    const notice = element("div", "notice danger");
    notice.append(element("p", "", error.message || "The answer did not arrive. Reload the page."));
    answer.append(notice);
    announce.textContent = error.message;
  }
}

async function submit(form, event) {
  event.preventDefault();
  const data = new FormData(form);
  const text = data.get("text").trim();
  if (!text) return;
  if (form === composer) {
    field.value = "";
    field.focus();
  }
  await send(text, data.get("message_id"));
}

composer.addEventListener("submit", (event) => submit(composer, event));
document.querySelectorAll(".suggestions form").forEach((form) => {
  form.addEventListener("submit", (event) => submit(form, event));
});
field.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    composer.requestSubmit();
  }
});
// Another tab may have gone on with this thread.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") refresh().then(follow);
});
if (turns.querySelector('[data-standing="running"], [data-standing="waiting"]')) follow();
if (turns.querySelector(".turn")) toEnd();
