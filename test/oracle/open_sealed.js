// Opens what seal.h describes, without the code that sealed it.
//
//   open_sealed.js KEY SEALED TEXT... [VERSION]
//
// KEY and SEALED in hexadecimal; each TEXT is bytes beside, with its length;
// VERSION, when it begins with "#", is four bytes without.  Prints what was
// sealed, in hexadecimal, or "refused".
'use strict';

const crypto = require('crypto');

const number = n => { const four = Buffer.alloc(4); four.writeUInt32BE(n); return four; };
const [key, sealed] = process.argv.slice(2, 4).map(text => Buffer.from(text, 'hex'));
const beside = [Buffer.from([sealed[0]])];
for (const text of process.argv.slice(4)) {
	if (text.startsWith('#'))
		beside.push(number(Number(text.slice(1))));
	else
		beside.push(number(Buffer.byteLength(text)), Buffer.from(text));
}
const messageKey = crypto.createHmac('sha256', key).update('uaef seal 1').update(sealed.subarray(1, 13)).digest();
const cipher = crypto.createDecipheriv('aes-256-gcm', messageKey, sealed.subarray(13, 25));
cipher.setAAD(Buffer.concat(beside));
cipher.setAuthTag(sealed.subarray(sealed.length - 16));
try {
	const plain = Buffer.concat([cipher.update(sealed.subarray(25, sealed.length - 16)), cipher.final()]);
	console.log(plain.toString('hex'));
} catch {
	console.log('refused');
}
