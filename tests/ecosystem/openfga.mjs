// @openfga/sdk, unmodified, every method, each on a store of its own. A method that no area calls fails
// the run: it gets an area below, a function added to `AREAS`.
import { readFileSync } from 'node:fs';
import {
  CredentialsMethod,
  FgaApiAuthenticationError,
  FgaApiInternalError,
  FgaApiNotFoundError,
  FgaApiValidationError,
  OpenFgaApi,
  OpenFgaClient,
  parseNDJSONStream,
} from '@openfga/sdk';
import axios from 'axios';
import { exercised } from './methods.mjs';
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
  streams, conflicts, chunks, errors, authentication, retries, anyRequest, rawCalls,
];

const show = checks('@openfga/sdk');
const clientMethods = exercised(OpenFgaClient, {
  getStoreId: 'protected: every call of a store goes through it',
  getAuthorizationModelId: 'protected: every call with a model goes through it',
  singleBatchCheck: 'private: batchCheck goes through it',
});
const apiMethods = exercised(OpenFgaApi);
const server = await startServer(SETUP);
try {
  for (const area of AREAS) await area();
  clientMethods.report(show);
  apiMethods.report(show);
  show.done();
} finally {
  await server.stop();
}

function client(storeId, credentials, http) {
  return clientMethods.watch(new OpenFgaClient({ apiUrl: server.base, storeId, credentials }, http));
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
  const consistency = 'HIGHER_CONSISTENCY';
  show.equal((await fga.check({ ...TUPLES[0] }, { consistency })).allowed, true, 'with the highest consistency');
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
  // The client gives the answers in the order in which they come.
  const owners = oneByOne.result.filter((one) => one.allowed).map((one) => one._request.user);
  show.equal([oneByOne.result.length, owners], [2, ['user:ann']], 'one by one, in parallel');
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
  const future = of({ startTime: new Date(Date.now() + 60_000).toISOString() });
  await show.rejects(future, 'from a time to come on', hasCode(FgaApiValidationError, 'validation_error'));
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
  const contextualTuples = [{ user: 'user:eve', relation: 'owner', object: 'doc:plan' }];
  const more = await fga.expand({ relation: 'owner', object: 'doc:plan', contextualTuples });
  show.equal(more.tree.root.leaf.users.users.sort(), ['user:ann', 'user:eve'], 'with a contextual tuple');
}

async function streams() {
  const fga = await storeOf('streams', TUPLES);
  const of = async (request) => {
    const found = [];
    for await (const { object } of fga.streamedListObjects({ relation: 'can_view', type: 'doc', ...request })) found.push(object);
    return found.sort();
  };
  show.equal(await of({ user: 'user:bob' }), ['doc:handbook', 'doc:plan'], 'objects, as a stream');
  const contextualTuples = [{ user: 'user:eve', relation: 'viewer', object: 'doc:secret' }];
  show.equal(await of({ user: 'user:eve', contextualTuples }), ['doc:handbook', 'doc:secret'], 'with a contextual tuple');
  const error = (error) => error instanceof FgaApiValidationError && error.statusCode === 400;
  await show.rejects(of({ user: 'user:bob', type: 'ship' }), 'of an unknown type', error);
}

async function conflicts() {
  const fga = await storeOf('conflicts', TUPLES);
  const absent = { user: 'user:eve', relation: 'owner', object: 'doc:plan' };
  const failed = hasCode(FgaApiValidationError, 'write_failed_due_to_invalid_input');
  const asked = { conflict: { onDuplicateWrites: 'ignore', onMissingDeletes: 'ignore' } };
  const error = { conflict: { onDuplicateWrites: 'error', onMissingDeletes: 'error' } };
  await fga.write({ writes: [TUPLES[0]], deletes: [absent] }, asked);
  await fga.writeTuples([TUPLES[0], { ...TUPLES[0], user: 'user:new' }], asked);
  show.ok(await may(fga, 'user:new', 'owner', 'doc:plan'), 'a duplicate is passed over, its neighbour is written');
  await fga.deleteTuples([absent, { ...TUPLES[0], user: 'user:new' }], asked);
  show.equal(await may(fga, 'user:new', 'owner', 'doc:plan'), false, 'and so are missing ones');
  await show.rejects(fga.writeTuples([TUPLES[0]], error), 'a duplicate is an error when asked', failed);
  await show.rejects(fga.deleteTuples([absent], error), 'and so is a missing one', failed);
  const condition = { name: 'until', context: { end: '2030-01-01T00:00:00Z' } };
  const viewer = { user: 'user:tim', relation: 'viewer', object: 'doc:plan' };
  await fga.writeTuples([viewer]);
  const aborted = (error) => error.statusCode === 409;
  await show.rejects(fga.writeTuples([{ ...viewer, condition }], asked), 'the same tuple with a condition', aborted);
}

