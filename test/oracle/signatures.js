// Requests of webhooks, signed and judged by the senders' own libraries.
//
//   node signatures.js MESSAGES SEED FOLDER
//
// For each scheme that many messages, each as it was signed and in variants: a
// bit of the body or of the signature changed, another key, another time.  One
// message of each scheme comes with every single bit changed.  Puts out lines
// for COPY: scheme, variant, headers, body in hexadecimal, what the library
// says (t or f), what we must say.  The keys stand in FOLDER/keys.json.
//
// A library's word is our expectation, but for times that are too far in the
// future: Stripe's and Slack's take them, and we do not.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const Stripe = require('stripe');
const {Webhook} = require('standardwebhooks');
const slack = require('@slack/bolt/dist/receivers/verify-request');
const {pathToFileURL} = require('url');
const path = require('path');

const messages = Number(process.argv[2]);
const now = 1795435200;                 // 2026-11-23 12:00:00 UTC
Date.now = () => now * 1000;

let state = BigInt(process.argv[3]);
function random(n) {
	state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
	return Number((state >> 33n) % BigInt(n));
}
function pick(list) { return list[random(list.length)]; }
function bytes(n) { return Buffer.from(Array.from({length: n}, () => random(256))); }

const letters = [...'abcXYZ 0159{}[]:,\\"\'/<>&=+%\n\t', 'é', 'ß', '中', '🙂', '\u2028'];
function text(n) { return Array.from({length: n}, () => pick(letters)).join(''); }
function body(scheme, no) {
	const id = `${scheme}_${no}`;
	return JSON.stringify({id, event_id: id, n: random(1e9), text: text(random(pick([10, 100, 1000]))), more: random(2) ? null : {a: [1, -0.5, true]}});
}

const text_keys = [bytes(20).toString('hex'), 'It\'s a Secret to Everybody'];
const shared = [bytes(24), bytes(32)];
function pair_of(seed) {
	const privateKey = crypto.createPrivateKey({key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]), format: 'der', type: 'pkcs8'});
	return {privateKey, publicKey: crypto.createPublicKey(privateKey)};
}
const pair = pair_of(bytes(32));
const raw_public = pair.publicKey.export({format: 'der', type: 'spki'}).subarray(-32);
const keys = {
	github: text_keys,
	stripe: ['whsec_' + bytes(16).toString('hex'), 'whsec_' + bytes(16).toString('hex')],
	standard_webhooks: shared.map(k => 'whsec_' + k.toString('base64')),
	standard_pair: ['whpk_' + raw_public.toString('base64'), 'whpk_' + bytes(32).toString('base64')],
	slack: text_keys,
	hmac_body: text_keys,
	hmac_timed: text_keys,
	hmac_parts: [bytes(32).toString('hex'), bytes(32).toString('hex')],
};
fs.writeFileSync(path.join(process.argv[4], 'keys.json'), JSON.stringify(keys));

// The other key, which nobody has.
const wrong = {hmac_body: 'none of them', hmac_timed: 'none of them', hmac_parts: bytes(32).toString('hex'), github: 'none of them', stripe: 'whsec_none', standard_webhooks: 'whsec_' + bytes(24).toString('base64'), standard_pair: pair_of(bytes(32)), slack: 'none of them'};

