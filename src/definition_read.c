/*-------------------------------------------------------------------------
 *
 * definition_read.c
 *	  Reading the JSON of a definition: typed, strict, with good errors.
 *
 * Memory: all that is returned is palloc'd in the current context, which is
 * the definition's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "definition_read.h"
#include "errcodes.h"
#include "json_util.h"

/* Longest duration: ten years. */
#define MAX_DURATION_MS (INT64CONST(3653) * 86400 * 1000)

/* How much of a wrong value a message shows, in bytes. */
#define MAX_SHOWN 80

static char *list_words(const char *const *words);
static void note_path(const UaefPath *path, void *arg);
static void set_reader(const UaefObject *object, const char *key);

/*----------
 * Objects and values
 * ----------
 */

/*
 * What stands before the name of a value's type: null is no name of many.
 */
static const char *
article(const JsonbValue *value)
{
	if (value->type == jbvNull)
		return "";
	return strchr("aeiou", *uaef_value_type(value)) ? "an " : "a ";
}

UaefObject
uaef_read_object(UaefBuilder *builder, JsonbValue *value,
				 const char *const *keys, const char *where)
{
	UaefObject	object = {builder, NULL, where};
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;

	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s must be an object, not %s%s", where,
						article(value), uaef_value_type(value))));
	object.container = value->val.binary.data;

	iterator = JsonbIteratorInit(object.container);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		int			i = 0;

		if (token != WJB_KEY)
			continue;
		while (keys[i] != NULL &&
			   (strlen(keys[i]) != key.val.string.len ||
				memcmp(keys[i], key.val.string.val, key.val.string.len) != 0))
			i++;
		if (keys[i] == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("unknown key \"%.*s\" in %s", key.val.string.len,
							key.val.string.val, where),
					 keys[0] == NULL ? errhint("It takes no keys.") :
					 errhint("Its keys are: %s.", list_words(keys))));
	}
	return object;
}

static char *
list_words(const char *const *words)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; words[i] != NULL; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", words[i]);
	return list.data;
}

bool
uaef_read_value(const UaefObject *object, const char *key, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(object->container, key, strlen(key),
										value) != NULL &&
		value->type != jbvNull;
}

void
uaef_read_missing(const UaefObject *object, const char *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_DEFINITION),
			 errmsg("missing key \"%s\" in %s", key, object->where)));
}

void
uaef_read_wrong(const UaefObject *object, const char *key, const char *must_be)
{
	JsonbValue	value;
	char	   *text;

	if (!uaef_read_value(object, key, &value))
		uaef_read_missing(object, key);
	text = JsonbToCString(NULL, &uaef_json_from_value(&value)->root, 0);

	if (strlen(text) > MAX_SHOWN)
		text = psprintf("%.*s...",
						pg_mbcliplen(text, strlen(text), MAX_SHOWN), text);

	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_DEFINITION),
			 errmsg("\"%s\" in %s must be %s", key, object->where, must_be),
			 errdetail("It is %s.", text)));
}

/*----------
 * Scalars
 * ----------
 */

char *
uaef_read_text(const UaefObject *object, const char *key, bool required)
{
	JsonbValue	value;

	if (!uaef_read_value(object, key, &value))
	{
		if (required)
			uaef_read_missing(object, key);
		return NULL;
	}
	if (value.type != jbvString || value.val.string.len == 0)
		uaef_read_wrong(object, key, "a string that is not empty");
	return pnstrdup(value.val.string.val, value.val.string.len);
}

bool
uaef_read_bool(const UaefObject *object, const char *key, bool fallback)
{
	JsonbValue	value;

	if (!uaef_read_value(object, key, &value))
		return fallback;
	if (value.type != jbvBool)
		uaef_read_wrong(object, key, "true or false");
	return value.val.boolean;
}

int
uaef_read_int(const UaefObject *object, const char *key, int fallback,
			  int min, int max)
{
	JsonbValue	value;
	char	   *end = "";
	long		number = 0;

	if (!uaef_read_value(object, key, &value))
		return fallback;
	errno = 0;
	if (value.type == jbvNumeric)
		number = strtol(numeric_normalize(value.val.numeric), &end, 10);
	if (value.type != jbvNumeric || *end != '\0' || errno != 0 ||
		number < min || number > max)
		uaef_read_wrong(object, key,
						psprintf("an integer between %d and %d", min, max));
	return (int) number;
}

