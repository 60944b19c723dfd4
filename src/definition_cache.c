/*-------------------------------------------------------------------------
 *
 * definition_cache.c
 *	  Compiled definitions, kept by each backend.
 *
 * A stored definition never changes, so an entry is never stale.  The key has
 * the OID of the table too: after DROP EXTENSION and CREATE EXTENSION the same
 * numbers mean other definitions.
 *
 * Which definition a name stands for, and whether it is held, does change: what
 * was looked up is kept until a statement has changed one of the two tables,
 * which triggers tell every session of, at the end of their transaction.
 *
 * Memory: each definition has a context of its own under the cache's.  Entries
 * that the current transaction has not asked for make room for others when
 * the cache is full.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "definition.h"
#include "errcodes.h"
#include "near_name.h"
#include "spi_util.h"

/* Definitions kept, unless one transaction needs more of them. */
#define MAX_CACHED 512

typedef struct CacheKey
{
	Oid			table;
	int32		definition_id;
} CacheKey;

typedef struct CacheEntry
{
	CacheKey	key;
	UaefDefinition *definition;
	MemoryContext context;
	TimestampTz used;			/* start of the transaction that last asked */
} CacheEntry;

/* The cache; NULL before the first use. */
static HTAB *cache = NULL;
static MemoryContext cache_context = NULL;

/* Names kept, and how long they may be. */
#define MAX_NAMES		1024
#define MAX_NAME_BYTES	204

typedef struct NameKey
{
	char		name[MAX_NAME_BYTES];	/* the rest zero */
	int32		version;
} NameKey;

typedef struct NameEntry
{
	NameKey		key;
	int32		definition_id;
	bool		held;
} NameEntry;

/*
 * The names looked up as of n_seen changes of the tables; NULL before the
 * first use.
 */
static HTAB *names = NULL;
static Oid	names_tables[2];
static uint64 n_changes = 1;
static uint64 n_seen = 0;

static UaefQuery load_definition = {
	"SELECT name, version, definition FROM uaef.workflow_definition"
	" WHERE definition_id = $1",
	1, {INT4OID}
};
static UaefQuery find_definition = {
	"SELECT definition_id, EXISTS"
	" (SELECT FROM uaef.workflow_hold WHERE workflow = $1)"
	" FROM uaef.workflow_definition"
	" WHERE name = $1 AND ($2 = 0 OR version = $2)"
	" ORDER BY version DESC LIMIT 1",
	2, {TEXTOID, INT4OID}
};
static UaefQuery list_names = {
	"SELECT DISTINCT name FROM uaef.workflow_definition ORDER BY name LIMIT 10000",
	0
};

PG_FUNCTION_INFO_V1(uaef_workflow_names_changed);

static void make_cache(void);
static void note_change(Datum arg, Oid relid);
static void make_room(void);
static UaefDefinition *load(int32 definition_id);

const UaefDefinition *
uaef_definition_get(int32 definition_id)
{
	CacheKey	key = {get_relname_relid("workflow_definition",
										 get_namespace_oid("uaef", false)),
	definition_id};
	CacheEntry *entry;
	MemoryContext context;
	MemoryContext old;
	UaefDefinition *definition;

	if (cache == NULL)
		make_cache();
	entry = hash_search(cache, &key, HASH_FIND, NULL);
	if (entry != NULL)
	{
		entry->used = GetCurrentTransactionStartTimestamp();
		return entry->definition;
	}

	/* Until it is whole, the context goes away with an error. */
	context = AllocSetContextCreate(CurrentMemoryContext, "uaef definition",
									ALLOCSET_SMALL_MINSIZE,
									ALLOCSET_SMALL_INITSIZE,
									ALLOCSET_DEFAULT_MAXSIZE);
	old = MemoryContextSwitchTo(context);
	definition = load(definition_id);
	MemoryContextSwitchTo(old);

	make_room();
	entry = hash_search(cache, &key, HASH_ENTER, NULL);
	MemoryContextSetParent(context, cache_context);
	entry->definition = definition;
	entry->context = context;
	entry->used = GetCurrentTransactionStartTimestamp();
	return definition;
}

static void
make_cache(void)
{
	HASHCTL		control = {0};

	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(TopMemoryContext,
											  "uaef definitions",
											  ALLOCSET_DEFAULT_SIZES);
	control.keysize = sizeof(CacheKey);
	control.entrysize = sizeof(CacheEntry);
	control.hcxt = cache_context;
	cache = hash_create("uaef definitions", 64, &control,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * When the cache is full, forget what this transaction has not asked for:
 * nobody can hold a pointer to it.
 */
static void
make_room(void)
{
	HASH_SEQ_STATUS scan;
	CacheEntry *entry;

	if (hash_get_num_entries(cache) < MAX_CACHED)
		return;
	hash_seq_init(&scan, cache);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->used == GetCurrentTransactionStartTimestamp())
			continue;
		MemoryContextDelete(entry->context);
		(void) hash_search(cache, &entry->key, HASH_REMOVE, NULL);
	}
}

