# uaef
#
#   make                build
#   make install        into the server that PG_CONFIG names
#   make installcheck   regression, isolation and TAP tests against that server
#
#   make test           every test in throw-away clusters; installs nothing
#                       (ONLY="regress:setup,ledger tap:010_x" picks some)
#   make test-long      the tests that take long: crashes, many executions
#   make demo           a real workflow, from nothing to a verified ledger
#   make psql           psql in a scratch cluster that is kept in ./scratch
#   make psql-stop      end that cluster and delete it
#   make bench          the measurements as tables, beside peers from npm
#                       (ONLY="peers" picks some; scale, soak are never all)
#   make lint, format   the rules of the house; apply the layout of the code
#   make docs, dist     docs/reference.md; an archive of the committed tree
#
# The second group works on a fresh machine: test/bootstrap gets what is
# missing before anything is built.

EXTENSION   = uaef
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(EXTENSION).control)
INSTALL_SQL = sql/$(EXTENSION)--$(EXTVERSION).sql

MODULE_big  = $(EXTENSION)
OBJS        = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
PG_CFLAGS   = -std=gnu99 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
SHLIB_LINK  = -lcurl -lcrypto

# Calls from file to file go straight there, and are not looked up by name when
# the library is loaded, which costs each session milliseconds.
ifeq ($(shell uname -s),Linux)
SHLIB_LINK += -Wl,-Bsymbolic-functions
endif

# Programs beside the extension, without server code: src/bin/uaef-X.c is the
# main file, uaef-X*.c and X_*.c are its own, common_*.c belong to all.
PROGRAMS      = $(sort $(patsubst src/bin/%.c,%,$(wildcard src/bin/uaef-signer.c src/bin/uaef-verify.c)))
PROGRAM_SRC   = $(sort $(wildcard src/bin/$(1)*.c src/bin/$(patsubst uaef-%,%,$(1))_*.c src/bin/common_*.c))
PROGRAM_FLAGS = -std=gnu99 -Wall -Wextra -Wdeclaration-after-statement -DUAEF_VERSION='"$(EXTVERSION)"'
SCRIPTS_built := $(PROGRAMS)

# Numbered parts, concatenated in number order, make the install script.
PARTS       = $(sort $(wildcard sql/[0-9][0-9]_*.sql))
DATA        = $(wildcard sql/$(EXTENSION)--*--*.sql)
DATA_built  = $(INSTALL_SQL)

# Every file in its place is a test; setup makes the extension, so it is first.
REGRESS     = setup $(filter-out setup,$(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql))))
REGRESS_OPTS = --inputdir=test
ISOLATION   = $(sort $(patsubst test/specs/%.spec,%,$(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=pgcrypto --load-extension=$(EXTENSION)
TAP_TESTS   = 1
PROVE_TESTS = test/t/*.pl
EXTRA_CLEAN = .built-for src/bin/*.o tmp_install tmp_check log results output_iso dist

all:

PG_CONFIG ?= pg_config
export PG_CONFIG

.PHONY: test test-long demo psql psql-stop bench lint format docs dist
test:
	@test/bootstrap
	@test/run $(ONLY)

test-long:
	@test/bootstrap
	@test/run long

demo:
	@test/bootstrap
	@test/demo/run

psql:
	@test/bootstrap
	@test/cluster start
	@test/cluster psql

psql-stop:
	@test/cluster stop

bench:
	@test/bootstrap
	@test/bench/all $(ONLY)

lint:
	@test/bootstrap lint
	@test/lint/run

format:
	@test/bootstrap lint
	@test/lint/typedefs
	@test/lint/format --apply src/*.c src/*.h src/bin/*.c src/bin/*.h

docs:
	@test/bootstrap
	@docs/generate

META.json: META.json.in $(EXTENSION).control
	sed 's/@VERSION@/$(EXTVERSION).0/' META.json.in > $@

dist: META.json
	mkdir -p dist
	git archive --prefix=$(EXTENSION)-$(EXTVERSION).0/ -o dist/$(EXTENSION)-$(EXTVERSION).0.zip HEAD

# pg_config may be there without PGXS, and PGXS without the server's headers.
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
SERVER_HEADER := $(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h)
ifneq ($(and $(PGXS),$(SERVER_HEADER)),)

# Bitcode would let JIT inline our functions, which never helps calls that
# read tables, and needs exactly the clang that the server was built with.
override with_llvm = no
include $(PGXS)

# PGXS tracks no header dependencies; the tree is small, so rebuild it all.
# So too for another server, and with the sanitizers.
BUILT_FOR := $(strip $(VERSION) $(filter -fsanitize%,$(COPT)))
ifneq ($(BUILT_FOR),$(shell cat .built-for 2>/dev/null))
$(shell echo '$(BUILT_FOR)' > .built-for)
endif
$(OBJS): $(wildcard src/*.h) .built-for

src/bin/%.o: src/bin/%.c $(wildcard src/bin/*.h) .built-for
	$(CC) $(PROGRAM_FLAGS) -O2 -g $(COPT) -c -o $@ $<

define program
$(1): $(patsubst %.c,%.o,$(call PROGRAM_SRC,$(1)))
	$$(CC) $$(COPT) -o $$@ $$^ -lcrypto -pthread
endef
$(foreach name,$(PROGRAMS),$(eval $(call program,$(name))))

$(INSTALL_SQL): $(PARTS)
	cat $^ > $@

# For test/lint/run: what the sources see, without the server's own warnings.
.PHONY: print-cflags print-program-flags
print-cflags:
	@echo $(PG_CFLAGS) -Wdeclaration-after-statement $(CPPFLAGS)
print-program-flags:
	@:$(info $(PROGRAM_FLAGS))

else

.PHONY: all install installcheck clean
all install installcheck:
	@echo "$(PG_CONFIG) names no PGXS with headers: install those of the PostgreSQL server, or run test/bootstrap" >&2
	@exit 1
clean:
	rm -rf $(OBJS) $(EXTENSION).so $(PROGRAMS) $(INSTALL_SQL) $(EXTRA_CLEAN)

endif
