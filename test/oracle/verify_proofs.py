#!/usr/bin/env python3
"""Proofs and exported folders of a ledger, checked from docs/proofs.md alone.

Reads JSON lines from stdin, each a question, and prints one line for each
problem and at the end how many answers were checked.  The questions:

  {"leaves": ["<hex>", ...]}     the hashes of all leaves, for what follows
  {"inclusion": {...}}           what uaef.inclusion_proof() gave
  {"consistency": {...}}         what uaef.consistency_proof() gave
  {"tlog_proof": "...", "leaf": "<hex>"}    uaef.tlog_proof() of that leaf
  {"receipt": {...}}             what uaef.receipt() gave
  {"folder": "path"}             what uaef.export_tiles() wrote

Every proof must be the one that RFC 6962 defines, must hold, and must fail
when any of its hashes is changed, one is missing or one is too many.
"""
import base64
import datetime
import hashlib
import json
import os
import struct
import sys
import uuid


def sha(data):
    return hashlib.sha256(data).digest()


def node(left, right):
    return sha(b"\x01" + left + right)


def split(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


class Tree:
    """The tree over leaves, by the definitions of RFC 6962, 2.1."""

    def __init__(self, leaves):
        self.leaves = leaves
        self.memo = {}

    def root(self, start, n):
        if n == 0:
            return sha(b"")
        if n == 1:
            return self.leaves[start]
        if (start, n) not in self.memo:
            k = split(n)
            self.memo[start, n] = node(
                self.root(start, k), self.root(start + k, n - k))
        return self.memo[start, n]

    def path(self, m, start, n):
        if n == 1:
            return []
        k = split(n)
        if m < k:
            return self.path(m, start, k) + [self.root(start + k, n - k)]
        return self.path(m - k, start + k, n - k) + [self.root(start, k)]

    def subproof(self, m, start, n, whole):
        if m == n:
            return [] if whole else [self.root(start, n)]
        k = split(n)
        if m <= k:
            return self.subproof(m, start, k, whole) + [
                self.root(start + k, n - k)]
        return self.subproof(m - k, start + k, n - k, False) + [
            self.root(start, k)]

    def proof(self, m, n):
        return [] if m == 0 else self.subproof(m, 0, n, True)


def inclusion_root(leaf, m, n, path):
    """The root that a path leads to; None when its length is wrong."""
    if n == 1:
        return leaf if not path else None
    if not path:
        return None
    k = split(n)
    if m < k:
        left = inclusion_root(leaf, m, k, path[:-1])
        return left and node(left, path[-1])
    right = inclusion_root(leaf, m - k, n - k, path[:-1])
    return right and node(path[-1], right)


def consistency_roots(m, n, proof, whole, old):
    """The roots of both trees; None when the length is wrong."""
    if m == n:
        if whole:
            return (old, old) if not proof else None
        return (proof[0], proof[0]) if len(proof) == 1 else None
    if not proof:
        return None
    k = split(n)
    if m <= k:
        below = consistency_roots(m, k, proof[:-1], whole, old)
        return below and (below[0], node(below[1], proof[-1]))
    below = consistency_roots(m - k, n - k, proof[:-1], False, old)
    return below and (node(proof[-1], below[0]), node(proof[-1], below[1]))


def holds_inclusion(leaf, m, n, path, root):
    return inclusion_root(leaf, m, n, path) == root


def holds_consistency(m, n, proof, old, new):
    if m == 0:
        return not proof and old == sha(b"")
    return consistency_roots(m, n, proof, True, old) == (old, new)


def mutations(proof):
    for i in range(len(proof)):
        bad = bytearray(proof[i])
        bad[i % 32] ^= 1
        yield proof[:i] + [bytes(bad)] + proof[i + 1:]
        yield proof[:i] + proof[i + 1:]
    yield proof + [sha(b"one too many")]


problems = 0
checked = 0
tree = Tree([])


def problem(text):
    global problems
    problems += 1
    print(text)


def unhex(texts):
    return [bytes.fromhex(t) for t in texts]


def check_inclusion(p):
    size, index = p["tree_size"], p["leaf_index"]
    leaf, root = unhex([p["leaf_hash"], p["root"]])
    path = unhex(p["proof"])
    where = "inclusion of %d in %d" % (index, size)
    if leaf != tree.leaves[index] or root != tree.root(0, size):
        problem(where + ": wrong leaf or root")
    if path != tree.path(index, 0, size):
        problem(where + ": not the proof of RFC 6962")
    if not holds_inclusion(leaf, index, size, path, root):
        problem(where + ": does not hold")
    for bad in mutations(path):
        if holds_inclusion(leaf, index, size, bad, root):
            problem(where + ": holds though it was changed")


def check_consistency(p):
    m, n = p["old_size"], p["new_size"]
    old, new = unhex([p["old_root"], p["new_root"]])
    proof = unhex(p["proof"])
    where = "consistency of %d and %d" % (m, n)
    if old != tree.root(0, m) or new != tree.root(0, n):
        problem(where + ": wrong root")
    if proof != (tree.proof(m, n) if m < n else []):
        problem(where + ": not the proof of RFC 6962")
    if not holds_consistency(m, n, proof, old, new):
        problem(where + ": does not hold")
    for bad in mutations(proof):
        if holds_consistency(m, n, bad, old, new):
            problem(where + ": holds though it was changed")


def read_note(note):
    """Origin, size and root of a checkpoint; its signatures are not ours."""
    text, signatures = note.split("\n\n", 1)
    origin, size, root = text.split("\n")[:3]
    if not all(line.startswith("\u2014 ") for line in
               signatures.rstrip("\n").split("\n")):
        problem("a line of a note is no signature")
    return origin, int(size), base64.b64decode(root, validate=True)


def check_tlog_proof(text, leaf):
    head, note = text.split("\n\n", 1)
    lines = head.split("\n")
    if lines.pop(0) != "c2sp.org/tlog-proof@v1":
        problem("no tlog-proof")
    if lines[0].startswith("extra "):
        entry = base64.b64decode(lines.pop(0)[6:], validate=True)
        if sha(b"\x00" + entry) != leaf:
            problem("tlog-proof: the entry is not the leaf")
    word, index = lines.pop(0).split(" ")
    path = [base64.b64decode(line, validate=True) for line in lines]
    origin, size, root = read_note(note)
    if word != "index" or not holds_inclusion(
            leaf, int(index), size, path, root):
        problem("tlog-proof of leaf %s does not hold" % index)
    for bad in mutations(path):
        if holds_inclusion(leaf, int(index), size, bad, root):
            problem("tlog-proof holds though it was changed")


def encode(ledger_id, e):
    """E of an event."""
    time = datetime.datetime.strptime(
        e["recorded_at"], "%Y-%m-%dT%H:%M:%S.%fZ")
    us = (time - datetime.datetime(1970, 1, 1)) // datetime.timedelta(
        microseconds=1)
    out = b"UAE1\x01" + bytes([e["kind"]]) + b"\0\0"
    out += uuid.UUID(ledger_id).bytes + uuid.UUID(e["stream"]).bytes
    out += struct.pack(">QQqQ", e["stream_seq"], e["event_id"], us,
                       int(e["tx"])) + bytes.fromhex(e["prev_hash"])
    fields = [e[name] and e[name].encode() for name in (
        "event_type", "actor_type", "actor_id", "session_role",
        "effective_role")]
    fields += [
        e["task_id"] and struct.pack(">q", e["task_id"]),
        e["agent_id"] and e["agent_id"].encode(),
        e["payload_hash"] and bytes.fromhex(e["payload_hash"]),
        e["signer"] and e["signer"].encode(),
        e["signature"] and bytes.fromhex(e["signature"][2:])]
    for tag, value in enumerate(fields, 1):
        if value is not None:
            out += struct.pack(">HI", tag, len(value)) + value
    return out


