// pgflow: its SQL and that of pgmq (both from their sources), and a worker loop as
// its edge worker has it: read the queue, start the tasks, complete each.
//
// What ties it to one platform (broadcasts to browsers, the pings that keep edge
// workers alive) is left out, which only makes it faster.
'use strict';

const fs = require('fs');
const path = require('path');

const batch = 100;
const vt = 300;

async function install(pool, sources) {
  const read = (...parts) => fs.readFileSync(path.join(sources, ...parts), 'utf8');
  const schemas = path.join('pgflow', 'pkgs', 'core', 'schemas');

  await pool.query(read('pgmq', 'pgmq-extension', 'sql', 'pgmq.sql'));
  await pool.query(`
    CREATE SCHEMA realtime;
    CREATE FUNCTION realtime.send(jsonb, text, text, boolean) RETURNS void LANGUAGE sql AS '';
    SET check_function_bodies = off`);
  for (const file of fs.readdirSync(path.join(sources, schemas)).sort()) {
    if (/extensions|ensure_workers|_cron|grants/.test(file)) continue;
    await pool.query('SET check_function_bodies = off;' + read(schemas, file));
  }
}

async function define(pool) {
  const flow = (slug, steps) => [`SELECT pgflow.create_flow('${slug}', timeout => ${vt})`,
    ...steps.map(([step, deps, type]) =>
      `SELECT pgflow.add_step('${slug}', '${step}', '{${deps}}', step_type => '${type || 'single'}')`)].join(';');

  await pool.query(flow('chain', [['t1', ''], ['t2', 't1'], ['t3', 't2'], ['t4', 't3'], ['t5', 't4']]));
  await pool.query(flow('diamond', [['a', ''], ['b', 'a'], ['c', 'a'], ['d', 'a'], ['e', 'b,c,d']]));
  await pool.query(flow('fanout', [['items', '', 'map'], ['join', 'items']]));
  await pool.query(flow('noop', [['t', '']]));
  await pool.query(flow('timed', [['t', '']]));
}

exports.open = async (context) => {
  const pool = context.pool(24);
  const worker = '00000000-0000-4000-8000-000000000001';
  const loops = new Map();
  let ending = false;

  if ((await pool.query(`SELECT to_regnamespace('pgflow') AS there`)).rows[0].there === null) {
    await install(pool, context.sources);
    await define(pool);
  }
  await pool.query(`INSERT INTO pgflow.workers (queue_name, worker_id, function_name)
    VALUES ('bench', $1, 'bench') ON CONFLICT DO NOTHING`, [worker]);

  // Take up to a batch of a flow's tasks, run and complete them; returns how many.
  const take = async (flow, seconds) => {
    const messages = (await pool.query(
      'SELECT msg_id FROM pgmq.read_with_poll($1, $2, $3, $4, 100)', [flow, vt, batch, seconds])).rows;
    if (messages.length === 0) return 0;
    const tasks = (await pool.query('SELECT * FROM pgflow.start_tasks($1, $2::bigint[], $3)',
      [flow, messages.map((message) => message.msg_id), worker])).rows;
    await Promise.all(tasks.map(async (task) => {
      if (flow === 'timed') context.arrived();
      await pool.query(`SELECT FROM pgflow.complete_task($1, $2, $3, '{}')`,
        [task.run_id, task.step_slug, task.task_index]);
    }));
    return tasks.length;
  };
  const work = (flow) => {
    if (loops.has(flow)) return;
    loops.set(flow, (async () => { while (!ending) await take(flow, 2); })());
  };
  const start = (flow, n, input) => pool.query(
    'SELECT count(r.run_id) FROM generate_series(1, $2::integer) i, pgflow.start_flow($1, CASE WHEN i > 0 THEN $3::jsonb END) r',
    [flow, n, JSON.stringify(input)]);
  const finished = (flow) => context.until(async () => (await pool.query(
    `SELECT count(*) AS n FROM pgflow.runs WHERE flow_slug = $1 AND status <> 'completed'`, [flow])).rows[0].n === '0', 50);
  const flow = async (name, n, input = {}) => {
    work(name);
    await start(name, n, input);
    await finished(name);
  };

  return {
    version: JSON.parse(fs.readFileSync(path.join(context.sources, 'pgflow/pkgs/core/package.json'))).version,
    async prepare(workload, n) {
      if (workload === 'worker') await start('noop', n, {});
    },
    run: {
      chain: (n) => flow('chain', n),
      diamond: (n) => flow('diamond', n),
      fanout: (n) => flow('fanout', 1, Array.from({ length: n }, (_, i) => i)),
      worker: (n) => context.twoWorkers(n, () => take('noop', 2)),
      async latency(n) {
        work('timed');
        return context.latencies(n, () => start('timed', 1, {}), 100);
      },
    },
    start: async () => `SELECT count(*) FROM pgflow.start_flow('noop', '{}');`,
    done: async () => +(await pool.query(
      `SELECT count(*) AS n FROM pgflow.step_tasks WHERE status = 'completed'`)).rows[0].n,
    async close() {
      ending = true;
      await Promise.all(loops.values());
      await pool.end();
    },
  };
};
