// What connectors send, judged by the libraries of those whom they talk to.
//
//   node connectors.mjs        in a folder that holds its packages
//
// Prints one line of JSON when it listens, and ends when its standard input does.
//
//   POST /sqs/ACCESS/SECRET/TOKEN   a request to queues: the signature is made
//                        anew by @smithy/signature-v4, then fauxqs has it
//   POST /sb/KEYNAME/KEY/...        a message: its token is made anew by
//                        @azure/core-amqp (names and keys in base64url)
//   POST /api            a call that needs a token of oauth2-mock-server, whose
//                        signature jose verifies
//   GET  /said           what was counted; POST /revoke: no token holds any more;
//   POST /life/N         how many seconds new tokens say that they live
//   POST /keep/N         the next requests that take messages away fail
import http from 'node:http';
import {createRequire} from 'node:module';
import {SignatureV4} from '@smithy/signature-v4';
import {Sha256} from '@aws-crypto/sha256-js';
import {OAuth2Server, Events} from 'oauth2-mock-server';
import {startFauxqs} from 'fauxqs';
import * as jose from 'jose';

const {createSasTokenProvider} = createRequire(import.meta.url)('@azure/core-amqp');
const said = {sqs: 0, sqs_differ: 0, sb: 0, sb_differ: 0, tokens: 0, refused_clients: 0, api: 0, api_refused: 0, kept: 0, examples: []};
const client = ['uaef client', 'a/b:é'];
// RFC 6749, 2.3.1: each is encoded as in a form.
const credentials = header => Buffer.from((header ?? '').replace(/^Basic /, ''), 'base64').toString().split(':')
	.map(part => decodeURIComponent(part.replaceAll('+', ' ')));
const plain = part => Buffer.from(part, 'base64url').toString();
let life = 3600;
let keep = 0;         // requests to take messages away that fail
let revoked = 0;      // tokens that were given before do not hold
const given = new Map();

const queues = await startFauxqs({port: 0, host: '127.0.0.1', logger: false});
const oauth = new OAuth2Server();
await oauth.issuer.keys.generate('RS256');
await oauth.start(0, '127.0.0.1');
const keys = jose.createLocalJWKSet({keys: oauth.issuer.keys.toJSON()});
oauth.service.on(Events.BeforeResponse, (answer, request) => {
	if (JSON.stringify(credentials(request.headers.authorization)) !== JSON.stringify(client)) {
		said.refused_clients++;
		answer.statusCode = 401;
		answer.body = {error: 'invalid_client', error_description: 'not ' + request.headers.authorization};
		return;
	}
	said.tokens++;
	answer.body.expires_in = life;
	given.set(answer.body.access_token, said.tokens);
});

function differ(what, ours, theirs) {
	said[what + '_differ']++;
	if (said.examples.length < 5) said.examples.push([what, ours, theirs]);
	return {status: 403, body: '{"__type":"com.amazonaws.sqs#SignatureDoesNotMatch"}'};
}

// The signature over the headers that the request says are signed.
async function sqs(request, body, [accessKeyId, secretAccessKey, sessionToken]) {
	const ours = request.headers.authorization ?? '';
	const [, region, names] = /\/(\S+?)\/sqs\/aws4_request, SignedHeaders=(\S+?),/.exec(ours.replace(/Credential=[^/]+\/\d{8}/, '')) ?? [];
	const stamp = request.headers['x-amz-date'] ?? '';
	const signer = new SignatureV4({service: 'sqs', region: region ?? '', sha256: Sha256, applyChecksum: false,
		credentials: {accessKeyId, secretAccessKey, ...(sessionToken ? {sessionToken} : {})}});
	const signed = await signer.sign({method: request.method, protocol: 'http:', hostname: '127.0.0.1', path: '/', query: {}, body,
		headers: Object.fromEntries((names ?? '').split(';').map(name => [name, request.headers[name]]))},
		{signableHeaders: new Set((names ?? '').split(';')), signingDate: new Date(stamp.replace(/(....)(..)(..)T(..)(..)(..)Z/, '$1-$2-$3T$4:$5:$6Z'))});

	said.sqs++;
	if (signed.headers.authorization !== ours || !/host.*x-amz-date.*x-amz-target/.test(names))
		return differ('sqs', ours, signed.headers.authorization);
	if (keep > 0 && /DeleteMessage/.test(request.headers['x-amz-target'])) {
		keep--;
		said.kept++;
		return {status: 500, body: '{"__type":"com.amazonaws.sqs#InternalFailure"}'};
	}
	const answer = await fetch(`http://127.0.0.1:${queues.port}/`, {method: 'POST', body,
		headers: {'content-type': request.headers['content-type'], 'x-amz-target': request.headers['x-amz-target'], authorization: ours}});
	return {status: answer.status, body: await answer.text(), type: 'application/x-amz-json-1.0'};
}

