// Drives one peer: reads commands, a line of JSON each, from standard input and
// answers each with one, on standard output.
//
//   node driver.js ADAPTER MODULES SOURCES
//
// ADAPTER is the name of a file beside this one, MODULES the directory that npm
// installed into, SOURCES that of the checkouts or nothing.  The server is told
// by PGHOST (the directory of the socket), PGPORT, PGUSER and PGDATABASE.
//
//   {"do":"prepare","workload":w,"n":n}  -> {}
//   {"do":"run","workload":w,"n":n}      -> {"seconds":s, "client_us":us, "ms":[...]},
//     client_us being the processor time of this process
//   {"do":"check","workload":w}          -> {"tasks":tasks done since prepare}
//   {"do":"start"}                       -> {"sql":statement that starts work}
//   {"do":"end"}                         -> {}
//
// An adapter exports open(context), which answers { version, run, done } and
// maybe prepare, start and close; see graphile-worker.js.
'use strict';

const fs = require('fs');
const path = require('path');
const readline = require('readline');
const { createRequire } = require('module');
const { pathToFileURL } = require('url');

const [adapter, modules, sources] = process.argv.slice(2);
const load = createRequire(path.join(modules, 'package.json'));

// What a peer prints is no answer of ours.
for (const how of ['log', 'info', 'debug', 'warn', 'error']) {
  console[how] = (...words) => fs.writeSync(2, words.join(' ') + '\n');
}
process.stdout.write = process.stderr.write.bind(process.stderr);
const answer = (value) => fs.writeSync(1, JSON.stringify(value) + '\n');

const context = {
  load,
  loadModule: (name) => import(pathToFileURL(load.resolve(name)).href),
  sources,
  url: `postgresql://${process.env.PGUSER}@localhost:${process.env.PGPORT}/${process.env.PGDATABASE}` +
    `?host=${encodeURIComponent(process.env.PGHOST)}`,
  pool: (max) => new (load('pg').Pool)({ max }).on('error', () => {}).on('connect', (client) => client.on('error', () => {})),
  version: (name) => JSON.parse(fs.readFileSync(path.join(modules, 'node_modules', name, 'package.json'))).version,
  sleep: (ms) => new Promise((done) => setTimeout(done, ms)),
  // Wait until a query or a condition is so.
  async until(condition, ms = 10) {
    while (!await condition()) await this.sleep(ms);
  },
  // Two workers outside that take n tasks between them, as ours are two sessions;
  // take() does one batch and answers how many it had.  All are done when the first
  // of them sees so; the other may still wait for more.
  async twoWorkers(n, take) {
    let left = n;
    const work = async () => {
      while (left > 0) {
        const taken = await take();
        left -= taken;
      }
    };
    await Promise.race([work(), work()]);
  },
  // Start one after another on an idle system; the body calls arrived().  A system
  // that polls is met at any moment between two polls.
  async latencies(n, start, pollMs = 0) {
    const ms = [];
    for (let i = 0; i < n + 5; i++) {
      let arrived;
      const body = new Promise((done) => { arrived = done; });
      const began = performance.now();
      this.arrived = () => arrived(performance.now());
      await start(i);
      const took = await body - began;
      if (i >= 5) ms.push(took);
      await this.sleep(20 + Math.random() * pollMs);
    }
    this.arrived = undefined;
    return ms;
  },
};

let before = 0;

async function obey(peer, command) {
  switch (command.do) {
    case 'prepare':
      if (peer.prepare) await peer.prepare(command.workload, command.n);
      before = await peer.done(command.workload);
      return {};
    case 'run': {
      const began = performance.now();
      const cpu = process.cpuUsage();
      const ms = await peer.run[command.workload](command.n);
      const seconds = (performance.now() - began) / 1000;
      const used = process.cpuUsage(cpu);
      return { seconds, ms, client_us: used.user + used.system };
    }
    case 'check':
      return { tasks: await peer.done(command.workload) - before };
    case 'start':
      return { sql: await peer.start() };
    default:
      throw new Error(`unknown command ${command.do}`);
  }
}

async function main() {
  const peer = await require(path.join(__dirname, adapter)).open(context);

  answer({ version: peer.version, workloads: [...Object.keys(peer.run), ...(peer.start ? ['start'] : [])] });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    if (command.do === 'end') break;
    answer(await obey(peer, command));
  }
  if (peer.close) await Promise.race([peer.close(), context.sleep(5000)]);
}

main().then(() => process.exit(0), (error) => {
  answer({ error: error.stack || String(error) });
  process.exit(1);
});
