#!/usr/bin/env python3
"""Check an export of the ledger, by docs/ledger-format.md alone.

usage: verify_ledger.py [OPTION]... [EXPORT]     a file, a tiles folder, or stdin
         --checkpoint FILE   a signed checkpoint from outside (may repeat)
         --policy FILE       whom to trust
         --proof FILE        a proof of one event (may repeat)
         --receipt FILE      the receipt of an execution (may repeat)
         --json              findings as JSON objects
       verify_ledger.py --canonical < values.jsonl    (print canonical texts)
       verify_ledger.py --root < leaves.txt           (hex lines; print the root)

Prints one line per problem and a summary; exits with 1 if there is a problem,
2 if something cannot be read, 3 if only the policy's quorum is missing.  It is
the second verifier: slow, whole ledgers in memory, and not made from the first.
"""
import argparse
import base64
import binascii
import bisect
import hashlib
import itertools
import json
import os
import re
import struct
import sys
import threading
import uuid
from datetime import date
from decimal import Decimal, InvalidOperation, localcontext

import ed25519


class Unreadable(Exception):
    pass


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# ---- JSON -----------------------------------------------------------------

class Num(str):
    """A number as it is written."""


def no_constant(name):
    raise ValueError("not a JSON value: " + name)


def members(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


DEEPEST = 10000


def load(data):
    """Strict JSON of bytes; ValueError when it is none."""
    text = data.decode("utf-8")
    depth = deepest = 0
    for piece in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text, re.S):
        if piece.group() in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif piece.group() in ("]", "}"):
            depth -= 1
    if deepest > DEEPEST:
        raise ValueError("nested too deep")
    value = json.loads(text, parse_int=Num, parse_float=Num, parse_constant=no_constant,
                       object_pairs_hook=members)
    if "\\u" in text and lone_surrogate(value):
        raise ValueError("half of a surrogate pair")
    return value


def lone_surrogate(value):
    if isinstance(value, str):
        return any("\ud800" <= c <= "\udfff" for c in value)
    if isinstance(value, list):
        return any(map(lone_surrogate, value))
    if isinstance(value, dict):
        return any(lone_surrogate(k) or lone_surrogate(v) for k, v in value.items())
    return False


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


def number_text(written):
    if not re.search("[1-9]", re.split("[eE]", written)[0]):
        return "0"
    try:
        d = Decimal(written)
    except InvalidOperation:
        raise ValueError("a number out of range") from None
    digits, point = digits_and_point(d)
    if point > 131072 or len(digits) - point > 16383:
        raise ValueError("a number out of range")
    with localcontext() as context:
        context.prec = 200000
        nearest = float(d)
        if nearest in (float("inf"), float("-inf"), 0.0):
            return plain_text(d)
        # repr() of a float is its shortest decimal.
        if Decimal(repr(nearest)) != d:
            return plain_text(d)
    sign = "-" if d < 0 else ""
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
    if isinstance(value, (Num, Decimal, int)):
        return number_text(str(value))
    if isinstance(value, str):
        return string_text(value)
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    keys = sorted(value, key=lambda k: k.encode("utf-16-be"))
    return "{" + ",".join(string_text(k) + ":" + canonical(value[k]) for k in keys) + "}"


# ---- columns of rows; ValueError when they are not of their type -----------

MOST = 2**63 - 1
LEAVES_MOST = 2**56


def number(value):
    if not isinstance(value, str) or not re.fullmatch(r"0|-?[1-9][0-9]*", value, re.ASCII) \
            or abs(int(value)) > MOST:
        raise ValueError("no number")
    return int(value)


def raw(value):
    """The bytes of a hash (hex digits) or of a bytea (which has \\x before them)."""
    if not isinstance(value, str) or isinstance(value, Num):
        raise ValueError("no hex digits")
    digits = value.removeprefix("\\x")
    if not re.fullmatch("([0-9a-fA-F]{2})*", digits, re.ASCII):
        raise ValueError("no hex digits")
    return bytes.fromhex(digits)


def hash_(value):
    data = raw(value)
    if len(data) != 32:
        raise ValueError("no hash")
    return data


def uuid_bytes(value):
    if not isinstance(value, str) or not re.fullmatch(
            "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value, re.ASCII):
        raise ValueError("no UUID")
    return uuid.UUID(value).bytes


def string(value):
    if not isinstance(value, str) or isinstance(value, Num):
        raise ValueError("no text")
    return value


TIME = re.compile(r"(\d{4,6})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?"
                  r"(?:(Z)|([+-])(\d\d)(?::(\d\d)(?::(\d\d))?)?)", re.ASCII)


def micros(value):
    found = TIME.fullmatch(string(value))
    if not found:
        raise ValueError("no time")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    h, m, s = (int(x or 0) for x in found.groups()[9:12])
    if not 1 <= year <= 294276 or hour > 23 or minute > 59 or second > 59 or max(h, m, s) > 59:
        raise ValueError("no time")
    # Python's calendar ends at 9999: 400 years are always 146097 days.
    cycles = (year - 1) // 400
    days = date(year - 400 * cycles, month, day).toordinal() + 146097 * cycles - 719163
    offset = (h * 60 + m) * 60 + s
    seconds = days * 86400 + (hour * 60 + minute) * 60 + second
    seconds += offset if found.group(9) == "-" else -offset
    return seconds * 1000000 + int((found.group(7) or "").ljust(6, "0"))


# ---- hashes of the format --------------------------------------------------

ENGINE, APPLICATION = 1, 2
TEXTS = {1: "event_type", 2: "actor_type", 3: "actor_id", 4: "session_role", 5: "effective_role",
         7: "agent_id", 9: "signer"}


def genesis(ledger, stream):
    return sha(b"uaef/genesis/v1\0", ledger, stream)


def derived(ledger, word, n):
    name = bytearray(sha(b"uaef/stream/v1\0", ledger, struct.pack(">q", n), word)[:16])
    name[6] = name[6] & 0x0f | 0x80
    name[8] = name[8] & 0x3f | 0x80
    return bytes(name)


def payload_hash(salt, text):
    return sha(b"uaef/payload/v1\0", salt, text.encode())


def entry(e):
    """E of an event: an object with ledger, kind, ..., prev_hash and fields (tag: bytes)."""
    out = [b"UAE1", bytes([1, e.kind, 0, 0]), e.ledger, e.stream,
           struct.pack(">qqqQ", e.stream_seq, e.event_id, e.recorded_at, e.tx), e.prev_hash]
    for tag in sorted(e.fields):
        out.append(struct.pack(">HI", tag, len(e.fields[tag])) + e.fields[tag])
    return b"".join(out)


class Event:
    """What is known of one; decoded is false where its row or entry makes no sense."""
    ledger = stream = event_id = stream_seq = stored = None
    prev_hash = computed = leaf = None
    kind = recorded_at = tx = 0
    decoded = True

    def __init__(self):
        self.fields = {}


def read_entry(data):
    """The event of E; ValueError when E is not what entry() gives."""
    if len(data) < 104 or data[:5] != b"UAE1\1" or data[5] not in (1, 2) or data[6:8] != b"\0\0":
        raise ValueError("no entry")
    e = Event()
    e.kind, e.ledger, e.stream = data[5], data[8:24], data[24:40]
    e.stream_seq, e.event_id, e.recorded_at, e.tx = struct.unpack(">qqqQ", data[40:72])
    e.prev_hash = data[72:104]
    at, last = 104, 0
    while at < len(data):
        if len(data) - at < 6:
            raise ValueError("a field is cut off")
        tag, length = struct.unpack(">HI", data[at:at + 6])
        value = data[at + 6:at + 6 + length]
        if not last < tag <= 10 or len(value) != length or \
                length != {6: 8, 8: 32}.get(tag, length):
            raise ValueError("a bad field")
        if tag in TEXTS and "\0" in value.decode("utf-8"):
            raise ValueError("a zero byte in a text")
        e.fields[tag] = value
        at, last = at + 6 + length, tag
    if 1 not in e.fields or 4 not in e.fields or e.stream_seq < 1 or e.event_id < 1:
        raise ValueError("something is missing")
    return e


def counted(s):
    return struct.pack(">I", len(s.encode())) + s.encode()


def block_hash(ledger, b):
    return sha(b"uaef/block/v1\0", ledger,
               struct.pack(">QQQQ", b.no, b.first_leaf, b.leaf_count, b.tree_size),
               b.tree_root, b.prev, struct.pack(">q", b.sealed_at),
               counted(b.snapshot), counted(b.incarnation), struct.pack(">IQ", b.timeline, b.foreign))


# ---- the tree ---------------------------------------------------------------

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


class Tree:
    """A growing tree: the roots of the perfect subtrees, largest first."""

    def __init__(self, size=0, nodes=()):
        self.size, self.nodes, self.known = size, list(nodes), True

    def add(self, leaf):
        if leaf is None or not self.known:
            self.known = False
        else:
            n = self.size
            while n & 1:
                leaf = sha(b"\1", self.nodes.pop(), leaf)
                n >>= 1
            self.nodes.append(leaf)
        self.size += 1

    def root(self):
        if not self.nodes:
            return sha()
        result = self.nodes[-1]
        for node in reversed(self.nodes[:-1]):
            result = sha(b"\1", node, result)
        return result


def block_tree(b):
    """The tree that a block's frontier describes, if it has the block's root."""
    if b.frontier is None or len(b.frontier) != 32 * bin(b.tree_size).count("1"):
        return None
    tree = Tree(b.tree_size, [b.frontier[i:i + 32] for i in range(0, len(b.frontier), 32)])
    return tree if tree.root() == b.tree_root else None


def proven_root(index, size, leaf, proof):
    """The root that an inclusion proof of RFC 6962 leads to; None when it does not fit."""
    def climb(low, high, rest):
        if high - low == 1:
            return leaf if not rest else None
        if not rest:
            return None
        split = low + (1 << ((high - low - 1).bit_length() - 1))
        if index < split:
            below = climb(low, split, rest[:-1])
            return below and sha(b"\1", below, rest[-1])
        below = climb(split, high, rest[:-1])
        return below and sha(b"\1", rest[-1], below)
    return climb(0, size, proof) if 0 <= index < size else None


# ---- notes and policies -----------------------------------------------------

def from_base64(text):
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data) != (text.encode() if isinstance(text, str) else text):
        raise ValueError("no canonical base64")
    return data