// The library's token of the same second as ours.
async function servicebus(request, [sharedAccessKeyName, sharedAccessKey]) {
	const ours = request.headers.authorization ?? '';
	const [, resource, expires] = /sr=([^&]*).*&se=(\d+)/.exec(ours) ?? [];
	const now = Date.now;

	Date.now = () => (Number(expires ?? 0) - 3600) * 1000;
	const theirs = createSasTokenProvider({sharedAccessKeyName, sharedAccessKey}).getToken(decodeURIComponent(resource ?? ''));
	Date.now = now;
	const {token} = await theirs;
	const parts = text => text.replace('SharedAccessSignature ', '').split('&').sort().join('&');
	said.sb++;
	if (parts(token) !== parts(ours) || Number(expires) < now() / 1000) return differ('sb', ours, token);
	return {status: 201, body: ''};
}

async function api(request) {
	const token = (request.headers.authorization ?? '').replace(/^Bearer /, '');

	try {
		await jose.jwtVerify(token, keys, {issuer: oauth.issuer.url});
		if (given.get(token) > revoked) {
			said.api++;
			return {status: 200, body: '{"ok":true}'};
		}
	} catch (error) { /* it says no by throwing */ }
	said.api_refused++;
	return {status: 401, body: '{}'};
}

async function answer(request, body) {
	const [service, ...parts] = request.url.split('/').slice(1);

	if (service === 'sqs') return sqs(request, body, parts.map(plain));
	if (service === 'sb') return servicebus(request, parts.map(plain));
	if (service === 'api') return api(request);
	if (service === 'revoke') revoked = said.tokens;
	if (service === 'keep') keep = Number(parts[0]);
	if (service === 'life') life = Number(parts[0]);
	return {status: 200, body: JSON.stringify(said)};
}

// SQS is asked at the root of its host, so each pair of keys has a host of its own.
function listen(prefix) {
	const server = http.createServer((request, response) => {
		const parts = [];
		request.on('data', part => parts.push(part));
		request.on('end', async () => {
			request.url = prefix + (prefix ? '' : request.url);
			const {status, body, type} = await answer(request, Buffer.concat(parts));
			response.writeHead(status, {'content-type': type ?? 'application/json'});
			response.end(body);
		});
	});
	return new Promise(done => server.listen(0, '127.0.0.1', () => done(server.address().port)));
}

const identities = [['AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'], ['AKIA' + 'X'.repeat(16), 'a=/+ %é中', 'FQoGZXIvYXdzEB//token=='], ['k', 's']];
const encoded = identity => identity.map(part => Buffer.from(part).toString('base64url')).join('/');
const hosts = [];
for (const identity of identities) hosts.push({identity, port: await listen('/sqs/' + encoded(identity))});
const url = name => queues.createQueue(name, name.endsWith('.fifo') ? {attributes: {FifoQueue: 'true'}} : {}).queueUrl;
console.log(JSON.stringify({port: await listen(''), token_port: oauth.address().port, queue_port: queues.port, hosts,
	plain: url('plain'), fifo: url('orders.fifo'), cycle: url('cycle'), poison: url('poison')}));
process.stdin.on('end', () => process.exit(0)).resume();
