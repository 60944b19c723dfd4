// Random JSON Schemas and values, with the verdict of another implementation,
// as rows for COPY: number, schema, value, verdict.
//
// usage: node json_schema.js SCHEMAS SEED       (NODE_PATH leads to ajv)
//
// Keys, strings and numbers come from few, so that they meet often.  Numbers
// are those whose quotients a double has exactly.  What ajv 8 gets wrong is not
// asked: contains beside prefixItems, with an array that is empty; and
// unevaluatedProperties and unevaluatedItems, where it loses what if, $ref and
// oneOf have looked at, for which its code may even break.
'use strict';
const Ajv = require('ajv/dist/2020').default;

const VALUES_A_SCHEMA = 8;
let state = Number(process.argv[3]) >>> 0;

function random() {
	state = (state + 0x6d2b79f5) >>> 0;
	let t = state;
	t = Math.imul(t ^ (t >>> 15), t | 1);
	t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
	return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];
const chance = (p) => random() < p;
const list = (min, max, make) => Array.from({ length: min + below(max - min + 1) }, make);

const KEYS = ['a', 'b', 'c', 'ab', 'x y'];
const STRINGS = ['', 'a', 'b', 'ab', 'abc', 'ü', '😀', '1', 'a\nb', '~/"\\'];
const NUMBERS = [-2, -1, 0, 0.5, 1, 1.5, 2, 3, 4, 6, 60, 1e6];
const PATTERNS = ['^a', 'b$', '^[a-c]+$', '.', '^$', 'a|ü', '[0-9]{1,2}', '\\d', '(ab)+'];
const TYPES = ['null', 'boolean', 'number', 'integer', 'string', 'array', 'object'];

function value(depth) {
	const kind = below(depth > 0 ? 8 : 4);
	if (kind === 0) return pick([null, true, false]);
	if (kind === 1) return pick(NUMBERS);
	if (kind <= 3) return pick(STRINGS);
	if (kind <= 5) return list(0, 4, () => value(depth - 1));
	return Object.fromEntries(list(0, 4, () => [pick(KEYS), value(depth - 1)]));
}

// A schema within definition number own; those after it may be named for the
// same value, all of them for a part of it.
function schema(depth, own, place) {
	if (chance(0.08)) return chance(0.7);
	const s = {};
	const part = () => schema(depth - 1, own, 'part');
	const same = () => schema(depth - 1, own, place);
	const named = (n, make) => Object.fromEntries(list(1, n, () => [pick(KEYS), make()]));
	const makers = [
		() => { s.type = chance(0.7) ? pick(TYPES) : [...new Set(list(1, 3, () => pick(TYPES)))]; },
		() => { s.enum = list(1, 4, () => value(1)); },
		() => { s.const = value(1); },
		() => { s.minimum = pick(NUMBERS); },
		() => { s.maximum = pick(NUMBERS); },
		() => { s.exclusiveMinimum = pick(NUMBERS); },
		() => { s.exclusiveMaximum = pick(NUMBERS); },
		() => { s.multipleOf = pick([1, 2, 3, 0.5, 1.5]); },
		() => { s.minLength = below(3); },
		() => { s.maxLength = below(3); },
		() => { s.pattern = pick(PATTERNS); },
		() => { s.minItems = below(3); },
		() => { s.maxItems = below(4); },
		() => { s.uniqueItems = chance(0.8); },
		() => { s.minProperties = below(3); },
		() => { s.maxProperties = below(4); },
		() => { s.required = [...new Set(list(1, 2, () => pick(KEYS)))]; },
		() => { s.dependentRequired = named(2, () => [...new Set(list(0, 2, () => pick(KEYS)))]); },
	];
	const deep = [
		() => { s.properties = named(3, part); },
		() => { s.patternProperties = Object.fromEntries(list(1, 2, () => [pick(PATTERNS), part()])); },
		() => { s.additionalProperties = part(); },
		() => { s.propertyNames = part(); },
		() => { s.items = part(); },
		() => { if (!s.contains) s.prefixItems = list(1, 3, part); },
		() => { if (!s.prefixItems) s.contains = part(); if (chance(0.4)) s.minContains = below(3); if (chance(0.4)) s.maxContains = below(3); },
		() => { s.allOf = list(1, 3, same); },
		() => { s.anyOf = list(1, 3, same); },
		() => { s.oneOf = list(1, 3, same); },
		() => { s.not = same(); },
		() => { s.if = same(); if (chance(0.7)) s.then = same(); if (chance(0.7)) s.else = same(); },
		() => { s.dependentSchemas = named(2, same); },
		() => {
			const first = place === 'same' ? own + 1 : 0;
			if (first < 3) s.$ref = '#/$defs/d' + (first + below(3 - first));
		},
	];
	for (const make of list(0, 2, () => pick(makers))) make();
	if (depth > 0) for (const make of list(0, 3, () => pick(deep))) make();
	return s;
}

const copy = (text) => text.replace(/\\/g, '\\\\');
let no = 0;
for (let i = 0; i < Number(process.argv[2]); i++) {
	const made = schema(3, -1, 'same');
	const whole = typeof made === 'object' ? made : { allOf: [made] };
	whole.$defs = {};
	for (let d = 0; d < 3; d++) whole.$defs['d' + d] = schema(2, d, 'same');
	const check = new Ajv({ strict: false, validateFormats: false, logger: false }).compile(whole);
	for (let j = 0; j < VALUES_A_SCHEMA; j++) {
		const v = value(3);
		let verdict;
		try {
			verdict = check(v) ? 't' : 'f';
		} catch (error) {
			continue;
		}
		console.log([++no, copy(JSON.stringify(whole)), copy(JSON.stringify(v)), verdict].join('\t'));
	}
}