async function chunks() {
  const fga = await storeOf('chunks', TUPLES);
  const owner = (at) => ({ user: `user:${at}`, relation: 'owner', object: 'doc:many' });
  const writes = Array.from({ length: 250 }, (_, at) => owner(at));
  const states = (answers) => [...new Set(answers.map((one) => one.status))];
  const transaction = { disable: true, maxPerChunk: 100, maxParallelRequests: 3 };
  const answer = await fga.write({ writes }, { transaction });
  show.equal([answer.writes.length, ...states(answer.writes)], [250, 'success'], "more than one request's worth of writes");
  const both = await fga.write({ writes: [owner('new')], deletes: writes }, { transaction });
  show.equal([both.deletes.length, ...states(both.deletes)], [250, 'success'], 'and of deletes');
  show.equal((await fga.read({ object: 'doc:many' })).tuples.map(({ key }) => key.user), ['user:new'], 'what is left');
  const alone = { transaction: { disable: true, maxPerChunk: 1 } };
  const mixed = await fga.write({ writes: [owner('x'), { ...owner('y'), relation: 'no_such' }, owner('z')] }, alone);
  const shown = mixed.writes.map((one) => `${one.tuple_key.user} ${one.status}`).sort();
  show.equal(shown, ['user:x success', 'user:y failure', 'user:z success'], 'each chunk has its own answer');
  show.equal(mixed.writes.find((one) => one.err).err.apiErrorCode, 'validation_error', 'with its reason');
}

// A server that is not there yet says 503 and when to come again; the client does.
async function retries() {
  const { storeId } = await storeOf('retries', TUPLES);
  const writer = byKey(storeId);
  const revision = (await writer.read({})).$response.headers['behalf-revision'];
  const statuses = [];
  const http = axios.create();
  http.interceptors.response.use(
    (answer) => (statuses.push(answer.status), answer),
    async (error) => {
      statuses.push(error.response.status);
      if (statuses.length === 1) await writer.writeTuples([{ ...TUPLES[0], user: 'user:late' }]);
      throw error;
    },
  );
  const fga = client(storeId, { method: CredentialsMethod.ApiToken, config: { token: KEY } }, http);
  const options = { headers: { 'Behalf-Min-Revision': String(Number(revision) + 1) }, retryParams: { maxRetry: 3, minWaitInMs: 1 } };
  const { allowed } = await fga.check({ ...TUPLES[0], user: 'user:late' }, options);
  show.equal([allowed, ...statuses], [true, 503, 200], 'asked again after 503');
  statuses.length = 1;
  const once = { headers: { 'Behalf-Min-Revision': '99' }, retryParams: { maxRetry: 0, minWaitInMs: 1 } };
  await show.rejects(fga.check(TUPLES[0], once), 'or not', hasCode(FgaApiInternalError, 'unavailable'));
}

async function anyRequest() {
  const fga = await storeOf('any', TUPLES);
  await fga.checkValidApiConnection();
  const path = (name) => ({ method: 'POST', path: `/stores/{store_id}/${name}`, pathParams: { store_id: fga.storeId }, operationName: name });
  const body = { user: 'user:bob', relation: 'can_view', type: 'doc', ids: ['plan', 'handbook', 'secret'] };
  const filtered = await fga.executeApiRequest({ ...path('behalf/filter'), body });
  show.equal(filtered.allowed, ['plan', 'handbook'], 'a method that the package does not know');
  const get = { operationName: 'GetStore', method: 'GET', path: '/stores/{store_id}', pathParams: { store_id: fga.storeId } };
  show.equal((await fga.executeApiRequest(get)).name, 'any', 'a store by its path');
  const missing = fga.executeApiRequest(path('no-such-method'));
  await show.rejects(missing, 'a path that is none', hasCode(FgaApiNotFoundError, 'undefined_endpoint'));
  const stream = await fga.executeStreamedApiRequest({ ...path('streamed-list-objects'), body });
  show.equal(await streamed(stream), ['doc:handbook', 'doc:plan'], 'a stream by its path');
}

