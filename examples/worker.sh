#!/usr/bin/env bash
# An outside worker: takes the tasks of a queue, one after another, and gives
# each to a command.  To copy and change; docs/workers.md says why it is so.
#
#   examples/worker.sh [-n TASKS] QUEUE COMMAND [ARGUMENT...]
#
# The command gets the input of the task as JSON on its standard input and puts
# out JSON, the output of the task.  An exit status that is not 0 fails the
# attempt.  -n ends the worker after so many tasks.  psql finds the server by
# PGHOST, PGDATABASE, PGUSER and their kind; the role needs the access "worker".
set -euo pipefail

tasks=0
if [ "${1:-}" = -n ]; then tasks=$2; shift 2; fi
[ $# -ge 2 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2; }
queue=$1
shift

worker=$(uname -n).$$
lease='60 seconds'		# who is silent for so long has lost the task
every=20				# seconds between two heartbeats
pause=2					# seconds between two looks at an empty queue
export PGCLIENTENCODING=UTF8
result=$(mktemp)
export result
trap 'rm -f "$result"' EXIT

sql() {
	psql -X -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=sqlstate \
		-v worker="$worker" -v queue="$queue" -v lease="$lease" \
		-v task="${task:-}" -v token="${token:-}"
}

# The lease is lost, or the task is over or gone: the result is of no use.
is_lost() { [[ $1 == *ERROR:*UA30[3-6]* ]]; }

# One task, as "id|token|input"; nothing if the queue is empty.
claim() {
	sql <<-'SQL'
	SELECT task_id, lease_token, input
	FROM uaef.claim_tasks(:'worker', :'queue', 1, :'lease');
	SQL
}

# Extend the lease as long as a process works; end that when the lease is lost.
beat() {
	local said
	while sleep "$every"; do
		said=$(sql 2>&1 <<<"SELECT uaef.heartbeat_task(:task, :'token', :'lease')") ||
			if is_lost "$said"; then kill "$1"; return; fi
	done
}

# Give the result, by a statement that reads it as :'text'.  Without an answer
# the same is said again, which does no harm.  Fails if the server refuses it.
tell() {
	local said
	until said=$(printf '\\set text `cat "$result"`\n%s\n' "$1" | sql 2>&1); do
		if is_lost "$said"; then
			echo "task $task: $said: result dropped" >&2
			return 0
		fi
		[[ $said != *ERROR:* ]] || { echo "task $task: $said" >&2; return 1; }
		sleep "$pause"
	done
}

# Run the command on the input of the task.
work() {
	local pid beating status=0
	"$@" <<<"$input" >"$result" &
	pid=$!
	beat "$pid" </dev/null >/dev/null 2>&1 &
	beating=$!
	disown "$beating"
	wait "$pid" || status=$?
	# By a signal that runs no trap: one just forked still has ours.
	kill -KILL "$beating" 2>/dev/null || true
	return "$status"
}

while true; do
	row=$(claim) || row=
	if [ -z "$row" ]; then
		sleep "$pause"
		continue
	fi
	IFS='|' read -r task token input <<<"$row"
	if ! work "$@"; then
		echo "command failed: $1" >"$result"
		tell "SELECT uaef.fail_task(:task, :'text', true, :'token')" || true
	elif ! tell "SELECT uaef.complete_task(:task, :'text', :'token')"; then
		echo "output refused" >"$result"
		tell "SELECT uaef.fail_task(:task, :'text', false, :'token')" || true
	fi
	[ "$tasks" = 0 ] || [ $((--tasks)) -gt 0 ] || break
done
