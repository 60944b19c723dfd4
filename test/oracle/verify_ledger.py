#!/usr/bin/env python3
"""Check an export of the ledger, by docs/ledger-format.md alone.

usage: verify_ledger.py < export.jsonl
       verify_ledger.py --canonical < values.jsonl    (print canonical texts)
       verify_ledger.py --root < leaves.txt           (hex lines; print the root)

Prints one line per problem and a summary; exits with 1 if there is a problem.
"""
import hashlib
import json
import struct
import sys
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal, localcontext

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# ---- canonical JSON -------------------------------------------------------

SHORT = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}


def string_text(s):
    out = []
    for c in s:
        code = ord(c)
        if code in SHORT:
            out.append(SHORT[code])
        elif code < 32:
            out.append("\\u%04x" % code)
        else:
            out.append(c)
    return '"' + "".join(out) + '"'


def digits_and_point(d):
    """|d| = 0.digits * 10**point, digits without zeros at either end."""
    _, digits, exponent = d.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    point = len(text) + exponent
    return text.rstrip("0"), point


def plain_text(d):
    digits, point = digits_and_point(d)
    if point <= 0:
        text = "0." + "0" * -point + digits
    elif point >= len(digits):
        text = digits + "0" * (point - len(digits))
    else:
        text = digits[:point] + "." + digits[point:]
    return ("-" if d < 0 else "") + text


def number_text(d):
    if d == 0:
        return "0"
    with localcontext() as context:
        context.prec = 200000
        nearest = float(d)
        if nearest in (float("inf"), float("-inf"), 0.0):
            return plain_text(d)
        # repr() of a float is its shortest decimal.
        if Decimal(repr(nearest)) != d:
            return plain_text(d)
    sign = "-" if d < 0 else ""
    digits, point = digits_and_point(d)
    if -6 < point <= 21:
        return plain_text(d)
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return "%s%se%+d" % (sign, mantissa, point - 1)


def canonical(value):
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return string_text(value)
    if isinstance(value, Decimal):
        return number_text(value)
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    keys = sorted(value, key=lambda k: k.encode("utf-16-be"))
    return "{" + ",".join(string_text(k) + ":" + canonical(value[k]) for k in keys) + "}"


def load(line):
    return json.loads(line, parse_int=Decimal, parse_float=Decimal)


# ---- events ---------------------------------------------------------------

ENGINE, APPLICATION = 1, 2


def raw(column):
    """The bytes of a hash (hex digits) or of a bytea (which has \\x before them)."""
    return None if column is None else bytes.fromhex(column.removeprefix("\\x"))


def micros(text):
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def genesis(ledger, stream):
    return sha(b"uaef/genesis/v1\0", ledger, stream)


def derived(ledger, word, number):
    name = bytearray(sha(b"uaef/stream/v1\0", ledger, struct.pack(">q", number), word)[:16])
    name[6] = name[6] & 0x0f | 0x80
    name[8] = name[8] & 0x3f | 0x80
    return uuid.UUID(bytes=bytes(name))


def field(tag, data):
    return b"" if data is None else struct.pack(">HI", tag, len(data)) + data


def text(value):
    return None if value is None else value.encode()


def event_hash(ledger, e):
    task = None if e["task_id"] is None else struct.pack(">q", int(e["task_id"]))
    return sha(b"\0", b"UAE1", bytes([1, int(e["kind"]), 0, 0]), ledger, uuid.UUID(e["stream"]).bytes,
               struct.pack(">QQqQ", int(e["stream_seq"]), int(e["event_id"]),
                           micros(e["recorded_at"]), int(e["tx"])),
               raw(e["prev_hash"]),
               field(1, text(e["event_type"])), field(2, text(e["actor_type"])),
               field(3, text(e["actor_id"])), field(4, text(e["session_role"])),
               field(5, text(e["effective_role"])), field(6, task),
               field(7, text(e["agent_id"])), field(8, raw(e["payload_hash"])),
               field(9, text(e["signer"])), field(10, raw(e["signature"])))


def check_events(ledger, events, problem):
    last = {}
    for e in sorted(events, key=lambda e: (e["stream"], int(e["stream_seq"]))):
        where = "event %d" % int(e["event_id"])
        if e["payload_hash"] is not None and raw(e["payload_hash"]) != sha(
                b"uaef/payload/v1\0", raw(e["salt"]) or b"", canonical(e["payload"]).encode()):
            problem("PAYLOAD_MISMATCH", where)
        if int(e["kind"]) not in (ENGINE, APPLICATION) or \
                raw(e["event_hash"]) != event_hash(ledger, e):
            problem("EVENT_HASH_MISMATCH", where)
        before = last.get(e["stream"])
        if int(e["stream_seq"]) != (int(before["stream_seq"]) if before else 0) + 1:
            problem("SEQ_GAP", where)
        elif raw(e["prev_hash"]) != (raw(before["event_hash"]) if before else
                                     genesis(ledger, uuid.UUID(e["stream"]).bytes)):
            problem("CHAIN_BREAK", where)
        if before and micros(e["recorded_at"]) < micros(before["recorded_at"]):
            problem("TIME_REVERSED", where)
        if before and int(e["event_id"]) <= int(before["event_id"]):
            problem("ORDER_CHANGED", where)
        last[e["stream"]] = e