def multiproof_root(leaves, start, n, proof):
    """leaves: those of [start, start + n), by index; proof is used up."""
    if not leaves:
        return proof.pop(0)
    if n == 1:
        return leaves[start]
    k = split(n)
    left = multiproof_root(
        {i: h for i, h in leaves.items() if i < start + k}, start, k, proof)
    return node(left, multiproof_root(
        {i: h for i, h in leaves.items() if i >= start + k},
        start + k, n - k, proof))


def holds_multiproof(leaves, n, proof, root):
    rest = list(proof)
    try:
        return multiproof_root(leaves, 0, n, rest) == root and not rest
    except IndexError:
        return False


def check_receipt(r):
    leaves = {}
    prev = sha(b"uaef/genesis/v1\0" + uuid.UUID(r["ledger_id"]).bytes
               + uuid.UUID(r["execution_id"]).bytes)
    for seq, e in enumerate(r["events"], 1):
        hash = sha(b"\x00" + encode(r["ledger_id"], e))
        if e["stream"] != r["execution_id"] or e["stream_seq"] != seq:
            problem("receipt: event %d is out of its place" % e["event_id"])
        if hash.hex() != e["event_hash"] or prev.hex() != e["prev_hash"]:
            problem("receipt: event %d has a wrong hash" % e["event_id"])
        if e["block_no"] not in [b["block_no"] for b in r["blocks"]
                                 if b["first_leaf"] <= e["leaf_index"]
                                 < b["tree_size"]]:
            problem("receipt: event %d has no block" % e["event_id"])
        leaves[e["leaf_index"]] = prev = hash
    proof, root = unhex(r["proof"]), bytes.fromhex(r["root"])
    if len(leaves) != len(r["events"]) or max(leaves) >= r["tree_size"]:
        problem("receipt: wrong leaves")
    if not holds_multiproof(leaves, r["tree_size"], proof, root):
        problem("receipt: does not hold")
    for bad in mutations(proof):
        if holds_multiproof(leaves, r["tree_size"], bad, root):
            problem("receipt: holds though it was changed")
    if r["checkpoint"] is not None and read_note(r["checkpoint"]) != (
            r["origin"], r["tree_size"], root):
        problem("receipt: another checkpoint")


