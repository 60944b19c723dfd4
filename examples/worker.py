#!/usr/bin/env python3
"""An outside worker in Python: takes the tasks of queues and gives each to a
function.  To copy and change; docs/workers.md says why it is so.

    worker.py [-n AT_ONCE] QUEUE[,QUEUE...] MODULE:FUNCTION [CAPABILITY...]

The function gets a Task and returns what json can write, the output of the task.
An exception fails the attempt; one that has retryable = False fails the task.
The function may look at task.lost, and stop when it is set: another worker has the
task then.  SIGTERM and SIGINT end the worker when what it has begun is done.

Needs psycopg2 (Debian: python3-psycopg2).  The server is found by PGHOST,
PGDATABASE, PGUSER and their kind; the role needs the access "worker".
"""
import argparse
import importlib
import json
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import psycopg2.extensions
import psycopg2.extras

LEASE = 60              # who is silent for so many seconds has lost the task
BEAT = 20               # seconds between two heartbeats
WAIT = 30               # longest that one claim waits for a task
PAUSE = 2               # seconds between two tries to reach the server

# The lease is lost, or the task is over or gone: the result is of no use.
LOST = {"UA303", "UA304", "UA305", "UA306"}

# Lets signals end a wait: the statement is cancelled, not the connection.
psycopg2.extensions.set_wait_callback(psycopg2.extras.wait_select)


class Task:
    def __init__(self, task_id, name, attempt, task_input, token):
        self.id, self.name, self.attempt = task_id, name, attempt
        self.input, self.token, self.lost = task_input, token, False


class Server:
    """One connection that is made anew when it is gone, for one caller at a time."""

    def __init__(self):
        self.lock, self.connection = threading.Lock(), None

    def ask(self, sql, arguments):
        with self.lock:
            if self.connection is None or self.connection.closed:
                self.connection = psycopg2.connect("")
                self.connection.autocommit = True
            with self.connection.cursor() as cursor:
                cursor.execute(sql, arguments)
                return cursor.fetchall()


class Worker:
    def __init__(self, queues, function, capabilities, at_once):
        self.name = f"{socket.gethostname()}.{os.getpid()}"
        self.queues, self.capabilities = queues, capabilities
        self.function, self.at_once = function, at_once
        self.free = threading.Semaphore(at_once)
        self.claims, self.results = Server(), Server()
        self.tasks = {}
        self.stopping, self.waiting = threading.Event(), False

    def stop(self, *_):
        self.stopping.set()
        if self.waiting:
            raise KeyboardInterrupt

    def claim(self):
        """Up to one task, after waiting for it; committed when it is returned."""
        try:
            self.waiting = True
            rows = self.claims.ask(
                "SELECT task_id, task, attempt, input, lease_token FROM uaef.claim_tasks("
                "%s, queues => %s, capabilities => %s, lease => %s, wait => %s)",
                (self.name, self.queues, self.capabilities, f"{LEASE} s", f"{WAIT} s"))
            return [Task(*row) for row in rows]
        except (psycopg2.OperationalError, psycopg2.InterfaceError, KeyboardInterrupt) as error:
            if not self.stopping.is_set():
                print(f"no answer: {error}", file=sys.stderr)
                self.stopping.wait(PAUSE)
            return []
        finally:
            self.waiting = False

    def tell(self, task, sql, *arguments):
        """Give a result.  Without an answer it is given again, which does no harm."""
        while True:
            try:
                self.results.ask(sql, arguments)
                return True
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                print(f"task {task.id}: {error}", file=sys.stderr)
                threading.Event().wait(PAUSE)
            except psycopg2.Error as error:
                if error.pgcode not in LOST:
                    raise
                task.lost = True
                print(f"task {task.id}: {error.pgcode}: result dropped", file=sys.stderr)
                return False

    def work(self, task):
        try:
            try:
                output = json.dumps(self.function(task))
                self.tell(task, "SELECT uaef.complete_task(%s, %s, %s)",
                          task.id, output, task.token)
            except Exception as error:    # whatever the function raises, or the server refuses
                self.tell(task, "SELECT uaef.fail_task(%s, %s, %s, %s)", task.id,
                          f"{type(error).__name__}: {error}",
                          getattr(error, "retryable", True), task.token)
        finally:
            del self.tasks[task.id]
            self.free.release()

    def beat(self, ended):
        while not ended.wait(BEAT):
            for task in list(self.tasks.values()):
                if not task.lost:
                    self.tell(task, "SELECT uaef.heartbeat_task(%s, %s, %s)",
                              task.id, task.token, f"{LEASE} s")

    def run(self):
        ended = threading.Event()
        threading.Thread(target=self.beat, args=(ended,), daemon=True).start()
        with ThreadPoolExecutor(self.at_once) as pool:
            while not self.stopping.is_set():
                if not self.free.acquire(timeout=1):
                    continue
                tasks = self.claim()
                for task in tasks:
                    if self.stopping.is_set():    # not begun: somebody else's
                        self.tell(task, "SELECT uaef.release_task(%s, %s)", task.id, task.token)
                    else:
                        self.tasks[task.id] = task
                        pool.submit(self.work, task)
                if not tasks or self.stopping.is_set():
                    self.free.release()
        ended.set()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("-n", type=int, default=4, metavar="AT_ONCE")
    parser.add_argument("queues")
    parser.add_argument("function", metavar="MODULE:FUNCTION")
    parser.add_argument("capabilities", nargs="*", metavar="CAPABILITY")
    options = parser.parse_args()
    module, _, name = options.function.partition(":")
    worker = Worker(options.queues.split(","), getattr(importlib.import_module(module), name),
                    options.capabilities, options.n)
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, worker.stop)
    worker.run()


if __name__ == "__main__":
    main()
