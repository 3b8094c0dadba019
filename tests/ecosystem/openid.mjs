// openid-client, unmodified: discovery, code flow with PKCE, refresh with rotation, client
// credentials, userinfo, sign-out; then CIBA by polling, decided by an approver's own client.
import * as oidc from 'openid-client';
import { Person } from './person.mjs';
import { checks, startServer } from './server.mjs';

const CALLBACK = 'http://localhost:3999/callback';
const SETUP = (issuer) => `
users:
  - {user_id: "auth0|owner", email: owner@example.com, email_verified: true, password: owner-password-1, name: Olive Owner}
clients:
  - client_id: web
    client_secret: web-secret
    name: Web
    callbacks: ["${CALLBACK}"]
    allowed_logout_urls: ["http://localhost:3999/bye"]
    grant_types: [authorization_code, refresh_token, client_credentials]
  - {client_id: spa, name: Page, app_type: spa, callbacks: ["${CALLBACK}"], grant_types: [authorization_code, refresh_token]}
  - {client_id: asker, client_secret: asker-secret, name: Asker, app_type: agent, grant_types: ["urn:openid:params:grant-type:ciba"]}
  - {client_id: phone, client_secret: phone-secret, name: Phone, approver: true, callbacks: [], grant_types: [password]}
resource_servers:
  - {identifier: "https://gist-api.example/", name: Gists, scopes: ["create:gist"]}
client_grants:
  - {client_id: web, audience: "https://gist-api.example/", scope: ["create:gist"]}
`;

const show = checks('openid-client');
const server = await startServer(SETUP);
const discover = (id, secret, authentication) =>
  oidc.discovery(new URL(server.issuer), id, secret, authentication, { execute: [oidc.allowInsecureRequests] });
try {
  await signInAndOut();
  await askInTheBackground();
  show.done();
} finally {
  await server.stop();
}

async function signInAndOut() {
  const signIn = async (config, parameters = {}) => {
    const verifier = oidc.randomPKCECodeVerifier();
    const [state, nonce] = [oidc.randomState(), oidc.randomNonce()];
    const url = oidc.buildAuthorizationUrl(config, {
      redirect_uri: CALLBACK,
      scope: 'openid profile email offline_access',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
      ...parameters,
    });
    const { left } = await new Person(server.base, 'owner@example.com', 'owner-password-1').open(url);
    const grant = () =>
      oidc.authorizationCodeGrant(config, new URL(left), { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce });
    return { tokens: await grant(), again: grant };
  };

  const post = await discover('web', 'web-secret', oidc.ClientSecretPost('web-secret'));
  const { tokens, again } = await signIn(post, { audience: 'https://gist-api.example/' });
  const claims = tokens.claims();
  show.equal([claims.sub, claims.email, claims.email_verified, claims.iss], ['auth0|owner', 'owner@example.com', true, server.issuer], 'the ID token');
  show.ok(claims.sid, 'the ID token names the session');
  await show.rejects(again(), 'a code used twice', (e) => e.error === 'invalid_grant');

  const { tokens: fresh } = await signIn(post);
  const person = await oidc.fetchUserInfo(post, fresh.access_token, 'auth0|owner');
  show.equal(person.name, 'Olive Owner', 'userinfo');
  const rotated = await oidc.refreshTokenGrant(post, fresh.refresh_token);
  show.ok(rotated.refresh_token && rotated.refresh_token !== fresh.refresh_token, 'a refresh rotates');
  const other = await oidc.refreshTokenGrant(post, rotated.refresh_token, { audience: `${server.issuer}me/`, scope: 'openid read:me:approvals' });
  show.ok(other.scope.includes('read:me:approvals'), 'a refresh for another audience');

  const basic = await discover('web', 'web-secret', oidc.ClientSecretBasic('web-secret'));
  const machine = await oidc.clientCredentialsGrant(basic, { audience: 'https://gist-api.example/' });
  show.equal([machine.token_type, machine.scope], ['bearer', 'create:gist'], 'client credentials by Basic');
  const wrong = await discover('web', 'wrong', oidc.ClientSecretPost('wrong'));
  await show.rejects(oidc.clientCredentialsGrant(wrong, { audience: 'https://gist-api.example/' }), 'a wrong secret', (e) => e.error === 'invalid_client');

  const page = await discover('spa', undefined, oidc.None());
  const { tokens: public_ } = await signIn(page);
  show.equal(public_.claims().aud, 'spa', 'a public client with PKCE');

  await oidc.tokenRevocation(post, rotated.refresh_token);
  const bye = oidc.buildEndSessionUrl(post, { id_token_hint: fresh.id_token, post_logout_redirect_uri: 'http://localhost:3999/bye' });
  show.ok(bye.href.startsWith(`${server.base}/oidc/logout?`), 'the sign-out address');
}

// What an agent asks for, its user allows or refuses on another device; here all at the same time,
// because the client waits the five seconds that the server names before it polls.
async function askInTheBackground() {
  const asker = await discover('asker', 'asker-secret', oidc.ClientSecretPost('asker-secret'));
  const phone = await discover('phone', 'phone-secret', oidc.ClientSecretBasic('phone-secret'));
  const { access_token: approver } = await oidc.genericGrantRequest(phone, 'password', {
    username: 'owner@example.com',
    password: 'owner-password-1',
    audience: `${server.issuer}me/`,
    scope: 'openid read:me:approvals update:me:approvals',
  });
  const me = async (method, path) => {
    const answer = await oidc.fetchProtectedResource(phone, approver, new URL(`${server.issuer}me/v1/approvals${path}`), method);
    show.equal(answer.status, 200, `${method} ${path}`);
    return answer.json();
  };
  const ask = (message, parameters = {}) =>
    oidc.initiateBackchannelAuthentication(asker, {
      scope: 'openid create:gist',
      audience: 'https://gist-api.example/',
      login_hint: JSON.stringify({ format: 'iss_sub', iss: server.issuer, sub: 'auth0|owner' }),
      binding_message: message,
      ...parameters,
    });

  const asked = await ask('Publish "A & B"?', { authorization_details: '[{"type":"gist","title":"A & B"}]' });
  show.equal([asked.expires_in, asked.interval], [300, 5], 'how long it lives, how often to ask');
  const refused = await ask('Publish everything?');
  const missed = await ask('Publish now?', { requested_expiry: '1' });
  const poll = (request) =>
    oidc.pollBackchannelAuthenticationGrant(asker, request, undefined, { signal: AbortSignal.timeout(30_000) }).catch((error) => error);
  const polls = Promise.all([asked, refused, missed].map(poll));

  const { approvals } = await me('GET', '?status=pending');
  const idOf = (message) => approvals.find((approval) => approval.binding_message === message).id;
  const shown = await me('GET', `/${idOf('Publish "A & B"?')}`);
  show.equal([shown.source, shown.client.client_id, shown.authorization_details[0].title], ['ciba', 'asker', 'A & B'], 'what the person is shown');
  await me('POST', `/${shown.id}/approve`);
  await me('POST', `/${idOf('Publish everything?')}/deny`);

  const [tokens, denied, expired] = await polls;
  show.equal([tokens.scope, tokens.claims?.().sub], ['openid create:gist', 'auth0|owner'], 'an approved request gives tokens');
  const again = oidc.genericGrantRequest(asker, 'urn:openid:params:grant-type:ciba', { auth_req_id: asked.auth_req_id });
  await show.rejects(again, 'an approval used twice', (e) => e.error === 'invalid_grant');
  show.equal(denied.error, 'access_denied', 'a denied request');
  show.equal(expired.error, 'expired_token', 'an expired request');
}
