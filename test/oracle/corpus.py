#!/usr/bin/env python3
"""Ledgers made in Python, and what can be done to them: do two verifiers agree?

usage: corpus.py [--verify PROGRAM] [--mutations N] [--seed N] [--show N]
       corpus.py --fuzz SECONDS --verify PROGRAM      (it must not crash)
       corpus.py --make DIRECTORY --events N          (one ledger, to look at or to time)

Makes small ledgers of every shape with right hashes, as JSON lines and as tiles
folders, with checkpoints, cosignatures and a policy, and changes them: each
field of each row, rows taken away, doubled, exchanged, moved, spliced from
another ledger, tails cut off, histories chained anew, bytes of notes, proofs,
tiles and policies.  uaef-verify (PROGRAM) and verify_ledger.py must agree on
the exit code and on code and place of every finding; whatever changes what a
ledger says must be found.
"""
import argparse
import base64
import copy
import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import types
import uuid
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timedelta, timezone

import ed25519
import verify_ledger as v

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


# ---- making ledgers -------------------------------------------------------------

def iso(us):
    return (EPOCH + timedelta(microseconds=us)).isoformat()


def hexed(data):
    return data.hex()


class Signer:
    def __init__(self, name, kind, seed):
        self.name, self.kind, self.seed = name, kind, seed
        key = bytes([kind]) + ed25519.public_key(seed)
        self.id = v.sha(name.encode(), b"\n", key)[:4]
        self.vkey = "%s+%s+%s" % (name, self.id.hex(), base64.b64encode(key).decode())

    def line(self, text, when=0):
        if self.kind == 1:
            data = ed25519.sign(self.seed, text)
        else:
            data = struct.pack(">Q", when) + ed25519.sign(
                self.seed, b"cosignature/v1\ntime %d\n" % when + text)
        return "\u2014 %s %s\n" % (self.name, base64.b64encode(self.id + data).decode())


PAYLOADS = [
    {}, {"a": 1}, None, [], "text", 0, -1.5, 10**21, {"n": 9007199254740993},
    {"\u20ac": "\u0001\"\\/", "\ufb33": 1, "\U0001f602": 2, "": [True, False, None]},
    {"deep": [[[[{"x": [1, 2.25, 1e-7]}]]]]}, {"long": "x" * 300}, {"z": 1, "aa": 2, "b": 3},
]


