#!/usr/bin/env python3
"""A model of the workflow engine, written from docs/workflows.md, and a
generator of cases for it.

    workflow_model.py CASES SEED > script.sql
    psql ... -f script.sql > answers
    workflow_model.py CASES SEED answers      says where they differ

A case is a random workflow and a random sequence of what clients do to one
execution of it; the model says which states the tasks must be in after each.
The case of one seed is always the same, so that any can be run alone.
"""

import json
import random
import sys

PURE = ("decision", "condition", "parallel")
FAILS = "SELECT 1 / ($1->>'zero')::integer"
VOTERS = ("model_a", "model_b", "model_c")
ENDED = ("completed", "failed", "skipped", "cancelled", "compensated")


class Task:
    """A task of an execution, or an item of a map."""

    def __init__(self, spec, item=None):
        self.spec = spec
        self.item = item
        self.status = "pending"
        self.attempt = 0
        self.resolved = 0
        self.live = 0
        self.output = None
        self.handed_out = False
        self.undoes = False
        self.done_at = 0
        self.attempts_before = 0
        self.redo = 0
        self.filling = False
        self.child = None
        self.runs = 0
        self.votes = {}
        self.queued_at = 0
        self.in_line = self.holds = False
        self.total = None
        self.started = self.completed = self.failed = 0

    @property
    def type(self):
        return self.spec["type"]

    @property
    def ended(self):
        return self.status in ENDED


