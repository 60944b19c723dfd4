# Rules of the install script that text can show; test/sql/catalog.sql asks the
# catalogs the rest.
#  - each function is made by CREATE FUNCTION (never OR REPLACE, which would
#    take over another's) and pins its search_path; an immutable one looks
#    nothing up, and ledger_chain and record_event say why they do not
#  - each named object has its COMMENT ON, and each function its REVOKE
#  - nothing is granted to PUBLIC
# usage: awk -f test/lint/sql.awk sql/NN_*.sql
FNR == 1 { statement = "" }
{ sub(/(^|[ \t])--.*/, "") }
!/./ && statement == "" { next }
{ if (statement == "") { at = FILENAME ":" FNR }
  statement = statement " " $0
  quotes += gsub(/\$\$/, "$$") }
/;[ \t]*$/ && quotes % 2 == 0 { check(statement); statement = ""; quotes = 0 }
END {
    for (name in made) if (!(name in noted)) bad = say(made[name], name " has no COMMENT ON")
    for (name in opened) if (!(name in closed)) bad = say(opened[name], name " is not REVOKEd from PUBLIC")
    exit bad
}

# object(TEXT, PATTERN): the name that follows PATTERN in TEXT, or "".
function object(text, pattern) {
    if (!match(text, pattern)) return ""
    text = substr(text, RSTART + RLENGTH)
    if (!match(text, /uaef\.[a-z_0-9]+/)) return ""
    return substr(text, RSTART, RLENGTH)
}

function check(text,   name) {
    gsub(/[ \t]+/, " ", text)
    if (text ~ /CREATE OR REPLACE/) bad = say(at, "CREATE OR REPLACE")
    if (text ~ /GRANT .* TO PUBLIC/) bad = say(at, "grant to PUBLIC")
    if ((name = object(text, "^ *CREATE FUNCTION ")) != "") {
        made[name] = opened[name] = at
        if (text !~ /SET search_path = pg_catalog, pg_temp/ &&
            text !~ / IMMUTABLE / && name !~ /^uaef\.(ledger_chain|record_event)$/)
            bad = say(at, name " does not pin its search_path")
    }
    if ((name = object(text, "^ *CREATE (UNLOGGED )?(TABLE|VIEW|SEQUENCE|TYPE|DOMAIN) ")) != "")
        made[name] = at
    if ((name = object(text, "^ *COMMENT ON (FUNCTION|TABLE|VIEW|SEQUENCE|TYPE|DOMAIN) ")) != "")
        noted[name] = 1
    if (text ~ /^ *REVOKE .* ON ALL FUNCTIONS IN SCHEMA uaef FROM PUBLIC/)
        for (name in opened) closed[name] = 1
    while (text ~ /^ *REVOKE .* FROM PUBLIC/ && match(text, /uaef\.[a-z_0-9]+/)) {
        closed[substr(text, RSTART, RLENGTH)] = 1
        sub(/uaef\.[a-z_0-9]+/, "", text)
    }
}

function say(where, what) { print where ": " what; return 1 }
