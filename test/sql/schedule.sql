--
-- Schedules: what they start at which tick, under a clock that stands still
--
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET timezone = 'UTC';
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
SELECT uaef.create_workflow('sch', '{"tasks": [{"id": "p", "type": "parallel"}]}');
SELECT uaef.create_workflow('sch_open', '{"tasks": [{"id": "x", "type": "external", "queue": "sch"}]}');

CREATE VIEW runs AS SELECT name, status, input, e.tick_at
	FROM uaef.workflow_run r JOIN uaef.workflow_execution e USING (execution_id, name, status, input);
CREATE VIEW schedules AS SELECT name, status, next_tick, next_run, last_tick, last_status,
	started, missed_ticks AS missed, skipped_ticks AS skipped, failed_ticks AS failed, last_error
	FROM uaef.schedule_status ORDER BY name;

-- what next_runs() tells
SELECT * FROM uaef.next_runs('30 2 * * *', 'Europe/Berlin', '2026-03-28', 3);
SELECT * FROM uaef.next_runs('30 2 * * *', 'Europe/Berlin', '2026-10-24', 3);
SELECT * FROM uaef.next_runs('30 * * * *', 'Europe/Berlin', '2026-10-24 23:50', 4);
SELECT * FROM uaef.next_runs('15 2 * * *', 'Australia/Lord_Howe', '2026-10-02 20:00', 2);
SELECT * FROM uaef.next_runs('0 9 LW * *', 'America/New_York', '2026-01-01', 3);
SELECT * FROM uaef.next_runs('*/20 0 0 13 * fri', 'Asia/Kathmandu', '2026-01-01', 3);
SELECT run_at FROM uaef.next_runs('@weekly', n => 1, after => '2026-01-01');

-- expressions that are none
SELECT uaef.next_runs(c) FROM (VALUES ('* * * *')) v (c);
SELECT uaef.next_runs('* * * * * * *');
SELECT uaef.next_runs('@reboot');
SELECT uaef.next_runs('61 * * * *');
SELECT uaef.next_runs('* * 0 * *');
SELECT uaef.next_runs('* * 31 2,4 *');
SELECT uaef.next_runs('5-3 * * * *');
SELECT uaef.next_runs('*/0 * * * *');
SELECT uaef.next_runs('* * * * mon#6');
SELECT uaef.next_runs('1,,2 * * * *');
SELECT uaef.next_runs('* * * * *x');
SELECT uaef.next_runs('* * * * *', 'Nowhere/City');
SELECT uaef.next_runs('* * * * *', n => -1);

-- one tick, with a template of its time; a second look finds nothing
SET uaef.test_now = '2026-01-01 00:00:00+00';
SELECT uaef.create_schedule('', 'sch', '0 * * * *');
SELECT uaef.create_schedule(E'two\nlines', 'sch', '0 * * * *');
SELECT uaef.create_calendar('');
SELECT uaef.create_schedule('xhourly', 'sch', '0 * * * *', timezone => 'Europe/Berlin',
	input => '{"at": "{{schedule.tick}}", "day": "{{schedule.date}}", "by": "{{schedule.name}}"}', priority => 7);
SELECT name, status, next_tick, next_run FROM schedules;
SET uaef.test_now = '2026-01-01 00:59:59+00';
SELECT uaef.fire_schedules();
SET uaef.test_now = '2026-01-01 01:00:00+00';
SELECT uaef.fire_schedules(), uaef.fire_schedules();
SELECT * FROM runs WHERE name = 'xhourly';
SELECT * FROM schedules;
SELECT payload ->> 'schedule' AS schedule, payload ->> 'tick' AS tick,
	payload ->> 'idempotency_key' LIKE 'uaef.schedule/%/2026-01-01T01:00:00.000000Z' AS key
FROM uaef.audit_trail WHERE event_type = 'workflow_started' AND payload ->> 'schedule' = 'xhourly';
SELECT uaef.start_workflow('sch', idempotency_key => 'uaef.schedule/1/x');
\echo :LAST_ERROR_SQLSTATE

-- run now: the ticks stay
SELECT uaef.run_schedule_now('xhourly') IS NOT NULL AS started;
SELECT next_tick, started FROM schedules WHERE name = 'xhourly';

-- a pause; what came meanwhile is nobody's
SELECT uaef.pause_schedule('xhourly');
SET uaef.test_now = '2026-01-01 05:30:00+00';
SELECT uaef.fire_schedules();
SELECT uaef.resume_schedule('xhourly');
SELECT name, status, next_tick FROM schedules;
SELECT uaef.drop_schedule('xhourly');