class Model:
    """An execution."""

    def __init__(self, definition, data):
        self.tasks = definition["tasks"]
        self.edges = definition.get("edges", [])
        self.data = data
        self.rows = {}
        self.items = {}
        self.ready = []
        self.status = "running"
        self.ending = None
        self.undo_next = False
        self.undoing = {}
        self.now = 0
        self.waits = []
        self.kept = []
        self.begun = []
        self.ended = []
        self.output = None
        into = {edge["to"] for edge in self.edges}
        self.incoming = {t["id"]: sum(e["to"] == t["id"] for e in self.edges) for t in self.tasks}
        self.roots = [t["id"] for t in self.tasks if t["id"] not in into]
        self.ready = [self.row(name) for name in self.roots]
        self.drain()
        self.see_to()

    # ---- rows ----------------------------------------------------------

    def row(self, name):
        if name not in self.rows:
            self.rows[name] = Task(next(t for t in self.tasks if t["id"] == name))
        return self.rows[name]

    def all_rows(self):
        return (list(self.rows.values()) + [i for items in self.items.values() for i in items]
                + list(self.undoing.values()))

    @property
    def over(self):
        return self.status in ("completed", "failed", "cancelled")

    # ---- what follows from what ----------------------------------------

    def drain(self):
        while self.ready and not self.over:
            ready, self.ready = self.ready, []
            for task in ready:
                if self.over:
                    break
                self.begin(task)
        if not self.over and not self.ending and all(t.ended for t in self.rows.values()):
            self.output = {
                t["id"]: self.rows[t["id"]].output
                for t in self.tasks
                if not any(e["from"] == t["id"] for e in self.edges)
                and t["id"] in self.rows and self.rows[t["id"]].output is not None
            }
            self.status = "completed"
        while self.undo_next:
            self.undo_next = False
            task = self.next_to_undo()
            if task is None:
                self.end_for_good(self.ending)
            else:
                undo = Task(task.spec["compensate"] | {"id": task.spec["id"]})
                undo.undoes = True
                self.undoing[task.spec["id"]] = undo
                self.begin_attempt(undo)

    def next_to_undo(self):
        """The task that completed last, or comes last in the graph, of those that nobody has begun to undo."""
        done = [t for t in self.rows.values()
                if t.status == "completed" and "compensate" in t.spec and t.spec["id"] not in self.undoing]
        return max(done, key=lambda t: (t.done_at, self.rank(t.spec["id"])), default=None)

    def rank(self, name):
        """The place of a task where each comes after those that lead to it."""
        missing = dict(self.incoming)
        order = list(self.roots)
        for done in order:
            for edge in self.edges:
                if edge["from"] == done:
                    missing[edge["to"]] -= 1
                    if missing[edge["to"]] == 0:
                        order.append(edge["to"])
        return order.index(name)

    def see_to(self):
        """Children begin and end after all else that an act brings about."""
        while self.begun or self.ended:
            if self.ended:
                ended, self.ended = self.ended, []
                for task, child in ended:
                    if not self.over and task.status == "running" and task.child is child:
                        if child == "bad":
                            self.fail(task)
                        else:
                            self.run_ended(task, {"v": 5})
                        self.drain()
            else:
                begun, self.begun = self.begun, []
                for task, child in begun:
                    if task.status == "running" and task.child is child and child != "ask":
                        self.ended.append((task, child))

    def run_ended(self, task, output):
        """A child has completed: a loop may run it again."""
        repeat = task.spec["config"].get("repeat")
        if repeat is None or output["v"] >= repeat["until"]["last.v"]["$gte"]:
            self.finish(task, output, None)
        elif task.runs < repeat["max"]:
            task.output = output
            task.status = "queued"
            task.handed_out = False
            if self.status != "paused":
                self.hand_out(task)
        else:
            task.output = None
            self.fail(task)

    def begin(self, task):
        if task.status != "pending":
            return
        config = task.spec.get("config", {})
        if task.type == "decision":
            label = next((c["label"] for c in config["cases"] if self.data["n"] >= c["when"]["in.n"]["$gte"]),
                         config.get("default"))
            if label is None:
                self.fail(task)
            else:
                self.finish(task, {"decision": label}, label)
        elif task.type == "condition":
            met = self.data["n"] >= config["when"]["in.n"]["$gte"]
            self.finish(task, {"result": met}, "true" if met else "false")
        elif task.type == "parallel" and "over" not in config:
            self.finish(task, {}, None)
        elif task.type == "parallel":
            self.begin_map(task)
        else:
            self.begin_attempt(task)

    def begin_attempt(self, task):
        task.attempt += 1
        task.status = "queued"
        task.handed_out = False
        task.runs = 0
        task.queued_at = self.now
        if self.status != "paused":
            self.hand_out(task)

    def grant(self):
        """Of all that stand in line for a place, those that waited longest get it."""
        line = [t for t in self.all_rows() if t.in_line and t.status == "queued"]
        for task in sorted(line, key=lambda t: t.queued_at):
            if not any(t.holds and t.status in ("queued", "running") and self.place(t) == self.place(task)
                       for t in self.all_rows()):
                task.in_line = False
                task.holds = task.handed_out = True

    def place(self, task):
        key = task.spec["limits"][0].get("key")
        return (task.spec["id"], task.undoes,
                self.data["items"][task.item]["k"] if key == "{{item.k}}" else self.data["n"] if key else None) if (
                    "limits" in task.spec) else None

    def hand_out(self, task):
        if "limits" in task.spec:
            task.in_line = True
            task.holds = False
            return
        task.handed_out = True
        if task.type == "human_approval":
            task.status = "waiting_input"
            task.votes = {}
        elif task.type == "wait":
            task.status = "running"
        elif task.type == "workflow":
            task.status = "running"
            task.child = task.spec["config"]["workflow"].removeprefix("model_")
            task.asked = False
            task.runs += 1
            self.begun.append((task, task.child))
        elif task.type == "signal":
            signal = next((k for k in self.kept if self.takes(task, k)), None)
            if signal is None:
                task.status = "waiting_input"
                self.waits.append(task)
            else:
                self.kept.remove(signal)
                self.finish(task, signal, "received")

    @staticmethod
    def takes(task, signal):
        config = task.spec["config"]
        payload = signal["payload"]
        return (config["name"] == signal["signal"]
                and ("match" not in config or config["match"]["k"] == payload["k"])
                and ("filter" not in config or payload["v"] >= config["filter"]["signal.v"]["$gte"]))

    def begin_map(self, task):
        if task.total is not None:
            self.begin_map_again(task)
            return
        task.attempt += 1
        task.total = len(self.data["items"])
        inner = task.spec.get("config", {})["task"] | {"id": task.spec["id"]}
        self.items[task.spec["id"]] = [Task(inner, item) for item in range(task.total)]
        if task.total == 0:
            self.finish(task, [], None)
            return
        task.status = "running"
        self.begin_items(task)

    def begin_map_again(self, task):
        """Items that completed stay; the others run again, also those that had not begun."""
        task.attempt += 1
        for item in self.items[task.spec["id"]]:
            item.attempts_before = item.attempt
            item.again = item.status in ("failed", "cancelled")
        task.started = task.total
        task.redo = task.total - task.completed
        task.failed = 0
        task.status = "running"
        self.begin_items(task)

    def begin_items(self, task):
        items = self.items[task.spec["id"]]
        limit = task.spec["config"].get("concurrency", task.total)
        if task.filling:
            return
        task.filling = True
        for item in [i for i in items if getattr(i, "again", False)]:
            if task.status != "running" or task.started - task.redo - task.completed - task.failed >= limit:
                break
            task.redo -= 1
            item.again = False
            item.status = "pending"
            item.attempts_before = item.attempt
            item.output = None
            self.begin_attempt(item)
        while (task.status == "running" and task.started < task.total
               and task.started - task.redo - task.completed - task.failed < limit):
            task.started += 1
            self.begin_attempt(items[task.started - 1])
        task.filling = False

    def finish(self, task, output, label):
        task.output = output
        task.label = label
        task.status = "completed"
        task.done_at = self.now
        if task.undoes:
            self.rows[task.spec["id"]].status = "compensated"
            self.undo_next = True
        elif task.item is not None:
            self.item_completed(self.rows[task.spec["id"]])
        else:
            self.resolve(task, True, label)

    def join_of(self, task):
        join = task.spec.get("config", {}).get("join", "all")
        return 0 if join == "all" else 1 if join == "any" else join

    def item_completed(self, task):
        if task.status != "running":
            return
        join = self.join_of(task)
        task.completed += 1
        if join:
            enough = task.completed >= min(join, task.total)
        else:
            enough = task.completed >= task.total
        if not enough:
            self.begin_items(task)
            return
        self.cancel_items(task)
        outputs = [i.output for i in self.items[task.spec["id"]] if i.status == "completed"]
        self.finish(task, outputs, None)

    def item_failed(self, task):
        if task.status != "running":
            return
        join = self.join_of(task)
        task.failed += 1
        if join and task.total - task.failed >= join:
            self.begin_items(task)
            return
        self.cancel_items(task)
        self.fail(task)

    def cancel_items(self, task):
        for item in self.items[task.spec["id"]]:
            if not item.ended:
                item.status = "cancelled"

    def fail(self, task):
        task.status = "failed"
        if task.undoes:
            self.undo_next = True
            return
        if task.item is not None:
            self.item_failed(self.rows[task.spec["id"]])
            return
        how = task.spec.get("on_failure", "fail")
        if how == "fail":
            self.end("failed")
        elif how == "continue":
            task.output = {"error": None}
            self.resolve(task, True, None)
        else:
            self.resolve(task, False, None)

    def end(self, status):
        """What completed is undone before, if that can be."""
        if self.next_to_undo() is None:
            self.end_for_good(status)
            return
        self.ending = status
        self.undo_next = True
        self.cancel_open()
        if status == "cancelled":
            self.status = "running"

    def end_for_good(self, status):
        self.status = status
        self.ending = None
        self.cancel_open()

    def cancel_open(self):
        self.ready = []
        for task in self.all_rows():
            if not task.ended:
                task.status = "cancelled"

    def resolve(self, task, live, label):
        for edge in self.edges:
            if edge["from"] != task.spec["id"]:
                continue
            if self.over or self.ending:
                return
            follows = live and ("on" not in edge or edge["on"] == label)
            if follows and "when" in edge:
                (path, test), = edge["when"].items()
                if not isinstance(task.output, dict) or "v" not in task.output:
                    self.end("failed")
                    return
                follows = task.output["v"] >= test["$gte"]
            self.resolve_edge(self.row(edge["to"]), follows)

    def resolve_edge(self, task, live):
        if task.status != "pending" or task.attempt > task.attempts_before:
            return
        join = task.spec.get("join", "all")
        join = 0 if join == "all" else 1 if join == "any" else join
        task.resolved += 1
        task.live += live
        known = task.resolved == self.incoming[task.spec["id"]]
        if (task.live == join and live) if join else (known and task.live > 0):
            self.ready.append(task)
        elif known and (not join or task.live < join):
            task.status = "skipped"
            self.resolve(task, False, None)

    # ---- what clients do -------------------------------------------------

    def step(self):
        self.now += 1

    def claim(self):
        for task in self.all_rows():
            if task.type == "workflow" and task.status == "running" and task.child == "ask":
                task.asked = True
        if self.status == "running":
            for task in self.all_rows():
                if task.type == "external" and task.status == "queued" and task.handed_out:
                    task.status = "running"

    def complete(self, task, output):
        if task.type == "workflow":
            self.run_ended(task, output)
        else:
            self.finish(task, output, None)
        self.drain()

    def child_failure(self, task):
        self.fail(task)
        self.drain()

    def signal(self, name, payload):
        signal = {"signal": name, "payload": payload}
        task = next((t for t in self.waits if t.status == "waiting_input" and self.takes(t, signal)), None)
        if task is None:
            self.kept.append(signal)
            return
        self.waits.remove(task)
        self.finish(task, signal, "received")
        self.drain()

    def retry(self):
        """What did not complete runs again; the edges of what stays are resolved anew."""
        for task in self.rows.values():
            if task.status in ("cancelled", "skipped") or (
                    task.status == "failed" and task.spec.get("on_failure", "fail") != "continue"):
                task.status = "pending"
                task.attempts_before = task.attempt
                task.resolved = task.live = 0
                task.output = None
        self.waits = [t for t in self.waits if t.status == "waiting_input"]
        self.status = "running"
        self.ready = [self.row(name) for name in self.roots]
        for t in self.tasks:
            task = self.rows.get(t["id"])
            if task is not None and task.status in ("completed", "failed"):
                self.resolve(task, task.status == "completed" or t.get("on_failure") == "continue",
                             task.label if task.status == "completed" else None)
        self.drain()

    def failure(self, task, retryable):
        if retryable and task.attempt - task.attempts_before < task.spec.get("retry", {}).get("max_attempts", 1):
            task.status = "pending"
        else:
            self.fail(task)
        self.drain()

    def decide(self, task, approved, voter):
        config = task.spec["config"]
        task.votes[voter] = approved
        votes = list(task.votes.values())
        if votes.count(approved) < config.get("need" if approved else "reject_need", 1):
            return
        labelled = any("on" in e for e in self.edges if e["from"] == task.spec["id"])
        outcome = "approved" if approved else "rejected"
        if approved or labelled:
            self.finish(task, {"decision": outcome}, outcome)
        else:
            self.fail(task)
        self.drain()

    def run_sql(self):
        while True:
            self.grant()
            if self.status != "running":
                return
            tasks = [self.rows[t["id"]] for t in self.tasks if t["id"] in self.rows]
            items = [i for t in self.tasks for i in self.items.get(t["id"], [])] + list(self.undoing.values())
            task = next((t for t in tasks + items if t.type == "sql" and t.status == "queued"), None)
            if task is None:
                return
            self.step()
            if task.spec["config"]["sql"] == FAILS:
                self.fail(task)
            else:
                self.finish(task, {"v": 5}, None)
            self.drain()
            self.see_to()

    def pause(self):
        self.status = "paused"
        for task in self.all_rows():
            if task.status == "queued":
                task.handed_out = task.in_line = task.holds = False

    def resume(self):
        self.status = "running"
        for t in self.tasks:
            task = self.rows.get(t["id"])
            if task and task.status == "queued" and not self.over:
                self.hand_out(task)
        for items in self.items.values():
            for item in items:
                if item.status == "queued" and not self.over:
                    self.hand_out(item)
        for undo in self.undoing.values():
            if undo.status == "queued":
                self.hand_out(undo)
        self.drain()

    def cancel(self):
        self.end("cancelled")
        self.drain()

    def stop(self):
        """A cancel that undoes nothing."""
        self.end_for_good(self.ending or "cancelled")

    def state(self):
        rows = []
        for t in self.tasks:
            if t["id"] in self.rows:
                rows.append(f'{t["id"]}={self.rows[t["id"]].status}')
            rows += [f'{t["id"]}[{i.item}]={i.status}' for i in self.items.get(t["id"], [])]
            if t["id"] in self.undoing:
                rows.append(f'{t["id"]}*={self.undoing[t["id"]].status}')
        return self.shown_status() + " " + " ".join(sorted(rows))

    def shown_status(self):
        """A running execution shows that it waits for nothing but people."""
        rows = self.all_rows()
        asked = any(t.type == "human_approval" and t.status == "waiting_input" for t in rows)
        busy = any(t.status in ("queued", "running") or t.status == "pending" and t.attempt > 0 for t in rows)
        return "waiting_approval" if self.status == "running" and asked and not busy else self.status