def number_path(n):
    groups = ["%03d" % (n % 1000)]
    while n >= 1000:
        n //= 1000
        groups.insert(0, "x%03d" % (n % 1000))
    return "/".join(groups)


def read_parts(folder, directory, count):
    """The files of 256 things each, of which there are count; None: missing."""
    for n in range((count + 255) // 256):
        width = min(256, count - 256 * n)
        path = "%s/%s/%s" % (folder, directory, number_path(n))
        if width < 256:
            path += ".p/%d" % width
        try:
            with open(path, "rb") as file:
                yield n, width, file.read()
        except FileNotFoundError:
            yield n, width, None


def check_folder(folder):
    with open(folder + "/uaef/ledger.json", encoding="utf-8") as file:
        about = json.load(file)
    size, leaves = about["tree_size"], []
    for n, width, data in read_parts(folder, "tile/0", size):
        if data is None or len(data) != 32 * width:
            problem("folder: tile %d is missing or torn" % n)
            return
        leaves += [data[i:i + 32] for i in range(0, len(data), 32)]
    mine = Tree(leaves)
    if mine.root(0, size).hex() != about["root"]:
        problem("folder: the tiles have another root")
    level, nodes = 0, leaves
    while nodes:
        tiles = list(read_parts(folder, "tile/%d" % level, len(nodes)))
        if b"".join(data or b"" for n, width, data in tiles) != b"".join(nodes):
            problem("folder: tiles of level %d are wrong" % level)
        level += 1
        nodes = [Tree(nodes[i:i + 256]).root(0, 256)
                 for i in range(0, len(nodes) - 255, 256)]
    payloads = dict((n, data) for n, width, data in
                    read_parts(folder, "uaef/payload", size))
    for n, width, data in read_parts(folder, "tile/entries", size):
        if data is None:
            if 256 * n + width > about["first_entry"]:
                problem("folder: bundle %d is missing" % n)
            continue
        lines = payloads[n].decode().split("\n")
        entries = []
        while data:
            length = struct.unpack(">H", data[:2])[0]
            entries.append(data[2:2 + length])
            data = data[2 + length:]
        if len(entries) != width or len(lines) != width + 1:
            problem("folder: bundle %d is not whole" % n)
        for i, entry in enumerate(entries):
            if sha(b"\x00" + entry) != leaves[256 * n + i]:
                problem("folder: entry %d is not its leaf" % (256 * n + i))
            check_payload(256 * n + i, entry, json.loads(lines[i]))
    blocks = [json.loads(line) for n, width, data in
              read_parts(folder, "uaef/blocks", about["blocks"])
              for line in (data or b"").decode().splitlines()]
    if [b["block_no"] for b in blocks] != list(range(1, about["blocks"] + 1)):
        problem("folder: blocks are missing")
    for b in blocks:
        if mine.root(0, b["tree_size"]).hex() != b["tree_root"]:
            problem("folder: block %d has another root" % b["block_no"])
    check_notes(folder, about, mine)


def check_payload(index, entry, line):
    """The payload's hash, if there is one, is in the fields of the entry."""
    fields = {}
    rest = entry[8 + 16 + 16 + 8 * 4 + 32:]
    while rest:
        tag, length = struct.unpack(">HI", rest[:6])
        fields[tag] = rest[6:6 + length]
        rest = rest[6 + length:]
    if line is not None and fields.get(8) != sha(
            b"uaef/payload/v1\0" + bytes.fromhex(line["salt"])
            + line["payload"].encode()):
        problem("folder: payload of entry %d is another" % index)


def check_notes(folder, about, mine):
    directory = folder + "/uaef/checkpoints"
    names = os.listdir(directory) if os.path.isdir(directory) else []
    for name in names:
        with open(directory + "/" + name, encoding="utf-8") as file:
            origin, size, root = read_note(file.read())
        if (str(size) != name or origin != about["origin"]
                or root != mine.root(0, size)):
            problem("folder: checkpoint %s is another" % name)
    if os.path.exists(folder + "/checkpoint"):
        with open(folder + "/checkpoint", encoding="utf-8") as file:
            note = read_note(file.read())
        if note[1:] != (about["tree_size"], bytes.fromhex(about["root"])):
            problem("folder: the checkpoint is of another tree")
    elif names:
        problem("folder: the checkpoint is missing")


def check_vectors():
    """The tree over the eight inputs that all implementations share."""
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
              "606162636465666768696a6b6c6d6e6f"]
    known = Tree([sha(b"\x00" + i) for i in unhex(inputs)])
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"}
    for n, root in roots.items():
        if known.root(0, n).hex() != root:
            problem("the verifier's own tree of %d is wrong" % n)


check_vectors()
for line in sys.stdin:
    question = json.loads(line)
    checked += 1
    if "leaves" in question:
        tree = Tree(unhex(question["leaves"]))
        checked -= 1
    elif "inclusion" in question:
        check_inclusion(question["inclusion"])
    elif "consistency" in question:
        check_consistency(question["consistency"])
    elif "tlog_proof" in question:
        check_tlog_proof(question["tlog_proof"],
                         bytes.fromhex(question["leaf"]))
    elif "receipt" in question:
        check_receipt(question["receipt"])
    elif "folder" in question:
        check_folder(question["folder"])
    else:
        problem("a question that is none")
print("%d checked, %d problems" % (checked, problems))
