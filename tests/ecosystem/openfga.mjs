// @openfga/sdk, unmodified, method by method, each on a store of its own. A method that is new here
// gets an area below: a function, added to `AREAS`.
import { readFileSync } from 'node:fs';
import {
  CredentialsMethod,
  FgaApiAuthenticationError,
  FgaApiNotFoundError,
  FgaApiValidationError,
  OpenFgaClient,
} from '@openfga/sdk';
import { checks, startServer } from './server.mjs';

const MODEL = JSON.parse(readFileSync(new URL('model.json', import.meta.url)));
const KEY = 'ecosystem-key-0123456789';
const NO_SUCH = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const SCOPES = '["read:fga", "check:fga", "write:fga", "admin:fga"]';
const SETUP = (issuer) => `
clients:
  - {client_id: all, client_secret: all-secret, app_type: non_interactive, grant_types: [client_credentials]}
  - {client_id: checker, client_secret: checker-secret, app_type: non_interactive, grant_types: [client_credentials]}
client_grants:
  - {client_id: all, audience: "${issuer}fga/", scope: ${SCOPES}}
  - {client_id: checker, audience: "${issuer}fga/", scope: ["check:fga"]}
fga:
  api_keys:
    - {name: ci, key: "${KEY}", stores: ["*"], scopes: ${SCOPES}}
`;
const TUPLES = [
  { user: 'user:ann', relation: 'owner', object: 'doc:plan' },
  { user: 'user:bob', relation: 'member', object: 'group:eng' },
  { user: 'group:eng#member', relation: 'viewer', object: 'doc:plan' },
  { user: 'user:*', relation: 'viewer', object: 'doc:handbook' },
];
const AREAS = [
  stores, models, write, read, changes, assertions, check, batchCheck, listRelations, listObjects, listUsers, expand,
  errors, authentication, otherCalls,
];

const show = checks('@openfga/sdk');
const server = await startServer(SETUP);
try {
  for (const area of AREAS) await area();
  show.done();
} finally {
  await server.stop();
}

function client(storeId, credentials) {
  return new OpenFgaClient({ apiUrl: server.base, storeId, credentials });
}

function byKey(storeId, token = KEY) {
  return client(storeId, { method: CredentialsMethod.ApiToken, config: { token } });
}

// The SDK asks the token endpoint itself, by the issuer's address.
function byClient(storeId, clientId, clientSecret = `${clientId}-secret`) {
  const config = { apiTokenIssuer: server.base, apiAudience: `${server.issuer}fga/`, clientId, clientSecret };
  return client(storeId, { method: CredentialsMethod.ClientCredentials, config });
}

// A store with the model and these tuples.
async function storeOf(name, writes = []) {
  const { id } = await byKey().createStore({ name });
  const fga = byKey(id);
  await fga.writeAuthorizationModel(MODEL);
  if (writes.length > 0) await fga.write({ writes });
  return fga;
}

async function may(fga, user, relation, object, more = {}) {
  return (await fga.check({ user, relation, object, ...more })).allowed;
}

// Everything of a list that comes page by page.
async function all(ask, itemsOf) {
  const found = [];
  let continuationToken;
  do {
    const page = await ask(continuationToken);
    found.push(...itemsOf(page));
    continuationToken = page.continuation_token;
  } while (continuationToken);
  return found;
}

function hasCode(kind, code) {
  return (error) => error instanceof kind && error.apiErrorCode === code;
}

async function stores() {
  const made = [];
  for (const name of ['first', 'second', 'third']) made.push((await byKey().createStore({ name })).id);
  const listed = await all((continuationToken) => byKey().listStores({ pageSize: 2, continuationToken }), (page) => page.stores);
  show.ok(made.every((id) => listed.some((store) => store.id === id)), 'stores, page by page');
  const fga = byKey(made[1]);
  show.equal((await fga.getStore()).name, 'second', 'a store by its id');
  await fga.deleteStore();
  await show.rejects(fga.getStore(), 'a deleted store', hasCode(FgaApiNotFoundError, 'store_id_not_found'));
}