# ---- random cases --------------------------------------------------------


def random_task(rng, name):
    kind = rng.choices(
        ["decision", "condition", "fork", "map", "human_approval", "external", "sql", "wait", "signal", "workflow"],
        [2, 2, 1, 2, 2, 5, 4, 1, 2, 2])[0]
    task = {"id": name, "type": "parallel" if kind in ("fork", "map") else kind}
    if kind == "decision":
        labels = rng.sample(["a", "b", "c"], rng.randint(1, 3))
        task["config"] = {"cases": [{"label": x, "when": {"in.n": {"$gte": rng.randint(0, 9)}}} for x in labels]}
        if rng.random() < 0.8:
            task["config"]["default"] = "d"
    elif kind == "condition":
        task["config"] = {"when": {"in.n": {"$gte": rng.randint(0, 9)}}}
    elif kind == "map":
        inner = rng.choice(["external", "sql", "workflow"])
        task["config"] = {"over": "{{in.items}}", "task": {"type": inner}}
        if inner == "external" and rng.random() < 0.5:
            task["config"]["task"]["limits"] = [random_limit(rng, "{{item.k}}")]
        if inner == "sql":
            task["config"]["task"]["config"] = {"sql": random_sql(rng)}
        elif inner == "workflow":
            task["config"]["task"]["config"] = random_child(rng)
        if rng.random() < 0.5:
            task["config"]["concurrency"] = rng.randint(1, 3)
        if rng.random() < 0.4:
            task["config"]["join"] = rng.choice(["any", 1, 2, 3])
    elif kind == "human_approval":
        task["config"] = {"four_eyes": False}
        if rng.random() < 0.6:
            task["config"] |= {"approvers": list(VOTERS), "need": rng.randint(1, 3), "reject_need": rng.randint(1, 3)}
    elif kind == "sql":
        task["config"] = {"sql": random_sql(rng)}
    elif kind == "wait":
        task["config"] = {"for": "30 days"}
    elif kind == "workflow":
        task["config"] = random_child(rng)
    elif kind == "signal":
        task["config"] = {"name": rng.choice(["go", "on"])}
        if rng.random() < 0.4:
            task["config"]["match"] = {"k": rng.randint(0, 2)}
        if rng.random() < 0.4:
            task["config"]["filter"] = {"signal.v": {"$gte": rng.randint(0, 9)}}
    if rng.random() < 0.1:
        task["compensate"] = rng.choice([{"type": "external"}, {"type": "sql", "config": {"sql": random_sql(rng), "input": {"zero": 0}}}])
    if kind == "external" and rng.random() < 0.3:
        task["retry"] = {"max_attempts": 2, "initial": "1 day", "max": "1 day"}
    if kind == "external" and rng.random() < 0.3:
        task["limits"] = [random_limit(rng, "{{in.n}}")]
    if rng.random() < 0.35:
        task["on_failure"] = rng.choice(["continue", "skip"])
    return task


