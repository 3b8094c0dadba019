// A person's browser without script: keeps cookies, fills in forms, follows redirects on the server.

const unescape = (text) => text.replaceAll('&#34;', '"').replaceAll('&#39;', "'").replaceAll('&#60;', '<').replaceAll('&#62;', '>').replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&#38;', '&').replaceAll('&amp;', '&');
const attribute = (tag, name) => {
  const found = tag.match(new RegExp(`\\s${name}="([^"]*)"`));
  return found ? unescape(found[1]) : null;
};

export class Person {
  constructor(base, name, password) {
    Object.assign(this, { base, name, password, cookies: new Map() });
  }

  async request(url, init = {}) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(new URL(url, this.base), { redirect: 'manual', ...init, headers: { ...init.headers, ...(cookie && { cookie }) } });
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(';');
      const at = pair.indexOf('=');
      this.cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return answer;
  }

  // Opens an address, signing in where it is asked for; the page, or the address it leaves to.
  async open(url, init) {
    let answer = await this.request(url, init);
    for (let hops = 0; hops < 10; hops++) {
      const location = answer.headers.get('location');
      if (location) {
        const next = new URL(location, this.base);
        if (next.origin !== new URL(this.base).origin) return { left: next.href };
        answer = await this.request(next);
        continue;
      }
      const text = await answer.text();
      if (!text.includes('id="password"')) return { status: answer.status, text };
      answer = await this.submit(text, { username: this.name, password: this.password });
    }
    throw new Error(`too many redirects from ${url}`);
  }

  // Sends the form of `page` that has a field or button named or worded as `fields` needs.
  async submit(page, fields = {}, pick = () => true) {
    const form = page.match(/<form[\s\S]*?<\/form>/g).find(pick);
    const body = new URLSearchParams();
    for (const input of form.match(/<input[^>]*>/g) ?? []) {
      if (attribute(input, 'type') === 'hidden') body.set(attribute(input, 'name'), attribute(input, 'value') ?? '');
    }
    for (const [name, value] of Object.entries(fields)) body.set(name, value);
    const action = attribute(form.match(/<form[^>]*>/)[0], 'action');
    return this.request(action, { method: 'POST', body, headers: { origin: new URL(this.base).origin } });
  }
}
