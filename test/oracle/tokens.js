// JSON Web Tokens by another implementation (jose).
//
//   node tokens.js make N KEY_ID KEY_BASE64   tokens that are right, and wrong ones:
//                                             lines "t" or "f", TAB, token
//   node tokens.js read KEY_BASE64 < tokens   "t" for each line that it believes
'use strict';

const jose = require('jose');
const now = 1795435200;                 // 2026-11-23 12:00:00 UTC
const when = {currentDate: new Date(now * 1000)};
const b64 = s => Buffer.from(s).toString('base64url');

async function make(n, kid, key) {
	const sign = (claims, header = {}, k = key) => new jose.SignJWT({sub: 'svc', aud: 'uaef', iss: 'uaef', iat: now, nbf: now, exp: now + 60, ...claims})
		.setProtectedHeader({alg: 'HS256', typ: 'JWT', kid, ...header}).sign(k);
	const put = (right, token) => console.log((right ? 't' : 'f') + '\t' + token);

	for (let i = 0; i < n; i++) {
		const token = await sign({sub: `s${i}é🙂`, n: i * 1.5, list: [1, null, {deep: 'x'.repeat(i % 300)}]});
		const parts = token.split('.');
		const at = (i * 7919) % token.length;
		put(true, token);
		put(false, await sign({exp: now - i}));
		put(false, await sign({iat: now + 1 + i}));
		put(false, await sign({nbf: now + 1 + i}));
		put(false, await sign({aud: `uaef${i}`}));
		put(false, await sign({iss: `uaef${i}`}));
		put(false, await sign({}, {}, Buffer.from('another key of thirty-two bytes!')));
		put(false, await sign({}, {kid: `${kid}${i}`}));
		put(false, await sign({}, {alg: pick(i)}));
		put(false, token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1));
		put(false, `${b64(JSON.stringify({alg: 'none', typ: 'JWT', kid}))}.${parts[1]}.`);
	}
	// Claims that a reader could take in two ways, rightly signed.
	for (const text of [`{"sub":"a","sub":"b","aud":"uaef","iss":"uaef","iat":${now},"exp":${now + 9}}`,
		`{"sub":"a","aud":"x","aud":"uaef","iss":"uaef","iat":${now},"exp":${now + 9}}`,
		`{"sub":"a","aud":"uaef","iss":"uaef","iat":${now},"exp":${now + 9},"deep":{"a":1,"a":2}}`,
		`{"sub":"a","aud":["uaef"],"iss":"uaef","iat":${now},"exp":${now + 9}}`,
		`{"sub":7,"aud":"uaef","iss":"uaef","iat":${now},"exp":${now + 9}}`,
		`{"aud":"uaef","iss":"uaef","iat":${now},"exp":${now + 9}}`,
		`{"sub":"a","aud":"uaef","iss":"uaef","iat":${now}}`, `{"sub":"a","aud":"uaef","iss":"uaef","exp":${now + 9}}`,
		`{"sub":"a","aud":"uaef","iss":"uaef","iat":${now},"exp":"${now + 9}"}`, `{"sub":"a","aud":"uaef","iss":"uaef","iat":${now},"exp":1e99}`,
		`{"sub":"a","aud":"uaef","iss":"uaef","iat":${now},"exp":${now + 9}.5}`, `{"sub":"a","aud":"uaef","iss":"uaef","iat":-1,"exp":${now + 9}}`, '[]', '7', '{', ''])
	{
		const signed = b64(JSON.stringify({alg: 'HS256', typ: 'JWT', kid})) + '.' + b64(text);
		put(false, signed + '.' + require('crypto').createHmac('sha256', key).update(signed).digest('base64url'));
	}
	// One token with every bit of its text changed, where a bit gives text.
	const token = await sign({});
	for (let bit = 0; bit < token.length * 8; bit++) {
		const code = token.charCodeAt(bit >> 3) ^ (1 << (bit & 7));
		if (code > 32 && code < 127 && code !== 92) put(false, token.slice(0, bit >> 3) + String.fromCharCode(code) + token.slice((bit >> 3) + 1));
	}
}

function pick(i) { return ['HS384', 'HS512'][i % 2]; }

async function read(key) {
	const lines = require('fs').readFileSync(0, 'utf8').trim().split('\n');
	for (const token of lines) {
		try {
			await jose.jwtVerify(token, key, {algorithms: ['HS256'], audience: 'uaef', issuer: 'uaef', typ: 'JWT', requiredClaims: ['exp', 'nbf', 'iat', 'sub', 'jti'], ...when});
			console.log('t');
		} catch (error) {
			console.log('f');
		}
	}
}

const [what, ...args] = process.argv.slice(2);
if (what === 'make') make(Number(args[0]), args[1], Buffer.from(args[2], 'base64'));
else read(Buffer.from(args[0], 'base64'));