let octokit;
const stripe = new Stripe('sk_test_x');
const schemes = {
	github: {
		sign: async (key, m) => ({'X-Hub-Signature-256': await octokit.sign(key, m.body), 'X-GitHub-Delivery': m.id}),
		judge: async (key, h, b) => octokit.verify(key, b, h['X-Hub-Signature-256']),
		signed: ['X-Hub-Signature-256'],
		timed: false,
	},
	stripe: {
		sign: async (key, m) => ({'Stripe-Signature': stripe.webhooks.generateTestHeaderString({payload: m.body, secret: key, timestamp: m.time})}),
		judge: async (key, h, b) => { stripe.webhooks.constructEvent(b, h['Stripe-Signature'], key, 300, undefined, now * 1000); return true; },
		signed: ['Stripe-Signature'],
		timed: true,
	},
	standard_webhooks: {
		sign: async (key, m) => ({'Webhook-Id': m.id, 'Webhook-Timestamp': String(m.time), 'Webhook-Signature': new Webhook(key).sign(m.id, new Date(m.time * 1000), m.body)}),
		judge: async (key, h, b) => { new Webhook(key).verify(b, h); return true; },
		signed: ['Webhook-Id', 'Webhook-Timestamp', 'Webhook-Signature'],
		timed: true,
	},
	standard_pair: {
		sign: async (key, m) => ({'Webhook-Id': m.id, 'Webhook-Timestamp': String(m.time),
			'Webhook-Signature': 'v1a,' + crypto.sign(null, Buffer.from(`${m.id}.${m.time}.${m.body}`), (typeof key === 'string' ? pair : key).privateKey).toString('base64')}),
		judge: async (key, h, b) => Math.abs(now - Number(h['Webhook-Timestamp'])) <= 300 && h['Webhook-Signature'].startsWith('v1a,') &&
			Buffer.from(h['Webhook-Signature'].slice(4), 'base64').toString('base64') === h['Webhook-Signature'].slice(4) &&
			crypto.verify(null, Buffer.from(`${h['Webhook-Id']}.${h['Webhook-Timestamp']}.${b}`), (typeof key === 'string' ? pair : key).publicKey, Buffer.from(h['Webhook-Signature'].slice(4), 'base64')),
		signed: ['Webhook-Id', 'Webhook-Timestamp', 'Webhook-Signature'],
		timed: true,
	},
	slack: {
		sign: async (key, m) => ({'X-Slack-Request-Timestamp': String(m.time),
			'X-Slack-Signature': 'v0=' + crypto.createHmac('sha256', key).update(`v0:${m.time}:${m.body}`).digest('hex')}),
		judge: async (key, h, b) => slack.isValidSlackRequest({signingSecret: key, body: b, nowMilliseconds: now * 1000,
			headers: {'x-slack-signature': h['X-Slack-Signature'], 'x-slack-request-timestamp': Number(h['X-Slack-Request-Timestamp'])}}),
		signed: ['X-Slack-Request-Timestamp', 'X-Slack-Signature'],
		timed: true,
	},
	hmac_body: {
		sign: async (key, m) => ({'X-Signature': 'sha512=' + hmac('sha512', key, m.body).toString('hex').toUpperCase()}),
		judge: async (key, h, b) => h['X-Signature'] === 'sha512=' + hmac('sha512', key, b).toString('hex').toUpperCase(),
		signed: ['X-Signature'],
		timed: false,
	},
	hmac_timed: {
		sign: async (key, m) => ({'X-Time': String(m.time), 'X-Signature': hmac('sha1', key, `${m.time}:${m.body}`).toString('base64')}),
		judge: async (key, h, b) => is_recent(h['X-Time']) && h['X-Signature'] === hmac('sha1', key, `${h['X-Time']}:${b}`).toString('base64'),
		signed: ['X-Time', 'X-Signature'],
		timed: true,
	},
	hmac_parts: {
		sign: async (key, m) => {
			const head = {'X-Time': String(m.time * 1000), 'X-Id': m.id, 'X-Shop': 'a-shop'};
			return {...head, 'X-Signature': 'v2=' + hmac('sha256', Buffer.from(key, 'hex'), parts_of(head, m.body)).toString('base64url')};
		},
		judge: async (key, h, b) => is_recent(Number(h['X-Time']) / 1000) && h['X-Signature'] === 'v2=' + hmac('sha256', Buffer.from(key, 'hex'), parts_of(h, b)).toString('base64url'),
		signed: ['X-Time', 'X-Id', 'X-Shop', 'X-Signature'],
		timed: true,
	},
};