def valid_name(name):
    return bool(name) and not any(c <= " " or c == "+" for c in name)


class Key:
    def __init__(self, text):
        name, given, code = text.split("+", 2)
        data = from_base64(code)
        self.name, self.type, self.public = name, data[0], data[1:]
        if not valid_name(name) or len(data) != 33 or self.type not in (1, 4) \
                or not re.fullmatch("[0-9a-fA-F]{8}", given, re.ASCII):
            raise ValueError("no key")
        self.id = sha(name.encode(), b"\n", data)[:4]
        if bytes.fromhex(given) != self.id:
            raise ValueError("no key of this hash")


class Checkpoint:
    def __init__(self, note):
        text = note.decode("utf-8")
        if len(note) > 1000000 or re.search("[\x00-\x09\x0b-\x1f]", text):
            raise ValueError("no note")
        split = text.rindex("\n\n") + 1
        body, rest = text[:split], text[split + 1:]
        lines = body.split("\n")[:-1]
        if len(lines) < 3 or "" in lines or not re.fullmatch("0|[1-9][0-9]*", lines[1], re.ASCII) \
                or not rest.endswith("\n"):
            raise ValueError("no checkpoint")
        self.text, self.origin, self.size = body.encode(), lines[0], int(lines[1])
        self.root = from_base64(lines[2])
        if self.size > LEAVES_MOST or len(self.root) != 32:
            raise ValueError("no checkpoint")
        self.signatures = []
        for line in rest.split("\n")[:-1]:
            found = re.fullmatch("\u2014 ([^ ]+) ([^ ]+)", line, re.S)
            if not found or not valid_name(found.group(1)):
                raise ValueError("no signature")
            if len(found.group(2)) > 348:       # of a kind of key that is not known here
                self.signatures.append((None, b"", b""))
                continue
            data = from_base64(found.group(2))
            if len(data) <= 4:
                raise ValueError("no signature")
            self.signatures.append((found.group(1), data[:4], data[4:]))
        if not 1 <= len(self.signatures) <= 100:
            raise ValueError("too many signatures")

    def signed(self, key):
        """None: not by this key; False: wrongly; else True or the time of a cosignature."""
        result = None
        for name, key_id, data in self.signatures:
            if name != key.name or key_id != key.id:
                continue
            if key.type == 1:
                result = len(data) == 64 and ed25519.verify(key.public, self.text, data)
            else:
                when = int.from_bytes(data[:8], "big")
                text = b"cosignature/v1\ntime %d\n" % when + self.text
                result = len(data) == 72 and when <= MOST and \
                    ed25519.verify(key.public, text, data[8:]) and ("time", when)
            if not result:
                return False
        return result


class Policy:
    def __init__(self, path):
        self.ledger = self.origin = self.quorum = None
        self.logs, self.names, taken, quorums = [], {}, set(), 0
        try:
            text = open(path, "rb").read().decode("latin-1")
        except OSError as e:
            raise Unreadable(str(e)) from None
        if text and not text.endswith("\n") or re.search("[\x00-\x08\x0b-\x1f\x7f]", text):
            raise Unreadable("policy")
        try:
            for line in text.split("\n"):
                words = [w for w in re.split("[ \t]", line) if w]
                if not words or words[0].startswith("#"):
                    continue
                quorums += words[0] == "quorum"
                self.line(taken, *words)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as e:
            raise Unreadable("policy: %r" % e) from None
        if quorums != 1:
            raise Unreadable("policy: one quorum line")

    def line(self, taken, kind, name, *words):
        utf8 = [w.encode("latin-1").decode("utf-8", "surrogateescape") for w in (name,) + words]
        if kind in ("ledger", "origin", "quorum") and words:
            raise ValueError(kind)
        if kind == "log":
            key = Key(utf8[0])
            if key.type != 1 or len(words) > 1 or key.public in [k.public for k in self.logs]:
                raise ValueError("log")
            self.logs.append(key)
        elif kind == "witness":
            key = Key(utf8[1])
            if key.type != 4 or len(words) > 2 or name in self.names or name == "none" or \
                    key.public in [k.public for k in self.names.values() if isinstance(k, Key)]:
                raise ValueError("witness")
            self.names[name] = key
        elif kind == "group":
            what, *group = words
            if not group or name in self.names or name == "none" or len(set(group)) != len(group) \
                    or any(m in taken or m not in self.names for m in group):
                raise ValueError("group")
            taken.update(group)
            if what not in ("all", "any") and not re.fullmatch("[1-9][0-9]*", what, re.ASCII):
                raise ValueError("group")
            need = {"all": len(group), "any": 1}.get(what) or int(what)
            if need > len(group):
                raise ValueError("group")
            self.names[name] = (need, group)
        elif kind == "quorum":
            if name != "none" and name not in self.names:
                raise ValueError("quorum")
            self.quorum = None if name == "none" else name
        elif kind == "ledger" and self.ledger is None:
            self.ledger = uuid_bytes(name)
        elif kind == "origin" and self.origin is None:
            self.origin = utf8[0]
        else:
            raise ValueError(kind)

    def witnesses(self):
        return {n: k for n, k in self.names.items() if isinstance(k, Key)}

    def met(self, signed, name=False):
        name = self.quorum if name is False else name
        if name is None:
            return True
        what = self.names[name]
        if isinstance(what, Key):
            return name in signed
        return sum(self.met(signed, m) for m in what[1]) >= what[0]