async function models() {
  const fga = await storeOf('models');
  const { authorization_model_id: second } = await fga.writeAuthorizationModel(MODEL);
  const { authorization_model: latest } = await fga.readLatestAuthorizationModel();
  show.equal(latest.id, second, 'the latest model is the one that came last');
  show.equal(latest.type_definitions.map((type) => type.type), ['user', 'group', 'doc'], 'its types');
  show.equal(latest.conditions.until.expression, 'now < end', 'its condition');
  const { authorization_models: listed } = await fga.readAuthorizationModels();
  show.equal([listed.length, listed[0].id], [2, second], 'every model, newest first');
  const first = await fga.readAuthorizationModel({ authorizationModelId: listed[1].id });
  show.equal(first.authorization_model.id, listed[1].id, 'a model by its id');
  await show.rejects(
    fga.readAuthorizationModel({ authorizationModelId: NO_SUCH }),
    'no such model',
    hasCode(FgaApiValidationError, 'authorization_model_not_found'),
  );
}

async function write() {
  const fga = await storeOf('write', TUPLES);
  const failed = hasCode(FgaApiValidationError, 'write_failed_due_to_invalid_input');
  await show.rejects(fga.write({ writes: [TUPLES[0]] }), 'a tuple that exists', failed);
  const owner = (user) => ({ user, relation: 'owner', object: 'doc:x' });
  await fga.write({ writes: [owner('user:eve')], deletes: [TUPLES[1]] });
  show.equal(await may(fga, 'user:bob', 'can_view', 'doc:plan'), false, 'a removed membership counts at once');
  show.equal(await may(fga, 'user:eve', 'can_view', 'doc:x'), true, 'so does what the same call wrote');
  const wrong = { user: 'user:pat', relation: 'no_such', object: 'doc:x' };
  await show.rejects(
    fga.write({ writes: [owner('user:pat'), wrong] }),
    'a relation that the model lacks',
    hasCode(FgaApiValidationError, 'validation_error'),
  );
  show.equal(await may(fga, 'user:pat', 'owner', 'doc:x'), false, 'all of a call or nothing');
  await fga.deleteTuples([owner('user:eve')]);
  show.equal(await may(fga, 'user:eve', 'owner', 'doc:x'), false, 'deleteTuples');
}

async function read() {
  const fga = await storeOf('read', TUPLES);
  const text = ({ user, relation, object }) => `${object}#${relation}@${user}`;
  const found = await all((continuationToken) => fga.read({}, { pageSize: 3, continuationToken }), (page) => page.tuples);
  show.equal(found.map(({ key }) => text(key)).sort(), TUPLES.map(text).sort(), 'every tuple, page by page');
  const { tuples } = await fga.read({ object: 'doc:plan', relation: 'viewer' });
  show.equal(tuples.map(({ key }) => key.user), ['group:eng#member'], 'the tuples of a relation');
}

async function check() {
  const fga = await storeOf('check', TUPLES);
  show.equal(await may(fga, 'user:ann', 'can_view', 'doc:plan'), true, 'an owner');
  show.equal(await may(fga, 'user:bob', 'can_view', 'doc:plan'), true, 'a member of a group that may view');
  show.equal(await may(fga, 'user:eve', 'can_view', 'doc:plan'), false, 'a stranger');
  show.equal(await may(fga, 'user:eve', 'can_view', 'doc:handbook'), true, 'what everybody may view');
  const contextualTuples = [{ user: 'user:eve', relation: 'viewer', object: 'doc:plan' }];
  show.equal(await may(fga, 'user:eve', 'can_view', 'doc:plan', { contextualTuples }), true, 'a contextual tuple');
  show.equal(await may(fga, 'user:eve', 'can_view', 'doc:plan'), false, 'which leaves no trace');
  const condition = { name: 'until', context: { end: '2030-01-01T00:00:00Z' } };
  await fga.writeTuples([{ user: 'user:tim', relation: 'viewer', object: 'doc:plan', condition }]);
  for (const [now, expected] of [['2029-12-31T23:59:59Z', true], ['2030-01-01T00:00:00Z', false]]) {
    show.equal(await may(fga, 'user:tim', 'can_view', 'doc:plan', { context: { now } }), expected, `a condition at ${now}`);
  }
}

