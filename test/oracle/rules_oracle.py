#!/usr/bin/env python3
"""Random differential test of conditions, amounts, tiers and splits.

The oracle is written from docs/conditions.md and docs/amounts.md, with exact
fractions, and shares no code with the server.  It makes random cases, has the
server answer all of them in one psql call, and compares: the same value, or an
error with the same SQLSTATE.  The server must be reachable by plain psql
(PGHOST, PGPORT, PGUSER, PGDATABASE) and have the extension.

usage: rules_oracle.py [--cases N] [--seed N] [--psql COMMAND] [--show N]
                       [--exhaustive | --logic DIRECTORY]

--exhaustive splits every small amount by every small set of weights instead.
--logic also asks json-logic-js, whose node_modules are in that directory, where
its semantics are the same: numbers below 2^53, nothing missing, types that fit.
"""
import argparse
import hashlib
import itertools
import json
import random
import shlex
import subprocess
import sys
from decimal import Decimal, getcontext
from fractions import Fraction

EXPONENTS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3, "CLF": 4}
MODES = ["half_even", "half_up", "half_down", "up", "down", "ceil", "floor"]
EDGES = [2**31, 2**53, 2**63, 10**18, 10**37, 10**38]
MAX_STEPS = 10000
getcontext().prec = 1000


class Fail(Exception):
    """An error of the rules; its argument is the SQLSTATE."""


# -- JSON ------------------------------------------------------------------