-- missed ticks
SELECT uaef.create_schedule('xm_' || m, 'sch', every => '10 minutes', missed => m, starts_at => '2026-01-01 06:00+00')
FROM unnest('{skip,one,all}'::text[]) m;
SET uaef.test_now = '2026-01-01 06:35:00+00';
SELECT uaef.fire_schedules();
SELECT name, tick_at FROM runs WHERE name LIKE 'xm\_%' ORDER BY 1, 2;
SELECT name, next_tick, last_tick, started, missed FROM schedules;
-- the last tick is fresh
SET uaef.test_now = '2026-01-01 07:00:30+00';
SELECT uaef.fire_schedules();
SELECT name, next_tick, last_tick, started, missed FROM schedules;
SELECT event_type, payload FROM uaef.audit_trail WHERE event_type = 'schedule_missed' ORDER BY event_id;
SELECT uaef.drop_schedule('xm_' || m) FROM unnest('{skip,one,all}'::text[]) m;
-- more ticks than one counts
SELECT uaef.create_schedule('xsecond', 'sch', '* * * * * *');
SET uaef.test_now = '2026-01-02 07:00:00.5+00';
SELECT uaef.fire_schedules();
SELECT name, next_tick, last_tick, missed > 10000 AS missed FROM schedules;
SELECT uaef.drop_schedule('xsecond');

-- overlap
SELECT uaef.create_schedule('xo_' || o, 'sch_open', '0 * * * *', overlap => o, missed => 'all')
FROM unnest('{allow,skip,queue}'::text[]) o;
SET uaef.test_now = '2026-01-02 08:00:00+00';
SELECT uaef.fire_schedules();
SET uaef.test_now = '2026-01-02 10:00:00+00';
SELECT uaef.fire_schedules();
SELECT name, tick_at FROM runs WHERE name LIKE 'xo\_%' ORDER BY 1, 2;
SELECT name, status, next_run, started, skipped FROM schedules;
SELECT count(*) FROM (SELECT uaef.complete_task(task_id) FROM uaef.task_run r
	JOIN uaef.workflow_run w USING (execution_id) WHERE name = 'xo_queue' AND r.status = 'queued' OFFSET 0) d;
SELECT uaef.fire_schedules();
SELECT name, status, next_tick, started FROM schedules WHERE name = 'xo_queue';
SELECT uaef.drop_schedule('xo_' || o) FROM unnest('{allow,skip,queue}'::text[]) o;

-- jitter: later, always the same, never before the next tick
SELECT uaef.create_schedule('xjitter', 'sch', '0 * * * *', jitter => '30 minutes');
SELECT next_run > next_tick AND next_run < next_tick + interval '30 minutes' AS later FROM schedules;
SELECT next_run AS due FROM schedules \gset
SELECT uaef.fire_schedules();
SET uaef.test_now = :'due';
SELECT uaef.fire_schedules();
SELECT tick_at FROM runs WHERE name = 'xjitter';
SELECT uaef.drop_schedule('xjitter');

-- it ends
SET uaef.test_now = '2026-01-02 11:30:00+00';
SELECT uaef.create_schedule('xends', 'sch', '0 * * * *', ends_at => '2026-01-02 12:30+00');
SET uaef.test_now = '2026-01-02 12:00:00+00';
SELECT uaef.fire_schedules();
SELECT name, status, next_tick, started, missed FROM schedules;
SELECT uaef.alter_schedule('xends', '{"ends_at": null, "cron": "30 * * * *"}');
SELECT name, status, next_tick, started FROM schedules;
SELECT uaef.alter_schedule('xends', '{"cron": null, "every": "90 minutes"}');
SELECT name, status, next_tick FROM schedules;
SELECT uaef.drop_schedule('xends');

-- calendars: New Year's Day 2027 is a Friday
SET uaef.test_now = '2026-12-30 12:00:00+00';
SELECT uaef.create_calendar('work', '{sat,Sunday}');
SELECT uaef.exclude_days('work', '2027-01-01', note => 'New Year');
SELECT uaef.create_schedule('xc_' || e, 'sch', '0 9 * * *', timezone => 'Europe/Berlin', calendar => 'work', excluded => e)
FROM unnest('{skip,next}'::text[]) e;
SELECT uaef.create_schedule('xc_month', 'sch', '0 9 1 * *', calendar => 'work', excluded => 'next');
SET uaef.test_now = '2026-12-31 12:00:00+00';
SELECT uaef.fire_schedules();
SELECT name, next_tick FROM schedules;
SELECT uaef.include_days('work', '2026-12-31', '2027-01-02');
SELECT name, next_tick FROM schedules;
SELECT uaef.drop_calendar('work');
SELECT uaef.exclude_days('work', '2027-01-02', '2027-01-01');
SELECT uaef.exclude_days('nothing', '2027-01-02');
SELECT uaef.create_calendar('work');
SELECT uaef.create_calendar('never', '{someday}');
SELECT uaef.create_calendar('all', '{sun,mon,tue,wed,thu,fri,sat}');
SELECT uaef.drop_schedule(name) FROM schedules;
SELECT uaef.drop_calendar('work');