def random_sql(rng):
    return FAILS if rng.random() < 0.15 else "SELECT 5 AS v"


def random_limit(rng, key):
    """One at a time: the bound is that of the place, whatever version of the workflow."""
    return {"concurrency": 1} | ({"key": key} if rng.random() < 0.5 else {})


def random_child(rng):
    child = {"workflow": "model_" + rng.choices(["pure", "ask", "bad"], [4, 4, 1])[0], "input": {"n": 1}}
    if rng.random() < 0.4:
        child["repeat"] = {"until": {"last.v": {"$gte": rng.randint(0, 9)}}, "max": rng.randint(1, 4)}
    return child


def random_edge(rng, source, target):
    edge = {"from": source["id"], "to": target["id"]}
    chance = rng.random()
    labels = {"decision": None, "condition": ["true", "false"], "human_approval": ["approved", "rejected"], "signal": ["received"]}
    if source["type"] == "decision":
        labels["decision"] = [c["label"] for c in source["config"]["cases"]]
        if "default" in source["config"]:
            labels["decision"].append("d")
    if source["type"] in labels and chance < 0.6:
        edge["on"] = rng.choice(labels[source["type"]])
    elif source["type"] in ("external", "sql", "workflow") and chance < 0.3:
        edge["when"] = {f'task.{source["id"]}.v': {"$gte": rng.randint(0, 9)}}
    return edge


