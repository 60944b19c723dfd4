# Fail if a function is longer than 70 lines or a file than 1000.
# usage: awk -f test/lint/sizes.awk FILES
FNR == 1  { start = 0 }
/^\{/     { start = FNR }
/^\}/     { if (start && FNR - start > 70 && FILENAME ~ /\.c$/)
                bad = say(FILENAME ":" start, "function of " FNR - start " lines, 70 at most")
            start = 0 }
FNR == 1001 { bad = say(FILENAME, "longer than 1000 lines") }
END { exit bad }
function say(where, what) { print where ": " what; return 1 }