def dump(value):
    """JSON text; numbers are Decimals, written digit by digit."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(dump, value)) + "]"
    return "{" + ", ".join(dump(k) + ": " + dump(v)
                           for k, v in value.items()) + "}"


def kind(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return {Decimal: "number", str: "string", list: "array",
            dict: "object"}[type(value)]


def same(a, b):
    """Equality of JSON values: true is not 1, here or inside."""
    if kind(a) != kind(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def look_up(value, path):
    """(found, value); a path is text with dots and [n]."""
    for step in path.replace("[", ".[").split("."):
        if step.startswith("["):
            index = int(step[1:-1])
            if not isinstance(value, list) or index >= len(value):
                return False, None
            value = value[index]
        elif not isinstance(value, dict) or step not in value:
            return False, None
        else:
            value = value[step]
    return True, value


# -- conditions --------------------------------------------------------------

def stored(keys):
    """The order in which jsonb keeps the keys of an object."""
    return sorted(keys, key=lambda k: (len(k.encode()), k.encode()))


def check_clauses(clauses):
    if not isinstance(clauses, dict) or not clauses:
        raise Fail("UA220")
    if clauses.get("$exists") is False and len(clauses) > 1:
        raise Fail("UA220")
    for op, arg in clauses.items():
        ok = True
        if op in ("$gt", "$gte", "$lt", "$lte"):
            ok = kind(arg) in ("number", "string")
        elif op in ("$in", "$nin", "$all"):
            ok = isinstance(arg, list) and len(arg) > 0 and \
                len({kind(x) for x in arg} - {"null"}) <= 1
        elif op == "$exists":
            ok = isinstance(arg, bool)
        elif op == "$between":
            ok = isinstance(arg, list) and len(arg) == 2 and \
                kind(arg[0]) == kind(arg[1]) and \
                kind(arg[0]) in ("number", "string") and \
                compare(arg[0], arg[1]) <= 0
        elif op == "$type":
            ok = arg in ("null", "boolean", "number", "string", "array",
                         "object")
        elif op == "$size":
            if isinstance(arg, dict):
                check_clauses(arg)
            else:
                ok = kind(arg) == "number"
        elif op == "$not":
            check_clauses(arg)
        elif op == "$elemMatch":
            (check_clauses if of_scalars(arg) else check_condition)(arg)
        else:
            ok = op in ("$eq", "$ne")
        if not ok:
            raise Fail("UA220")


def of_scalars(arg):
    """Does $elemMatch put operators to the elements themselves?"""
    return isinstance(arg, dict) and \
        any(k in OPS and k != "$not" for k in arg)


def check_condition(node):
    if not isinstance(node, dict) or not node:
        raise Fail("UA220")
    for key, value in node.items():
        if key in ("$and", "$or", "$nor"):
            if not isinstance(value, list) or not value:
                raise Fail("UA220")
            for child in value:
                check_condition(child)
        elif key == "$not":
            check_condition(value)
        elif key.startswith("$"):
            raise Fail("UA220")
        elif isinstance(value, dict) and \
                (not value or any(k.startswith("$") for k in value)):
            check_clauses(value)


def compare(a, b):
    if isinstance(a, str):
        a, b = a.encode(), b.encode()
    return (a > b) - (a < b)


def equal(a, b):
    """Equality; values of two types differ only if one is null."""
    if kind(a) != kind(b) and a is not None and b is not None:
        raise Fail("UA203")
    return same(a, b)


def types_of(items):
    return {kind(x) for x in items} - {"null"}


def clause(op, arg, value):
    if op in ("$eq", "$ne"):
        return equal(value, arg) == (op == "$eq")
    if op in ("$in", "$nin"):
        if value is not None and types_of(arg) and \
                kind(value) not in types_of(arg):
            raise Fail("UA203")
        return any(same(value, x) for x in arg) == (op == "$in")
    if op == "$type":
        return kind(value) == arg
    if op in ("$all", "$size", "$elemMatch") and not isinstance(value, list):
        raise Fail("UA203")
    if op == "$size":
        size = Decimal(len(value))
        if isinstance(arg, dict):
            return clauses_hold(arg, True, size)
        return size == arg
    if op == "$all":
        if types_of(arg) and types_of(value) - types_of(arg):
            raise Fail("UA203")
        return all(any(same(x, y) for y in value) for x in arg)
    if op == "$elemMatch":
        if of_scalars(arg):
            return any(clauses_hold(arg, True, x) for x in value)
        return any(holds(arg, x) for x in value)
    low = arg[0] if op == "$between" else arg
    if kind(value) != kind(low):
        raise Fail("UA203")
    if op == "$between":
        return compare(low, value) <= 0 <= compare(arg[1], value)
    order = compare(value, arg)
    return {"$gt": order > 0, "$gte": order >= 0,
            "$lt": order < 0, "$lte": order <= 0}[op]


def clauses_hold(clauses, found, value):
    keys = stored(clauses)
    for op in sorted(keys, key=lambda k: k != "$exists"):
        if op == "$exists":
            holds = found == clauses[op]
        elif op == "$not":
            holds = not clauses_hold(clauses[op], found, value)
        elif not found:
            raise Fail("UA202")
        else:
            holds = clause(op, clauses[op], value)
        if not holds:
            return False
    return True


def holds(node, doc):
    for key in stored(node):
        value = node[key]
        if key == "$and":
            result = all(holds(child, doc) for child in value)
        elif key in ("$or", "$nor"):
            result = any(holds(child, doc) for child in value) == (key == "$or")
        elif key == "$not":
            result = not holds(value, doc)
        else:
            found, got = look_up(doc, key)
            if not isinstance(value, dict) or \
                    not any(k.startswith("$") for k in value):
                value = {"$eq": value}
            result = clauses_hold(value, found, got)
        if not result:
            return False
    return True


# -- amounts: nodes are (text, function of an environment) -------------------

def limited(number):
    """Numerators and denominators have at most 200 digits."""
    if max(len(str(abs(number.numerator))), len(str(number.denominator))) > 200:
        raise Fail("UA207")
    return number


def from_data(value):
    """A number of the data: at most 38 digits before the point, 18 after."""
    digits = format(abs(value), "f")
    whole, _, part = digits.partition(".")
    if len(whole.lstrip("0")) > 38 or len(part.rstrip("0")) > 18:
        raise Fail("UA204")
    return Fraction(value)


def to_integer(number, mode):
    floor = number.numerator // number.denominator
    rest = number - floor
    if rest == 0:
        return floor
    ceil = floor + 1
    toward, away = (floor, ceil) if number > 0 else (ceil, floor)
    half = abs(number - toward) - Fraction(1, 2)
    if mode == "half_even":
        return away if half > 0 or (half == 0 and toward % 2) else toward
    return {"half_up": away if half >= 0 else toward,
            "half_down": away if half > 0 else toward,
            "up": away, "down": toward, "ceil": ceil, "floor": floor}[mode]


def to_minor(number, currency, mode):
    minor = to_integer(number * 10 ** EXPONENTS[currency], mode)
    if len(str(abs(minor))) > 38:
        raise Fail("UA207")
    return minor


def major(minor, currency):
    exponent = EXPONENTS[currency]
    digits = str(abs(minor)).rjust(exponent + 1, "0")
    sign = "-" if minor < 0 else ""
    if exponent == 0:
        return sign + digits
    return sign + digits[:-exponent] + "." + digits[-exponent:]


class Steps:
    """What evaluation has used up."""

    def __init__(self, doc):
        self.doc = doc
        self.steps = 0
        self.variables = {}

    def step(self):
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Fail("UA211")


def node(text, function):
    def run(env):
        env.step()
        return function(env)
    return text, run


def literal(value, text):
    return node(text, lambda env: value)


def random_decimal(rnd):
    pick = rnd.random()
    if pick < 0.15:
        return Decimal(rnd.choice([0, 1, -1, 10, 100]))
    if pick < 0.3:
        return Decimal(rnd.choice([-1, 1]) *
                       (rnd.choice(EDGES) + rnd.randint(-2, 2)))
    if pick < 0.35:
        return Decimal("0.1234567890123456789")
    digits = rnd.choice([0, 1, 2, 2, 2, 3, 5, 18])
    return Decimal(rnd.randint(-10**rnd.randint(1, 9), 10**rnd.randint(1, 9))
                   ).scaleb(-digits)


def positive_text(rnd):
    value = abs(random_decimal(rnd))
    try:
        from_data(value)
    except Fail:
        value = Decimal(7)
    return format(value, "f"), Fraction(value)


class AmountMaker:
    """Random expressions that are well typed when they are compiled."""

    def __init__(self, rnd, currency):
        self.rnd = rnd
        self.currency = currency
        self.names = 0
        self.scope = []

    def number_path(self, computed=True):
        """A path, or a variable; those of let are no paths for default()."""
        rnd = self.rnd
        scope = [v for v in self.scope if computed or v[1] is not None]
        if scope and rnd.random() < 0.5:
            name, below = rnd.choice(scope)
            if below is None:
                return name, lambda env: (True, env.variables[name])
            path, where = name + below, None

            def get(env):
                found, value = look_up({"v": env.variables[name]}, "v" + below)
                return found, value
        else:
            where = rnd.choice(["in.a", "in.b", "in.c", "in.l[1]", "in.o.x",
                                "in.big", "in.zero"] +
                               (["in.s", "in.nil", "in.no", "in.yes", "in.l"]
                                if rnd.random() < 0.15 else []))
            path = where

            def get(env):
                return look_up(env.doc, where)
        return path, get

    def path(self):
        text, get = self.number_path()

        def run(env):
            found, value = get(env)
            if not found:
                raise Fail("UA202")
            if isinstance(value, Fraction):
                return value
            if kind(value) == "number":
                return from_data(value)
            raise Fail("UA203")
        return node(text, run)

    def defaulted(self):
        text, get = self.number_path(computed=False)
        fallback = self.number(0)

        def run(env):
            found, value = get(env)
            if not found:
                return fallback[1](env)
            if kind(value) == "number":
                return from_data(value)
            raise Fail("UA203")
        return node("default(%s, %s)" % (text, fallback[0]), run)

    def pair(self, symbol, left, right, function):
        def run(env):
            a = left[1](env)
            b = right[1](env)
            return limited(function(a, b))
        return node("(%s %s %s)" % (left[0], symbol, right[0]), run)

    def divide(self, left, right):
        def quotient(a, b):
            if b == 0:
                raise Fail("UA201")
            return a / b
        return self.pair("/", left, right, quotient)

    def choose(self, name, items):
        def run(env):
            values = [item[1](env) for item in items]
            return min(values) if name == "min" else max(values)
        return node("%s(%s)" % (name, ", ".join(i[0] for i in items)), run)

    def clamp(self, items):
        def run(env):
            value, low, high = [item[1](env) for item in items]
            if low > high:
                raise Fail("UA204")
            return min(max(value, low), high)
        return node("clamp(%s)" % ", ".join(i[0] for i in items), run)

    def conditional(self, test, yes, no):
        def run(env):
            return (yes if test[1](env) else no)[1](env)
        return node("(if %s then %s else %s)" % (test[0], yes[0], no[0]), run)

    def signed(self, inner, name):
        def run(env):
            value = inner[1](env)
            return abs(value) if name == "abs" else -value
        text = "abs(%s)" if name == "abs" else "-(%s)"
        return node(text % inner[0], run)

    def rounded(self, inner, digits):
        name = self.rnd.choice(["round", "floor", "ceil"])
        mode = self.rnd.choice(MODES) if name == "round" else name
        more = ', "%s"' % mode if name == "round" else ""

        def run(env):
            value = inner[1](env)
            return limited(Fraction(to_integer(value * 10**digits, mode),
                                    10**digits))
        return node("%s(%s, %d%s)" % (name, inner[0], digits, more), run)

    def aggregate(self, depth, body_of):
        name = self.rnd.choice(["sum", "sum", "min", "max"])
        list_path = self.rnd.choice(["in.l", "in.items", "in.none"])
        variable = "v%d" % self.names
        self.names += 1
        self.scope.append((variable, ".q" if list_path == "in.items" else ""))
        body = body_of(depth - 1)
        self.scope.pop()

        def run(env):
            env.step()                  # the path to the list
            found, items = look_up(env.doc, list_path)
            if not found:
                raise Fail("UA202")
            total = None
            for item in items:
                if kind(item) == "number":
                    from_data(item)
                env.variables[variable] = item
                value = body[1](env)
                if total is None:
                    total = value
                else:
                    total = limited(total + value) if name == "sum" else \
                        min(total, value) if name == "min" else \
                        max(total, value)
            if total is None:
                if name != "sum":
                    raise Fail("UA202")
                return Fraction(0)
            return total
        return node("%s(%s in %s: %s)" % (name, variable, list_path, body[0]),
                    run)

    def bound(self, depth, body_of):
        variable = "v%d" % self.names
        self.names += 1
        value = self.number(depth - 1)
        self.scope.append((variable, None))
        body = body_of(depth - 1)
        self.scope.pop()

        def run(env):
            env.variables[variable] = value[1](env)
            return body[1](env)
        return node("(let %s = %s + 0 in %s)" % (variable, value[0], body[0]),
                    lambda env: (env.step(), env.step(), run(env))[2])

    def number(self, depth):
        rnd = self.rnd
        if depth <= 0 or rnd.random() < 0.15:
            if rnd.random() < 0.5:
                return self.path()
            text, value = positive_text(rnd)
            return literal(value, text)
        less = depth - 1
        pick = rnd.randrange(12)
        if pick < 3:
            symbol = "+-*"[pick]
            return self.pair(symbol, self.number(less), self.number(less),
                             {"+": lambda a, b: a + b,
                              "-": lambda a, b: a - b,
                              "*": lambda a, b: a * b}[symbol])
        if pick == 3:
            return self.divide(self.number(less), self.number(less))
        if pick == 4:
            return self.choose(rnd.choice(["min", "max"]),
                               [self.number(less) for _ in range(rnd.randint(2, 3))])
        if pick == 5:
            return self.clamp([self.number(less) for _ in range(3)])
        if pick == 6:
            return self.conditional(self.truth(less), self.number(less),
                                    self.number(less))
        if pick == 7:
            return self.signed(self.number(less), rnd.choice(["abs", "minus"]))
        if pick == 8:
            return self.rounded(self.number(less), rnd.randint(0, 6))
        if pick == 9:
            return self.defaulted()
        if pick == 10:
            return self.aggregate(depth, self.number)
        return self.divide(self.money(less), self.money(less))

    def money(self, depth):
        rnd = self.rnd
        if depth <= 0 or rnd.random() < 0.1:
            text, value = positive_text(rnd)
            return literal(value, "%s %s" % (self.currency, text))
        less = depth - 1
        pick = rnd.randrange(10)
        if pick < 2:
            return self.pair("+-"[pick], self.money(less), self.money(less),
                             (lambda a, b: a + b) if pick == 0 else
                             (lambda a, b: a - b))
        if pick == 2:
            return self.pair("*", self.money(less), self.number(less),
                             lambda a, b: a * b)
        if pick == 3:
            return self.divide(self.money(less), self.number(less))
        if pick == 4:
            inner = self.number(less)
            return node('money(%s, "%s")' % (inner[0], self.currency), inner[1])
        if pick == 5:
            inner = self.money(less)
            rate = Fraction(rnd.randint(0, 9999), 10000)
            text = format(Decimal(rate.numerator * 100) /
                          Decimal(rate.denominator), "f")

            def run(env):
                value = inner[1](env)
                env.step()
                return limited(value * rate)
            return node("pct(%s, %s%%)" % (inner[0], text), run)
        if pick == 6:
            return self.choose(rnd.choice(["min", "max"]),
                               [self.money(less), self.money(less)])
        if pick == 7:
            return self.conditional(self.truth(less), self.money(less),
                                    self.money(less))
        if pick == 8:
            return self.aggregate(depth, self.money)
        return self.bound(depth, self.money)

    def truth(self, depth):
        rnd = self.rnd
        if depth <= 0 or rnd.random() < 0.6:
            symbol = rnd.choice(["=", "!=", "<", "<=", ">", ">="])
            of = self.money if rnd.random() < 0.3 else self.number
            left, right = of(depth - 1), of(depth - 1)

            def run(env):
                a = left[1](env)
                b = right[1](env)
                return {"=": a == b, "!=": a != b, "<": a < b, "<=": a <= b,
                        ">": a > b, ">=": a >= b}[symbol]
            # A path against a path may be of any type, so one gets a sum.
            return node("(%s + %s %s %s)" % (left[0], self.zero(of), symbol,
                                             right[0]),
                        lambda env: (env.step(), env.step(), run(env))[2])
        if rnd.random() < 0.3:
            inner = self.truth(depth - 1)
            return node("(not %s)" % inner[0], lambda env: not inner[1](env))
        word = rnd.choice(["and", "or"])
        left, right = self.truth(depth - 1), self.truth(depth - 1)

        def run_logic(env):
            first = left[1](env)
            if first == (word == "and"):
                return right[1](env)
            return first
        return node("(%s %s %s)" % (left[0], word, right[0]), run_logic)

    def zero(self, of):
        return "0" if of == self.number else "%s 0" % self.currency


# -- random cases ------------------------------------------------------------

def random_scalar(rnd):
    pick = rnd.random()
    if pick < 0.45:
        return random_decimal(rnd)
    if pick < 0.75:
        return rnd.choice(["", "a", "b", "ab", "B", "9", "10", "\u00e9"])
    return rnd.choice([True, False, None])


def random_value(rnd, depth=2):
    pick = rnd.random()
    if depth == 0 or pick < 0.7:
        return random_scalar(rnd)
    if pick < 0.85:
        return [random_value(rnd, depth - 1) for _ in range(rnd.randint(0, 3))]
    return {rnd.choice("abc"): random_value(rnd, depth - 1)
            for _ in range(rnd.randint(0, 2))}


def random_document(rnd):
    return {"n": random_decimal(rnd), "s": rnd.choice(["a", "b", "9"]),
            "t": rnd.choice([True, False]), "nil": None,
            "l": [random_decimal(rnd) for _ in range(rnd.randint(0, 3))],
            "w": [rnd.choice("ab") for _ in range(rnd.randint(0, 3))],
            "o": {"x": random_value(rnd), "y": {"z": random_decimal(rnd)}},
            "items": [{"x": random_decimal(rnd), "s": rnd.choice("ab")}
                      for _ in range(rnd.randint(0, 3))],
            "any": random_value(rnd)}


PATHS = ["n", "n", "s", "s", "t", "nil", "l", "l", "l[0]", "w", "o", "o.x",
         "o.y.z", "o.y.z", "items", "items", "items[0].x", "any", "nope"]
OPS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists",
       "$type", "$between", "$not", "$all", "$size", "$elemMatch"]


def fitting(rnd, doc, path):
    """A value of the type that the path has, most of the time."""
    found, value = look_up(doc, path) if path else (False, None)
    if found and rnd.random() < 0.3:
        return value
    if found and kind(value) == "number" and rnd.random() < 0.9:
        return random_decimal(rnd)
    if found and kind(value) == "string" and rnd.random() < 0.9:
        return rnd.choice(["a", "b", "ab", "9"])
    return random_value(rnd)


def fitting_list(rnd, doc, path):
    """A list of one type, most of the time."""
    items = [fitting(rnd, doc, path) for _ in range(rnd.randint(1, 3))]
    if rnd.random() < 0.97:
        items = [x for x in items if kind(x) in (kind(items[0]), "null")]
    return items


def random_operand(rnd, doc, path, op, depth):
    below = path + "[0]" if path else None
    if rnd.random() < 0.02:
        return random_value(rnd)
    if op in ("$gt", "$gte", "$lt", "$lte"):
        arg = fitting(rnd, doc, path)
        return arg if kind(arg) in ("number", "string") else \
            random_decimal(rnd)
    if op in ("$in", "$nin"):
        return fitting_list(rnd, doc, path)
    if op == "$all":
        return fitting_list(rnd, doc, below)
    if op == "$between":
        low, high = random_decimal(rnd), random_decimal(rnd)
        found, value = look_up(doc, path) if path else (False, None)
        if found and kind(value) == "string":
            low, high = rnd.choice(["", "a"]), rnd.choice(["a", "b", "c"])
        return [min(low, high), max(low, high)]
    if op == "$exists":
        return rnd.choice([True, True, False])
    if op == "$type":
        return rnd.choice(["null", "boolean", "number", "string", "array",
                           "object"])
    if op == "$size":
        if rnd.random() < 0.7:
            return Decimal(rnd.randint(0, 3))
        return {rnd.choice(["$gt", "$lte", "$ne"]): Decimal(rnd.randint(0, 3))}
    if op == "$not":
        return random_clauses(rnd, doc, path, depth - 1) if depth > 0 \
            else {"$ne": fitting(rnd, doc, path)}
    if op == "$elemMatch":
        found, value = look_up(doc, below) if below else (False, None)
        if found and isinstance(value, dict):
            return {rnd.choice(["x", "s", "x", "y"]):
                    random_clauses(rnd, value, "x", 0),
                    "s": fitting(rnd, value, "s")}
        return random_clauses(rnd, doc, below, depth - 1) if depth > 0 \
            else {"$ne": fitting(rnd, doc, below)}
    return fitting(rnd, doc, path)


def random_clauses(rnd, doc, path, depth):
    found, value = look_up(doc, path) if path else (False, None)
    ops = OPS
    if found and rnd.random() < 0.8:
        ops = ["$all", "$size", "$elemMatch", "$not", "$eq", "$exists"] \
            if isinstance(value, list) else OPS[:12]
    clauses = {}
    for _ in range(rnd.choice([1, 1, 1, 2, 3])):
        op = rnd.choice(ops)
        if rnd.random() < 0.005:
            op = rnd.choice(["$gtee", "$like", "gt", "$"])
        clauses[op] = random_operand(rnd, doc, path, op, depth)
    if len(clauses) > 1 and rnd.random() < 0.95:
        clauses.pop("$exists", None)
    return clauses


def random_condition(rnd, doc, depth=3):
    condition = {}
    for _ in range(rnd.choice([1, 1, 2, 3])):
        pick = rnd.random()
        if depth > 0 and pick < 0.25:
            key = rnd.choice(["$and", "$or", "$nor"])
            condition[key] = [random_condition(rnd, doc, depth - 1)
                              for _ in range(rnd.choice([1, 2, 2, 3]))]
        elif depth > 0 and pick < 0.3:
            condition["$not"] = random_condition(rnd, doc, depth - 1)
        elif pick < 0.5:
            path = rnd.choice(PATHS)
            condition[path] = fitting(rnd, doc, path)
        else:
            path = rnd.choice(PATHS)
            condition[path] = random_clauses(rnd, doc, path, depth)
    return condition


def answer(function):
    try:
        return function()
    except Fail as failure:
        return str(failure)


def condition_case(rnd):
    doc = random_document(rnd)
    condition = random_condition(rnd, doc)

    def expected():
        check_condition(condition)
        return "true" if holds(condition, doc) else "false"
    return ("condition", dump(condition), dump(doc), ""), answer(expected)


def amount_case(rnd):
    doc = {"in": {"a": random_decimal(rnd), "b": random_decimal(rnd),
                  "c": Decimal(rnd.randint(-500, 100000)).scaleb(-2),
                  "zero": Decimal(0), "big": Decimal(10)**rnd.randint(15, 37),
                  "s": "12.5", "nil": None, "yes": True,
                  "l": [random_decimal(rnd) for _ in range(rnd.randint(2, 4))],
                  "o": {"x": random_decimal(rnd)}, "none": [],
                  "items": [{"q": Decimal(rnd.randint(0, 9))}
                            for _ in range(rnd.randint(1, 4))]}}
    currency = rnd.choice(list(EXPONENTS))
    mode = rnd.choice(MODES)
    text, run = AmountMaker(rnd, currency).money(rnd.randint(1, 5))

    def expected():
        exact = run(Steps(doc))
        return currency + " " + major(to_minor(exact, currency, mode), currency)
    return ("amount", text, dump(doc), mode), answer(expected)


def tiers_case(rnd):
    base = abs(random_decimal(rnd)) if rnd.random() < 0.95 else Decimal(-1)
    if rnd.random() < 0.5:
        base = Decimal(rnd.randint(0, 3000)).scaleb(-1)
    ends = sorted(rnd.sample(range(1, 300), rnd.randint(0, 4)))
    rates = [rnd.randint(0, 1000) for _ in range(len(ends) + 1)]
    bounds = sorted(rnd.sample(range(0, 200), 2))
    tiers = {"mode": rnd.choice(["marginal", "slab"]), "on": "base",
             "bands": [dict([("to", Decimal(e))] if e else [],
                            rate="%d.%02d%%" % (r // 100, r % 100))
                       for e, r in zip(ends + [None], rates)]}
    if rnd.random() < 0.5:
        tiers["min"] = Decimal(bounds[0])
    if rnd.random() < 0.5:
        tiers["max"] = Decimal(bounds[1])
    currency = rnd.choice(list(EXPONENTS))

    def expected():
        number = from_data(base)
        if number < 0:
            raise Fail("UA205")
        total, low = Fraction(0), Fraction(0)
        for end, rate in zip(ends + [None], rates):
            high = number if end is None else min(number, Fraction(end))
            if tiers["mode"] == "slab" and (end is None or number <= end):
                total = number * Fraction(rate, 10000)
                break
            if tiers["mode"] == "marginal" and high > low:
                total += (high - low) * Fraction(rate, 10000)
                low = high
        if "min" in tiers:
            total = max(total, Fraction(tiers["min"]))
        if "max" in tiers:
            total = min(total, Fraction(tiers["max"]))
        return major(to_minor(total, currency, "half_even"), currency)
    return ("tiers", dump(tiers), dump({"base": base}), currency), \
        answer(expected)


def table_cell(rnd, kinds):
    """(cell as JSON, whether it holds) for a number or a text."""
    if rnd.random() < 0.3:
        return "*", lambda v: True
    if kinds == "text":
        values = rnd.sample(["a", "b", "c"], rnd.randint(1, 2))
        pick = rnd.choice(["is", "in", "nin"])
        if pick == "is":
            return values[0], lambda v: v == values[0]
        if pick == "in":
            return values, lambda v: v in values
        return {"$nin": values}, lambda v: v not in values
    bound = random_decimal(rnd) if rnd.random() < 0.3 else \
        Decimal(rnd.randint(-3, 3))
    op, holds_ = rnd.choice([
        ("$lt", lambda v: v < bound), ("$lte", lambda v: v <= bound),
        ("$gt", lambda v: v > bound), ("$gte", lambda v: v >= bound),
        ("$eq", lambda v: v == bound), ("$ne", lambda v: v != bound)])
    return {op: bound}, holds_


def table_case(rnd):
    """A decision table with a default, so that it has no gaps; data that the
    cells can judge, or that have a wrong type in the first column."""
    currency = rnd.choice(list(EXPONENTS))
    hit = rnd.choice(["first", "unique", "sum", "min", "max", "count"])
    rows = []
    for _ in range(rnd.randint(1, 4)):
        text, number = table_cell(rnd, "text"), table_cell(rnd, "number")
        rows.append((text, number, rnd.randint(0, 500)))
    x = random_decimal(rnd) if rnd.random() < 0.5 else \
        Decimal(rnd.randint(-4, 4))
    t = rnd.choice(["a", "b", "c", "d"])
    table = {"hit": hit if hit in ("first", "unique") else "collect",
             "inputs": ["t", "x", "y"], "default": Decimal(7),
             "rows": [[c[0][0], c[1][0], {"$exists": True}, Decimal(c[2])]
                      for c in rows]}
    if table["hit"] == "collect":
        table["collect"] = hit
    data = {"t": t, "x": x, "y": True}
    if rnd.random() < 0.03:
        data["t"] = Decimal(5)

    def expected():
        hits = []
        for (cell, is_t), (_, is_x), value in rows:
            if cell != "*" and data["t"] is not t:
                raise Fail("UA203")
            if is_t(t) and is_x(x):
                if hit == "unique" and hits:
                    raise Fail("UA215")
                hits.append(value)
                if hit == "first":
                    break
        amount = 7 if not hits else \
            {"first": hits[0], "unique": hits[0], "sum": sum(hits),
             "min": min(hits), "max": max(hits), "count": len(hits)}[hit]
        return major(to_minor(Fraction(amount), currency, "half_even"),
                     currency)
    return ("table", dump(table), dump(data), currency), answer(expected)


def split(minor, weights, policy):
    """What each part gets, in minor units."""
    if sum(weights) == 0:
        raise Fail("UA209")
    total = sum(weights)
    shares = [Fraction(w) * minor / Fraction(total) for w in weights]
    parts = [int(s) for s in shares]
    name, _, rest = policy.partition(":")
    if name == "to":
        if not 1 <= int(rest) <= len(parts):
            raise Fail("UA209")
        parts[int(rest) - 1] += minor - sum(parts)
        return parts
    order = [i for i in range(len(parts)) if weights[i] > 0]
    if name == "last":
        order.reverse()
    elif name == "largest":
        order.sort(key=lambda i: -(shares[i] - parts[i]))
    elif name == "largest_rotating":
        order.sort(key=lambda i: (-(shares[i] - parts[i]), hashlib.sha256(
            ("%s|%d" % (rest, i + 1)).encode()).digest()))
    for i in order[:minor - sum(parts)]:
        parts[i] += 1
    return parts


def allocate_case(rnd):
    currency = rnd.choice(list(EXPONENTS))
    minor = rnd.choice([rnd.randint(0, 100), rnd.randint(0, 10**7),
                        rnd.choice(EDGES) + rnd.randint(-2, 2)
                        if rnd.random() < 0.5 else rnd.randint(0, 10**30)])
    minor = min(minor, 10**37)
    many = rnd.random() < 0.1
    weights = [Decimal(rnd.choice([0, 1, rnd.randint(0, 100),
                                   rnd.randint(0, 10**12)])).scaleb(
                                       -rnd.choice([0, 0, 1, 3]))
               for _ in range(rnd.randint(9, 64) if many else
                              rnd.randint(1, 8))]
    policy = rnd.choice(["largest", "first", "last", "largest_rotating:s%d" %
                         rnd.randint(0, 99), "to:%d" % rnd.randint(1, 3)])

    def expected():
        return "{" + ",".join(major(p, currency) for p in
                              split(minor, weights, policy)) + "}"
    return ("allocate", major(minor, currency),
            "{" + ",".join(format(w, "f") for w in weights) + "}",
            currency + " " + policy), answer(expected)


def exhaustive_cases():
    """Every split of a small amount; by 1 to 3 weights of 1 to 12, and 4 of
    1 to 4.  That the expected split is minimal is looked at for the smallest
    by trying every other."""
    plans = [(n, 12, 40 if n == 3 else 200) for n in (1, 2, 3)] + [(4, 4, 40)]
    for n, top, most in plans:
        for weights in itertools.product(range(1, top + 1), repeat=n):
            for minor in range(most + 1):
                parts = split(minor, weights, "largest")
                shares = [Fraction(w * minor, sum(weights)) for w in weights]
                if sum(parts) != minor or \
                        any(abs(p - s) >= 1 for p, s in zip(parts, shares)):
                    sys.exit("the oracle itself is wrong")
                if n == 3 and max(weights) <= 4 and minor <= 8:
                    off = sum(abs(p - s) for p, s in zip(parts, shares))
                    for a in range(minor + 1):
                        for b in range(minor + 1 - a):
                            other = (a, b, minor - a - b)
                            if sum(abs(p - s) for p, s in
                                   zip(other, shares)) < off:
                                sys.exit("a split is not minimal")
                yield (("allocate", str(minor),
                        "{" + ",".join(map(str, weights)) + "}",
                        "JPY largest"),
                       "{" + ",".join(map(str, parts)) + "}")


# -- json-logic-js, where it means the same ------------------------------------

LOGIC = """
const logic = require(process.argv[1] + '/node_modules/json-logic-js');
logic.add_operation('absent', (list, x) => !list.includes(x));
const lines = require('fs').readFileSync(0, 'utf8').trim().split('\\n');
console.log(lines.map(line => {
	const [rule, data] = JSON.parse(line);
	return String(Boolean(logic.apply(rule, data)));
}).join('\\n'));
"""


def logic_leaf(rnd, doc):
    path = rnd.choice(["n", "m", "s", "o.n"])
    var = {"var": path}
    if path == "s":
        value = rnd.choice(["a", "b", "c", "9"])
        values = rnd.sample(["a", "b", "c", "9"], 2)
        return rnd.choice([
            ({path: value}, {"===": [var, value]}),
            ({path: {"$ne": value}}, {"!==": [var, value]}),
            ({path: {"$in": values}}, {"in": [var, values]}),
            ({path: {"$nin": values}}, {"absent": [values, var]})])
    value = rnd.choice([doc["n"], rnd.randint(-5, 5), 2**31, 2**53 - 1,
                        -2**31, rnd.randint(-2**52, 2**52)])
    op, js = rnd.choice([("$gt", ">"), ("$gte", ">="), ("$lt", "<"),
                         ("$lte", "<="), ("$eq", "==="), ("$ne", "!==")])
    if rnd.random() < 0.2:
        low, high = sorted([value, rnd.randint(-10, 10)])
        return ({path: {"$between": [low, high]}},
                {"<=": [low, var, high]})
    return {path: {op: value}}, {js: [var, value]}


def logic_rule(rnd, doc, depth):
    pick = rnd.random()
    if depth == 0 or pick < 0.4:
        return logic_leaf(rnd, doc)
    parts = [logic_rule(rnd, doc, depth - 1) for _ in range(rnd.randint(1, 3))]
    ours, js = [p[0] for p in parts], [p[1] for p in parts]
    if pick < 0.6:
        return {"$and": ours}, {"and": js}
    if pick < 0.8:
        return {"$or": ours}, {"or": js}
    return {"$not": ours[0]}, {"!": [js[0]]}


def logic_cases(rnd, n, directory):
    cases = []
    lines = []
    for _ in range(n):
        doc = {"n": rnd.choice([rnd.randint(-5, 5), 2**31, 2**53 - 1]),
               "m": rnd.randint(-2**52, 2**52), "s": rnd.choice("abc9"),
               "o": {"n": rnd.randint(-5, 5)}}
        ours, js = logic_rule(rnd, doc, 3)
        cases.append(("condition", json.dumps(ours), json.dumps(doc), ""))
        lines.append(json.dumps([js, doc]))
    done = subprocess.run(["node", "-e", LOGIC, directory],
                          input="\n".join(lines).encode(),
                          stdout=subprocess.PIPE, check=True)
    return list(zip(cases, done.stdout.decode().splitlines()))


# -- the server --------------------------------------------------------------

ASK = r"""
\set QUIET on
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE TEMP TABLE cases (kind text, a text, b text, c text,
	n int GENERATED ALWAYS AS IDENTITY);