def random_case(seed):
    """A definition, an input, and a source of chances for what follows."""
    rng = random.Random(seed)
    n = rng.choice([1, 2, 3, 5, 8, 13, 20]) if rng.random() < 0.97 else 200
    tasks = [random_task(rng, f"t{i}") for i in range(n)]
    edges = []
    for i in range(1, n):
        for j in rng.sample(range(max(0, i - 8), i), min(i, rng.choice([0, 1, 1, 1, 2, 3]), 8)):
            edges.append(random_edge(rng, tasks[j], tasks[i]))
    for task in tasks:
        into = sum(e["to"] == task["id"] for e in edges)
        if into > 1 and rng.random() < 0.4:
            task["join"] = rng.choice(["any", rng.randint(1, into)])
    data = {"n": rng.randint(0, 9), "zero": 0, "items": [{"zero": 0, "k": k} for k in range(rng.choice([0, 1, 2, 5]))]}
    return {"tasks": tasks, "edges": edges}, data, rng


def voters(task):
    """Who has not decided yet."""
    return [v for v in task.spec["config"].get("approvers", ["postgres"]) if v not in task.votes]


def choose(rng, model):
    """What a client does next: its name, the task, more arguments."""
    if rng.random() < 0.03:
        return "stop" if model.ending or rng.random() < 0.3 else "cancel", None, []
    if model.status == "paused":
        if rng.random() < 0.4:
            return "resume", None, []
    elif rng.random() < 0.08:
        return "pause", None, []
    running = [t for t in model.all_rows() if t.type == "external" and t.status == "running"]
    asked = [t for t in model.all_rows() if t.type == "human_approval" and t.status == "waiting_input" and voters(t)]
    children = [t for t in model.all_rows() if t.type == "workflow" and t.status == "running" and t.child == "ask" and t.asked]
    ways = ["claim", "run_sql", "signal"] + ["child"] * 3 * bool(children) + ["complete"] * 4 * bool(running) + ["failure"] * bool(running) + ["decide"] * bool(asked)
    way = rng.choice(ways)
    if way == "complete":
        return way, rng.choice(running), [{"v": rng.randint(0, 9)}]
    if way == "child":
        if rng.random() < 0.2:
            return "child_failure", rng.choice(children), []
        return "complete", rng.choice(children), [{"v": rng.randint(0, 9)}]
    if way == "signal":
        return way, None, [rng.choice(["go", "on"]), {"k": rng.randint(0, 2), "v": rng.randint(0, 9)}]
    if way == "failure":
        return way, rng.choice(running), [rng.random() < 0.5]
    if way == "decide":
        task = rng.choice(asked)
        return way, task, [rng.random() < 0.7, rng.choice(voters(task))]
    return way, None, []