async function streamed(answer) {
  const found = [];
  for await (const { result } of parseNDJSONStream(answer?.$response?.data ?? answer)) found.push(result.object);
  return found.sort();
}

// The methods below the client: one for each of the API's.
async function rawCalls() {
  const api = apiMethods.watch(byKey().api);
  const { id } = await api.createStore({ name: 'raw calls' });
  show.equal((await api.getStore(id)).name, 'raw calls', 'a store');
  show.equal((await api.listStores(1, '', 'raw calls')).stores.map((store) => store.id), [id], 'by its name');
  const { authorization_model_id: model } = await api.writeAuthorizationModel(id, MODEL);
  show.equal((await api.readAuthorizationModel(id, model)).authorization_model.schema_version, '1.1', 'a model');
  show.equal((await api.readAuthorizationModels(id, 1)).authorization_models.map((one) => one.id), [model], 'models');
  const started = new Date(Date.now() - 60_000).toISOString();
  await api.write(id, { writes: { tuple_keys: TUPLES }, authorization_model_id: model });
  show.equal((await api.read(id, { tuple_key: { object: 'doc:plan', relation: 'owner' } })).tuples.length, 1, 'tuples');
  const changes = await api.readChanges(id, 'group', 10, '', started);
  show.equal(changes.changes.map(({ tuple_key: key }) => key.object), ['group:eng'], 'changes of a type since a minute ago');
  const tuple_key = { user: 'user:bob', relation: 'can_view', object: 'doc:plan' };
  show.equal(await api.check(id, { tuple_key, consistency: 'HIGHER_CONSISTENCY' }).then((answer) => answer.allowed), true, 'a check');
  const batch = await api.batchCheck(id, { checks: [{ tuple_key, correlation_id: 'one' }] });
  show.equal(batch.result.one.allowed, true, 'a batch');
  const expanded = await api.expand(id, { tuple_key: { relation: 'can_view', object: 'doc:plan' } });
  show.equal(expanded.tree.root.union.nodes.map((node) => node.leaf.computed.userset), ['doc:plan#owner', 'doc:plan#viewer'], 'a union');
  const list = { user: 'user:bob', relation: 'can_view', type: 'doc' };
  show.equal((await api.listObjects(id, list)).objects.sort(), ['doc:handbook', 'doc:plan'], 'objects');
  show.equal(await streamed(await api.streamedListObjects(id, list)), ['doc:handbook', 'doc:plan'], 'and as a stream');
  const { users } = await api.listUsers(id, { object: { type: 'doc', id: 'plan' }, relation: 'owner', user_filters: [{ type: 'user' }] });
  show.equal(users.map(({ object }) => `${object.type}:${object.id}`), ['user:ann'], 'users');
  await api.writeAssertions(id, model, { assertions: [{ tuple_key, expectation: true }] });
  show.equal((await api.readAssertions(id, model)).assertions.map((one) => one.tuple_key.user), ['user:bob'], 'assertions');
  const request = { operationName: 'Read', method: 'POST', path: `/stores/${id}/read`, body: {} };
  show.equal((await api.executeApiRequest(request)).tuples.length, TUPLES.length, 'any request');
  const stream = { operationName: 'Stream', method: 'POST', path: `/stores/${id}/streamed-list-objects`, body: list };
  show.equal((await streamed(await api.executeStreamedApiRequest(stream))).length, 2, 'any stream');
  await api.deleteStore(id);
  await show.rejects(api.getStore(id), 'a deleted store', hasCode(FgaApiNotFoundError, 'store_id_not_found'));
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
