# What the scripts of test/ share: where the server is, who runs it, and how a
# cluster finds the extension without its being installed.  Sourced by bash.
#
# A server refuses to run as root, so root drops to an ordinary user, who may
# not be able to read the tree: whatever a cluster needs is copied to where
# that user can read it.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PG_CONFIG=${PG_CONFIG:-pg_config}
export PG_CONFIG
unset PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS PGDATA

die() { echo "$(basename "$0"): $*" >&2; exit 1; }

# ordinary_user: whom root drops to.
ordinary_user() {
	if id -u postgres >/dev/null 2>&1; then
		echo postgres
	else
		awk -F: '$3 >= 1000 && $3 < 60000 { print $1; exit }
				 $1 == "nobody" { last = $1 } END { print last }' /etc/passwd |
			head -n 1
	fi
}

# sanitize DIR: build with the address and undefined behaviour sanitizers, and
# load their library first into every program that "as" runs, which a server
# without them needs.  What they find ends the process, and is written to files
# DIR/sanitizer.PID.
sanitize() {
	COPT="${COPT:-} -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
	export COPT
	sanitizers=(LD_PRELOAD="$(gcc -print-file-name=libasan.so)"
		ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:log_path=$1/sanitizer"
		UBSAN_OPTIONS="print_stacktrace=1:abort_on_error=1:log_path=$1/sanitizer")
	as / timeout 10 "$(bindir)/initdb" --version >/dev/null &&
		as / timeout 10 "$(bindir)/postgres" --version >/dev/null ||
		die "this server does not run with the sanitizers (Debian's does not, for the libraries of its LDAP): use one that was built from source"
}
sanitizers=()

# as DIR COMMAND...: run it in DIR as the ordinary user.
as() {
	local dir=$1
	shift
	[ "${#sanitizers[@]}" = 0 ] || set -- env "${sanitizers[@]}" "$@"
	if [ "$(id -u)" = 0 ]; then
		local user
		user=$(ordinary_user)
		(cd "$dir" && exec setpriv --reuid="$user" --regid="$(id -g "$user")" \
			--init-groups env HOME="$dir" USER="$user" LOGNAME="$user" "$@")
	else
		(cd "$dir" && exec "$@")
	fi
}

# give DIR...: let the ordinary user own it.
give() {
	if [ "$(id -u)" = 0 ]; then chown -R "$(ordinary_user)" "$@"; fi
}

bindir() { "$PG_CONFIG" --bindir; }

free_port() {
	perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(
		LocalAddr => "127.0.0.1", Listen => 1)->sockport'
}

# stage DIR: build, and install under DIR.  PostgreSQL 18 has
# extension_control_path, by which a server finds an extension there; Debian's
# and Ubuntu's builds of older versions have extension_destdir.  A server that
# has neither is copied, and the copy has the extension: PG_CONFIG then names it.
stage() {
	local server=$1/server
	make -s -j "$(nproc 2>/dev/null || echo 1)" -C "$top" all
	if grep -qE 'extension_(control_path|destdir)' "$(bindir)/postgres"; then
		make -s -C "$top" install DESTDIR="$1" >/dev/null
		return
	fi
	if [ "$PG_CONFIG" != "$server/bin/pg_config" ]; then
		mkdir -p "$server"
		(cd "$(bindir)/.." && tar cf - bin include lib share) | tar xf - -C "$server"
		PG_CONFIG=$server/bin/pg_config
	fi
	make -s -C "$top" install >/dev/null
}

# stage_conf DIR: the settings that make a server load what stage put there.
stage_conf() {
	if grep -q extension_control_path "$(bindir)/postgres"; then
		echo "dynamic_library_path = '$1$("$PG_CONFIG" --pkglibdir):\$libdir'"
		echo "extension_control_path = '$1$("$PG_CONFIG" --sharedir):\$system'"
	elif grep -q extension_destdir "$(bindir)/postgres"; then
		echo "dynamic_library_path = '$1$("$PG_CONFIG" --pkglibdir):\$libdir'"
		echo "extension_destdir = '$1'"
	fi
	cat "$top/test/uaef.conf"
}

# new_cluster DIR SOCKETDIR PORT: initdb in DIR/data, settings, not started.
# DIR must belong to the ordinary user and hold "install", made by stage.
new_cluster() {
	as "$1" "$(bindir)/initdb" -D data -A trust -U postgres -E UTF8 \
		--no-locale --no-sync >/dev/null
	{
		echo "port = $3"
		echo "listen_addresses = '127.0.0.1'"
		echo "unix_socket_directories = '$2'"
		stage_conf "$1/install"
	} | as "$1" tee -a data/postgresql.conf >/dev/null
}
