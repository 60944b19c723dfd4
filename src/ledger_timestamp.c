/*-------------------------------------------------------------------------
 *
 * ledger_timestamp.c
 *	  Time stamps of RFC 3161: the request, and what an authority answers.
 *
 * OpenSSL knows the formats and the rules.  The structs that it allocates are
 * not palloc'd: each function gathers its own in one struct and frees them
 * however it ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ts.h>
#include <openssl/x509.h>

#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "ledger_timestamp.h"

/* What one call has allocated in OpenSSL. */
typedef struct Held
{
	TS_REQ	   *request;
	TS_RESP    *answer;
	TS_VERIFY_CTX *rules;
	X509_STORE *store;			/* unless the rules own it */
	BIO		   *bio;
	unsigned char *der;
} Held;

static void free_held(Held *held);
static char *openssl_problem(const char *otherwise);
static void require(bool done, const char *what);
static TS_REQ *build_request(const UaefStampRequest *request);
static bytea *write_request(Held *held, const UaefStampRequest *request);
static int	no_password(char *password, int size, int writing, void *data);
static char *load_ca(Held *held, const char *ca);
static char *read_answer(Held *held, const UaefStampRequest *request,
						 const char *answer, size_t len, const char *ca,
						 UaefStamp *stamp);
static char *read_time(const TS_TST_INFO *info, TimestampTz *at);
static bytea *token_bytes(Held *held);

static void
free_held(Held *held)
{
	TS_REQ_free(held->request);
	TS_RESP_free(held->answer);
	TS_VERIFY_CTX_free(held->rules);
	X509_STORE_free(held->store);
	BIO_free(held->bio);
	OPENSSL_free(held->der);
	ERR_clear_error();
}

/*
 * The last error of OpenSSL, with what it says besides.
 */
static char *
openssl_problem(const char *otherwise)
{
	const char *data = NULL;
	int			flags = 0;
	unsigned long code;
	const char *reason;

#if OPENSSL_VERSION_NUMBER >= 0x30000000L
	code = ERR_peek_last_error_all(NULL, NULL, NULL, &data, &flags);
#else
	code = ERR_peek_last_error_line_data(NULL, NULL, &data, &flags);
#endif
	reason = code != 0 ? ERR_reason_error_string(code) : NULL;
	if (reason == NULL)
		return pstrdup(otherwise);
	if (data == NULL || *data == '\0' || (flags & ERR_TXT_STRING) == 0)
		return pstrdup(reason);
	return psprintf("%s (%s)", reason, data);
}

static void
require(bool done, const char *what)
{
	if (!done)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not %s: %s", what,
						openssl_problem("out of memory"))));
}

/*
 * NULL when there is no memory.
 */
static TS_REQ *
build_request(const UaefStampRequest *request)
{
	const uint8 *digest = request->digest;
	int			len = sizeof(request->digest);
	TS_REQ	   *built = TS_REQ_new();
	TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
	X509_ALGOR *algorithm = X509_ALGOR_new();
	ASN1_INTEGER *nonce = ASN1_INTEGER_new();
	bool		done;

	done = built != NULL && imprint != NULL && algorithm != NULL &&
		nonce != NULL &&
		X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_sha256), V_ASN1_NULL,
						NULL) &&
		TS_MSG_IMPRINT_set_algo(imprint, algorithm) &&
		TS_MSG_IMPRINT_set_msg(imprint,
							   unconstify(uint8 *, digest), len) &&
		ASN1_INTEGER_set_uint64(nonce, request->nonce) &&
		TS_REQ_set_version(built, 1) &&
		TS_REQ_set_msg_imprint(built, imprint) &&
		TS_REQ_set_nonce(built, nonce) &&
		TS_REQ_set_cert_req(built, 1);
	TS_MSG_IMPRINT_free(imprint);
	X509_ALGOR_free(algorithm);
	ASN1_INTEGER_free(nonce);
	if (!done)
	{
		TS_REQ_free(built);
		built = NULL;
	}
	return built;
}

static bytea *
write_request(Held *held, const UaefStampRequest *request)
{
	int			len;
	bytea	   *bytes;

	held->request = build_request(request);
	require(held->request != NULL, "build a time-stamp request");
	len = i2d_TS_REQ(held->request, &held->der);
	require(len > 0, "write a time-stamp request");
	bytes = palloc(VARHDRSZ + len);
	SET_VARSIZE(bytes, VARHDRSZ + len);
	memcpy(VARDATA(bytes), held->der, len);
	return bytes;
}

bytea *
uaef_stamp_request(const UaefStampRequest *request)
{
	Held		held = {0};
	bytea	   *bytes;

	PG_TRY();
	{
		bytes = write_request(&held, request);
	}
	PG_CATCH();
	{
		free_held(&held);
		PG_RE_THROW();
	}
	PG_END_TRY();
	free_held(&held);
	return bytes;
}

