#!/usr/bin/env python3
"""Cron expressions in time zones against another implementation of the rules.

Draws expressions, zones and moments, has the server list the next runs of
each, and compares with what this program finds by walking through local
minutes one after another with the time zones of Python.

    cron_oracle.py --psql PSQL [--cases N] [--seed N]
"""
import argparse
import calendar
import json
import random
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

UTC = timezone.utc
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
         "Asia/Kathmandu", "UTC", "America/St_Johns", "Africa/Casablanca"]
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
RUNS = 6
YEARS = 9                   # how far the oracle looks


class Field:
    """The plain part of a field: a set of numbers."""

    def __init__(self, text, low, high, names=()):
        self.star = text[0] in "*?"
        self.set, self.special = set(), []
        for item in text.split(","):
            self.add(item.lower(), low, high, names)

    def add(self, item, low, high, names):
        def number(word):
            return names.index(word) + (1 if low == 1 else 0) if word in names else int(word)
        if item not in names and (item[0] == "l" or item[-1] in "wl" or "#" in item):
            self.special.append(item)
            return
        body, _, step = item.partition("/")
        if body in "*?":
            first, last = low, high
        elif "-" in body:
            first, last = map(number, body.split("-"))
            if names is DAYS and last == 0:
                last = 7
        else:
            first = last = number(body)
            if step:
                last = max(first, high)
        self.set |= set(range(first, last + 1, int(step or 1)))


class Cron:
    def __init__(self, text):
        parts = text.split()
        if len(parts) == 5:
            parts.insert(0, "0")
        self.second = Field(parts[0], 0, 59).set
        self.minute = Field(parts[1], 0, 59).set
        self.hour = Field(parts[2], 0, 23).set
        self.day = Field(parts[3], 1, 31)
        self.month = Field(parts[4], 1, 12, MONTHS).set
        self.weekday = Field(parts[5], 0, 6, DAYS)
        self.weekday.set = {n % 7 for n in self.weekday.set}
        self.times = sorted(timedelta(hours=h, minutes=m, seconds=s)
                            for h in self.hour for m in self.minute for s in self.second)

    def meant(self, day):
        if day.month not in self.month:
            return False
        by_day = day.day in self.day.set or any(
            special_day(s, day) for s in self.day.special)
        weekday = (day.weekday() + 1) % 7
        by_weekday = weekday in self.weekday.set or any(
            special_weekday(s, day, weekday) for s in self.weekday.special)
        if self.day.star or self.weekday.star:
            return by_day and by_weekday
        return by_day or by_weekday


def last_of(day):
    return calendar.monthrange(day.year, day.month)[1]


def special_day(item, day):
    last = last_of(day)
    if item == "l":
        return day.day == last
    if item.startswith("l-"):
        return day.day == last - int(item[2:])
    wanted = last if item == "lw" else int(item[:-1])
    if wanted > last:
        return False
    # The weekday of this month that is the fewest days away.
    best = min((n for n in range(1, last + 1) if day.replace(day=n).weekday() < 5),
               key=lambda n: (abs(n - wanted), n))
    if item == "lw":
        best = max(n for n in range(1, last + 1) if day.replace(day=n).weekday() < 5)
    return day.day == best


def special_weekday(item, day, weekday):
    if item.endswith("l"):
        return weekday == int(item[:-1]) % 7 and day.day + 7 > last_of(day)
    which, nth = map(int, item.split("#"))
    return weekday == which % 7 and (day.day + 6) // 7 == nth


def moments(local, zone):
    """The moments at which clocks of a zone show a time: none, one or two."""
    found = []
    for fold in (0, 1):
        moment = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == local and moment not in found:
            found.append(moment)
    return sorted(found)


def after_gap(local, zone):
    """The moment at which clocks skip a local time: walk to it by seconds, coarsely first."""
    moment = local.replace(tzinfo=UTC) - timedelta(hours=30)
    for step in (timedelta(minutes=15), timedelta(seconds=1)):
        while (moment + step).astimezone(zone).replace(tzinfo=None) < local:
            moment += step
    return moment + timedelta(seconds=1)


def next_runs(text, zone_name, after):
    cron, zone = Cron(text), ZoneInfo(zone_name)
    every_hour = len(cron.hour) == 24
    day = (after.astimezone(zone) - timedelta(days=2)).date()
    found, limit = set(), day + timedelta(days=366 * YEARS)
    done = None
    while day < limit and (done is None or day <= done):
        if cron.meant(day):
            start = datetime(day.year, day.month, day.day)
            for time in cron.times:
                shown = moments(start + time, zone)
                if not shown and not every_hour:
                    shown = [after_gap(start + time, zone)]
                found |= {m for m in (shown if every_hour else shown[:1]) if m > after}
            if done is None and len(found) >= RUNS:
                done = day + timedelta(days=2)
        day += timedelta(days=1)
    return sorted(found)[:RUNS]