/*
 * Read and compile, in the current context.
 */
static UaefDefinition *
load(int32 definition_id)
{
	Datum		args[] = {Int32GetDatum(definition_id)};
	UaefCaller	caller = uaef_spi_begin();
	UaefDefinition *definition;
	char	   *name;
	int32		version;
	Jsonb	   *document;

	if (uaef_spi_run(&load_definition, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_WORKFLOW),
				 errmsg("workflow definition %d does not exist",
						definition_id)));
	name = uaef_spi_text(0, 1);
	version = uaef_spi_int32(0, 2);
	document = uaef_spi_jsonb(0, 3);
	uaef_spi_end(caller);

	definition = uaef_definition_compile(name, document, false);
	definition->definition_id = definition_id;
	definition->version = version;
	return definition;
}

/*
 * Trigger of the tables that names are looked up in, for each statement that
 * changes them.
 */
Datum
uaef_workflow_names_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called as a trigger")));
	CacheInvalidateRelcache(trigger->tg_relation);
	return PointerGetDatum(NULL);
}

/*
 * May come at any time: only take a note.
 */
static void
note_change(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == names_tables[0] ||
		relid == names_tables[1])
		n_changes++;
}

/*
 * Have an empty table of names, since something has changed.
 */
static void
forget_names(void)
{
	HASHCTL		control = {
		.keysize = sizeof(NameKey),
		.entrysize = sizeof(NameEntry),
		.hcxt = TopMemoryContext
	};
	Oid			schema = get_namespace_oid("uaef", false);

	if (names == NULL)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	else
		hash_destroy(names);
	names_tables[0] = get_relname_relid("workflow_definition", schema);
	names_tables[1] = get_relname_relid("workflow_hold", schema);
	names = hash_create("uaef workflow names", 64, &control,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	n_seen = n_changes;
}

/*
 * What is kept of a name; NULL when nothing is.
 */
static NameEntry *
find_name(const NameKey *key)
{
	AcceptInvalidationMessages();
	if (names == NULL || n_seen != n_changes ||
		hash_get_num_entries(names) >= MAX_NAMES)
		forget_names();
	return hash_search(names, key, HASH_FIND, NULL);
}

static int32
read_name(const char *name, int32 version, bool *held)
{
	Datum		args[] = {CStringGetTextDatum(name), Int32GetDatum(version)};
	UaefCaller	caller = uaef_spi_begin();
	int32		definition_id = 0;

	if (uaef_spi_run(&find_definition, args, NULL) > 0)
	{
		definition_id = uaef_spi_int32(0, 1);
		*held = uaef_spi_bool(0, 2);
	}
	uaef_spi_end(caller);
	return definition_id;
}

/*
 * The id of a definition, or 0, and whether executions of it are held back.  A
 * transaction that shall see what was at its beginning looks for itself.
 */
static int32
look_up(const char *name, int32 version, bool *held)
{
	NameKey		key = {{0}};
	NameEntry  *entry;
	int32		definition_id;

	if (IsolationUsesXactSnapshot() || strlen(name) >= MAX_NAME_BYTES)
		return read_name(name, version, held);
	strcpy(key.name, name);
	key.version = version;
	entry = find_name(&key);
	if (entry != NULL)
	{
		*held = entry->held;
		return entry->definition_id;
	}
	definition_id = read_name(name, version, held);
	if (definition_id != 0 && n_seen == n_changes)
	{
		entry = hash_search(names, &key, HASH_ENTER, NULL);
		entry->definition_id = definition_id;
		entry->held = *held;
	}
	return definition_id;
}

int32
uaef_definition_look_up(const char *name, int32 version)
{
	bool		held;

	return look_up(name, version, &held);
}

int32
uaef_definition_look_up_held(const char *name, bool *held)
{
	return look_up(name, 0, held);
}

int32
uaef_definition_find(const char *name, int32 version)
{
	bool		held;

	return uaef_definition_find_start(name, version, &held);
}

const char *
uaef_definition_hint(const char *name)
{
	return uaef_name_hint(name, &list_names, NULL,
						  "Use uaef.create_workflow() to create it.");
}

void
uaef_definition_undefined(const char *name)
{
	const char *hint = uaef_definition_hint(name);

	ereport(ERROR,
			(errcode(ERRCODE_UAEF_UNDEFINED_WORKFLOW),
			 errmsg("workflow \"%s\" does not exist", name),
			 errhint("%s", hint)));
}

int32
uaef_definition_find_start(const char *name, int32 version, bool *held)
{
	int32		definition_id = look_up(name, version, held);
	int32		newest = 0;

	if (definition_id != 0)
		return definition_id;
	if (version != 0)
		newest = look_up(name, 0, held);
	if (newest == 0)
		uaef_definition_undefined(name);
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_UNDEFINED_WORKFLOW),
			 errmsg("workflow \"%s\" has no version %d", name, version),
			 errhint("Its newest version is %d, which starts when no version is given.",
					 uaef_definition_get(newest)->version)));
}
