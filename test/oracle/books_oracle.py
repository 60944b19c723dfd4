#!/usr/bin/env python3
"""Random differential test of double entry.

The oracle is written from docs/accounts.md, with Python's integers, and shares
no code with the server.  It makes a history of postings, batches, holds,
captures, releases, reversals and freezes, good ones and bad ones, has the server
do the same in one psql call, and compares: each call succeeds or fails with the
same SQLSTATE, and in the end every balance, also at random times, every hold and
every statement is the same, and audit_money() finds nothing.  The server must be
reachable by plain psql (PGHOST, PGPORT, PGUSER, PGDATABASE) and have the
extension.

usage: books_oracle.py [--calls N] [--seed N] [--psql COMMAND] [--show N]
"""
import argparse
import json
import random
import shlex
import subprocess
import sys

MAX = 10**38 - 1
EDGES = [1, 2, 99, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**18, 10**37, MAX]
CREDIT_ADDS = ("liability", "income", "equity")
DAY = "2026-01-%02d"


class Fail(Exception):
    """A call that is refused; its argument is the SQLSTATE."""


class Account:
    def __init__(self, code, kind, currency, least=None, most=None, stripes=1):
        self.code, self.kind, self.currency = code, kind, currency
        self.least, self.most, self.stripes = least, most, stripes
        self.status = "open"
        self.debit = self.credit = self.held = 0
        self.lines = []         # (day, signed amount)

    def balance(self):
        more = self.credit - self.debit
        return more if self.kind in CREDIT_ADDS else -more


class Books:
    def __init__(self, rng):
        self.rng = rng
        self.accounts = {}
        self.journals = {}      # key -> (content, lines); lines: [account, credit, amount, left]
        self.holds = {}         # key -> [account, amount, captured, status]

    # -- what the server must do -----------------------------------------

    def check_limits(self, account):
        if account.least is not None and account.balance() - account.held < account.least:
            raise Fail("UA513")
        if account.most is not None and account.balance() > account.most:
            raise Fail("UA513")

    def post(self, journal, unheld=0, reverses=False):
        """journal: dict with key, day, lines [(code, credit, amount)]."""
        if not journal["lines"]:
            raise Fail("UA512")
        sums = {}
        for code, credit, amount in journal["lines"]:
            if code not in self.accounts:
                raise Fail("UA510")
            if amount != int(amount):
                raise Fail("UA206")
            if abs(amount) > MAX:
                raise Fail("UA207")
            if amount == 0:
                raise Fail("UA223")
            if amount < 0:
                raise Fail("UA205")
        for code, credit, amount in journal["lines"]:
            side = sums.setdefault(self.accounts[code].currency, [0, 0])
            side[credit] += amount
            if side[credit] > MAX:
                raise Fail("UA207")
        if any(d != c for d, c in sums.values()):
            raise Fail("UA512")
        if not reverses and len({code for code, _, _ in journal["lines"]}) == 1:
            raise Fail("UA518")
        content = json.dumps(journal, sort_keys=True)
        if journal["key"] in self.journals:
            if self.journals[journal["key"]][0] != content:
                raise Fail("UA307")
            return
        undo = [(a, a.debit, a.credit, a.held) for a in self.accounts.values()]
        try:
            for code, credit, amount in journal["lines"]:
                account = self.accounts[code]
                if account.status != "open":
                    raise Fail("UA511")
                if credit:
                    account.credit += amount
                else:
                    account.debit += amount
                if max(account.credit, account.debit) > MAX:
                    raise Fail("UA207")
            self.accounts[journal["lines"][0][0]].held -= unheld
            for code, _, _ in journal["lines"]:
                self.check_limits(self.accounts[code])
        except Fail:
            for account, debit, credit, held in undo:
                account.debit, account.credit, account.held = debit, credit, held
            raise
        for code, credit, amount in journal["lines"]:
            account = self.accounts[code]
            adds = (account.kind in CREDIT_ADDS) == credit
            account.lines.append((journal["day"], amount if adds else -amount))
        self.journals[journal["key"]] = (content, [list(line) + [line[2]] for line in journal["lines"]])

    def hold(self, key, code, amount):
        if amount > MAX:
            raise Fail("UA207")
        account = self.accounts[code]
        if account.stripes > 1:
            raise Fail("0A000")
        if key in self.holds:
            if self.holds[key][:2] != [code, amount]:
                raise Fail("UA307")
            return
        if account.status != "open":
            raise Fail("UA511")
        if account.held + amount > MAX:
            raise Fail("UA207")
        account.held += amount
        try:
            self.check_limits(account)
        except Fail:
            account.held -= amount
            raise
        self.holds[key] = [code, amount, 0, "held"]

    def capture(self, key, to, amount, release, journal_key):
        hold = self.holds[key]
        left = hold[1] - hold[2]
        if hold[3] != "held" or amount > left:
            raise Fail("UA517")
        adds = self.accounts[hold[0]].kind in CREDIT_ADDS
        self.post({"key": journal_key, "day": None, "lines": [(hold[0], not adds, amount), (to, adds, amount)]},
                  left if release else amount)
        hold[2] += amount
        if release or amount == left:
            hold[3] = "captured"

    def release(self, key):
        hold = self.holds[key]
        if hold[3] == "released":
            return
        if hold[3] != "held":
            raise Fail("UA517")
        self.accounts[hold[0]].held -= hold[1] - hold[2]
        hold[3] = "released"

    def reverse(self, key, amount, journal_key):
        lines = self.journals[key][1]
        if journal_key in self.journals:
            raise Fail("UA307")
        if len({self.accounts[line[0]].currency for line in lines}) > 1 and amount is not None:
            raise Fail("0A000" if any(line[3] for line in lines) else "UA515")
        left = sum(line[3] for line in lines if not line[1])
        if left == 0 or (amount or 0) > left:
            raise Fail("UA515")
        parts = [line[3] for line in lines]
        if amount is not None:
            for credit in (False, True):
                at = [i for i, line in enumerate(lines) if line[1] == credit]
                shares = self.split(amount, [lines[i][3] for i in at])
                for i, share in zip(at, shares):
                    parts[i] = share
        self.post({"key": journal_key, "day": None,
                   "lines": [(line[0], not line[1], part) for line, part in zip(lines, parts) if part]},
                  reverses=True)
        for line, part in zip(lines, parts):
            line[3] -= part
        self.journals[journal_key][1][:] = []       # a reversal is not reversed

    @staticmethod
    def split(amount, weights):
        whole = sum(weights)
        shares = [amount * w // whole for w in weights]
        rest = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % whole), i))
        for i in rest[:amount - sum(shares)]:
            shares[i] += 1
        return shares