double
uaef_read_double(const UaefObject *object, const char *key, double fallback,
				 double min, double max)
{
	JsonbValue	value;
	double		number = 0;

	if (!uaef_read_value(object, key, &value))
		return fallback;
	if (value.type == jbvNumeric)
		number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
													NumericGetDatum(value.val.numeric)));
	if (value.type != jbvNumeric || !(number >= min && number <= max))
		uaef_read_wrong(object, key,
						psprintf("a number between %g and %g", min, max));
	return number;
}

int64
uaef_read_duration(const UaefObject *object, const char *key, int64 fallback)
{
	JsonbValue	value;
	char	   *text;

	if (uaef_read_value(object, key, &value) && value.type != jbvString)
		uaef_read_wrong(object, key,
						"a duration in a string, such as \"30s\" or \"2 days\"");
	text = uaef_read_text(object, key, false);
	return text == NULL ? fallback :
		uaef_duration_ms(text, psprintf("\"%s\" in %s", key, object->where));
}

int
uaef_read_choice(const UaefObject *object, const char *key,
				 const char *const *words, int fallback)
{
	char	   *text = uaef_read_text(object, key, false);

	if (text == NULL)
		return fallback;
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	uaef_read_wrong(object, key, psprintf("one of: %s", list_words(words)));
}

int
uaef_read_join(const UaefObject *object, const char *key)
{
	JsonbValue	value;

	if (!uaef_read_value(object, key, &value))
		return 0;
	if (value.type == jbvString)
	{
		static const char *const words[] = {"all", "any", NULL};

		return uaef_read_choice(object, key, words, 0);
	}
	if (value.type != jbvNumeric)
		uaef_read_wrong(object, key, "\"all\", \"any\" or a number");
	return uaef_read_int(object, key, 0, 1, 1000000);
}

/*
 * Any interval of PostgreSQL; a month is 30 days, a day 24 hours.
 */
static double
interval_ms(const char *text)
{
	Interval   *interval;

	interval = DatumGetIntervalP(DirectFunctionCall3(interval_in,
													 CStringGetDatum(text),
													 ObjectIdGetDatum(InvalidOid),
													 Int32GetDatum(-1)));
	return ((double) interval->month * DAYS_PER_MONTH + interval->day) *
		SECS_PER_DAY * 1000.0 + interval->time / 1000.0;
}

int64
uaef_duration_ms(const char *text, const char *where)
{
	MemoryContext context = CurrentMemoryContext;
	volatile double ms = 0;

	PG_TRY();
	{
		ms = interval_ms(text);
		if (!(ms > 0 && ms <= MAX_DURATION_MS))
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("\"%s\" is no duration that can be waited for", text),
					 errdetail("A duration is longer than nothing and at most ten years.")));
	}
	PG_CATCH();
	{
		uaef_read_rethrow(context, where,
						  "Write an interval, such as \"30s\", \"5min\" or \"2 days\".");
	}
	PG_END_TRY();
	return (int64) ceil(ms);
}

/*----------
 * Arrays
 * ----------
 */

JsonbContainer *
uaef_read_array(const UaefObject *object, const char *key, bool required,
				int *length)
{
	JsonbValue	value;

	*length = 0;
	if (!uaef_read_value(object, key, &value))
	{
		if (required)
			uaef_read_missing(object, key);
		return NULL;
	}
	if (value.type != jbvBinary ||
		!JsonContainerIsArray(value.val.binary.data))
		uaef_read_wrong(object, key, "an array");
	*length = JsonContainerSize(value.val.binary.data);
	return value.val.binary.data;
}

JsonbValue
uaef_read_element(JsonbContainer *array, int i)
{
	JsonbValue *value = getIthJsonbValueFromContainer(array, i);
	JsonbValue	copy;

	Assert(value != NULL);
	copy = *value;
	pfree(value);
	return copy;
}

int
uaef_read_texts(const UaefObject *object, const char *key, char ***texts)
{
	int			n;
	JsonbContainer *array = uaef_read_array(object, key, false, &n);

	*texts = NULL;
	if (array == NULL)
		return -1;
	*texts = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		JsonbValue	value = uaef_read_element(array, i);

		if (value.type != jbvString || value.val.string.len == 0)
			uaef_read_wrong(object, key, "an array of strings");
		(*texts)[i] = pnstrdup(value.val.string.val, value.val.string.len);
	}
	return n;
}