class Made:
    """A ledger: rows of events and blocks, and the notes on it."""

    def __init__(self, rnd, events, blocks, incarnations=1, sign=True, payloads=PAYLOADS, retire=False):
        self.rnd = rnd
        self.gone, self.retirements, self.retired_heads = [], [], []
        self.left_out, self.tile_rows = [], []
        self.signer, self.may_sign = None, 20
        self.id = uuid.UUID(int=rnd.getrandbits(128), version=4)
        self.origin = "uaef/%s" % self.id
        self.events, self.blocks, self.notes, self.payloads = [], [], [], payloads
        self.heads, self.tx, self.clock = {}, 1000, 1_700_000_000_000_000
        self.next_id, self.tree, self.open, self.foreign = 0, v.Tree(), [], 0
        self.streams = [uuid.UUID(int=rnd.getrandbits(128), version=4).bytes
                        for _ in range(max(1, min(5000, events // 8)))]
        self.log = Signer(self.origin, 1, rnd.randbytes(32))
        self.witnesses = [Signer("witness%d.example" % i, 4, rnd.randbytes(32)) for i in range(3)]
        per = max(1, events // max(blocks, 1))
        for incarnation in range(incarnations):
            if incarnation > 0:
                self.foreign, self.tx = self.next_id, 500 + 10 * incarnation
            self.incarnation = "72000000000000000%02d/16384" % incarnation
            if incarnation > 0:
                self.keep("incarnation_declared", incarnation=self.incarnation, timeline=1,
                          tree_size=self.tree.size, root=self.tree.root().hex(), reason="r")
            for _ in range(blocks // incarnations):
                for _ in range(rnd.randint(1, 2 * per - 1) if events > blocks else 1):
                    self.record()
                self.seal()
        self.redact()
        if retire:
            self.retire()
        if sign:
            self.sign()

    def keep(self, event_type, **payload):
        """An event of what is done to the ledger itself."""
        return self.record(v.derived(self.id.bytes, b"keep", 0), 1, event_type, payload)

    def sign_event(self, row):
        """Of the payload that it has."""
        kind = row["event_type"].encode()
        text = canonical(row["payload"]) if row["payload_hash"] else ""
        claim = b"uaef/claim/v1\0" + self.id.bytes + uuid.UUID(row["stream"]).bytes + \
            struct.pack(">I", len(kind)) + kind + v.sha(text.encode())
        row.update(signer=self.signer.name,
                   signature="\\x" + ed25519.sign(self.signer.seed, claim).hex())

    def retire(self):
        """The beginnings of some streams, of full tiles."""
        end = self.tree.size // 256 * 256
        kept = v.derived(self.id.bytes, b"keep", 0)
        streams = {str(uuid.UUID(bytes=s)) for s in self.rnd.sample(self.streams, len(self.streams) // 2)}
        gone = [(i, e) for i, e in enumerate(self.leaves()[:end])
                if e["stream"] in streams and e["stream"] != str(uuid.UUID(bytes=kept))]
        text, last = "", None
        for i, _ in gone:
            if last != i - 1:
                text += "%s[%d," % ("%d)," % (last + 1) if last is not None else "", i)
            last = i
        text = "{%s%d)}" % (text, last + 1)
        e = self.keep("events_retired", from_event=1, to_event=9, count=len(gone), tree_size=end, root="",
                      leaves_hash=v.sha(text.encode()).hex(), table=None, reason="r")
        self.retirements.append(dict(row="retirement", event_id=e["event_id"], leaves=text,
                                     events=len(gone), tree_size=end, restored_by=None))
        for stream in sorted(streams):
            mine = [(i, g) for i, g in gone if g["stream"] == stream]
            if mine:
                i, g = max(mine, key=lambda x: x[1]["stream_seq"])
                self.retired_heads.append(dict(
                    row="retired_head", stream=stream, retirement=e["event_id"], leaf_index=i,
                    **{k: g[k] for k in ("stream_seq", "event_id", "recorded_at", "event_hash")}))
        self.gone = [g for _, g in gone]
        away = {g["event_id"] for g in self.gone}
        self.events = [e for e in self.events if e["event_id"] not in away]
        self.seal(True)
        self.left_out, self.tile_rows = self.retired_tiles()

    def retired_tiles(self):
        leaves = self.leaves()
        away = {g["event_id"] for g in self.gone}
        bad = sorted({i // 256 for i, e in enumerate(leaves) if e["event_id"] in away})
        return bad, [dict(row="tile", level=0, tile_no=n,
                          hashes="".join(e["event_hash"] for e in leaves[256 * n:256 * n + 256])) for n in bad]

    def record(self, stream=None, kind=None, event_type=None, payload=...):
        rnd = self.rnd
        signs = payload is ... and rnd.random() < .1 and self.may_sign > 0
        if signs and self.signer is None:
            self.signer = Signer("signer.example", 1, rnd.randbytes(32))
            self.keep("signer_registered", signer=self.signer.name, public_key=self.signer.vkey)
        if rnd.random() < 0.5:
            self.tx += 1
        self.clock += rnd.randint(0, 5000)
        self.next_id += 1 + (rnd.random() < 0.1)
        stream = stream or rnd.choice(self.streams)
        before = self.heads.get(stream)
        row = dict(row="event", event_id=self.next_id, stream=str(uuid.UUID(bytes=stream)),
                   stream_seq=before["stream_seq"] + 1 if before else 1, tx=str(self.tx),
                   recorded_at=iso(self.clock), kind=kind or rnd.choice((1, 2)),
                   event_type=event_type or rnd.choice(("task_started", "note", "\u00e4ndern")))
        for name, chance in (("actor_type", .8), ("actor_id", .7), ("effective_role", .2),
                             ("agent_id", .3)):
            row[name] = rnd.choice(("user", "x", "Zo\u00eb", "")) if rnd.random() < chance else None
        row.update(session_role="postgres", task_id=rnd.choice((None, None, -5, 7, 2**62)),
                   signer=None, signature=None)
        row["payload"] = rnd.choice(self.payloads) if payload is ... else payload
        row.update(salt=None, payload_hash=None)
        if payload is not ... or rnd.random() < 0.9:
            row["salt"] = rnd.randbytes(32).hex()
            row["payload_hash"] = payload_hash(row)
        else:
            row["payload"] = None
        if signs:
            self.may_sign -= 1
            self.sign_event(row)
        row["prev_hash"] = before["event_hash"] if before else v.genesis(self.id.bytes, stream).hex()
        row["event_hash"] = event_hash(self.id.bytes, row)
        self.heads[stream] = row
        self.events.append(row)
        self.open.append(row)
        return row

    def seal(self, all_=False):
        rnd = self.rnd
        transactions = sorted({int(e["tx"]) for e in self.open if e["event_id"] > self.foreign})
        waiting = set()
        if len(transactions) > 2 and not all_ and rnd.random() < .3:
            waiting = {rnd.choice(transactions[1:])}
        # Of a stream, what is behind an event that waits has to wait too.
        held, now = set(), []
        for e in self.open:
            if int(e["tx"]) in waiting or e["stream"] in held:
                waiting.add(int(e["tx"]))
        now = [e for e in self.open if int(e["tx"]) not in waiting]
        late = {}
        for e in self.open:
            late.setdefault(e["stream"], []).append(int(e["tx"]) in waiting)
        if any(flags != sorted(flags) for flags in late.values()):
            now, waiting = list(self.open), set()
        self.open = [e for e in self.open if int(e["tx"]) in waiting]
        snapshot = "%d:%d:%s" % (min(waiting | {self.tx + 1}), self.tx + 1,
                                 ",".join(map(str, sorted(waiting))))
        self.tx += 1
        self.add_block(now, snapshot)

    def add_block(self, events, snapshot):
        self.clock += 1
        first = self.tree.size
        for e in sorted(events, key=lambda e: e["event_id"]):
            self.tree.add(bytes.fromhex(e["event_hash"]))
        ids = sorted(e["event_id"] for e in events)
        no = len(self.blocks) + 1
        row = dict(row="block", block_no=no, first_leaf=first, leaf_count=len(ids),
                   tree_size=self.tree.size, tree_root=self.tree.root().hex(),
                   prev_block_hash=self.blocks[-1]["block_hash"] if self.blocks else
                   v.genesis(self.id.bytes, bytes(16)).hex(), event_ids=ids,
                   first_event_id=ids[0], last_event_id=ids[-1],
                   frontier="\\x" + b"".join(self.tree.nodes).hex(), snapshot=snapshot,
                   incarnation=self.incarnation, timeline=1, foreign_event_id=self.foreign,
                   sealed_at=iso(self.clock))
        row["block_hash"] = block_hash(self.id.bytes, row)
        self.blocks.append(row)
        seal = v.derived(self.id.bytes, b"seal", 0)
        self.record(seal, 1, "ledger_sealed", {k: row[k] for k in (
            "block_no", "first_leaf", "leaf_count", "tree_size", "tree_root", "block_hash")})

    def redact(self):
        for e in self.rnd.sample(self.events, min(len(self.events) // 20, 5)):
            if e["payload_hash"] is None or e["event_type"] in (
                    "ledger_sealed", "event_redacted", "incarnation_declared", "signer_registered"):
                continue
            self.keep("event_redacted", event_id=e["event_id"], payload_hash=e["payload_hash"], reason="r")
            e["payload"] = e["salt"] = None
        if self.blocks:
            self.seal(True)

    def note(self, size, root, cosigned=3):
        text = ("%s\n%d\n%s\n" % (self.origin, size, base64.b64encode(root).decode())).encode()
        when = self.clock // 1000000 + 1
        return text + b"\n" + self.log.line(text).encode() + \
            b"".join(w.line(text, when).encode() for w in self.witnesses[:cosigned])

    def sign(self):
        for b in self.blocks[-1:] + self.blocks[:1]:
            self.notes.append(self.note(b["tree_size"], bytes.fromhex(b["tree_root"])))

    def policy(self):
        names = ["w%d" % i for i in range(3)]
        return "\n".join(
            ["# who is trusted", "ledger %s" % self.id, "origin " + self.origin, "log " + self.log.vkey] +
            ["witness %s %s" % (n, w.vkey) for n, w in zip(names, self.witnesses)] +
            ["group two 2 " + " ".join(names), "quorum two", ""])

    def leaves(self):
        by_id = {e["event_id"]: e for e in self.events + self.gone}
        return [by_id[i] for b in self.blocks for i in b["event_ids"]]

    def proof(self, index):
        leaves = [bytes.fromhex(e["event_hash"]) for e in self.leaves()]

        def path(low, high):
            if high - low == 1:
                return []
            split = low + (1 << ((high - low - 1).bit_length() - 1))
            if index < split:
                return path(low, split) + [v.root(leaves[split:high])]
            return path(split, high) + [v.root(leaves[low:split])]
        text = "c2sp.org/tlog-proof@v1\nextra %s\nindex %d\n" % (
            base64.b64encode(entry(self.id.bytes, self.leaves()[index])).decode(), index)
        text += "".join(base64.b64encode(h).decode() + "\n" for h in path(0, len(leaves)))
        return text.encode() + b"\n" + self.note(len(leaves), v.root(leaves))


    def receipt(self):
        """Of the first stream that is sealed whole."""
        leaves = self.leaves()
        places = {e["event_id"]: i for i, e in enumerate(leaves)}
        streams = {}
        for e in self.events:
            streams.setdefault(e["stream"], []).append(e)
        events = next(s for s in streams.values()
                      if s[0]["stream_seq"] == 1 and all(e["event_id"] in places for e in s))
        mine = {places[e["event_id"]] for e in events}
        hashes, proof = [bytes.fromhex(e["event_hash"]) for e in leaves], []

        def walk(low, high):
            if not any(low <= i < high for i in mine):
                proof.append(v.root(hashes[low:high]).hex())
            elif high - low > 1:
                split = low + (1 << ((high - low - 1).bit_length() - 1))
                walk(low, split)
                walk(split, high)
        walk(0, len(hashes))
        def block_of(leaf):
            return next(b for b in self.blocks if leaf < b["tree_size"])
        blocks = {b["block_no"]: {k: x for k, x in b.items() if k not in (
            "row", "event_ids", "first_event_id", "last_event_id", "frontier")} for b in map(block_of, sorted(mine))}
        return dict(row="receipt", format=1, ledger_id=str(self.id), origin=self.origin,
                    execution_id=events[0]["stream"], tree_size=len(hashes), root=v.root(hashes).hex(),
                    events=[dict(e, leaf_index=places[e["event_id"]],
                                 block_no=block_of(places[e["event_id"]])["block_no"]) for e in events],
                    proof=proof, blocks=list(blocks.values()), checkpoint=self.note(len(hashes), v.root(hashes)).decode())


def payload_hash(row):
    return v.payload_hash(bytes.fromhex(row["salt"]), canonical(row["payload"])).hex()


def canonical(value):
    return v.canonical(v.load(json.dumps(value).encode()))


def as_event(ledger, row):
    e = types.SimpleNamespace(
        ledger=ledger, kind=row["kind"], stream=uuid.UUID(row["stream"]).bytes,
        stream_seq=row["stream_seq"], event_id=row["event_id"], tx=int(row["tx"]),
        recorded_at=v.micros(row["recorded_at"]), prev_hash=bytes.fromhex(row["prev_hash"]), fields={})
    for tag, name in v.TEXTS.items():
        if row[name] is not None:
            e.fields[tag] = row[name].encode()
    if row["task_id"] is not None:
        e.fields[6] = struct.pack(">q", row["task_id"])
    if row["payload_hash"] is not None:
        e.fields[8] = bytes.fromhex(row["payload_hash"])
    if row["signature"] is not None:
        e.fields[10] = bytes.fromhex(row["signature"][2:])
    return e


def entry(ledger, row):
    return v.entry(as_event(ledger, row))


def event_hash(ledger, row):
    return v.sha(b"\0", entry(ledger, row)).hex()


def block_hash(ledger, row):
    return v.block_hash(ledger, v.Block(v.load(json.dumps({"block_hash": "00" * 32, **row}).encode()))).hex()


def rechain(made, changed):
    """Compute all hashes anew after an event: what a forger with the tables would do."""
    made.heads, made.tree = {}, v.Tree()
    by_id = {e["event_id"]: e for e in made.events + made.gone}
    told = {}
    events = sorted(made.events + made.gone, key=lambda e: e["event_id"])
    done = set()

    def chain(e):
        before = made.heads.get(e["stream"])
        e["prev_hash"] = before["event_hash"] if before else \
            v.genesis(made.id.bytes, uuid.UUID(e["stream"]).bytes).hex()
        if e["event_type"] == "ledger_sealed":
            e["payload"].update({k: told[e["payload"]["block_no"]][k] for k in ("tree_root", "block_hash")})
        if e["payload_hash"] is not None and e["salt"] is not None:
            e["payload_hash"] = payload_hash(e)
        e["event_hash"] = event_hash(made.id.bytes, e)
        made.heads[e["stream"]] = e
        done.add(e["event_id"])
    before = v.genesis(made.id.bytes, bytes(16)).hex()
    at = 0
    for b in made.blocks:
        # Up to the event that tells of this block everything can be chained.
        while at < len(events) and not (events[at]["event_type"] == "ledger_sealed" and
                                        events[at]["payload"]["block_no"] >= b["block_no"]):
            chain(events[at])
            at += 1
        for i in b["event_ids"]:
            made.tree.add(bytes.fromhex(by_id[i]["event_hash"]))
        b.update(tree_root=made.tree.root().hex(), prev_block_hash=before,
                 frontier="\\x" + b"".join(made.tree.nodes).hex())
        b["block_hash"] = before = block_hash(made.id.bytes, b)
        told[b["block_no"]] = b
    for e in events[at:]:
        chain(e)


# ---- writing exports -----------------------------------------------------------

def lines_of(made):
    rows = [dict(row="ledger", format=1, ledger_id=str(made.id), origin=made.origin)]
    if made.gone:
        rows += made.retirements + made.retired_heads + made.tile_rows
    rows += made.events + made.blocks
    for n in made.notes[:1]:
        head, _, last = n.decode()[:-1].rpartition("\n")
        if head.count("\u2014"):
            size = int(head.split("\n")[1])
            rows.append(dict(row="checkpoint", tree_size=size, note=head + "\n"))
            rows.append(dict(row="cosignature", tree_size=size, witness="w", line=last))
        else:
            rows.append(dict(row="checkpoint", note=n.decode()))
    return [json.dumps(r, ensure_ascii=made.rnd.random() < .5) for r in rows]


def write_lines(lines, path):
    with open(path, "wb") as out:
        out.write("".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"))


def put(folder, name, data):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(data)


def tile_name(kind, n, width):
    groups = []
    while True:
        groups.insert(0, "%03d" % (n % 1000))
        n //= 1000
        if not n:
            break
    name = "/".join([kind] + ["x" + g for g in groups[:-1]] + groups[-1:])
    return name if width == 256 else "%s.p/%d" % (name, width)


def write_folder(made, folder):
    shutil.rmtree(folder, ignore_errors=True)
    leaves = made.leaves()
    if made.gone:
        away = {g["event_id"] for g in made.gone}
        rest = [dict(e, leaf_index=i) for i, e in enumerate(leaves)
                if i // 256 in made.left_out and e["event_id"] not in away]
        put(folder, "uaef/retired.jsonl", "".join(
            json.dumps(r) + "\n" for r in made.retirements + made.retired_heads + rest).encode())
    for n in range(-(-len(leaves) // 256)):
        if n in made.left_out:
            continue
        some = leaves[256 * n:256 * n + 256]
        bundle = b"".join(struct.pack(">H", len(x)) + x for x in (entry(made.id.bytes, e) for e in some))
        put(folder, tile_name("tile/entries", n, len(some)), bundle)
        text = ""
        for e in some:
            text += "null\n" if e["salt"] is None else json.dumps(
                dict(salt=e["salt"], payload=canonical(e["payload"]))) + "\n"
        put(folder, tile_name("uaef/payload", n, len(some)), text.encode())
    nodes, level = [bytes.fromhex(e["event_hash"]) for e in leaves], 0
    while nodes:
        for n in range(-(-len(nodes) // 256)):
            some = nodes[256 * n:256 * n + 256]
            put(folder, tile_name("tile/%d" % level, n, len(some)), b"".join(some))
        nodes = [v.root(nodes[i:i + 256]) for i in range(0, len(nodes) // 256 * 256, 256)]
        level += 1
    rows = made.blocks
    if made.rnd.random() < .8:
        rows = [{k: b[k] for k in b if k not in ("event_ids", "first_event_id", "last_event_id",
                                                 "frontier")} for b in rows]
    lines = [json.dumps(b) + "\n" for b in rows]
    more = {}
    if made.rnd.random() < .5:
        put(folder, "uaef/blocks.jsonl", "".join(lines).encode())
    else:
        more = dict(blocks=len(lines))
        for n in range(-(-len(lines) // 256)):
            some = lines[256 * n:256 * n + 256]
            put(folder, tile_name("uaef/blocks", n, len(some)), "".join(some).encode())
    put(folder, "uaef/ledger.json", json.dumps(dict(
        format=1, ledger_id=str(made.id), origin=made.origin, tree_size=len(leaves), **more)).encode())
    if made.notes:
        put(folder, "checkpoint", made.notes[0])
        for i, note in enumerate(made.notes):
            put(folder, "uaef/checkpoints/%d" % i, note)


# ---- asking both -----------------------------------------------------------------

PLACE = ("code", "stream", "stream_seq", "event_id", "block_no", "leaf_index", "tree_size")


def places(text):
    found = set()
    for line in text.splitlines():
        if line.startswith('{"severity"'):
            row = json.loads(line)
            found.add(tuple(row.get(k) for k in PLACE))
    return found


def ask_program(program, arguments):
    done = subprocess.run(program + ["--json", "--jobs", "2"] + arguments, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    return done.returncode, places(done.stdout.decode("utf-8", "replace")), done.stderr.decode("utf-8", "replace")


def ask_python(arguments):
    options = argparse.Namespace(checkpoint=[], policy=None, proof=[], receipt=[], json=True, export="-")
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word in ("--checkpoint", "--proof", "--receipt"):
            getattr(options, word[2:]).append(words.pop(0))
        elif word == "--policy":
            options.policy = words.pop(0)
        else:
            options.export = word
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        try:
            code = v.run(options)
        except (v.Unreadable, OSError, RecursionError):
            code = 2
    return code, places(out.getvalue())


def alike(one, two):
    """Of two events at one place of a stream, the one that is read first has it, and the
    other is the fork: then it is enough that both verifiers see a fork."""
    def forks(found):
        return any(finding[0] == "SEQ_FORK" for finding in found)
    return one == two or forks(one) and forks(two)


class Bench:
    def __init__(self, options):
        self.program = [options.verify]
        self.rnd = random.Random(options.seed)
        self.dir = tempfile.mkdtemp(prefix="uaef-corpus.")
        self.show, self.count, self.differ, self.missed, self.alarms = options.show, 0, 0, 0, 0
        self.by_code = {}

    def path(self, name):
        return os.path.join(self.dir, name)

    def complain(self, what, name, one, two):
        if self.show > 0:
            self.show -= 1
            print("%s: %s\n  program %s %s\n  python  %s %s\n  %s" % (
                what, name, one[0], sorted(one[1] - two[1], key=str)[:5], two[0],
                sorted(two[1] - one[1], key=str)[:5], one[2].strip()[:300]))
            keep = self.path("kept%d" % self.count)
            for entry_ in os.listdir(self.dir):
                if not entry_.startswith("kept"):
                    os.makedirs(keep, exist_ok=True)
                    source = self.path(entry_)
                    (shutil.copytree if os.path.isdir(source) else shutil.copy)(
                        source, os.path.join(keep, entry_))

    def compare(self, name, arguments, harm, codes=None):
        """harm: True if it must be found, False if it must not, None if either will do.

        codes: what must be found, and nothing else.
        """
        one, two = ask_program(self.program, arguments), ask_python(arguments)
        self.count += 1
        for finding in one[1]:
            self.by_code[finding[0]] = self.by_code.get(finding[0], 0) + 1
        if one[0] != two[0] or (one[0] != 2 and not alike(one[1], two[1])):
            self.differ += 1
            self.complain("differ", name, one, two)
        elif harm is True and one[0] == 0 or codes is not None and {f[0] for f in one[1]} != set(codes.split()):
            self.missed += 1
            self.complain("not found", name, one, two)
        elif harm is False and one[0] != 0:
            self.alarms += 1
            self.complain("false alarm", name, one, (None, set()))


# ---- mutations --------------------------------------------------------------------

def changed_value(rnd, value):
    """Another value; of JSON's other types too."""
    ways = [lambda: None, lambda: [], lambda: {"x": 1}, lambda: "", lambda: -1, lambda: 1.5, lambda: True]
    if isinstance(value, bool) or value is None:
        ways += [lambda: "x", lambda: 1, lambda: "00" * 32]
    elif isinstance(value, int):
        ways += [lambda: value + 1, lambda: value - 1, lambda: value + 2**40, lambda: 0, lambda: 2**63,
                 lambda: 10**400] * 2
    elif isinstance(value, str) and len(value) >= 32:
        def other():
            i = rnd.randrange(2, len(value))
            return value[:i] + ("1" if value[i] != "1" else "2") + value[i + 1:]
        ways += [other] * 6 + [lambda: value[:-2], lambda: value + "00"]
    elif isinstance(value, str):
        ways += [lambda: value + "x", lambda: value[:-1], lambda: value + "\0", lambda: value.upper() + "1"] * 2
    elif isinstance(value, list):
        ways += [lambda: value[:-1], lambda: value + [2**50], lambda: value[::-1] + [1],
                 lambda: value[:1] + value] * 2
    elif isinstance(value, dict):
        ways += [lambda: {**value, "new": 1}, lambda: {k: 0 for k in value} or {"y": 0}] * 2
    while True:
        new = rnd.choice(ways)()
        if new != value or type(new) is not type(value):
            return new


def same_thing(row, name, new):
    """Whether a verifier reads the same: nothing is where nothing was."""
    if name == "payload" and row["salt"] is None and new is None:
        return True
    return new == row[name] and type(new) is type(row[name])


def mutate_field(bench, made):
    rnd = bench.rnd
    made = copy.deepcopy(made)
    extra = made.retirements + made.retired_heads + made.tile_rows
    if extra and rnd.random() < .5:
        row = rnd.choice(extra)
        name = rnd.choice([n for n in row if n != "row"])
        row[name] = changed_value(rnd, row[name])
        return made, "%s.%s = %.60r" % (row["row"], name, row[name]), None
    row = rnd.choice(made.events + made.blocks * 2)
    name = rnd.choice([n for n in row if n != "row"])
    if rnd.random() < .1:
        old = row.pop(name)
        return made, "%s.%s gone" % (row["row"], name), old is not None
    new = changed_value(rnd, row[name])
    if isinstance(new, float) and isinstance(row[name], int) and new == row[name]:
        new = None
    harm = not same_thing(row, name, new)
    row[name] = new
    return made, "%s.%s = %.60r" % (row["row"], name, new), harm


def mutate_rows(bench, made):
    rnd = bench.rnd
    made = copy.deepcopy(made)
    rows = rnd.choice([made.events, made.blocks])
    how = rnd.choice(["delete", "double", "exchange", "copy", "stream", "swap ids", "reorder", "tail",
                      "reverse payload"])
    i = rnd.randrange(len(rows))
    j = rnd.randrange(len(rows))
    if how == "delete":
        del rows[i]
        harm = rows is made.blocks or i < len(rows) - 1
        return made, how, None if not harm else True
    if how == "double":
        rows.insert(i, copy.deepcopy(rows[i]))
    elif how == "exchange":
        if i == j:
            return made, how, False
        name = rnd.choice([n for n in rows[i] if n != "row"])
        harm = rows[i][name] != rows[j][name]
        rows[i][name], rows[j][name] = rows[j][name], rows[i][name]
        return made, "%s %s" % (how, name), harm
    elif how == "copy":
        new = copy.deepcopy(rows[i])
        new["event_id" if rows is made.events else "block_no"] = 10**6
        rows.append(new)
    elif how == "stream" and rows is made.events:
        rows[i]["stream"] = str(uuid.UUID(int=rnd.getrandbits(128)))
    elif how == "swap ids" and rows is made.events and i != j:
        rows[i]["event_id"], rows[j]["event_id"] = rows[j]["event_id"], rows[i]["event_id"]
    elif how == "reorder":
        rnd.shuffle(made.events)
        rnd.shuffle(made.blocks)
        return made, how, False
    elif how == "tail":
        del made.blocks[-1]
        return made, how, True
    else:
        return made, how + " not", False
    return made, how, True


def mutate_history(bench, made, other):
    """What somebody who can compute all hashes would do; only the outside shows it."""
    rnd = bench.rnd
    made = copy.deepcopy(made)
    how = rnd.choice(["rechain", "splice", "cut", "signed again"])
    if how == "splice":
        e = copy.deepcopy(rnd.choice(other.events))
        made.events[rnd.randrange(len(made.events))] = e
        return made, how, True
    if how == "cut":
        keep = rnd.randrange(1, len(made.blocks))
        made.blocks = made.blocks[:keep]
        final = set(made.blocks[-1]["event_ids"]) | {i for b in made.blocks for i in b["event_ids"]}
        made.events = [e for e in made.events if e["event_id"] in final]
        made.notes = []
        return made, how, True
    e = rnd.choice([e for e in made.events if e["event_type"] != "ledger_sealed"])
    e["actor_id"] = (e["actor_id"] or "") + "!"
    rechain(made, e)
    sealed = e["event_id"] in {i for b in made.blocks for i in b["event_ids"]}
    made.notes = []
    if how == "signed again":           # with the log's key, but no witness
        made.notes = [made.note(made.blocks[-1]["tree_size"],
                                bytes.fromhex(made.blocks[-1]["tree_root"]), 0)]
    return made, how, sealed or None


def mutate_bytes(rnd, data):
    data = bytearray(data)
    for _ in range(rnd.choice((1, 1, 1, 2, 5))):
        how = rnd.randrange(6)
        i = rnd.randrange(len(data) + 1) if data else 0
        if how <= 1 and i < len(data):
            data[i] ^= 1 << rnd.randrange(8)
        elif how == 2 and i < len(data):
            del data[i:i + rnd.choice((1, 1, 2, 10, len(data)))]
        elif how == 3:
            data[i:i] = rnd.choice((b"\0", b"\n", b"\xff", b" ", b"9", b"\\u0000", b"[" * 50, b"1e400",
                                    bytes(rnd.randrange(256) for _ in range(8))))
        elif how == 4 and len(data) > 4:
            j = rnd.randrange(len(data))
            data[i:i] = data[j:j + rnd.randrange(1, 40)]
        elif how == 5 and i < len(data):
            data[i] = rnd.randrange(256)
    return bytes(data)


def files_of(folder):
    return sorted(os.path.relpath(os.path.join(d, f), folder)
                  for d, _, names in os.walk(folder) for f in names)


def outside(bench, made):
    """Paths of the last checkpoint and the policy, as an auditor would have kept them."""
    with open(bench.path("note"), "wb") as out:
        out.write(made.notes[0])
    with open(bench.path("policy"), "w") as out:
        out.write(made.policy())
    return ["--checkpoint", bench.path("note"), "--policy", bench.path("policy")]


def one_mutation(bench, bases):
    rnd = bench.rnd
    made, other = rnd.sample(bases, 2)
    trusted = outside(bench, made)
    kind = rnd.random()
    if kind < .6:
        if kind < .35:
            bad, name, harm = mutate_field(bench, made)
        elif kind < .5:
            bad, name, harm = mutate_rows(bench, made)
        else:
            bad, name, harm = mutate_history(bench, made, other)
        write_lines(lines_of(bad), bench.path("export"))
        bench.compare(name, trusted + [bench.path("export")], harm)
    elif kind < .8:
        write_folder(made, bench.path("folder"))
        path = os.path.join(bench.path("folder"), rnd.choice(files_of(bench.path("folder"))))
        data = open(path, "rb").read()
        if rnd.random() < .1:
            os.remove(path)
            new, harm = None, None
        elif "/tile/" in path:
            i = rnd.randrange(len(data))
            new = data[:i] + bytes([data[i] ^ 1 << rnd.randrange(8)]) + data[i + 1:]
            harm = True
        else:
            new = mutate_bytes(rnd, data)
            harm = None
        if new is not None:
            with open(path, "wb") as out:
                out.write(new)
        bench.compare("folder " + os.path.relpath(path, bench.path("folder")),
                      trusted + [bench.path("folder")], harm)
    else:
        name = rnd.choice(("note", "policy", "proof", "receipt"))
        if name == "receipt":
            receipt_mutation(bench, made, trusted)
            return
        data = made.proof(rnd.randrange(len(made.leaves()))) if name == "proof" else \
            open(bench.path(name), "rb").read()
        i = rnd.randrange(len(data))
        flip = rnd.random() < .7
        new = data[:i] + bytes([data[i] ^ 1 << rnd.randrange(8)]) + data[i + 1:] \
            if flip else mutate_bytes(rnd, data)
        with open(bench.path(name), "wb") as out:
            out.write(new)
        if name == "proof":
            bench.compare(name, trusted[2:] + ["--proof", bench.path(name)],
                          flip and i < data.index(b"\n\n") or None)
        else:
            write_lines(lines_of(made), bench.path("export"))
            bench.compare(name, trusted + [bench.path("export")], None)


def receipt_mutation(bench, made, trusted):
    """A field of the receipt or of one of its events, or a byte of it."""
    rnd, receipt, harm = bench.rnd, made.receipt(), True
    if rnd.random() < .5:
        row = rnd.choice([receipt, rnd.choice(receipt["events"])])
        key = rnd.choice([k for k in row if k not in ("origin", "blocks", "block_no", "row", "checkpoint")])
        new = changed_value(rnd, row[key])
        harm = not (key == "payload" and new is None and row["salt"] is None) and not (new == row[key] and type(new) is type(row[key]))
        row[key] = new
        data = json.dumps(receipt).encode()
    else:
        data, harm, key = mutate_bytes(rnd, json.dumps(receipt).encode()), None, "a byte"
    with open(bench.path("receipt"), "wb") as out:
        out.write(data)
    bench.compare("receipt " + key, trusted[2:] + ["--receipt", bench.path("receipt")], harm)


def sound_ledgers(bench, large):
    """Ledgers of all sizes, which must have no problem; returns small ones."""
    rnd = bench.rnd
    bases = []
    for n in range(6):
        made = Made(rnd, rnd.randint(20, 60), rnd.randint(3, 8), incarnations=1 + n % 3)
        bases.append(made)
    bases.append(Made(rnd, 400, 6, retire=True))
    sizes = [(0, 0), (1, 1), (2, 1), (3, 2), (255, 1), (256, 2), (257, 3), (600, 300), (1000, 5)]
    for events, blocks in sizes + ([(110000, 40)] if large else []):
        made = Made(rnd, events, blocks, sign=blocks > 0, retire=events >= 600)
        check_sound(bench, made, "%d events" % events)
    for one in bases:
        check_sound(bench, one, "a base")
    return bases


def check_sound(bench, made, name):
    trusted = outside(bench, made) if made.notes else []
    write_lines(lines_of(made), bench.path("export"))
    bench.compare("sound lines, " + name, trusted + [bench.path("export")], False)
    write_folder(made, bench.path("folder"))
    bench.compare("sound folder, " + name, trusted + [bench.path("folder")], False)
    if made.notes:
        index = bench.rnd.randrange(len(made.leaves()))
        with open(bench.path("proof"), "wb") as out:
            out.write(made.proof(index))
        bench.compare("sound proof, " + name, trusted[2:] + ["--proof", bench.path("proof")], False)
        with open(bench.path("receipt"), "w") as out:
            json.dump(made.receipt(), out)
        bench.compare("sound receipt, " + name, trusted[2:] + ["--receipt", bench.path("receipt")], False)


def claim_sizes(bench, made):
    """Sizes that no tree has, and files that are none: told, and soon."""
    folder = bench.path("folder")
    root = bytes.fromhex(made.blocks[-1]["tree_root"])
    for size in (2**63 - 1, 2**56 + 1, 2**56, 2**55, 9223372036854775000, 5 * 10**6):
        for where in ("note", "ledger", "block", "blocks", "proof"):
            bad = copy.deepcopy(made)
            if where == "note":
                bad.notes = [made.note(size, root)]
            for block in bad.blocks if where == "blocks" else bad.blocks[1:2] if where == "block" else ():
                block["leaf_count"] = size
            write_folder(bad, folder)
            if where == "note":
                os.remove(os.path.join(folder, "uaef/ledger.json"))
            elif where == "ledger":
                put(folder, "uaef/ledger.json", json.dumps(dict(
                    format=1, ledger_id=str(made.id), tree_size=size)).encode())
            arguments = [folder]
            if where == "proof":
                with open(bench.path("proof"), "wb") as out:
                    out.write(made.proof(0).replace(b"\nindex 0\n", b"\nindex %d\n" % size))
                arguments = ["--proof", bench.path("proof")]
            bench.compare("a size of %d in the %s" % (size, where), arguments, True)
    write_folder(made, folder)
    for name in ("uaef/blocks.jsonl", "uaef/retired.jsonl", "checkpoint", tile_name("tile/0", 0, len(made.leaves()))):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            os.remove(path)
        os.mkfifo(path)
        bench.compare("a pipe for " + name, [folder], None)


def claim_without_proof(bench, rnd):
    """Redactions and retirements that are told behind the checkpoint, as who has only the export could do."""
    made = Made(rnd, 400, 4)
    row = next(e for e in made.events if e["payload_hash"] and e["event_type"] == "note" and not e["signature"]
               and e["salt"] and e["event_id"] in made.blocks[0]["event_ids"])

    def both_ways(name, made, codes, change=lambda: None):
        trusted = outside(bench, made)
        write_lines(lines_of(made), bench.path("export"))
        write_folder(made, bench.path("folder"))
        change()
        for arguments in ([bench.path("export")], [bench.path("folder")]):
            bench.compare(name, trusted + arguments, False, codes + " UNANCHORED")
            notes, made.notes = made.notes, []
            bench.compare(name + ", nothing kept", arguments[:1], False, codes)
            made.notes = notes

    def tell(made):
        gone = next(e for e in made.events if e["event_id"] == row["event_id"])
        e = made.keep("event_redacted", event_id=gone["event_id"], payload_hash=gone["payload_hash"], reason="r")
        gone["payload"] = gone["salt"] = None
        return e
    bad = copy.deepcopy(made)
    told = dict(tell(bad), leaf_index=0)
    both_ways("an unsealed redaction", bad, "REDACTED", lambda: put(
        bench.path("folder"), "uaef/retired.jsonl", (json.dumps(told) + "\n").encode()))
    bad = copy.deepcopy(made)
    tell(bad)
    bad.seal(True)
    both_ways("a redaction behind the checkpoint", bad, "REDACTED")
    bad = copy.deepcopy(made)
    bad.retire()
    both_ways("a retirement behind the checkpoint", bad, "REDACTED RETIRED")
    bad.sign()
    bad.notes = bad.notes[-2:]
    write_lines(lines_of(bad), bench.path("export"))
    bench.compare("a retirement that is covered", outside(bench, bad) + [bench.path("export")], False, "REDACTED RETIRED")


def sweep_bytes(bench, made):
    """Every byte of a note and of a proof: what was signed cannot be changed."""
    trusted = outside(bench, made)
    write_lines(lines_of(made), bench.path("export"))
    for name, arguments in (("note", trusted + [bench.path("export")]),
                            ("proof", trusted[2:] + ["--proof", bench.path("proof")])):
        data = made.proof(len(made.leaves()) // 2) if name == "proof" else made.notes[0]
        made_notes, made.notes = made.notes, []
        write_lines(lines_of(made), bench.path("export"))
        made.notes = made_notes
        for i in range(len(data)):
            with open(bench.path(name), "wb") as out:
                out.write(data[:i] + bytes([data[i] ^ 1]) + data[i + 1:])
            # Two of three witnesses are enough, so a name or key id may be lost.
            bench.compare("byte %d of the %s" % (i, name), arguments, None)


# ---- fuzzing -----------------------------------------------------------------------

TEXTS = [b'{"row":"event","payload":' + b"[" * 20000, b'{"row":"event","event_id":1e400}',
         b'{"row":"event","row":"event"}', b'{"row":"block","leaf_count":99999999999999999999}',
         b'{"row":"block","event_ids":[1e400,9223372036854775807]}', b"\0", b"\xff\xfe", b'{"row":"\\u0000"}',
         b'{"row":"event","payload":{"x":"' + b"y" * 1000000 + b'"}}', b'{"row":"event","payload":1e999999999}',
         b'{"row":"event","payload":1' + b"0" * 200000 + b"}"]


def fuzz(bench, seconds):
    """Whatever the input: exit codes 0 to 3, no crash, no sanitizer, no hang."""
    rnd, until, crashed = bench.rnd, time.time() + seconds, 0
    bases = [Made(rnd, 30, 4) for _ in range(2)] + [Made(rnd, 300, 4)]
    while time.time() < until:
        made = rnd.choice(bases)
        trusted = outside(bench, made)
        which = rnd.choice(("export", "note", "policy", "proof", "folder"))
        target = bench.path("export")
        lines = "\n".join(lines_of(made)).encode() + b"\n"
        if which == "export":
            lines = mutate_bytes(rnd, lines)
            if rnd.random() < .3:
                i = lines.find(b"\n", rnd.randrange(len(lines) + 1)) + 1
                lines = lines[:i] + rnd.choice(TEXTS) + b"\n" + lines[i:]
        with open(target, "wb") as out:
            out.write(lines)
        arguments = trusted + [target]
        if which in ("note", "policy", "proof"):
            data = made.proof(rnd.randrange(len(made.leaves()))) if which == "proof" else \
                open(bench.path(which), "rb").read()
            with open(bench.path(which), "wb") as out:
                out.write(mutate_bytes(rnd, data))
            if which == "proof":
                arguments += ["--proof", bench.path("proof")]
        elif which == "folder":
            write_folder(made, bench.path("folder"))
            path = os.path.join(bench.path("folder"), rnd.choice(files_of(bench.path("folder"))))
            data = mutate_bytes(rnd, open(path, "rb").read())
            with open(path, "wb") as out:
                out.write(data)
            arguments = trusted + [bench.path("folder")]
            if rnd.random() < .3:
                arguments += ["--from", str(made.blocks[-1]["tree_size"])]
        bench.count += 1
        try:
            done = subprocess.run(bench.program + arguments, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60,
                                  env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
            bad = done.returncode not in (0, 1, 2, 3) or b"Sanitizer" in done.stderr or \
                b"runtime error" in done.stderr or done.returncode == 2 and not done.stderr.strip()
            said = done.stderr.decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            bad, said = True, "it hangs"
        if bad:
            crashed += 1
            bench.complain("crash", which, (None, set(), said[:2000]), (None, set()))
    print("fuzzed %d inputs, %d crashes" % (bench.count, crashed))
    return crashed == 0


# ---- a ledger to time ----------------------------------------------------------------

def make(options):
    rnd = random.Random(options.seed)
    made = Made(rnd, options.events, max(1, options.events // 4000),
                payloads=[{"n": i, "s": "abc"} for i in range(50)])
    os.makedirs(options.make, exist_ok=True)
    write_lines(lines_of(made), os.path.join(options.make, "export.jsonl"))
    write_folder(made, os.path.join(options.make, "tiles"))
    with open(os.path.join(options.make, "policy"), "w") as out:
        out.write(made.policy())
    with open(os.path.join(options.make, "checkpoint"), "wb") as out:
        out.write(made.notes[0])
    with open(os.path.join(options.make, "earlier"), "wb") as out:
        out.write(made.notes[-1])
    print("%d events, %d leaves, %d blocks" % (len(made.events), len(made.leaves()), len(made.blocks)))
    return True


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--verify", default="uaef-verify")
    options.add_argument("--mutations", type=int, default=300)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--show", type=int, default=5)
    options.add_argument("--large", action="store_true")
    options.add_argument("--sweep", action="store_true")
    options.add_argument("--fuzz", type=float)
    options.add_argument("--make")
    options.add_argument("--events", type=int, default=10000)
    options = options.parse_args()
    if options.make:
        return make(options)
    bench = Bench(options)
    if options.fuzz:
        good = fuzz(bench, options.fuzz)
    else:
        bases = sound_ledgers(bench, options.large)
        claim_sizes(bench, bases[0])
        claim_without_proof(bench, random.Random(options.seed))
        if options.sweep:
            sweep_bytes(bench, bases[0])
        for _ in range(options.mutations):
            one_mutation(bench, bases)
        good = not (bench.differ or bench.missed or bench.alarms)
        print("found: " + ", ".join("%s %d" % x for x in sorted(bench.by_code.items())))
        print("seed %d: %d cases, %d differ, %d not found, %d false alarms" % (
            options.seed, bench.count, bench.differ, bench.missed, bench.alarms))
    if good:
        shutil.rmtree(bench.dir)
    else:
        print("kept: " + bench.dir)
    return good


if __name__ == "__main__":
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    sys.setrecursionlimit(1000000)
    threading.stack_size(512 << 20)     # deep JSON
    result = []
    thread = threading.Thread(target=lambda: result.append(main()))
    thread.start()
    thread.join()
    sys.exit(0 if result and result[0] else 1)