class Maker:
    """Makes calls: the SQL of each, and what it must give."""

    def __init__(self, rng, prefix):
        self.rng, self.prefix = rng, prefix
        self.books = Books(rng)
        self.calls = []         # (sql, expected)
        self.number = 0

    def key(self):
        self.number += 1
        return "%s%d" % (self.prefix, self.number)

    def amount(self):
        rng = self.rng
        if rng.random() < 0.08:
            return max(rng.choice(EDGES) + rng.choice((-1, 0, 1)), 0)
        return rng.randint(1, 5000)

    def expect(self, sql, call):
        try:
            call()
            result = "ok"
        except Fail as fail:
            result = fail.args[0]
        self.calls.append((sql, result))

    def make_accounts(self):
        kinds = ("asset", "liability", "income", "expense", "equity", "control")
        for i in range(24):
            currency = "EUR" if i < 16 else "JPY"
            account = Account("%s.%d" % (self.prefix, i), kinds[i % 6], currency)
            if i % 4 == 1:
                account.least = self.rng.choice((0, 0, -1000))
            if i % 8 == 2:
                account.most = 100000
            if i % 8 == 3:
                account.stripes = 3
            self.books.accounts[account.code] = account
            self.calls.append(("uaef.create_account('%s', '%s', '%s', min_balance => %s, max_balance => %s, stripes => %d)" % (
                account.code, account.kind, currency, "NULL" if account.least is None else account.least,
                "NULL" if account.most is None else account.most, account.stripes), "ok"))

    def journal(self):
        """A journal that mostly balances."""
        rng = self.rng
        codes = list(self.books.accounts)
        lines = []
        for _ in range(1 if rng.random() < 0.9 else 2):
            pool = [c for c in codes if self.books.accounts[c].currency == rng.choice(("EUR", "EUR", "JPY"))] or codes
            currency = self.books.accounts[rng.choice(pool)].currency
            pool = [c for c in codes if self.books.accounts[c].currency == currency]
            n = rng.choice((1, 1, 1, 2, 3))
            total = self.amount() + n
            cuts = sorted(rng.sample(range(1, min(total, 10**6)), n - 1)) if total > n else []
            sizes = [b - a for a, b in zip([0] + cuts, cuts + [total])]
            one = rng.random() < 0.5
            lines.append((rng.choice(pool), one, total))
            lines += [(rng.choice(pool), not one, size) for size in sizes]
        if rng.random() < 0.06:
            i = rng.randrange(len(lines))
            code, credit, amount = lines[i]
            lines[i] = rng.choice([(code, credit, amount + 1), (code, not credit, amount), (code, credit, 0),
                                   (code, credit, -amount), ("nobody", credit, amount), (code, credit, amount + 0.5)
                                   if amount < 10**6 else (code, credit, 10**38)])
        day = rng.randint(1, 28) if rng.random() < 0.7 else None
        if rng.random() < 0.03:
            lines = []
        return {"key": self.key(), "day": day, "lines": lines}

    @staticmethod
    def document(journal):
        lines = ", ".join('{"account": "%s", "%s": %s}' % (c, "credit" if credit else "debit", amount)
                          for c, credit, amount in journal["lines"])
        day = "" if journal["day"] is None else ', "effective_at": "%s 12:00Z"' % (DAY % journal["day"])
        return '{"key": "%s", "lines": [%s]%s}' % (journal["key"], lines, day)

    def make_call(self):
        rng, books = self.rng, self.books
        kind = rng.random()
        held = [k for k in books.holds]
        posted = [k for k in books.journals if books.journals[k][1]]
        if kind < 0.50 or not posted:
            journal = self.journal()
            self.expect("uaef.post('%s')" % self.document(journal), lambda: books.post(journal))
        elif kind < 0.58:
            self.make_batch()
        elif kind < 0.64:       # the same again, or another content with its key
            journal = json.loads(books.journals[rng.choice(posted)][0])
            journal["lines"] = [tuple(line) for line in journal["lines"]]
            if journal["day"] is None and rng.random() < 0.5:
                journal["day"] = 3
            if not journal["key"].startswith(self.prefix + "c"):
                self.expect("uaef.post('%s')" % self.document(journal), lambda: books.post(journal))
        elif kind < 0.74:
            key = rng.choice(held) if held and rng.random() < 0.1 else self.key()
            code, amount = rng.choice(list(books.accounts)), self.amount() + 1
            self.expect("uaef.hold_funds('%s', %d, idempotency_key => '%s')" % (code, amount, key),
                        lambda: books.hold(key, code, amount))
        elif kind < 0.82 and held:
            self.make_capture(rng.choice(held))
        elif kind < 0.86 and held:
            key = rng.choice(held)
            self.expect("uaef.release_hold((SELECT hold_id FROM uaef.account_hold WHERE idempotency_key = '%s'))" % key,
                        lambda: books.release(key))
        elif kind < 0.985:
            self.make_reversal(rng.choice(posted))
        else:
            self.make_freeze()

    def make_batch(self):
        journals = [self.journal() for _ in range(self.rng.randint(1, 6))]
        if len(journals) > 2 and self.rng.random() < 0.3:
            journals[-1] = dict(journals[0])
        # All or none: try on a copy.
        def call():
            import copy
            before = copy.deepcopy((self.books.accounts, self.books.journals))
            try:
                # What needs no balance is checked of all before the rest.
                for journal in journals:
                    probe = Books(self.rng)
                    probe.accounts = copy.deepcopy(self.books.accounts)
                    for account in probe.accounts.values():
                        account.least = account.most = None
                        account.status = "open"
                        account.debit = account.credit = account.held = 0
                    probe.post(journal)
                for journal in journals:
                    self.books.post(journal)
            except Fail:
                self.books.accounts, self.books.journals = before
                raise
        self.expect("uaef.post_batch('[%s]')" % ", ".join(self.document(j) for j in journals), call)

    def make_capture(self, key):
        rng, books = self.rng, self.books
        hold = books.holds[key]
        amount = rng.randint(1, max(hold[1] - hold[2], 1)) + (rng.random() < 0.05)
        release, journal_key = rng.random() < 0.5, self.prefix + "c" + self.key()
        pool = [c for c in books.accounts if books.accounts[c].currency == books.accounts[hold[0]].currency]
        to = rng.choice(pool)
        self.expect("uaef.capture_hold((SELECT hold_id FROM uaef.account_hold WHERE idempotency_key = '%s'), '%s', %d, %s, '%s')" % (
            key, to, amount, str(release).lower(), journal_key),
            lambda: books.capture(key, to, amount, release, journal_key))

    def make_reversal(self, key):
        books = self.books
        left = sum(line[3] for line in books.journals[key][1] if not line[1])
        amount = None if self.rng.random() < 0.3 else self.rng.randint(1, max(left, 1)) + (self.rng.random() < 0.1)
        if amount is not None and amount > MAX:
            amount = None
        journal_key = self.prefix + "c" + self.key()
        self.expect("uaef.reverse_journal((SELECT journal_id FROM uaef.journal WHERE idempotency_key = '%s'), %s, 'x', '%s')" % (
            key, "NULL" if amount is None else amount, journal_key),
            lambda: books.reverse(key, amount, journal_key))

    def make_freeze(self):
        account = self.rng.choice(list(self.books.accounts.values()))
        verb, account.status = ("unfreeze", "open") if account.status == "frozen" else ("freeze", "frozen")
        self.calls.append(("uaef.%s_account('%s', 'x')" % (verb, account.code), "ok"))
        if account.status == "frozen" and self.rng.random() < 0.7:
            account.status = "open"
            self.calls.append(("uaef.unfreeze_account('%s', 'x')" % account.code, "ok"))

    def questions(self):
        """(sql, expected text) about the end."""
        asked = []
        for account in self.books.accounts.values():
            asked.append(("(SELECT balance || ' ' || held FROM uaef.account_balance WHERE code = '%s')" % account.code,
                          "%d %d" % (account.balance(), account.held)))
            asked.append(("uaef.balance('%s')" % account.code, str(account.balance())))
            day = self.rng.randint(1, 28)
            then = sum(a for d, a in account.lines if d is not None and d <= day)
            asked.append(("uaef.balance('%s', '%s 12:00Z')" % (account.code, DAY % day), str(then)))
            asked.append(("uaef.balance('%s', '%s 12:00Z', 'infinity')" % (account.code, DAY % day), str(then)))
            asked.append(("(SELECT balance FROM uaef.statement('%s', NULL, '%s 12:00:01Z')"
                          " ORDER BY effective_at NULLS FIRST, journal_id, line OFFSET %d)" % (
                              account.code, DAY % day,
                              sum(1 for d, _ in account.lines if d is not None and d <= day)), str(then)))
        for key, (_, _, captured, status) in self.books.holds.items():
            asked.append(("(SELECT captured || ' ' || status FROM uaef.fund_hold WHERE idempotency_key = '%s')" % key,
                          "%d %s" % (captured, status)))
        asked.append(("(SELECT count(*) FROM uaef.audit_money())", "0"))
        return asked