// Of anybody who signs by HMAC: the expectation is made by node's own crypto.
function hmac(algorithm, key, text) { return crypto.createHmac(algorithm, key).update(text).digest(); }
function is_recent(time) { return Math.abs(now - Number(time)) <= 300; }
function parts_of(h, b) { return `${h['X-Id']}.${h['X-Time']}.${h['X-Shop']}.${b}`; }

// Does one of the source's keys fit, as the library sees it?
async function judged(name, headers, b) {
	for (const key of keys[name].slice(0, name === 'standard_pair' ? 1 : 2)) {
		try {
			if (await schemes[name].judge(key, headers, b)) return true;
		} catch (error) { /* it says no by throwing */ }
	}
	return false;
}

function flip(s, bit) {
	const at = bit >> 3;
	return s.slice(0, at) + String.fromCharCode(s.charCodeAt(at) ^ (1 << (bit & 7))) + s.slice(at + 1);
}

const out = [];
function put(name, variant, headers, b, theirs, ours) {
	const json = JSON.stringify(headers).replace(/[\u007f-\uffff]/g, c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
	out.push([name, variant, json.replace(/\\/g, '\\\\'), Buffer.from(b).toString('hex'), theirs ? 't' : 'f', ours ? 't' : 'f'].join('\t'));
}

// An ASCII letter of the body, so that it stays text and becomes another.
function changed_body(b) {
	for (;;) {
		const at = random(b.length);
		const code = b.charCodeAt(at) ^ (1 << random(5));
		if (b.charCodeAt(at) < 128 && code >= 32 && code < 127) return b.slice(0, at) + String.fromCharCode(code) + b.slice(at + 1);
	}
}

async function scheme(name) {
	const it = schemes[name];
	for (let i = 0; i < messages; i++) {
		const m = {id: `msg_${name}_${i}`, time: now + random(601) - 300, body: body(name, i)};
		const key = keys[name][name === 'standard_pair' ? 0 : random(2)];
		const headers = await it.sign(key, m);
		const put_as = async (variant, h, b, future) => {
			const theirs = await judged(name, h, b);
			put(name, variant, h, b, theirs, theirs && !future);
		};

		// What must be refused comes first, for what is taken in is then a duplicate.
		await put_as('body changed', headers, changed_body(m.body));
		const one = pick(it.signed);
		const bit = random(headers[one].length * 8) & ~7 | random(5);
		const odd = flip(headers[one], bit);
		if (/^[\x21-\x7e][\x20-\x7e]*[\x21-\x7e]$/.test(odd)) await put_as('header changed', {...headers, [one]: odd}, m.body);
		await put_as('another key', await it.sign(wrong[name], m), m.body);
		await put_as('of another message', await it.sign(key, {...m, body: m.body + ' '}), m.body);
		if (it.timed) {
			const late = {...m, time: now - 301 - random(1e6)};
			const early = {...m, time: now + 301 + random(1e5)};
			await put_as('too old', await it.sign(key, late), m.body);
			await put_as('too new', await it.sign(key, early), m.body, true);
		}
		await put_as('signed', headers, m.body);
	}
	const m = {id: 'msg_every', time: now, body: `{"id":"every_${name}","event_id":"every_${name}","a":[1,"x"]}`};
	const headers = await it.sign(keys[name][0], m);
	for (const one of it.signed)
		for (let bit = 0; bit < headers[one].length * 8; bit++)
			put(name, 'every bit', {...headers, [one]: flip(headers[one], bit)}, m.body, false, false);
	for (let bit = 0; bit < m.body.length * 8; bit++) {
		const b = Buffer.from(m.body);
		b[bit >> 3] ^= 1 << (bit & 7);
		put(name, 'every bit', headers, b, false, false);
	}
	put(name, 'every bit is right', headers, m.body, await judged(name, headers, m.body), true);
}

(async () => {
	const entry = require.resolve.paths('x').map(p => path.join(p, '@octokit/webhooks-methods/dist-node/index.js')).find(p => fs.existsSync(p));
	octokit = await import(pathToFileURL(entry));
	for (const name of Object.keys(schemes)) await scheme(name);
	process.stdout.write(out.join('\n') + '\n');
})();
