// openid-client, unmodified: discovery, code flow with PKCE, refresh with rotation, client
// credentials, userinfo, sign-out.
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
resource_servers:
  - {identifier: "https://gist-api.example/", name: Gists, scopes: ["create:gist"]}
client_grants:
  - {client_id: web, audience: "https://gist-api.example/", scope: ["create:gist"]}
`;

const show = checks('openid-client');
const server = await startServer(SETUP);
try {
  const discover = (id, secret, authentication) =>
    oidc.discovery(new URL(server.issuer), id, secret, authentication, { execute: [oidc.allowInsecureRequests] });
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
  show.done();
} finally {
  await server.stop();
}