# ---- blocks ---------------------------------------------------------------

def root(leaves):
    """By the definition, not by a frontier; memoised over perfect subtrees."""
    if not leaves:
        return sha()
    memo = {}

    def subtree(low, high):
        n = high - low
        if n == 1:
            return leaves[low]
        if (low, high) not in memo:
            split = 1 << ((n - 1).bit_length() - 1)
            memo[low, high] = sha(b"\1", subtree(low, low + split), subtree(low + split, high))
        return memo[low, high]
    return subtree(0, len(leaves))


def counted(s):
    return struct.pack(">I", len(s.encode())) + s.encode()


def block_hash(ledger, b):
    return sha(b"uaef/block/v1\0", ledger,
               struct.pack(">QQQQ", int(b["block_no"]), int(b["first_leaf"]),
                           int(b["leaf_count"]), int(b["tree_size"])),
               raw(b["tree_root"]), raw(b["prev_block_hash"]),
               struct.pack(">q", micros(b["sealed_at"])),
               counted(b["snapshot"]), counted(b["incarnation"]),
               struct.pack(">IQ", int(b["timeline"]), int(b["foreign_event_id"])))


def sees(snapshot, tx):
    _, xmax, xip = snapshot.split(":")
    return tx < int(xmax) and str(tx) not in xip.split(",")


def check_blocks(ledger, events, blocks, problem):
    hashes = {int(e["event_id"]): raw(e["event_hash"]) for e in events}
    leaves, listed = [], {}
    before = genesis(ledger, bytes(16))
    for number, b in enumerate(sorted(blocks, key=lambda b: int(b["block_no"])), 1):
        where = "block %d" % int(b["block_no"])
        ids = [int(i) for i in b["event_ids"]]
        if int(b["block_no"]) != number or raw(b["prev_block_hash"]) != before \
                or block_hash(ledger, b) != raw(b["block_hash"]):
            problem("BLOCK_CHAIN_BREAK", where)
        before = raw(b["block_hash"])
        if int(b["first_leaf"]) != len(leaves) or len(ids) != int(b["leaf_count"]):
            problem("ROOT_MISMATCH", where)
        if ids != sorted(set(ids)):
            problem("ORDER_CHANGED", where)
        for i in ids:
            if i not in hashes:
                problem("LEAF_MISSING", "%s event %d" % (where, i))
            if i in listed:
                problem("LEAF_EXTRA", "%s event %d" % (where, i))
            listed[i] = b
            leaves.append(hashes.get(i, bytes(32)))
        if int(b["tree_size"]) != len(leaves) or root(leaves) != raw(b["tree_root"]):
            problem("ROOT_MISMATCH", where)
    if blocks:
        final = max(blocks, key=lambda b: int(b["block_no"]))
        for e in events:
            i = int(e["event_id"])
            if i not in listed and (i <= int(final["foreign_event_id"]) or
                                    sees(final["snapshot"], int(e["tx"]))):
                problem("LEAF_EXTRA", "event %d" % i)


def check_news(ledger, events, blocks, problem):
    """What the ledger tells of its blocks."""
    seal = derived(ledger, b"seal", 0)
    rows = {int(b["block_no"]): b for b in blocks}
    for e in events:
        told = e["payload"]
        if e["event_type"] != "ledger_sealed" or int(e["kind"]) != ENGINE \
                or uuid.UUID(e["stream"]) != seal or told is None:
            continue
        where = "block %d" % int(told["block_no"])
        b = rows.get(int(told["block_no"]))
        if b is None or raw(b["block_hash"]).hex() != told["block_hash"]:
            problem("BLOCK_CHAIN_BREAK", where)
        elif raw(b["tree_root"]).hex() != told["tree_root"]:
            problem("ROOT_MISMATCH", where)


def main():
    sys.setrecursionlimit(10000)
    sys.set_int_max_str_digits(0) if hasattr(sys, "set_int_max_str_digits") else None
    if "--canonical" in sys.argv:
        for line in sys.stdin:
            print(canonical(load(line)))
        return 0
    if "--root" in sys.argv:
        print(root([bytes.fromhex(line.strip()) for line in sys.stdin]).hex())
        return 0
    rows = [load(line) for line in sys.stdin if line.strip()]
    ledger = uuid.UUID(next(r for r in rows if r["row"] == "ledger")["ledger_id"]).bytes
    events = [r for r in rows if r["row"] == "event"]
    blocks = [r for r in rows if r["row"] == "block"]
    found = []

    def problem(code, where):
        found.append(code)
        print(code, where)
    check_events(ledger, events, problem)
    check_blocks(ledger, events, blocks, problem)
    check_news(ledger, events, blocks, problem)
    print("%d events, %d blocks, %d problems" % (len(events), len(blocks), len(found)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