-- a schedule that cannot start is told of, and holds no other up
SELECT uaef.create_workflow('sch_bad', '{"tasks": [{"id": "p", "type": "parallel"}]}');
CREATE ROLE regress_sch_owner;
SELECT uaef.grant_access('regress_sch_owner', 'operator');
SET ROLE regress_sch_owner;
SELECT uaef.create_schedule('xa_owned', 'sch', '0 * * * *');
SELECT uaef.create_schedule('xa_owned', 'sch', '0 * * * *');
RESET ROLE;
SELECT uaef.create_schedule('xb_good', 'sch', '0 * * * *');
SET uaef.test_now = '2026-12-31 13:00:00+00';
SELECT uaef.fire_schedules();
SELECT initiated_by, name FROM uaef.workflow_run WHERE name IN ('xa_owned', 'xb_good') ORDER BY name;
SELECT uaef.revoke_access('regress_sch_owner', 'operator');
SET uaef.test_now = '2026-12-31 14:00:00+00';
SELECT uaef.fire_schedules();
SELECT name, status, next_tick, started, failed, last_error FROM schedules;
SELECT payload FROM uaef.audit_trail WHERE event_type = 'schedule_failed';
SELECT uaef.grant_access('regress_sch_owner', 'operator');
SET uaef.test_now = '2026-12-31 15:00:00+00';
SELECT uaef.fire_schedules();
SELECT name, status, next_tick, started, failed, last_error FROM schedules;

-- others see and change nothing of it
CREATE ROLE regress_sch_other;
SELECT uaef.grant_access('regress_sch_other', 'operator'), uaef.grant_access('regress_sch_other', 'viewer');
SET ROLE regress_sch_other;
SELECT count(*) FROM uaef.schedule_status;
SELECT uaef.pause_schedule('xa_owned');
SELECT uaef.alter_schedule('xa_owned', '{"priority": 1}');
SELECT uaef.run_schedule_now('xa_owned');
SELECT uaef.drop_schedule('xa_owned');
SELECT uaef.fire_schedules();
RESET ROLE;

-- what cannot be made
SELECT uaef.create_schedule('bad', 'sch');
SELECT uaef.create_schedule('bad', 'sch', '0 * * * *', every => '1 hour');
SELECT uaef.create_schedule('bad', 'sch', every => '1 month');
SELECT uaef.create_schedule('bad', 'sch', every => '1 ms');
SELECT uaef.create_schedule('bad', 'sch', '0 * * * *', timezone => 'Nowhere');
SELECT uaef.create_schedule('bad', 'sch', '0 * * * *', missed => 'some');
SELECT uaef.create_schedule('bad', 'sch', '0 * * * *', overlap => 'some');
SELECT uaef.create_schedule('bad', 'sch', '0 * * * *', calendar => 'nothing');
SELECT uaef.create_schedule('bad', 'sch', '0 * * * *', input => '[]');
SELECT uaef.create_schedule('bad', 'sch', '0 * * * *', input => '{"a": "{{schedule.nothing}}"}');
SELECT uaef.create_schedule('bad', 'sch', '0 * * * *', jitter => '-1 s');
SELECT uaef.create_schedule('bad', 'sch_nothing', '0 * * * *');
SELECT uaef.create_schedule('bad', 'sch', '0 * * * *', version => 9);
SELECT uaef.create_schedule(NULL, 'sch', '0 * * * *');
SELECT uaef.alter_schedule('xb_good', '{"name": "x"}');
SELECT uaef.alter_schedule('xb_good', '{"every": "1 hour"}');
SELECT uaef.alter_schedule('xb_good', '[]');
SELECT uaef.alter_schedule('bad', '{}');
SELECT uaef.drop_schedule(name) FROM schedules;
SELECT count(*) FROM uaef.schedule;

RESET uaef.test_now;
DROP VIEW runs, schedules;
SELECT uaef.revoke_access('regress_sch_owner', 'operator'), uaef.revoke_access('regress_sch_other', 'operator'), uaef.revoke_access('regress_sch_other', 'viewer');
DROP ROLE regress_sch_owner, regress_sch_other;
