// How often a second of a core other rule engines judge the condition of
// test/bench/rules: json-rules-engine, json-logic-js and a CEL.
//
//   node rules.js DIRECTORY N     DIRECTORY has node_modules; prints JSON
'use strict';
const [, , directory, count] = process.argv;
const load = name => require(require.resolve(name, { paths: [directory] }));
const n = Number(count);
const documents = [1234.56, 34.56].map(amount => ({
	in: { order: { amount, region: 'US' } }, sys: { status: 'completed' } }));

// Calls of f a second of the processor's time; f must tell the documents apart.
async function rate(times, f) {
	if (!await f(documents[0]) || await f(documents[1])) throw new Error('it tells nothing apart');
	for (let i = 0; i < times / 10; i++) await f(documents[i & 1]);
	const begin = process.cpuUsage();
	for (let i = 0; i < times; i++) f.isAsync ? await f(documents[i & 1]) : f(documents[i & 1]);
	const { user, system } = process.cpuUsage(begin);
	return times / ((user + system) / 1e6);
}

async function rulesEngine() {
	const { Engine } = load('json-rules-engine');
	const engine = new Engine([], { allowUndefinedFacts: false });
	engine.addRule({
		conditions: { all: [
			{ fact: 'in', path: '$.order.amount', operator: 'greaterThanInclusive', value: 100 },
			{ fact: 'in', path: '$.order.region', operator: 'in', value: ['US', 'CA'] },
			{ fact: 'sys', path: '$.status', operator: 'equal', value: 'completed' }] },
		event: { type: 'pay' } });
	const f = async document => (await engine.run(document)).events.length > 0;
	f.isAsync = true;
	return rate(n / 20, f);
}

function logic() {
	const engine = load('json-logic-js');
	const rule = { and: [
		{ '>=': [{ var: 'in.order.amount' }, 100] },
		{ in: [{ var: 'in.order.region' }, ['US', 'CA']] },
		{ '===': [{ var: 'sys.status' }, 'completed'] }] };
	return rate(n, document => engine.apply(rule, document));
}

function cel() {
	const { parse } = load('@marcbachmann/cel-js');
	const run = parse('req.order.amount >= 100.0 && req.order.region in ["US", "CA"] && sys.status == "completed"');
	return rate(n / 4, document => run({ req: document.in, sys: document.sys }));
}

function celOther() {
	const { parse, evaluate } = load('cel-js');
	const { cst } = parse('req.order.amount >= 100.0 && req.order.region in ["US", "CA"] && sys.status == "completed"');
	return rate(n / 20, document => evaluate(cst, { req: document.in, sys: document.sys }));
}

(async () => {
	const got = {};
	for (const [name, f] of Object.entries({ rules_engine: rulesEngine, logic, cel, cel_other: celOther }))
		got[name] = await f();
	console.log(JSON.stringify(got));
})();