/*----------
 * Templates and conditions
 * ----------
 */

static void *
compile_template(JsonbValue *value)
{
	return uaef_template_compile(uaef_json_from_value(value));
}

static void *
compile_text(JsonbValue *value)
{
	return uaef_template_compile_text(pnstrdup(value->val.string.val,
											   value->val.string.len));
}

static void *
compile_condition(JsonbValue *value)
{
	return uaef_condition_compile(uaef_json_from_value(value), false, NULL);
}

/*
 * Compile the value of a key, so that an error tells where it stands.
 */
static void *
compile(const UaefObject *object, const char *key, JsonbValue *value,
		void *(*compile_value) (JsonbValue *value))
{
	MemoryContext context = CurrentMemoryContext;
	void	   *volatile program = NULL;

	PG_TRY();
	{
		program = compile_value(value);
	}
	PG_CATCH();
	{
		uaef_read_rethrow(context,
						  psprintf("\"%s\" in %s", key, object->where),
						  NULL);
	}
	PG_END_TRY();
	set_reader(object, key);
	return program;
}

UaefTemplate *
uaef_read_template(const UaefObject *object, const char *key)
{
	UaefTemplate *tmpl;
	JsonbValue	value;

	if (!uaef_read_value(object, key, &value))
		return NULL;
	tmpl = compile(object, key, &value, compile_template);
	uaef_template_paths(tmpl, note_path, object->builder);
	return tmpl;
}

UaefTemplate *
uaef_read_text_template(const UaefObject *object, const char *key)
{
	UaefTemplate *tmpl;
	JsonbValue	value;

	if (uaef_read_text(object, key, false) == NULL)
		return NULL;
	(void) uaef_read_value(object, key, &value);
	tmpl = compile(object, key, &value, compile_text);
	uaef_template_paths(tmpl, note_path, object->builder);
	return tmpl;
}

UaefCondition *
uaef_read_condition(const UaefObject *object, const char *key, bool required)
{
	UaefCondition *condition;
	JsonbValue	value;

	if (!uaef_read_value(object, key, &value))
	{
		if (required)
			uaef_read_missing(object, key);
		return NULL;
	}
	condition = compile(object, key, &value, compile_condition);
	uaef_condition_paths(condition, note_path, object->builder);
	return condition;
}

static void
set_reader(const UaefObject *object, const char *key)
{
	object->builder->reader.key = key;
	object->builder->reader.where = object->where;
}

/*
 * Visitor of paths: keep each, to be checked when the graph is known.
 */
static void
note_path(const UaefPath *path, void *arg)
{
	UaefBuilder *builder = arg;

	if (builder->n_uses == builder->max_uses)
	{
		builder->max_uses = Max(64, builder->max_uses * 2);
		builder->uses = builder->uses == NULL ?
			palloc(sizeof(UaefPathUse) * builder->max_uses) :
			repalloc_huge(builder->uses,
						  sizeof(UaefPathUse) * (Size) builder->max_uses);
	}
	builder->uses[builder->n_uses] = builder->reader;
	builder->uses[builder->n_uses++].path = path;
}

Jsonb *
uaef_read_document(const UaefObject *object, const char *key)
{
	JsonbValue	value;

	if (!uaef_read_value(object, key, &value))
		return NULL;
	if (value.type != jbvBinary ||
		!JsonContainerIsObject(value.val.binary.data))
		uaef_read_wrong(object, key, "an object");
	return uaef_json_from_value(&value);
}

UaefSchema *
uaef_read_schema(const UaefObject *object, const char *key)
{
	JsonbValue	value;

	if (!uaef_read_value(object, key, &value))
		return NULL;
	return uaef_schema_compile(uaef_json_from_value(&value),
							   psprintf("\"%s\" in %s", key, object->where));
}

void
uaef_read_rethrow(MemoryContext context, const char *where, const char *hint)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	/* where may lie in the error context, which flushing empties */
	error->message = psprintf("%s: %s", where, error->message);
	FlushErrorState();
	if (error->hint == NULL && hint != NULL)
		error->hint = pstrdup(hint);
	ReThrowError(error);
}

void
uaef_read_rethrow_argument(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	if (error->sqlerrcode == ERRCODE_UAEF_BAD_DEFINITION)
		error->sqlerrcode = ERRCODE_INVALID_PARAMETER_VALUE;
	ReThrowError(error);
}