def ask(psql, calls, questions):
    """What the server says: a result for each call, then for each question."""
    lines = ["\\set QUIET on", "\\pset format unaligned", "\\pset tuples_only on", "SET client_min_messages = error;",
             "SET timezone = 'UTC';",
             "CREATE FUNCTION pg_temp.try(sql text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT ' || sql;"
             " RETURN 'ok'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;"]
    lines += ["SELECT pg_temp.try($q$%s$q$);" % sql for sql, _ in calls]
    lines += ["SELECT coalesce((%s)::text, 'nothing');" % sql for sql, _ in questions]
    run = subprocess.run(shlex.split(psql) + ["-X", "-v", "ON_ERROR_STOP=1"], input="\n".join(lines),
                         capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit("psql failed: " + run.stderr[-2000:])
    return run.stdout.split("\n")[:-1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--psql", default="psql")
    parser.add_argument("--show", type=int, default=10)
    args = parser.parse_args()
    maker = Maker(random.Random(args.seed), "s%d" % args.seed)
    maker.make_accounts()
    while len(maker.calls) < args.calls:
        maker.make_call()
    questions = maker.questions()
    expected = maker.calls + questions
    got = ask(args.psql, maker.calls, questions)
    if len(got) != len(expected):
        sys.exit("%d results for %d calls" % (len(got), len(expected)))
    counts, differ = {}, 0
    for (sql, want), have in zip(expected, got):
        if have != want:
            differ += 1
            if differ <= args.show:
                print("differs: %s\n  server %s, oracle %s" % (sql[:600], have, want))
    for _, want in maker.calls:
        counts[want] = counts.get(want, 0) + 1
    for want in sorted(counts):
        print("%-6s %d" % (want, counts[want]))
    print("seed %d: %d calls, %d questions, %d differ" % (args.seed, len(maker.calls), len(questions), differ))
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