def play(seed):
    """Yields what is done and the state that the execution must then be in."""
    definition, data, rng = random_case(seed)
    model = Model(definition, data)
    yield "start", None, [definition, data], model
    for _ in range(rng.randint(3, 60)):
        if model.over:
            if model.status == "completed" or model.undoing or rng.random() < 0.5:
                break
            way, task, arguments = "retry", None, []
        else:
            way, task, arguments = choose(rng, model)
        place = None if task is None else (task.spec["id"], task.item, task.undoes, task.type == "workflow")
        model.step()
        getattr(model, way)(*([task] if task else []), *arguments)
        model.see_to()
        yield way, place, arguments, model
    if not model.over:
        model.stop()
        yield "stop", None, [], model


SETUP = r"""
\set QUIET on
\pset format unaligned
\pset tuples_only on
\set ON_ERROR_STOP off
SET client_min_messages = warning;
CREATE SCHEMA model;
CREATE ROLE model_a; CREATE ROLE model_b; CREATE ROLE model_c;
GRANT USAGE ON SCHEMA model TO model_a, model_b, model_c;
SELECT count(uaef.grant_access(r, 'approver')) AS made FROM unnest('{model_a,model_b,model_c}'::regrole[]) r \gset
CREATE FUNCTION model.execution() RETURNS uuid LANGUAGE sql AS
	$$ SELECT current_setting('model.execution')::uuid $$;
SELECT uaef.create_workflow('model_pure', '{"tasks": [{"id": "p", "type": "parallel"}], "output": {"v": 5}}') AS made \gset
SELECT uaef.create_workflow('model_ask', '{"tasks": [{"id": "x", "type": "external"}], "output": {"v": "{{task.x.v}}"}}') AS made \gset
SELECT uaef.create_workflow('model_bad', '{"tasks": [{"id": "d", "type": "decision",
	"config": {"cases": [{"label": "a", "when": {"in.n": {"$gte": 100}}}]}}]}') AS made \gset
CREATE FUNCTION model.task(text, integer, undoes boolean, child boolean) RETURNS bigint LANGUAGE sql AS
	$$ SELECT coalesce(c.task_id, t.task_id) FROM uaef.task_run t
	LEFT JOIN uaef.task_run c ON c.execution_id = t.child_execution_id AND child
	WHERE t.execution_id = model.execution() AND t.task = $1 AND t.item IS NOT DISTINCT FROM $2
	AND t.compensates = undoes $$;
CREATE FUNCTION model.state() RETURNS text LANGUAGE sql AS $$
	SELECT status || ' ' || (SELECT coalesce(string_agg(task || coalesce('[' || item || ']', '') || CASE WHEN compensates THEN '*' ELSE '' END || '=' || status, ' '
		ORDER BY task || coalesce('[' || item || ']', '') || CASE WHEN compensates THEN '*' ELSE '' END || '=' || status COLLATE "C"), '')
		FROM uaef.task_run t WHERE t.execution_id = r.execution_id) || coalesce(' ' || output::text, '')
	FROM uaef.workflow_run r WHERE execution_id = model.execution() $$;
CREATE FUNCTION model.claimed() RETURNS text LANGUAGE sql AS $$
	WITH c AS (SELECT * FROM uaef.claim_tasks('model', max_tasks => 10000)) SELECT 'claimed' FROM (SELECT count(*) FROM c) n $$;
"""