async function batchCheck() {
  const fga = await storeOf('batch', TUPLES);
  const canView = (name, correlationId, relation = 'can_view') => ({ user: `user:${name}`, relation, object: 'doc:plan', correlationId });
  const { result } = await fga.batchCheck({
    checks: [...['ann', 'bob', 'eve'].map((name) => canView(name, name)), canView('ann', 'wrong', 'no_such')],
  });
  const answers = Object.fromEntries(result.map((one) => [one.correlationId, one]));
  show.equal(['ann', 'bob', 'eve'].map((name) => answers[name].allowed), [true, true, false], 'each has its answer');
  show.equal(answers.wrong.error.input_error, 'validation_error', 'one that is wrong spoils no other');
  const many = await fga.batchCheck({ checks: Array.from({ length: 120 }, (_, at) => canView('ann', `id-${at}`)) });
  show.equal([many.result.length, many.result.every((one) => one.allowed)], [120, true], "more than one request's worth");
  const oneByOne = await fga.clientBatchCheck(['ann', 'bob'].map((name) => ({ user: `user:${name}`, relation: 'owner', object: 'doc:plan' })));
  show.equal(oneByOne.result.map((one) => one.allowed), [true, false], 'one by one, in parallel');
}

async function listObjects() {
  const fga = await storeOf('objects', TUPLES);
  const of = async (user, more = {}) => (await fga.listObjects({ user, relation: 'can_view', type: 'doc', ...more })).objects.sort();
  show.equal(await of('user:bob'), ['doc:handbook', 'doc:plan'], 'what somebody may view');
  const contextualTuples = [{ user: 'user:eve', relation: 'viewer', object: 'doc:secret' }];
  show.equal(await of('user:eve', { contextualTuples }), ['doc:handbook', 'doc:secret'], 'with a contextual tuple');
}

async function changes() {
  const fga = await storeOf('changes', TUPLES);
  await fga.deleteTuples([TUPLES[0]]);
  const of = async (request, options) => (await fga.readChanges(request, options)).changes;
  const text = ({ tuple_key: { user }, operation }) => `${operation.replace('TUPLE_OPERATION_', '')} ${user}`;
  const page = await fga.readChanges({ type: 'doc' }, { pageSize: 3 });
  show.equal(page.changes.map(text), ['WRITE user:ann', 'WRITE group:eng#member', 'WRITE user:*'], 'changes of a type, in order');
  const next = await fga.readChanges({ type: 'doc' }, { continuationToken: page.continuation_token });
  show.equal(next.changes.map(text), ['DELETE user:ann'], 'behind the token');
  const again = await fga.readChanges({ type: 'doc' }, { continuationToken: next.continuation_token });
  show.equal([again.changes.length, again.continuation_token], [0, next.continuation_token], 'nothing new, the same token');
  show.equal((await of({ startTime: new Date(Date.now() - 60_000).toISOString() })).length, 5, 'since a minute ago');
  const mismatch = hasCode(FgaApiValidationError, 'query_string_type_continuation_token_mismatch');
  await show.rejects(of({ type: 'group' }, { continuationToken: page.continuation_token }), "another type's token", mismatch);
}

async function assertions() {
  const fga = await storeOf('assertions', TUPLES);
  const { authorization_model: { id: authorizationModelId } } = await fga.readLatestAuthorizationModel();
  const expected = { user: 'user:ann', relation: 'owner', object: 'doc:plan', expectation: true };
  await fga.writeAssertions([expected], { authorizationModelId });
  const { assertions: [read] } = await fga.readAssertions({ authorizationModelId });
  show.equal([read.tuple_key.user, read.expectation], ['user:ann', true], 'an assertion');
}

async function listRelations() {
  const fga = await storeOf('relations', TUPLES);
  const { relations } = await fga.listRelations({ user: 'user:bob', object: 'doc:plan', relations: ['owner', 'viewer', 'can_view'] });
  // The client batches the questions and puts the answers in an order of its own.
  show.equal([...relations].sort(), ['can_view', 'viewer'], 'what somebody is to a document');
}

async function listUsers() {
  const fga = await storeOf('users', TUPLES);
  const of = async (id, filter, more = {}) =>
    (await fga.listUsers({ object: { type: 'doc', id }, relation: 'can_view', user_filters: [filter], ...more })).users;
  const ids = (users) => users.map(({ object }) => object.id).sort();
  show.equal(ids(await of('plan', { type: 'user' })), ['ann', 'bob'], 'who may view a document');
  show.equal(await of('handbook', { type: 'user' }), [{ wildcard: { type: 'user' } }], 'everybody');
  const usersets = await of('plan', { type: 'group', relation: 'member' });
  show.equal(usersets.map(({ userset }) => `${userset.type}:${userset.id}#${userset.relation}`), ['group:eng#member'], 'groups');
  const contextualTuples = [{ user: 'user:eve', relation: 'viewer', object: 'doc:plan' }];
  show.equal(ids(await of('plan', { type: 'user' }, { contextualTuples })), ['ann', 'bob', 'eve'], 'with a contextual tuple');
}

