/*-------------------------------------------------------------------------
 *
 * secret_file.c
 *	  Secrets out of files of the server, so that no statement has their text.
 *
 * Memory: the bytes of the file are wiped when they are parsed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "errcodes.h"
#include "secret.h"

#define MAX_FILE_LEN	65536

static char *read_file(const char *path);
static Jsonb *try_parse(const char *utf8);

/*
 * The whole file; not waiting for the writer of a pipe.
 */
static char *
read_file(const char *path)
{
	int			fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK |
									   PG_BINARY);
	char	   *text = palloc(MAX_FILE_LEN + 1);
	ssize_t		len = fd < 0 ? -1 : read(fd, text, MAX_FILE_LEN + 1);

	if (len < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	CloseTransientFile(fd);
	if (len > MAX_FILE_LEN)
	{
		explicit_bzero(text, len);
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("file \"%s\" is larger than %d bytes", path,
						MAX_FILE_LEN)));
	}
	text[len] = '\0';
	return text;
}

/*
 * NULL for what is no JSON: the words of the parser would quote it.
 */
static Jsonb *
try_parse(const char *utf8)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile document = NULL;

	PG_TRY();
	{
		char	   *text = pg_any_to_server(unconstify(char *, utf8),
											strlen(utf8), PG_UTF8);

		document = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
													  CStringGetDatum(text)));
		if (text != utf8)
			explicit_bzero(text, strlen(text));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	return document;
}

Jsonb *
uaef_secret_read_file(const char *path)
{
	char	   *text;
	Jsonb	   *document;

	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read a secret from a file of the server"),
				 errhint("The role must be a member of \"pg_read_server_files\".")));
	if (!is_absolute_path(path))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the path of a secret must be absolute")));
	text = read_file(path);
	document = try_parse(text);
	explicit_bzero(text, strlen(text));
	pfree(text);
	if (document == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("file \"%s\" holds no JSON", path)));
	return document;
}