def draw_field(rng, low, high, names=(), star=0.4, dense=False):
    if rng.random() < star:
        return "*" if rng.random() < 0.7 else "*/%d" % rng.randint(2, max(2, (high - low) // 2))
    items = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        first, last = sorted((rng.randint(low, high), rng.randint(low, high)))
        kind = rng.random()
        if names and kind < 0.3:
            items.append(rng.choice(names))
        elif kind < 0.7:
            items.append(str(first))
        elif kind < 0.85:
            items.append("%d-%d" % (first, last))
        else:
            items.append("%d-%d/%d" % (first, last, rng.randint(1, 5)))
    return ",".join(items)


def draw_day(rng):
    kind = rng.random()
    if kind < 0.75:
        return draw_field(rng, 1, 31, star=0.7)
    return rng.choice(["L", "LW", "L-3", "15W", "1W", "31W", "L,15", "30W", "?"])


def draw_weekday(rng):
    kind = rng.random()
    if kind < 0.8:
        return draw_field(rng, 0, 6, DAYS, star=0.65)
    return rng.choice(["5L", "0L", "5#2", "1#1", "3#5", "7", "5-7", "sat-sun", "?", "1,7L"])


def draw_expression(rng):
    fields = [draw_field(rng, 0, 59, star=0.15), draw_field(rng, 0, 23, star=0.3),
              draw_day(rng), draw_field(rng, 1, 12, MONTHS, star=0.75), draw_weekday(rng)]
    if rng.random() < 0.5:      # about the hours in which clocks change
        fields[1] = rng.choice(["2", "1-3", "0-4", "1,2", "3", "2-3", "*"])
    if rng.random() < 0.15:
        fields.insert(0, draw_field(rng, 0, 59, star=0))
    return " ".join(fields)


def draw_after(rng, zone_name):
    moment = datetime(rng.randint(1990, 2035), 1, 1, tzinfo=UTC) + timedelta(
        seconds=rng.randint(0, 365 * 86400))
    if rng.random() < 0.6:      # shortly before a change of the clocks
        zone = ZoneInfo(zone_name)
        for _ in range(400):
            later = moment + timedelta(days=1)
            if later.astimezone(zone).utcoffset() != moment.astimezone(zone).utcoffset():
                return moment + timedelta(seconds=rng.randint(-86400, 100000))
            moment = later
    return moment


def ask(psql, cases):
    """What the server says to each case, as lists of moments; None: an error."""
    rows = json.dumps([{"no": n, "cron": c, "zone": z, "after": a.isoformat()}
                       for n, (c, z, a) in enumerate(cases)])
    sql = ("SET timezone = 'UTC'; CREATE FUNCTION pg_temp.runs(c text, z text, a timestamptz)"
           " RETURNS text LANGUAGE plpgsql AS $f$ BEGIN RETURN (SELECT"
           " string_agg(extract(epoch FROM run_at)::bigint::text, ',' ORDER BY run_at)"
           f" FROM uaef.next_runs(c, z, a, {RUNS}));"
           " EXCEPTION WHEN invalid_parameter_value THEN RETURN 'error'; END $f$;\n"
           "SELECT coalesce(pg_temp.runs(cron, zone, after), '') FROM jsonb_to_recordset($j$"
           + rows + '$j$) AS r (no int, cron text, zone text, after timestamptz) ORDER BY no;')
    said = subprocess.run([psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"], input=sql,
                          capture_output=True, text=True, check=True).stdout.split("\n")
    return said[:len(cases)]


def seen(said, after):
    """What the server says, as far as the oracle looks."""
    end = (after + timedelta(days=366 * YEARS - 4)).timestamp()
    return ",".join(n for n in said.split(",") if n and int(n) < end)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--psql", default="psql")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    cases = []
    while len(cases) < options.cases:
        zone = rng.choice(ZONES)
        cases.append((draw_expression(rng), zone, draw_after(rng, zone)))
    differ = never = 0
    for (text, zone, after), said in zip(cases, ask(options.psql, cases)):
        wanted = seen(",".join(str(int(m.timestamp()))
                               for m in next_runs(text, zone, after)), after)
        if said == "error" and wanted == "":
            never += 1          # a day that there never is, or not in nine years
        elif said == "error" or seen(said, after) != wanted:
            differ += 1
            print(f"{text!r} in {zone} after {after.isoformat()}:\n  server {said}\n  oracle {wanted}")
    print(f"{options.cases} cases, {differ} differ, {never} never come")
    return differ > 0


if __name__ == "__main__":
    sys.exit(main())
