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

# as DIR COMMAND...: run it in DIR as the ordinary user.
as() {
	local dir=$1
	shift
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

# stage DIR: build, and install under DIR.
stage() {
	make -s -j "$(nproc 2>/dev/null || echo 1)" -C "$top" all
	make -s -C "$top" install DESTDIR="$1" >/dev/null
}

# stage_conf DIR: the settings that make a server load what stage put there.
# PostgreSQL 18 has extension_control_path for it; Debian's and Ubuntu's builds
# of older versions have extension_destdir.
stage_conf() {
	echo "dynamic_library_path = '$1$("$PG_CONFIG" --pkglibdir):\$libdir'"
	if grep -q extension_control_path "$(bindir)/postgres"; then
		echo "extension_control_path = '$1$("$PG_CONFIG" --sharedir):\$system'"
	elif grep -q extension_destdir "$(bindir)/postgres"; then
		echo "extension_destdir = '$1'"
	else
		die "this server finds no extension but in its own directories: use make install and make installcheck"
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
