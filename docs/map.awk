# Write src/README.md anew: what stands above the line "<!-- map -->", then a
# table of the files in the order of FLOORS, each with the subject that its
# header comment gives.
# usage: awk -f docs/map.awk src/README.md src/FLOORS
FILENAME ~ /README/ { if (!mapped) print; if (/^<!-- map -->$/) mapped = 1; next }
$1 != floor { floor = $1; printf "\n### %s\n\n| file | subject |\n|---|---|\n", floor }
{ for (i = 2; i <= NF; i++) describe($i) }

function describe(name,   files, subject) {
    subject = of("src/" name ".c")
    files = (subject == "" ? name ".h" : name ".c")
    if (subject == "") subject = of("src/" name ".h")
    print "| " files " | " subject " |"
}

# The first paragraph of a file's header comment.
function of(path,   line, subject, at) {
    while ((getline line < path) > 0 && line !~ /^ \*--/) {
        if (line ~ /^ \*\t /) { at = 1; sub(/^ \*[ \t]*/, "", line); subject = subject (subject ? " " : "") line }
        else if (at) break
    }
    close(path)
    return subject
}