async function expand() {
  const fga = await storeOf('expand', TUPLES);
  const { tree } = await fga.expand({ relation: 'owner', object: 'doc:plan' });
  show.equal([tree.root.name, tree.root.leaf.users.users], ['doc:plan#owner', ['user:ann']], 'a relation of tuples');
}

async function otherCalls() {
  const fga = await storeOf('other', TUPLES);
  await fga.checkValidApiConnection();
  const found = [];
  for await (const { object } of fga.streamedListObjects({ user: 'user:bob', relation: 'can_view', type: 'doc' })) found.push(object);
  show.equal(found.sort(), ['doc:handbook', 'doc:plan'], 'objects, as a stream');
  const conflict = { onDuplicateWrites: 'ignore', onMissingDeletes: 'ignore' };
  await fga.write({ writes: [TUPLES[0]] }, { conflict });
  await fga.write({ deletes: [{ user: 'user:eve', relation: 'owner', object: 'doc:plan' }] }, { conflict });
  show.ok(await may(fga, 'user:ann', 'owner', 'doc:plan'), 'duplicates and missing tuples are passed over when asked');
  const writes = Array.from({ length: 250 }, (_, at) => ({ user: `user:${at}`, relation: 'owner', object: 'doc:many' }));
  const answer = await fga.write({ writes }, { transaction: { disable: true, maxPerChunk: 100 } });
  show.ok(answer.writes.every((one) => one.status === 'success'), 'more than one request of writes');
}

async function errors() {
  const fga = await storeOf('errors', TUPLES);
  const empty = byKey((await byKey().createStore({ name: 'no model' })).id);
  const of = (fga) => may(fga, 'user:ann', 'owner', 'doc:plan');
  for (const [what, call, kind, code] of [
    ['an unknown relation', () => may(fga, 'user:ann', 'no_such', 'doc:plan'), FgaApiValidationError, 'validation_error'],
    ['an unknown type', () => may(fga, 'user:ann', 'owner', 'ship:1'), FgaApiValidationError, 'validation_error'],
    ['a user without a type', () => may(fga, 'ann', 'owner', 'doc:plan'), FgaApiValidationError, 'validation_error'],
    ['a tuple that is not there', () => fga.deleteTuples([{ ...TUPLES[0], user: 'user:eve' }]), FgaApiValidationError, 'write_failed_due_to_invalid_input'],
    ['a type that may not stand there', () => fga.writeTuples([{ ...TUPLES[0], user: 'group:eng' }]), FgaApiValidationError, 'validation_error'],
    ['a store without a model', () => of(empty), FgaApiValidationError, 'latest_authorization_model_not_found'],
    ['no such store', () => of(byKey(NO_SUCH)), FgaApiNotFoundError, 'store_id_not_found'],
  ]) {
    await show.rejects(call(), what, hasCode(kind, code));
  }
}

async function authentication() {
  const { storeId } = await storeOf('authentication', TUPLES);
  const of = (fga) => may(fga, 'user:ann', 'owner', 'doc:plan');
  await show.rejects(of(byKey(storeId, 'not-the-key')), 'a wrong key', (error) => error instanceof FgaApiAuthenticationError);
  show.equal(await of(byClient(storeId, 'all')), true, 'client credentials');
  const checker = byClient(storeId, 'checker');
  show.equal(await of(checker), true, 'with the scope to check');
  const tuple = { user: 'user:eve', relation: 'owner', object: 'doc:plan' };
  await show.rejects(checker.writeTuples([tuple]), 'but not to write', (error) => error.statusCode === 403);
  await show.rejects(checker.listStores(), 'nor to list stores', (error) => error.statusCode === 403);
  await show.rejects(of(byClient(storeId, 'all', 'not-the-secret')), 'a wrong secret', (error) => error instanceof FgaApiAuthenticationError);
}