def quoted(value):
    return "'" + json.dumps(value).replace("'", "''") + "'"


def statement(way, place, arguments):
    """What does it in SQL."""
    task = "" if place is None else "model.task('%s', %s, %s, %s)" % (
        place[0], "NULL" if place[1] is None else place[1], place[2], place[3])
    if way == "start":
        return ("SELECT uaef.create_workflow('model', %s) > 0 AS made \\gset\n"
                "SELECT set_config('model.execution', uaef.start_workflow('model', %s)::text, false) AS id \\gset"
                % (quoted(arguments[0]), quoted(arguments[1])))
    if way == "claim":
        return "SELECT model.claimed() AS done \\gset"
    if way == "run_sql":
        return "SELECT uaef.execute_next_tasks(model.execution()) AS done \\gset"
    if way == "complete":
        return "SELECT uaef.complete_task(%s, %s) AS done \\gset" % (task, quoted(arguments[0]))
    if way == "child_failure":
        return "SELECT uaef.fail_task(%s, 'no', false) AS done \\gset" % task
    if way == "signal":
        return "SELECT uaef.signal_workflow(model.execution(), '%s', %s) AS done \\gset" % (arguments[0], quoted(arguments[1]))
    if way == "stop":
        return "SELECT uaef.cancel_workflow(model.execution(), compensate => false) AS done \\gset"
    if way == "failure":
        return "SELECT uaef.fail_task(%s, 'no', %s) AS done \\gset" % (task, arguments[0])
    if way == "decide":
        return ("SET SESSION AUTHORIZATION %s;\n"
                "SELECT uaef.%s(approval_id) AS done FROM uaef.pending_approval"
                " WHERE execution_id = model.execution() AND task = '%s' \\gset\n"
                "RESET SESSION AUTHORIZATION;"
                % (arguments[1], "approve" if arguments[0] else "reject", place[0]))
    return "SELECT uaef.%s_workflow(model.execution()) AS done \\gset" % way


