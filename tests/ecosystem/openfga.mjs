// @openfga/sdk, unmodified: stores, models, tuples, check, batchCheck, read; by preshared key and by
// client credentials.
import { CredentialsMethod, FgaApiAuthenticationError, FgaApiValidationError, FgaApiError, OpenFgaClient } from '@openfga/sdk';
import { checks, startServer } from './server.mjs';

const KEY = 'ecosystem-key-0123456789';
const STORE = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const SETUP = (issuer) => `
clients:
  - {client_id: fga, client_secret: fga-secret, name: FGA, app_type: non_interactive, grant_types: [client_credentials]}
client_grants:
  - {client_id: fga, audience: "${issuer}fga/", scope: ["check:fga"]}
fga:
  api_keys:
    - {name: ci, key: "${KEY}", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga", "admin:fga"]}
  stores:
    - id: ${STORE}
      name: documents
      model: |
        model
          schema 1.1
        type user
        type group
          relations
            define member: [user]
        type doc
          relations
            define owner: [user]
            define viewer: [user, user:*, group#member]
            define can_view: owner or viewer
      tuples:
        - {user: "user:ann", relation: owner, object: "doc:plan"}
`;

const show = checks('@openfga/sdk');
const server = await startServer(SETUP);
try {
  const byKey = (options = {}) =>
    new OpenFgaClient({ apiUrl: server.base, storeId: STORE, credentials: { method: CredentialsMethod.ApiToken, config: { token: KEY } }, ...options });
  const fga = byKey();
  const { authorization_model: model } = await fga.readLatestAuthorizationModel();
  show.equal(model.type_definitions.map((type) => type.type), ['user', 'group', 'doc'], 'the model of the set-up file');

  await fga.write({
    writes: [
      { user: 'user:bob', relation: 'member', object: 'group:eng' },
      { user: 'group:eng#member', relation: 'viewer', object: 'doc:plan' },
    ],
  });
  const check = async (user, relation, object, more = {}) => (await fga.check({ user, relation, object, ...more })).allowed;
  show.equal(await check('user:ann', 'can_view', 'doc:plan'), true, 'an owner');
  show.equal(await check('user:bob', 'can_view', 'doc:plan'), true, 'a member of a group that may view');
  show.equal(await check('user:eve', 'can_view', 'doc:plan'), false, 'a stranger');
  const contextualTuples = [{ user: 'user:eve', relation: 'viewer', object: 'doc:plan' }];
  show.equal(await check('user:eve', 'can_view', 'doc:plan', { contextualTuples }), true, 'a contextual tuple');
  show.equal(await check('user:eve', 'can_view', 'doc:plan'), false, 'which leaves no trace');

  const { result } = await fga.batchCheck({
    checks: ['ann', 'bob', 'eve'].map((name) => ({ user: `user:${name}`, relation: 'can_view', object: 'doc:plan', correlationId: name })),
  });
  const answers = Object.fromEntries(result.map((one) => [one.correlationId, one.allowed]));
  show.equal([answers.ann, answers.bob, answers.eve], [true, true, false], 'batchCheck');

  const tuples = [];
  let continuationToken = '';
  do {
    const page = await fga.read({}, { pageSize: 2, continuationToken });
    tuples.push(...page.tuples.map(({ key }) => `${key.object}#${key.relation}@${key.user}`));
    continuationToken = page.continuation_token;
  } while (continuationToken);
  show.equal(tuples.sort(), ['doc:plan#owner@user:ann', 'doc:plan#viewer@group:eng#member', 'group:eng#member@user:bob'], 'read, page by page');

  await fga.deleteTuples([{ user: 'user:bob', relation: 'member', object: 'group:eng' }]);
  show.equal(await check('user:bob', 'can_view', 'doc:plan'), false, 'a removed membership counts at once');

  await show.rejects(check('user:ann', 'no_such', 'doc:plan'), 'an unknown relation', (e) => e instanceof FgaApiValidationError && e.apiErrorCode === 'validation_error');
  await show.rejects(
    fga.write({ writes: [{ user: 'user:ann', relation: 'owner', object: 'doc:plan' }] }),
    'a tuple that exists',
    (e) => e instanceof FgaApiValidationError && e.apiErrorCode === 'write_failed_due_to_invalid_input',
  );
  const wrong = byKey({ credentials: { method: CredentialsMethod.ApiToken, config: { token: 'not-the-key' } } });
  await show.rejects(wrong.check({ user: 'user:ann', relation: 'owner', object: 'doc:plan' }), 'a wrong key', (e) => e instanceof FgaApiAuthenticationError);

  // The SDK asks the token endpoint itself, by the issuer's address.
  const byClient = byKey({
    credentials: {
      method: CredentialsMethod.ClientCredentials,
      config: { apiTokenIssuer: server.base, apiAudience: `${server.issuer}fga/`, clientId: 'fga', clientSecret: 'fga-secret' },
    },
  });
  show.equal((await byClient.check({ user: 'user:ann', relation: 'owner', object: 'doc:plan' })).allowed, true, 'client credentials');
  await show.rejects(byClient.write({ writes: [{ user: 'user:eve', relation: 'owner', object: 'doc:plan' }] }), 'a scope that was not granted', (e) => e.statusCode === 403);

  const created = await fga.createStore({ name: 'second' });
  const second = byKey({ storeId: created.id });
  await second.writeAuthorizationModel({ schema_version: '1.1', type_definitions: [{ type: 'user', relations: {} }, { type: 'doc', relations: { viewer: { this: {} } }, metadata: { relations: { viewer: { directly_related_user_types: [{ type: 'user' }] } } } }] });
  await second.write({ writes: [{ user: 'user:ann', relation: 'viewer', object: 'doc:1' }] });
  show.equal((await second.check({ user: 'user:ann', relation: 'viewer', object: 'doc:1' })).allowed, true, 'a store made by the client');
  show.ok((await fga.listStores()).stores.some((store) => store.id === created.id), 'which is listed');
  await second.deleteStore();
  await show.rejects(second.check({ user: 'user:ann', relation: 'viewer', object: 'doc:1' }), 'a deleted store', (e) => e instanceof FgaApiError);
  show.done();
} finally {
  await server.stop();
}
