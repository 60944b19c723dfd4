// pg-boss: jobs without dependencies.  This process hands over whole batches: it
// fetches up to 2,000 jobs of a stage, inserts those of the next, and completes
// them; joins are counted in its memory.
'use strict';

exports.open = async (context) => {
  const PgBoss = context.load('pg-boss');
  const boss = new PgBoss({ connectionString: context.url, max: 10 });
  const pool = context.pool(2);
  const stages = ['s1', 's2', 's3', 's4', 's5', 'noop', 'timed'];

  boss.on('error', (error) => { throw error; });
  await boss.start();
  for (const name of stages) await boss.createQueue(name);
  // It polls twice a second, the shortest that it takes.
  await boss.work('timed', { pollingIntervalSeconds: 0.5 }, async () => context.arrived());

  const jobs = (name, n, data = {}) => Array.from({ length: n }, () => ({ name, data }));

  // Take a batch of a stage; next tells which jobs follow from it.
  const take = async (name, batchSize, next) => {
    const batch = await boss.fetch(name, { batchSize });
    if (!batch || batch.length === 0) return 0;
    const following = next ? next(batch) : [];
    if (following.length > 0) await boss.insert(following);
    await boss.complete(name, batch.map((job) => job.id));
    return batch.length;
  };
  const stage = async (name, n, next) => {
    for (let left = n; left > 0;) left -= await take(name, 2000, next);
  };

  return {
    version: context.version('pg-boss'),
    async prepare(workload, n) {
      if (workload === 'worker') await boss.insert(jobs('noop', n));
    },
    run: {
      async chain(n) {
        await boss.insert(jobs('s1', n));
        for (let k = 1; k <= 5; k++) {
          await stage(`s${k}`, n, k < 5 ? (batch) => jobs(`s${k + 1}`, batch.length) : undefined);
        }
      },
      async diamond(n) {
        const left = new Map();
        await boss.insert(Array.from({ length: n }, (_, run) => ({ name: 's1', data: { run } })));
        await stage('s1', n, (batch) => batch.flatMap((job) => {
          left.set(job.data.run, 3);
          return ['s2', 's3', 's4'].map((name) => ({ name, data: job.data }));
        }));
        for (const name of ['s2', 's3', 's4']) {
          await stage(name, n, (batch) => batch.filter((job) => {
            left.set(job.data.run, left.get(job.data.run) - 1);
            return left.get(job.data.run) === 0;
          }).map((job) => ({ name: 's5', data: job.data })));
        }
        await stage('s5', n);
      },
      async fanout(n) {
        await boss.insert(jobs('s1', n));
        await stage('s1', n);
        await boss.insert(jobs('s5', 1));
        await stage('s5', 1);
      },
      worker: (n) => context.twoWorkers(n, () => take('noop', 100)),
      latency: (n) => context.latencies(n, () => boss.send('timed', {}), 500),
    },
    start: async () => `INSERT INTO pgboss.job (name, data) VALUES ('noop', '{}');`,
    done: async () => +(await pool.query(
      `SELECT count(*) AS n FROM pgboss.job WHERE state = 'completed'`)).rows[0].n,
    close: () => boss.stop({ graceful: false }),
  };
};