CREATE FUNCTION pg_temp.ask(kind text, a text, b text, c text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	got record;
BEGIN
	IF kind = 'condition' THEN
		RETURN uaef.evaluate_condition(a::jsonb, b::jsonb);
	ELSIF kind = 'amount' THEN
		got := uaef.evaluate_amount(a, b::jsonb, c);
		RETURN got.currency || ' ' || got.amount;
	ELSIF kind = 'tiers' THEN
		RETURN uaef.evaluate_tiers(a::jsonb, c, b::jsonb);
	ELSIF kind = 'table' THEN
		RETURN uaef.evaluate_table(a::jsonb, c, b::jsonb);
	END IF;
	RETURN uaef.allocate(a::numeric, b::numeric[], split_part(c, ' ', 1),
						 split_part(c, ' ', 2));
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
COPY cases (kind, a, b, c) FROM STDIN;
"""


def copy_line(fields):
    return "\t".join(f.replace("\\", "\\\\") for f in fields) + "\n"


def ask_server(psql, questions):
    script = ASK + "".join(map(copy_line, questions)) + "\\.\n" + \
        "\\pset format unaligned\n\\pset tuples_only on\n" + \
        "SELECT pg_temp.ask(kind, a, b, c) FROM cases ORDER BY n;\n"
    done = subprocess.run(psql + ["-X", "-q"], input=script.encode(),
                          stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().splitlines()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--cases", type=int, default=4000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--psql", default="psql")
    options.add_argument("--show", type=int, default=5)
    options.add_argument("--exhaustive", action="store_true")
    options.add_argument("--logic")
    options = options.parse_args()

    rnd = random.Random(options.seed)
    makers = [condition_case, condition_case, amount_case, amount_case,
              tiers_case, allocate_case, table_case]
    if options.exhaustive:
        cases = list(exhaustive_cases())
    elif options.logic:
        cases = logic_cases(rnd, options.cases, options.logic)
    else:
        cases = [makers[i % len(makers)](rnd) for i in range(options.cases)]
    answers = ask_server(shlex.split(options.psql), [c[0] for c in cases])
    if len(answers) != len(cases):
        sys.exit("%d answers to %d cases" % (len(answers), len(cases)))

    wrong = 0
    seen = {}
    for (question, expected), got in zip(cases, answers):
        code = expected if expected.startswith("UA") else "value"
        seen[question[0], code] = seen.get((question[0], code), 0) + 1
        if got != expected:
            wrong += 1
            if wrong <= options.show:
                print("%s\n\texpected %s\n\tgot      %s" %
                      ("\n\t".join(question), expected, got))
    for (name, code), n in sorted(seen.items()):
        print("%-10s %-6s %7d" % (name, code, n))
    print("seed %d: %d cases, %d differ" % (options.seed, len(cases), wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
