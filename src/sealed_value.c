/*-------------------------------------------------------------------------
 *
 * sealed_value.c
 *	  Values of an app's tables, sealed with the keys of the secrets.
 *
 * Memory: the opened text is what is returned; copies are wiped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "compat.h"
#include "errcodes.h"
#include "sealed_value.h"
#include "secret_key.h"

static StringInfoData bytes_beside(const char *context, const char *key_id);
pg_noreturn static void cannot_open(void);

static StringInfoData
bytes_beside(const char *context, const char *key_id)
{
	StringInfoData beside;

	initStringInfo(&beside);
	uaef_seal_put_beside(&beside, "uaef value");
	uaef_seal_put_beside(&beside, context);
	uaef_seal_put_beside(&beside, key_id);
	return beside;
}

bytea *
uaef_value_seal(const char *value, const char *context)
{
	const UaefSecretKey *key = uaef_secret_key_newest();
	StringInfoData beside = bytes_beside(context, key->id);
	char	   *utf8 = pg_server_to_any(unconstify(char *, value),
										strlen(value), PG_UTF8);
	size_t		len = strlen(utf8);
	size_t		id_len = strlen(key->id);
	size_t		sealed_len = VARHDRSZ + 1 + id_len + len + UAEF_SEAL_OVERHEAD;
	bytea	   *sealed = palloc(sealed_len);
	uint8	   *at = (uint8 *) VARDATA(sealed);

	SET_VARSIZE(sealed, sealed_len);
	*at++ = id_len;
	memcpy(at, key->id, id_len);
	uaef_seal(key->key, beside.data, beside.len, utf8, len, at + id_len);
	if (utf8 != value)
		explicit_bzero(utf8, len);
	return sealed;
}

static void
cannot_open(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_CANNOT_OPEN),
			 errmsg("the value cannot be opened"),
			 errdetail("It was not sealed with the key of its id and this context, or was changed since.")));
}

char *
uaef_value_open(bytea *sealed, const char *context)
{
	const uint8 *at = (const uint8 *) VARDATA_ANY(sealed);
	size_t		len = VARSIZE_ANY_EXHDR(sealed);
	size_t		id_len = len > 0 ? *at : 0;
	char		id[UAEF_KEY_ID_LEN + 1];
	const UaefSecretKey *key;
	StringInfoData beside;
	char	   *utf8;
	char	   *value;

	if (id_len == 0 || id_len > UAEF_KEY_ID_LEN ||
		len < 1 + id_len + UAEF_SEAL_OVERHEAD)
		cannot_open();
	memcpy(id, at + 1, id_len);
	id[id_len] = '\0';
	if (strspn(id, UAEF_KEY_ID_CHARS) != id_len)
		cannot_open();
	key = uaef_secret_key_find(id);
	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNKNOWN_KEY),
				 errmsg("the value was sealed with a key that is not there"),
				 errhint("Add the value's key after the newest one to where the keys are, and reload.")));
	at += 1 + id_len;
	len -= 1 + id_len;
	utf8 = palloc(len - UAEF_SEAL_OVERHEAD + 1);
	beside = bytes_beside(context, id);
	if (!uaef_seal_open(key->key, beside.data, beside.len, at, len, utf8))
		cannot_open();
	utf8[len - UAEF_SEAL_OVERHEAD] = '\0';
	value = pg_any_to_server(utf8, strlen(utf8), PG_UTF8);
	if (value != utf8)
		explicit_bzero(utf8, strlen(utf8));
	return value;
}