def write_script(cases, seed):
    print(SETUP)
    for case in range(seed, seed + cases):
        for step, (way, place, arguments, _) in enumerate(play(case)):
            print(statement(way, place, arguments))
            print(f"SELECT '{case}/{step} ' || model.state();")


def same(model, answer):
    if not model.output:
        return answer.rstrip(" {}") == model.state().rstrip()
    state, _, output = answer.partition(" {")
    return state == model.state() and without_details(json.loads("{" + output)) == without_details(model.output)


def without_details(output):
    """What of an output the model knows."""
    if isinstance(output, dict):
        return {k: without_details(v) for k, v in output.items()
                if k not in ("error", "approval_id", "approver", "votes", "reason", "response", "signal_id", "sent_by", "sent_at")}
    return output


def compare(cases, seed, path):
    with open(path, encoding="utf-8") as answers:
        lines = dict(line.rstrip("\n").split(" ", 1) for line in answers if "/" in line.split(" ", 1)[0])
    wrong = steps = 0
    for case in range(seed, seed + cases):
        done = []
        for step, (way, place, arguments, model) in enumerate(play(case)):
            steps += 1
            done.append(f"{way} {place or ''} {arguments if way != 'start' else ''}")
            answer = lines.get(f"{case}/{step}")
            if answer is None or not same(model, answer):
                wrong += 1
                print(f"seed {case}, step {step}:", *done, f"server {answer}", f"model  {model.state()} {model.output or ''}",
                      json.dumps(random_case(case)[:2]), sep="\n    ")
                break
    print(f"{cases} cases, {steps} steps, {wrong} differ")
    return wrong


if __name__ == "__main__":
    if len(sys.argv) == 3:
        write_script(int(sys.argv[1]), int(sys.argv[2]))
    elif len(sys.argv) == 4:
        sys.exit(1 if compare(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]) else 0)
    else:
        sys.exit(__doc__)
