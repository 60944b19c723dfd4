EXTENSION   = uaef
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(EXTENSION).control)
INSTALL_SQL = sql/$(EXTENSION)--$(EXTVERSION).sql

MODULE_big  = $(EXTENSION)
OBJS        = $(patsubst %.c,%.o,$(wildcard src/*.c))
PG_CFLAGS   = -std=gnu99 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
SHLIB_LINK  = -lcurl -lcrypto

# Numbered parts, concatenated in number order, make the install script.
PARTS       = $(sort $(wildcard sql/[0-9][0-9]_*.sql))
DATA        = $(wildcard sql/$(EXTENSION)--*--*.sql)
DATA_built  = $(INSTALL_SQL)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# PGXS tracks no header dependencies; the tree is small, so rebuild it all.
$(OBJS): $(wildcard src/*.h)

$(INSTALL_SQL): $(PARTS)
	cat $^ > $@