# ---- what is found ------------------------------------------------------------

INFOS, WARNINGS = ("REDACTED", "RETIRED"), ("COSIG_MISSING", "INCARNATION_UNDECLARED", "UNANCHORED")


class Findings:
    def __init__(self, as_json):
        self.as_json, self.codes, self.errors = as_json, [], 0

    def add(self, code, **place):
        severity = "info" if code in INFOS else "warning" if code in WARNINGS else "error"
        place = {k: v for k, v in place.items() if v is not None}
        self.codes.append(code)
        self.errors += severity == "error"
        if self.as_json:
            print(json.dumps(dict(severity=severity, code=code, **place)))
        else:
            words = {"block_no": "block", "tree_size": "checkpoint", "leaf_index": "leaf",
                     "event_id": "event"}
            print(code, *["%s %s" % (w, place[k]) for k, w in words.items() if k in place])


def place_of(e):
    """As a finding names the place of an event; it may not be known."""
    place = {"event_id": e.event_id} if e.event_id else {}
    if e.stream is not None and e.stream_seq is not None:
        place.update(stream=str(uuid.UUID(bytes=e.stream)), stream_seq=e.stream_seq)
    return place


class Ledger:
    """What both kinds of exports give, and what is said of it."""

    def __init__(self, find):
        self.find = find
        self.id = self.origin = self.incarnation = None
        self.events, self.blocks, self.notes = [], [], []
        self.news, self.redacted, self.gone = [], {}, []
        self.told_retired, self.told_restored = {}, set()      # what events say
        self.declared, self.keys, self.revoked, self.signed = set(), [], [], []
        self.retirements, self.retired_heads = [], []           # what rows say
        self.retired, self.last_ends = [], None     # ranges of leaves, told by events
        self.believed = set()           # those events
        self.tellers, self.placed = [], {}      # events of redactions, retirements; the leaves of events
        self.tiles, self.kept, self.left_out = {}, {}, []
        self.late = False               # the export does not begin where the ledger does
        self.leaves = None              # hashes in the order of the tree
        self.size = 0                   # that the export states
        self.block_count = 0
        self.marks = {}                 # tree size: block
        self.looked_at = []
        self.last = None                # the last block that was looked at

    def says(self, e, payload):
        if e.kind != ENGINE or not isinstance(payload, dict):
            return

        def told(key, kind):
            try:
                return kind(payload.get(key))
            except ValueError:
                return None

        def positive(value):
            if not isinstance(value, Num) or value.startswith("-"):
                raise ValueError
            return number(value)
        kind = e.fields.get(1)
        if kind == b"ledger_sealed" and e.stream == derived(self.id, b"seal", 0):
            no = told("block_no", positive)
            if no is not None:
                def digits(value):
                    return bytes(32) if value.startswith("\\x") else hash_(value)
                self.news.append((no, *[told(k, lambda v: digits(string(v))) or bytes(32)
                                        for k in ("block_hash", "tree_root")]))
        elif e.stream == derived(self.id, b"keep", 0):
            self.keeping_says(e, kind, told, positive)

    def keeping_says(self, e, kind, told, positive):
        """What is done to the ledger itself."""
        def digest(value):
            if string(value).startswith("\\x"):
                raise ValueError
            return hash_(value)

        def name(value):
            if "\0" in string(value):
                raise ValueError
            return value
        if kind == b"event_redacted":
            what = told("event_id", positive), told("payload_hash", digest)
            if None not in what:
                self.redacted.setdefault(what, set()).add(e.event_id)
                self.tellers.append(e)
        elif kind == b"events_retired":
            leaves_hash = told("leaves_hash", digest)
            if e.event_id and leaves_hash is not None:
                self.told_retired.setdefault(e.event_id, set()).add(leaves_hash)
                self.tellers.append(e)
        elif kind == b"events_restored":
            self.told_restored.add(told("retirement", positive))
        elif kind == b"incarnation_declared":
            self.declared.add((told("incarnation", name), told("timeline", positive)))
        elif kind == b"signer_registered":
            key = e.event_id, told("signer", name), told("public_key", name)
            if None not in key:
                self.keys.append(key)
        elif kind == b"signer_revoked" and e.event_id:
            self.revoked.append((e.event_id, told("signer", name)))

    def note_signed(self, e, text):
        """Of an event whose payload, if any, is known."""
        if e.decoded and (9 in e.fields or 10 in e.fields):
            self.signed.append((e, text))

    def check_signatures(self):
        for e, text in self.signed:
            signature, signer = e.fields.get(10), e.fields.get(9)
            if signer is None or signature is None or len(signature) != 64 or b"\0" in signer:
                self.find("SIG_BAD", **place_of(e))
                continue
            signer = signer.decode()
            keys = sorted(k for k in self.keys if k[1] == signer and k[0] < e.event_id)
            revoked = any(r[1] == signer and r[0] < e.event_id for r in self.revoked)
            if self.late and not keys and not revoked:
                continue
            execution = e.stream if e.stream[6] >> 4 != 8 else bytes(16)
            kind = e.fields[1]
            claim = b"uaef/claim/v1\0" + e.ledger + execution + struct.pack(">I", len(kind)) + kind + \
                sha(text.encode())
            try:
                key = Key(keys[0][2])
                good = not revoked and key.type == 1 and ed25519.verify(key.public, claim, signature)
            except (ValueError, IndexError):
                good = False
            if not good:
                self.find("SIG_BAD", **place_of(e))

    def settle_retired(self):
        """When all events are known: which leaves were retired."""
        for event_id, leaves in self.retirements:
            parts = re.fullmatch(r"\{((?:\[(?:0|[1-9]\d*),(?:0|[1-9]\d*)\),?)*)\}", leaves, re.ASCII)
            good = parts and not parts.group(1).endswith(",") and event_id and \
                event_id not in self.told_restored and \
                sha(leaves.encode()) in self.told_retired.get(event_id, ())
            ranges, last = [], 0
            for low, high in re.findall(r"\[(\d+),(\d+)\)", leaves) if good else ():
                good = good and last <= int(low) < int(high) <= MOST
                last = int(high)
                ranges.append((int(low), int(high)))
            if event_id and sha(leaves.encode()) in self.told_retired.get(event_id, ()):
                self.believed.add(event_id)
            if good:
                self.retired += ranges
            self.find("RETIRED" if good else "LEAF_MISSING", event_id=event_id)

    def was_retired(self, leaf):
        if self.last_ends is None:
            self.retired.sort()
            self.last_ends = list(itertools.accumulate((high for _, high in self.retired), max))
        i = bisect.bisect_right(self.retired, (leaf, MOST + 1))
        return i > 0 and leaf < self.last_ends[i - 1]

    def retired_row(self, kind, row):
        """Read a row of what was retired; False if it is not one."""
        def take(name, read):
            return read(row.get(name))
        try:
            if kind == "retirement":
                try:
                    event_id = max(0, take("event_id", number)) or None
                except ValueError:
                    event_id = None
                leaves = row.get("leaves")
                if row.get("restored_by") is None:
                    self.retirements.append(
                        (event_id, leaves if isinstance(leaves, str) and not isinstance(leaves, Num) else ""))
            elif kind == "retired_head":
                e = Event()
                e.stream, e.stream_seq = take("stream", uuid_bytes), take("stream_seq", number)
                e.event_id, e.recorded_at = take("event_id", number), take("recorded_at", micros)
                e.leaf, e.stored = take("leaf_index", number), take("event_hash", hash_)
                e.computed = e.stored
                if e.stream_seq >= 1 and e.leaf >= 0:
                    self.retired_heads.append(e)
            elif kind == "tile":
                no, hashes = take("tile_no", number), take("hashes", string)
                if take("level", number) == 0 and no >= 0 and \
                        re.fullmatch("[0-9a-fA-F]{16384}", hashes, re.ASCII):
                    self.tiles.setdefault(no, bytes.fromhex(hashes))
            else:
                return False
        except ValueError:
            pass
        return True

    def tile_leaf(self, leaf):
        tile = self.tiles.get(leaf // 256)
        return tile and tile[32 * (leaf % 256):32 * (leaf % 256) + 32]

    def starts(self):
        """Streams whose beginning was retired: the last event of it."""
        found = {}
        for e in sorted(self.retired_heads, key=lambda e: -e.stream_seq):
            if self.was_retired(e.leaf) and e.leaf < len(self.leaves) and \
                    self.leaves[e.leaf] == e.stored:
                found.setdefault(e.stream, e)
        return found

    def check_lineages(self):
        seen = set()
        for b in self.looked_at:
            lineage = b.incarnation, b.timeline
            if lineage not in seen and b.no > 1 and not self.late and lineage not in self.declared:
                self.find("INCARNATION_UNDECLARED", block_no=b.no)
            seen.add(lineage)

    def check_chains(self):
        heads, starts = {}, self.starts() if self.leaves else {}
        placed = [e for e in self.events if e.stream is not None and e.stream_seq is not None
                  and e.stored is not None and e.event_id]
        complete = {e.stream for e in placed if e.stream_seq == 1}
        for e in sorted(placed, key=lambda e: (e.stream, e.stream_seq, e.event_id)):
            before = heads.get(e.stream)
            if before is None and e.stream not in complete and e.stream_seq > 0:
                before = starts.get(e.stream)
            expected = before.stream_seq + 1 if before else 1
            if e.stream_seq < expected:
                self.find("SEQ_FORK", **place_of(e))
                continue
            heads[e.stream] = e
            if e.stream_seq > expected:
                self.find("SEQ_GAP", **place_of(e))
            elif e.decoded:
                allowed = (before.stored, before.computed) if before else \
                    (genesis(self.id, e.stream),)
                if e.prev_hash not in allowed:
                    self.find("CHAIN_BREAK", **place_of(e))
                if before and e.recorded_at < before.recorded_at:
                    self.find("TIME_REVERSED", **place_of(e))
                if before and e.event_id <= before.event_id:
                    self.find("ORDER_CHANGED", **place_of(e))

    def check_header(self, b):
        before = self.last
        where = {"block_no": b.no}
        if b.no != (before.no if before else 0) + 1:
            self.find("BLOCK_CHAIN_BREAK", **where)
        elif b.prev != (before.hash if before else genesis(self.id, bytes(16))):
            self.find("BLOCK_CHAIN_BREAK", **where)
        if b.first_leaf != (before.tree_size if before else 0):
            self.find("ROOT_MISMATCH", **where)
        if b.event_ids is not None and b.leaf_count != len(b.event_ids) or b.tree_size != b.first_leaf + b.leaf_count:
            self.find("ROOT_MISMATCH", **where)
        if block_hash(self.id, b) != b.hash:
            self.find("BLOCK_CHAIN_BREAK", **where)
        if before and b.sealed_at < before.sealed_at:
            self.find("TIME_REVERSED", **where)
        for one, two in zip(b.event_ids or (), (b.event_ids or ())[1:]):
            if two <= one:
                self.find("ORDER_CHANGED", **where, event_id=two)
        if b.event_ids and (b.first_id, b.last_id) != (b.event_ids[0], b.event_ids[-1]):
            self.find("ORDER_CHANGED", **where)
        # The snapshot of the sealing before, in the same incarnation.
        b.earlier = None
        if before:
            same = before.incarnation == b.incarnation
            b.earlier = before.earlier if same and before.snapshot == b.snapshot else \
                before if same else None

    def check_seen(self, b, event_id, tx):
        if event_id <= b.foreign:
            return
        if not b.sees(tx) or b.earlier and b.earlier.sees(tx):
            self.find("ORDER_CHANGED", block_no=b.no, event_id=event_id)

    def finish_block(self, b, tree):
        """Compare the roots; returns the tree to go on with."""
        if tree.known and tree.size == b.tree_size and tree.root() != b.tree_root:
            self.find("ROOT_MISMATCH", block_no=b.no)
            tree.known = b.frontier is not None
        stored = block_tree(b)
        if stored is None and b.frontier is not None:
            self.find("ROOT_MISMATCH", block_no=b.no)
        self.marks.setdefault(b.tree_size, []).append(b)
        self.looked_at.append(b)
        self.last = b
        return stored

    def check_news(self):
        by_no = {b.no: b for same in self.marks.values() for b in same}
        for no, told_hash, told_root in self.news:
            b = by_no.get(no)
            if b is None:
                if no > (self.last.no if self.last else 0):
                    self.find("BLOCK_CHAIN_BREAK", block_no=no)
                continue
            if b.hash != told_hash:
                self.find("BLOCK_CHAIN_BREAK", block_no=no)
            if b.tree_root != told_root:
                self.find("ROOT_MISMATCH", block_no=no)

    def place(self, event_id, leaf):
        self.placed[event_id] = min(leaf, self.placed.get(event_id, leaf))

    def check_told(self, size):
        """What is told only by events that a checkpoint of this size does not cover."""
        for e in self.gone:
            tellers = self.redacted.get((e.event_id, e.fields[8]))
            if tellers and not any(self.placed.get(t, size) < size for t in tellers):
                self.find("UNANCHORED", **place_of(e))
        for event_id in self.believed:
            if self.placed.get(event_id, size) >= size:
                self.find("UNANCHORED", event_id=event_id)

    def check_gone(self):
        for e in self.gone:
            self.find("REDACTED" if (e.event_id, e.fields[8]) in self.redacted else "PAYLOAD_MISMATCH", **place_of(e))


class Block:
    def __init__(self, row, brief=False):
        """ValueError when a column is bad; then no is right or None.

        brief: what can be computed from the leaves need not be there.
        """
        def least(value, low, high=MOST):
            if not low <= value <= high:
                raise ValueError("out of range")
            return value
        self.no = None
        self.no = least(number(row.get("block_no")), 1)
        self.first_leaf, self.leaf_count, self.tree_size = (
            least(number(row.get(c)), 0, LEAVES_MOST) for c in ("first_leaf", "leaf_count", "tree_size"))
        self.foreign = least(number(row.get("foreign_event_id")), 0)
        self.tree_root, self.prev, self.hash = (
            hash_(row.get(c)) for c in ("tree_root", "prev_block_hash", "block_hash"))
        if brief and row.get("event_ids") is None:
            self.event_ids = None
        elif not isinstance(row.get("event_ids"), list):
            raise ValueError("event_ids")
        else:
            self.event_ids = [number(i) for i in row["event_ids"]]
            self.first_id, self.last_id = (number(row.get(c))
                                           for c in ("first_event_id", "last_event_id"))
        self.frontier = None if brief and row.get("frontier") is None else raw(row.get("frontier"))
        self.snapshot, self.incarnation = string(row.get("snapshot")), string(row.get("incarnation"))
        if "\0" in self.snapshot + self.incarnation:
            raise ValueError("a zero byte")
        xmin, xmax, xip = self.snapshot.split(":")
        self.xmax = least(number(xmax), least(number(xmin), 0) * 0)
        self.xip = {least(number(x), 0) for x in xip.split(",")} if xip else set()
        self.timeline = least(number(row.get("timeline")), 0, 2**32 - 1)
        self.sealed_at = micros(row.get("sealed_at"))

    def sees(self, tx):
        return tx < self.xmax and tx not in self.xip


# ---- exports as JSON lines ------------------------------------------------------

def row_event(ledger, row):
    """An event of a row, as far as it can be read."""
    e = Event()
    e.ledger = ledger.id

    def take(name, read, optional=False):
        try:
            if row.get(name) is None and optional:
                return None
            return read(row.get(name))
        except ValueError:
            e.decoded = False
            return None
    for tag, name in TEXTS.items():
        value = take(name, string, optional=tag not in (1, 4))
        if value is not None:
            e.fields[tag] = value.encode()
    task = take("task_id", number, True)
    if task is not None:
        e.fields[6] = struct.pack(">q", task)
    for tag, name, read in ((8, "payload_hash", hash_), (10, "signature", raw)):
        value = take(name, read, True)
        if value is not None:
            e.fields[tag] = value
    e.kind = take("kind", number)
    if e.kind not in (ENGINE, APPLICATION):
        e.decoded, e.kind = False, 0
    e.tx = take("tx", number)
    if e.tx is None or e.tx < 0:
        e.decoded, e.tx = False, 0
    e.recorded_at = take("recorded_at", micros) or 0
    e.prev_hash = take("prev_hash", hash_)
    e.event_id = take("event_id", number)
    if e.event_id is not None and e.event_id < 1:
        e.decoded, e.event_id = False, None
    e.stream, e.stream_seq = take("stream", uuid_bytes), take("stream_seq", number)
    if e.stream is None or e.stream_seq is None:
        e.decoded = False
    try:
        e.stored = hash_(row.get("event_hash"))
    except ValueError:
        e.stored = None
    e.computed = sha(b"\0", entry(e)) if e.decoded else e.stored
    if e.stored is None or not e.decoded or e.stored != e.computed:
        ledger.find("EVENT_HASH_MISMATCH", **place_of(e))
    return e


def check_row_payload(ledger, e, row):
    payload, salt, stored = row.get("payload"), row.get("salt"), e.fields.get(8)
    if payload is None and salt is None:
        if stored is not None:
            ledger.gone.append(e)
        else:
            ledger.note_signed(e, "")
        return
    try:
        if stored is not None and salt is not None and \
                payload_hash(hash_(salt), canonical(payload)) == stored:
            ledger.note_signed(e, canonical(payload))
            return
    except ValueError:
        pass
    ledger.find("PAYLOAD_MISMATCH", **place_of(e))


def read_lines(ledger, data):
    lines = data.split(b"\n")
    seen_block, cosigned = False, []
    for i, line in enumerate(lines):
        if i > 0 and not line.strip(b" \t\r"):
            continue
        try:
            row = load(line)
        except ValueError as e:
            raise Unreadable("line %d: %s" % (i + 1, e)) from None
        kind = row.get("row") if isinstance(row, dict) else None
        if not isinstance(kind, str) or isinstance(kind, Num):
            raise Unreadable("line %d: no row" % (i + 1))
        if (kind == "ledger") != (i == 0):
            raise Unreadable("line %d: the first line, and no other, is the ledger's" % (i + 1))
        if kind == "ledger":
            read_ledger_row(ledger, row, row.get("format") is not None)
            try:
                from_event = 0 if row.get("from_event") is None else number(row["from_event"])
            except ValueError:
                raise Unreadable("from_event") from None
            ledger.late = from_event > 0
            for key in ("origin", "incarnation"):
                value = row.get(key)
                if isinstance(value, str) and not isinstance(value, Num):
                    setattr(ledger, key, value)
        elif kind == "event":
            if seen_block:
                raise Unreadable("line %d: an event behind a block" % (i + 1))
            e = row_event(ledger, row)
            ledger.events.append(e)
            check_row_payload(ledger, e, row)
            ledger.says(e, row.get("payload"))
        elif kind in ("retirement", "retired_head", "tile") and not from_event:
            if seen_block:
                raise Unreadable("line %d: what was retired behind a block" % (i + 1))
            ledger.retired_row(kind, row)
        elif kind == "block":
            b = Block.__new__(Block)
            try:
                b.__init__(row)
                ledger.blocks.append(b)
                seen_block = True
            except ValueError:
                seen_block = True
                ledger.find("BLOCK_CHAIN_BREAK", block_no=b.no)
        elif kind == "checkpoint":
            note = row.get("note")
            ledger.notes.append((False, note.encode() if isinstance(note, str)
                                 and not isinstance(note, Num) else b""))
        elif kind == "cosignature":
            try:
                cosigned.append((number(row.get("tree_size")), string(row.get("line")).rstrip("\n")))
            except ValueError:
                pass
    for i, (_, note) in enumerate(ledger.notes):
        try:
            size = Checkpoint(note).size
        except ValueError:
            continue
        for its_size, line in cosigned:
            if its_size == size and line.encode() not in note:
                note += line.encode() + b"\n"
        ledger.notes[i] = (False, note)


def read_ledger_row(ledger, row, has_format):
    try:
        if has_format and number(row.get("format")) != 1:
            raise ValueError("format")
        ledger.id = uuid_bytes(row.get("ledger_id"))
    except ValueError as e:
        raise Unreadable("ledger: %s" % e) from None


def in_order(blocks):
    """A block is taken when it is the next one; the others are set aside and come last, by number."""
    taken, aside = [], []
    for b in blocks:
        (taken if b.no == len(taken) + 1 else aside).append(b)
    return taken + sorted(aside, key=lambda b: b.no)


def check_lines(ledger):
    ledger.settle_retired()
    known = {}
    for e in ledger.events:
        if e.event_id and e.stored is not None:
            if e.event_id in known:
                ledger.find("LEAF_EXTRA", event_id=e.event_id)
            if e.event_id not in known or e.stored < known[e.event_id].stored:
                known[e.event_id] = e
    tree, listed, ledger.leaves = Tree(), set(), []
    for b in in_order(ledger.blocks):
        if ledger.last and b.no <= ledger.last.no:
            ledger.find("BLOCK_CHAIN_BREAK", block_no=b.no)
            continue
        ledger.check_header(b)
        if b.first_leaf != tree.size:
            tree.known = False
        for place, i in enumerate(b.event_ids, b.first_leaf):
            e = known.get(i)
            leaf = e.stored if e else None
            if e is None and ledger.was_retired(place):
                leaf = ledger.tile_leaf(place)
            elif e is not None and ledger.tile_leaf(place) not in (None, leaf):
                ledger.find("TILE_MISMATCH", leaf_index=place)
            ledger.leaves.append(leaf)
            tree.add(leaf)
            if e is None and leaf is not None:
                continue
            if e is None:
                ledger.find("LEAF_MISSING", block_no=b.no, event_id=i)
                continue
            if i in listed:
                ledger.find("LEAF_EXTRA", block_no=b.no, event_id=i)
            listed.add(i)
            ledger.place(i, place)
            ledger.check_seen(b, i, e.tx)
        tree = ledger.finish_block(b, tree) or tree
    final = ledger.last
    if final and ledger.incarnation in (None, final.incarnation):
        for i, e in known.items():
            if i not in listed and (i <= final.foreign or final.sees(e.tx)):
                ledger.find("LEAF_EXTRA", event_id=i)
    ledger.check_chains()
    ledger.check_gone()
    ledger.check_lineages()
    ledger.check_signatures()
    if final or ledger.blocks:
        ledger.check_news()


# ---- tiles folders ----------------------------------------------------------------

def tile_file(folder, kind, n, width):
    """Width and bytes of a tile, of the full one if there is no partial one; 0 if neither."""
    digits = "%03d" % n
    digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
    groups = [digits[i:i + 3] for i in range(0, len(digits), 3)]
    path = os.path.join(folder, kind, *["x" + g for g in groups[:-1]], groups[-1])
    for w, p in ((width, path + ".p/%d" % width), (256, path)):
        if w == 256 and p != path:
            continue
        if os.path.isfile(p):
            return w, open(p, "rb").read()
    return 0, b""


def read_bytes(path):
    return open(path, "rb").read() if os.path.isfile(path) else None


MISSING_MOST = 10000


def behind_last(folder, size):
    """The number behind the last bundle to be read: of the first one that is missing with all behind it."""
    bundles, there = -(-size // 256), -1
    for n in range(bundles):
        if there >= n:
            continue
        for i in range(n, min(bundles, n + MISSING_MOST + 1)):
            if any(tile_file(folder, kind, i, min(256, size - 256 * i))[0] for kind in ("tile/0", "tile/entries")):
                there = i
                break
        else:
            return n + 1
    return bundles


def read_folder(ledger, folder):
    names = [os.path.join(folder, "checkpoint")]
    kept = os.path.join(folder, "uaef/checkpoints")
    if os.path.isdir(kept):
        names += [os.path.join(kept, n) for n in sorted(os.listdir(kept)) if n[0] != "."]
    for name in names:
        note = read_bytes(name)
        if note is not None:
            ledger.notes.append((False, note))
    data = read_bytes(os.path.join(folder, "uaef/ledger.json"))
    if data is None:
        read_mirror(ledger, folder)
    else:
        read_ledger_file(ledger, data)
    read_retired(ledger, folder)
    read_bundles(ledger, folder)


def read_retired(ledger, folder):
    """What was retired, and the events of bundles that were left out for it."""
    data = read_bytes(os.path.join(folder, "uaef/retired.jsonl"))
    for i, line in enumerate((data or b"").removesuffix(b"\n").split(b"\n") if data else ()):
        try:
            row = load(line)
        except ValueError as e:
            raise Unreadable("retired.jsonl:%d: %s" % (i + 1, e)) from None
        kind = row.get("row") if isinstance(row, dict) else None
        if not isinstance(kind, str) or isinstance(kind, Num):
            raise Unreadable("retired.jsonl:%d: no row" % (i + 1))
        if kind != "event":
            if kind != "tile":
                ledger.retired_row(kind, row)
            continue
        e = row_event(ledger, row)
        check_row_payload(ledger, e, row)
        ledger.says(e, row.get("payload"))
        try:
            leaf = number(row.get("leaf_index"))
        except ValueError:
            continue
        if leaf >= 0 and e.decoded and e.stored is not None:
            ledger.kept.setdefault(leaf, e)


def read_ledger_file(ledger, data):
    try:
        row = load(data)
        if not isinstance(row, dict):
            raise ValueError("no object")
        read_ledger_row(ledger, row, True)
        ledger.size = number(row.get("tree_size"))
        if not 0 <= ledger.size <= LEAVES_MOST:
            raise ValueError("tree_size")
        if row.get("blocks") is not None:
            ledger.block_count = number(row["blocks"])
            if not 0 <= ledger.block_count <= LEAVES_MOST:
                raise ValueError("blocks")
    except ValueError as e:
        raise Unreadable("ledger.json: %s" % e) from None
    if isinstance(row.get("origin"), str) and not isinstance(row["origin"], Num):
        ledger.origin = row["origin"]


def read_mirror(ledger, folder):
    """A folder that has only what C2SP knows: its notes tell the size, its first entry the ledger."""
    for _, note in ledger.notes:
        try:
            ledger.size = max(ledger.size, Checkpoint(note).size)
        except ValueError:
            pass
    data = tile_file(folder, "tile/entries", 0, min(256, ledger.size))[1] if ledger.size else b""
    try:
        ledger.id = read_entry(data[2:2 + int.from_bytes(data[:2], "big")]).ledger
    except ValueError:
        raise Unreadable("no tiles folder") from None


def read_bundles(ledger, folder):
    with_payloads = os.path.exists(os.path.join(folder, "uaef/payload"))
    ledger.leaves, ledger.by_leaf = [], {}
    bundles = behind_last(folder, ledger.size)
    ledger.size = min(ledger.size, 256 * bundles)
    for n in range(bundles):
        width = min(256, ledger.size - 256 * n)
        got, tile = tile_file(folder, "tile/0", n, width)
        whole = got > 0 and len(tile) == 32 * got
        if not whole:
            ledger.find("TILE_MISMATCH", leaf_index=256 * n)
        got, data = tile_file(folder, "tile/entries", n, width)
        payloads = tile_file(folder, "uaef/payload", n, width)[1].split(b"\n")[:-1]
        at = 0
        count = 0
        if got == 0:
            left_out_bundle(ledger, n, width, tile if whole else None)
            continue
        for i in range(width):
            leaf = 256 * n + i
            length = int.from_bytes(data[at:at + 2], "big")
            if len(data) - at < 2 or length > len(data) - at - 2:
                break
            e_bytes = data[at + 2:at + 2 + length]
            at += 2 + length
            count += 1
            computed = sha(b"\0", e_bytes)
            ledger.leaves.append(tile[32 * i:32 * i + 32] if whole else computed)
            try:
                e = read_entry(e_bytes)
                if e.ledger != ledger.id:
                    raise ValueError("of another ledger")
            except ValueError:
                ledger.find("EVENT_HASH_MISMATCH", leaf_index=leaf)
                continue
            e.stored, e.computed, e.leaf = ledger.leaves[-1], computed, leaf
            ledger.by_leaf[leaf] = e
            ledger.events.append(e)
            if computed != e.stored:
                ledger.find("EVENT_HASH_MISMATCH", leaf_index=leaf, **place_of(e))
            if with_payloads:
                check_line_payload(ledger, e, payloads[i] if i < len(payloads) else b"null")
        if count < width:
            ledger.find("LEAF_MISSING", leaf_index=256 * n + count)
            ledger.leaves += [tile[32 * i:32 * i + 32] if whole else None
                              for i in range(count, width)]
        elif at < len(data) and got == width:
            ledger.find("LEAF_EXTRA", leaf_index=256 * n + width - 1)
    check_uppers(ledger, folder)
    read_block_file(ledger, folder)


def left_out_bundle(ledger, n, width, tile):
    """A bundle without entries: what is left of it."""
    for i in range(width):
        leaf, e = 256 * n + i, ledger.kept.get(256 * n + i)
        ledger.leaves.append(tile and tile[32 * i:32 * i + 32])
        if e is None:
            ledger.left_out.append(leaf)
            continue
        e.leaf = leaf
        ledger.by_leaf[leaf] = e
        ledger.events.append(e)
        if tile and e.stored != ledger.leaves[-1]:
            ledger.find("EVENT_HASH_MISMATCH", leaf_index=leaf, **place_of(e))
            e.stored = ledger.leaves[-1]


def check_left_out(ledger):
    reported = set()
    for leaf in ledger.left_out:
        if leaf // 256 not in reported and not ledger.was_retired(leaf):
            ledger.find("LEAF_MISSING", leaf_index=leaf)
            reported.add(leaf // 256)


def check_line_payload(ledger, e, line):
    stored = e.fields.get(8)
    if line == b"null":
        if stored is not None:
            ledger.gone.append(e)
        else:
            ledger.note_signed(e, "")
        return
    try:
        row = load(line)
        if not isinstance(row, dict):
            raise ValueError("no object")
        text, salt = string(row.get("payload")), string(row.get("salt"))
        if salt.startswith("\\x"):
            raise ValueError("salt")
        if stored is None or payload_hash(hash_(salt), text) != stored:
            raise ValueError("another payload")
        payload = load(text.encode())
        if canonical(payload) != text:
            raise ValueError("not canonical")
    except ValueError:
        ledger.find("PAYLOAD_MISMATCH", leaf_index=e.leaf, **place_of(e))
        return
    ledger.note_signed(e, text)
    ledger.says(e, payload)


def check_uppers(ledger, folder):
    below = [root(ledger.leaves[i:i + 256]) if None not in ledger.leaves[i:i + 256] else bytes(32)
             for i in range(0, ledger.size // 256 * 256, 256)]
    level = 1
    while below:
        for n in range(-(-len(below) // 256)):
            nodes = below[256 * n:256 * n + 256]
            got, data = tile_file(folder, "tile/%d" % level, n, len(nodes))
            for i, node in enumerate(nodes):
                where = (256 * n + i) << 8 * level
                if got == 0 or len(data) != 32 * got:
                    ledger.find("TILE_MISMATCH", leaf_index=where)
                    break
                if data[32 * i:32 * i + 32] != node:
                    ledger.find("TILE_MISMATCH", leaf_index=where)
        below = [root(below[i:i + 256]) for i in range(0, len(below) // 256 * 256, 256)]
        level += 1


def read_block_file(ledger, folder):
    data = read_bytes(os.path.join(folder, "uaef/blocks.jsonl"))
    if data is None and ledger.block_count:
        data = b""
        for n in range(-(-ledger.block_count // 256)):
            width = min(256, ledger.block_count - 256 * n)
            got, some = tile_file(folder, "uaef/blocks", n, width)
            if got != width:
                raise Unreadable("blocks %d" % n)
            data += some if not some or some.endswith(b"\n") else some + b"\n"
    if data is None:
        ledger.blocks = None
        return
    lines = data.split(b"\n")
    for i, line in enumerate(lines):
        if not line and i == len(lines) - 1:
            continue
        b = Block.__new__(Block)
        b.no = None
        try:
            row = load(line)
        except ValueError as e:
            raise Unreadable("blocks:%d: %s" % (i + 1, e)) from None
        try:
            if not isinstance(row, dict):
                raise ValueError("no object")
            b.__init__(row, True)
            ledger.blocks.append(b)
        except ValueError:
            ledger.find("BLOCK_CHAIN_BREAK", block_no=b.no)


def check_folder(ledger):
    ledger.settle_retired()
    check_left_out(ledger)
    ledger.check_chains()
    for e in ledger.tellers:
        if e.leaf is not None:
            ledger.place(e.event_id, e.leaf)
    tree, end = Tree(), 0
    for b in ledger.blocks or ():
        if ledger.last and b.no <= ledger.last.no:
            ledger.find("BLOCK_CHAIN_BREAK", block_no=b.no)
            continue
        consecutive = b.no == (ledger.last.no if ledger.last else 0) + 1
        start = end
        ledger.check_header(b)
        if not consecutive and b.first_leaf > start:
            for leaf in ledger.leaves[start:b.first_leaf]:
                tree.add(leaf)
            start = b.first_leaf
        before = None
        count = b.leaf_count if b.event_ids is None else len(b.event_ids)
        end = start + count
        for leaf in range(start, min(end, ledger.size)):
            tree.add(ledger.leaves[leaf])
            e = ledger.by_leaf.get(leaf)
            if e is None:
                continue
            i = e.event_id if b.event_ids is None else b.event_ids[leaf - start]
            if e.event_id != i:
                ledger.find("LEAF_MISSING", block_no=b.no, event_id=i, leaf_index=leaf)
                continue
            if b.event_ids is None and before is not None and i <= before:
                ledger.find("ORDER_CHANGED", block_no=b.no, event_id=i)
            before = i
            ledger.check_seen(b, i, e.tx)
        if end > ledger.size:
            tree.known = False
            if b.event_ids is None:
                ledger.find("LEAF_MISSING", block_no=b.no)
            for leaf in range(max(start, ledger.size), end if b.event_ids is not None else 0):
                ledger.find("LEAF_MISSING", block_no=b.no, event_id=b.event_ids[leaf - start])
        stored = ledger.finish_block(b, tree)
        if stored and b.tree_size == min(end, ledger.size):
            tree = stored
    if ledger.blocks is not None:
        if end < ledger.size:
            ledger.find("LEAF_EXTRA", leaf_index=end)
        ledger.check_news()
    ledger.check_gone()
    ledger.check_lineages()
    ledger.check_signatures()


# ---- checkpoints --------------------------------------------------------------------

class Anchor:
    def __init__(self, ledger, policy, outside, note):
        """Look at a note by itself; good is false when something was found."""
        find = ledger.find
        self.good, self.trusted, self.quorum, self.time = False, False, True, None
        try:
            self.checkpoint = c = Checkpoint(note)
        except ValueError:
            find("SIG_BAD")
            return
        size = c.size or None
        origin = policy and policy.origin or ledger.origin
        if origin is not None and c.origin != origin:
            find("ANCHOR_DIVERGED", tree_size=size)
            return
        self.good, signer, signed = True, None, {}
        if policy:
            states = [c.signed(k) for k in policy.logs if k.name == c.origin]
            for state in states:
                if state is False:
                    find("SIG_BAD", tree_size=size)
                    self.good = False
            signer = any(states)
            if policy.logs and self.good and not signer:
                find("SIG_BAD", tree_size=size)
                self.good = False
            for name, key in policy.witnesses().items():
                state = c.signed(key)
                if state is False:
                    find("SIG_BAD", tree_size=size)
                    self.good = False
                elif state:
                    signed[name] = state[1]
            self.quorum = policy.met(signed)
        times = [t for t in signed.values() if t]
        self.time = min(times) if times else None
        self.trusted = self.good and (outside or bool(signer))


def check_anchors(ledger, policy, outside):
    """Returns whether the policy is met."""
    find, best, sizes = ledger.find, None, {}
    if policy and policy.ledger and policy.ledger != ledger.id:
        find("ANCHOR_DIVERGED")
    if policy and policy.origin and ledger.origin is not None and policy.origin != ledger.origin:
        find("ANCHOR_DIVERGED")
    total = max(ledger.size, ledger.last.tree_size if ledger.last else 0)
    for is_outside, note in outside + ledger.notes:
        a = Anchor(ledger, policy, is_outside, note)
        if is_outside and hasattr(a, "checkpoint"):
            c = a.checkpoint
            if sizes.setdefault((c.origin, c.size), c.root) != c.root:
                find("ANCHOR_DIVERGED", tree_size=c.size or None)
        if not a.good:
            continue
        size, good = a.checkpoint.size, True
        if size > total:
            find("ANCHOR_AHEAD", tree_size=size)
            good = False
        else:
            if size == 0:
                there = sha()
            elif size in ledger.marks:
                there = ledger.marks[size][-1].tree_root
            else:
                leaves = ledger.leaves[:size]
                there = None if None in leaves or len(leaves) < size else root(leaves)
            if there != a.checkpoint.root:
                find("ANCHOR_DIVERGED", tree_size=size or None)
                good = False
        sealed = [ledger.marks[s][-1] for s in ledger.marks if s <= size]
        if a.time and sealed:
            final = max(sealed, key=lambda b: b.no)
            if final.sealed_at > (a.time + 300) * 1000000:
                find("TIME_OUTSIDE_ANCHOR", tree_size=size or None, block_no=final.no)
                good = False
        if good and a.trusted and (best is None or (a.quorum, size) > (best.quorum, best.checkpoint.size)):
            best = a
    if policy and policy.quorum is not None and not (best and best.quorum):
        find("COSIG_MISSING", tree_size=best.checkpoint.size or None if best else None)
    if best:
        ledger.check_told(best.checkpoint.size)
    return not policy or policy.quorum is None or bool(best and best.quorum)


def check_proof(ledger, policy, data):
    """One c2sp.org/tlog-proof@v1; returns whether the policy is met."""
    try:
        head, _, note = data.partition(b"\n\n")
        lines = head.split(b"\n")
        if not _ or lines.pop(0) != b"c2sp.org/tlog-proof@v1":
            raise ValueError("no proof")
        extra = from_base64(lines.pop(0)[6:]) if lines[0].startswith(b"extra ") else None
        if extra is not None and not 0 < len(extra) <= 65535:
            raise ValueError("extra")
        index = re.fullmatch(rb"index (0|[1-9][0-9]*)", lines.pop(0))
        proof = [from_base64(line) for line in lines]
        if not index or int(index.group(1)) >= LEAVES_MOST or any(len(h) != 32 for h in proof) \
                or len(proof) > 63:
            raise ValueError("no proof")
    except (ValueError, IndexError):
        ledger.find("PROOF_MISMATCH")
        return False
    index = int(index.group(1))
    where = {"leaf_index": index}
    a = Anchor(ledger, policy, True, note)
    met = not policy or (hasattr(a, "checkpoint") and a.good and a.quorum)
    if not a.good:
        return met
    leaf = there = ledger.leaves[index] if ledger.leaves and index < len(ledger.leaves) else None
    if extra is not None:
        leaf = sha(b"\0", extra)
        try:
            read_entry(extra)
        except ValueError:
            leaf = None
    if leaf is None or proven_root(index, a.checkpoint.size, leaf, proof) != a.checkpoint.root:
        ledger.find("PROOF_MISMATCH", **where)
        return met
    if ledger.leaves is not None and there != leaf:
        ledger.find("LEAF_MISSING", **where)
    if not met:
        ledger.find("COSIG_MISSING", **where, tree_size=a.checkpoint.size or None)
    return met


def check_receipt_blocks(ledger, rows, stated, size, expected):
    """ValueError unless each event is in the block that it names, and the blocks are what they say."""
    if not isinstance(rows, list):
        raise ValueError("no blocks")
    blocks, before = {}, None
    for row in rows:
        b = Block(row if isinstance(row, dict) else {}, True)
        if block_hash(ledger.id, b) != b.hash or b.tree_size != b.first_leaf + b.leaf_count or \
                before and b.no <= before.no or b.tree_size == size and b.tree_root != expected or \
                before and b.no == before.no + 1 and (b.prev, b.first_leaf) != (before.hash, before.tree_size):
            raise ValueError("a bad block")
        blocks[b.no] = before = b
    for index, no in stated:
        if no not in blocks or not blocks[no].first_leaf <= index < blocks[no].tree_size:
            raise ValueError("an event of another block")


def check_receipt(ledger, policy, data):
    """The receipt of an execution; returns whether the policy is met."""
    mine = Ledger(ledger.find)
    errors = []
    mine.find = lambda code, **place: (errors.append(code), ledger.find(code, **place))
    anchor = None
    try:
        r = load(data)
        if not isinstance(r, dict) or r.get("row") != "receipt" or isinstance(r["row"], Num) \
                or number(r.get("format")) != 1:
            raise ValueError("no receipt")
        mine.id, stream = uuid_bytes(r.get("ledger_id")), uuid_bytes(r.get("execution_id"))
        size, expected = number(r.get("tree_size")), hash_(r.get("root"))
        if not 1 <= size <= LEAVES_MOST or ledger.id not in (None, mine.id) or policy and policy.ledger not in (None, mine.id) \
                or not isinstance(r.get("events"), list) or not r["events"] \
                or not isinstance(r.get("proof"), list):
            raise ValueError("a bad receipt")
        proof = []
        for h in r["proof"]:
            if string(h).startswith("\\x"):
                raise ValueError("a bad hash")
            proof.append(hash_(h))
        leaves, stated = {}, []
        for seq, row in enumerate(r["events"], 1):
            if not isinstance(row, dict):
                row = {}
            e = row_event(mine, row)
            check_row_payload(mine, e, row)
            if not e.decoded or e.stored is None or (e.stream, e.stream_seq) != (stream, seq):
                raise ValueError("a bad event")
            index = number(row.get("leaf_index"))
            if index < 0:
                raise ValueError("a bad leaf")
            mine.events.append(e)
            leaves[index] = e.computed
            stated.append((index, number(row.get("block_no"))))
        if len(leaves) < len(mine.events):
            raise ValueError("two events of one leaf")
        check_receipt_blocks(mine, r.get("blocks"), stated, size, expected)

        def climb(low, high):
            if not any(low <= i < high for i in leaves):
                return proof.pop(0)
            if high - low == 1:
                return leaves[low]
            split = low + (1 << ((high - low - 1).bit_length() - 1))
            left = climb(low, split)
            return sha(b"\1", left, climb(split, high))
        if max(leaves) >= size or climb(0, size) != expected or proof:
            raise ValueError("the proof does not hold")
        note = r.get("checkpoint")
        if note is not None:
            anchor = Anchor(ledger, policy, True, string(note).encode())
            if anchor.good and (anchor.checkpoint.size, anchor.checkpoint.root) != (size, expected):
                raise ValueError("another checkpoint")
    except (ValueError, IndexError):
        ledger.find("PROOF_MISMATCH")
        errors.append("PROOF_MISMATCH")
    if mine.id:
        mine.check_chains()
    for e in mine.gone:
        ledger.find("REDACTED", **place_of(e))
    met = not policy or policy.quorum is None or \
        bool(anchor and hasattr(anchor, "checkpoint") and anchor.good and anchor.quorum)
    if not met and not errors and (anchor is None or anchor.good):
        ledger.find("COSIG_MISSING", tree_size=size)
    return met


def read_note_file(path):
    """A note, or what ends in one; psql writes a newline more than it has."""
    data = open(path, "rb").read()
    while data.endswith(b"\n\n"):
        data = data[:-1]
    return data


def run(options):
    found = Findings(options.json)
    ledger = Ledger(found.add)
    policy = Policy(options.policy) if options.policy else None
    outside = [(True, read_note_file(path)) for path in options.checkpoint]
    met = True
    if options.export != "-" and os.path.isdir(options.export):
        read_folder(ledger, options.export)
        check_folder(ledger)
    elif options.export != "-" or not (options.proof or options.receipt):
        data = sys.stdin.buffer.read() if options.export == "-" else open(options.export, "rb").read()
        if not data:
            raise Unreadable("empty")
        read_lines(ledger, data)
        check_lines(ledger)
    for path in options.proof:
        met &= check_proof(ledger, policy, read_note_file(path))
    for path in options.receipt:
        met &= check_receipt(ledger, policy, open(path, "rb").read())
    if ledger.id:
        met &= check_anchors(ledger, policy, outside)
    print("%d events, %d blocks, %d problems" %
          (len(ledger.events), len(ledger.blocks or ()), found.errors))
    return 1 if found.errors else 0 if met else 3


def main():
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--checkpoint", action="append", default=[])
    options.add_argument("--policy")
    options.add_argument("--proof", action="append", default=[])
    options.add_argument("--receipt", action="append", default=[])
    options.add_argument("--json", action="store_true")
    options.add_argument("--canonical", action="store_true")
    options.add_argument("--root", action="store_true")
    options.add_argument("export", nargs="?", default="-")
    options = options.parse_args()
    if options.canonical:
        for line in sys.stdin.buffer:
            print(canonical(load(line)))
        return 0
    if options.root:
        print(root([bytes.fromhex(line.strip()) for line in sys.stdin]).hex())
        return 0
    try:
        return run(options)
    except (Unreadable, OSError, RecursionError) as e:
        print("unreadable:", e, file=sys.stderr)
        return 2


if __name__ == "__main__":
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    sys.stdout.reconfigure(encoding="utf-8")
    sys.setrecursionlimit(1000000)
    threading.stack_size(512 << 20)     # deep JSON
    result = []
    thread = threading.Thread(target=lambda: result.append(main()))
    thread.start()
    thread.join()
    sys.exit(result[0] if result else 2)