/*
 * Certificates have none; OpenSSL would ask the terminal of the server for it.
 */
static int
no_password(char *password, int size, int writing, void *data)
{
	return -1;
}

/*
 * Read the certificates into held->store; returns what is wrong with them.
 */
static char *
load_ca(Held *held, const char *ca)
{
	X509	   *certificate;
	int			n = 0;

	held->store = X509_STORE_new();
	held->bio = BIO_new_mem_buf(ca, -1);
	require(held->store != NULL && held->bio != NULL, "read certificates");
	while ((certificate = PEM_read_bio_X509(held->bio, NULL, no_password,
											NULL)) != NULL)
	{
		bool		added = X509_STORE_add_cert(held->store, certificate);

		X509_free(certificate);
		require(added, "keep a certificate");
		n++;
	}

	/* The end of the text shows as an error, too. */
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return pstrdup("one of them is malformed");
	ERR_clear_error();
	return n > 0 ? NULL : pstrdup("there is none in it");
}

char *
uaef_stamp_ca_problem(const char *ca)
{
	Held		held = {0};
	char	   *volatile problem = NULL;

	ERR_clear_error();
	PG_TRY();
	{
		problem = load_ca(&held, ca);
	}
	PG_FINALLY();
	{
		free_held(&held);
	}
	PG_END_TRY();
	return problem;
}

char *
uaef_stamp_read(const UaefStampRequest *request, const char *answer,
				size_t len, const char *ca, UaefStamp *stamp)
{
	Held		held = {0};
	char	   *volatile problem = NULL;

	ERR_clear_error();
	PG_TRY();
	{
		problem = read_answer(&held, request, answer, len, ca, stamp);
	}
	PG_FINALLY();
	{
		free_held(&held);
	}
	PG_END_TRY();
	return problem;
}

static char *
read_answer(Held *held, const UaefStampRequest *request, const char *answer,
			size_t len, const char *ca, UaefStamp *stamp)
{
	const unsigned char *bytes = (const unsigned char *) answer;
	const unsigned char *end = bytes + len;
	char	   *problem;

	held->answer = len <= PG_INT32_MAX ? d2i_TS_RESP(NULL, &bytes, (long) len)
		: NULL;
	if (held->answer == NULL || bytes != end)
		return pstrdup("the answer is no time-stamp response");
	problem = load_ca(held, ca);
	if (problem != NULL)
		return psprintf("the certificate in the config cannot be used: %s",
						problem);

	held->request = build_request(request);
	require(held->request != NULL, "build a time-stamp request");
	held->rules = TS_REQ_to_TS_VERIFY_CTX(held->request, NULL);
	require(held->rules != NULL, "verify a time stamp");
	(void) TS_VERIFY_CTX_add_flags(held->rules, TS_VFY_SIGNATURE);
#if OPENSSL_VERSION_NUMBER >= 0x30400000L
	(void) TS_VERIFY_CTX_set0_store(held->rules, held->store);
#else
	(void) TS_VERIFY_CTX_set_store(held->rules, held->store);
#endif
	held->store = NULL;
	if (TS_RESP_verify_response(held->rules, held->answer) != 1)
		return psprintf("the time stamp is refused: %s",
						openssl_problem("it does not verify"));

	problem = read_time(TS_RESP_get_tst_info(held->answer), &stamp->at);
	if (problem == NULL)
		stamp->token = token_bytes(held);
	return problem;
}

/*
 * To the second; a fraction is cut off.
 */
static char *
read_time(const TS_TST_INFO *info, TimestampTz *at)
{
	const ASN1_GENERALIZEDTIME *written = TS_TST_INFO_get_time(info);
	struct tm	parts;
	int			days;

	if (written == NULL || ASN1_TIME_to_tm(written, &parts) != 1)
		return pstrdup("the time in the time stamp is malformed");
	days = date2j(parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday) -
		POSTGRES_EPOCH_JDATE;
	*at = ((int64) days * SECS_PER_DAY + parts.tm_hour * SECS_PER_HOUR +
		   parts.tm_min * SECS_PER_MINUTE + parts.tm_sec) * USECS_PER_SEC;
	return NULL;
}

static bytea *
token_bytes(Held *held)
{
	int			len = i2d_PKCS7(TS_RESP_get_token(held->answer), &held->der);
	bytea	   *bytes;

	require(len > 0, "write a time-stamp token");
	bytes = palloc(VARHDRSZ + len);
	SET_VARSIZE(bytes, VARHDRSZ + len);
	memcpy(VARDATA(bytes), held->der, len);
	return bytes;
}
