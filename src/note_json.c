/*-------------------------------------------------------------------------
 *
 * note_json.c
 *	  Signed notes for people: as jsonb, with errors that say what is wrong.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "json_util.h"
#include "note_json.h"

/* Cosignatures claim no time after this. */
#define MAX_UNIX_TIME	INT64CONST(253402300799)	/* the year 9999 */

static char *from_utf8(const char *text);
static Jsonb *signature_json(const UaefNoteSignature *signature);
static Jsonb *checkpoint_json(const UaefCheckpoint *checkpoint);

UaefNoteKey *
uaef_note_keys(ArrayType *vkeys, int *nkeys)
{
	Datum	   *texts;
	bool	   *nulls;
	UaefNoteKey *keys;

	deconstruct_array(vkeys, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls,
					  nkeys);
	keys = palloc0(Max(1, *nkeys) * sizeof(UaefNoteKey));
	for (int i = 0; i < *nkeys; i++)
	{
		char	   *vkey;
		const char *problem = "it is null";

		if (!nulls[i])
		{
			vkey = TextDatumGetCString(texts[i]);
			vkey = pg_server_to_any(vkey, strlen(vkey), PG_UTF8);
			problem = uaef_note_parse_key(vkey, &keys[i]);
		}
		if (problem != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("key %d is not a public key", i + 1),
					 errdetail_internal("Its fault: %s.", problem),
					 errhint("A public key has the form NAME+HASH+BASE64, as \"uaef-signer vkey\" prints it.")));
	}
	return keys;
}

void
uaef_note_require(const char *text, UaefNote *note)
{
	char	   *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	const char *problem = uaef_note_parse(utf8, strlen(utf8), note);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("this is not a signed note"),
				 errdetail_internal("Its fault: %s.", problem)));
}

void
uaef_checkpoint_require(const char *text, UaefNote *note,
						UaefCheckpoint *checkpoint)
{
	const char *problem;

	uaef_note_require(text, note);
	problem = uaef_checkpoint_parse(note->text, checkpoint);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("this note is not a checkpoint"),
				 errdetail_internal("Its fault: %s.", problem)));
}

Jsonb *
uaef_note_json(text * text_of_note, ArrayType *vkeys)
{
	UaefNote	note;
	UaefCheckpoint checkpoint;
	UaefJson	json;
	JsonbParseState *list = NULL;
	JsonbValue *array;
	const char *problem;
	int			nkeys;
	UaefNoteKey *keys = uaef_note_keys(vkeys, &nkeys);

	uaef_note_require(text_to_cstring(text_of_note), &note);
	problem = uaef_note_verify(&note, keys, nkeys);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a signature of this note is bad"),
				 errdetail_internal("Its fault: %s.", problem)));

	uaef_json_begin(&json);
	uaef_json_text(&json, "text", from_utf8(note.text));
	if (uaef_checkpoint_parse(note.text, &checkpoint) == NULL)
		uaef_json_jsonb(&json, "checkpoint", checkpoint_json(&checkpoint));

	(void) pushJsonbValue(&list, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < note.nsignatures; i++)
	{
		JsonbValue	element;

		JsonbToJsonbValue(signature_json(&note.signatures[i]), &element);
		(void) pushJsonbValue(&list, WJB_ELEM, &element);
	}
	array = pushJsonbValue(&list, WJB_END_ARRAY, NULL);
	uaef_json_jsonb(&json, "signatures", JsonbValueToJsonb(array));
	return uaef_json_end(&json);
}

/*
 * A text of a note in the database's encoding.
 */
static char *
from_utf8(const char *text)
{
	return pg_any_to_server(text, strlen(text), PG_UTF8);
}

static Jsonb *
checkpoint_json(const UaefCheckpoint *checkpoint)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "origin", from_utf8(checkpoint->origin));
	uaef_json_int(&json, "tree_size", checkpoint->size);
	uaef_json_text(&json, "root", uaef_hex(checkpoint->root, UAEF_HASH_LEN));
	uaef_json_int(&json, "extensions", checkpoint->nextensions);
	return uaef_json_end(&json);
}

/*
 * Of a key that was not given, even the kind is not known.
 */
static Jsonb *
signature_json(const UaefNoteSignature *signature)
{
	const UaefNoteKey *key = signature->key;
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "name", from_utf8(signature->name));
	uaef_json_text(&json, "key_id", psprintf("%08x", signature->key_id));
	uaef_json_bool(&json, "verified", key != NULL);
	if (key != NULL)
		uaef_json_text(&json, "kind", key->kind == UAEF_KEY_COSIGNATURE
					   ? "cosignature" : "signature");
	if (key != NULL && key->kind == UAEF_KEY_COSIGNATURE &&
		signature->time > 0 && signature->time <= MAX_UNIX_TIME)
		uaef_json_time(&json, "at",
					   time_t_to_timestamptz((pg_time_t) signature->time));
	return uaef_json_end(&json);
}
