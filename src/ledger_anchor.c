/*-------------------------------------------------------------------------
 *
 * ledger_anchor.c
 *	  Sending checkpoints to anchors, and what their answers mean.
 *
 * What goes out is always a note as it was signed and stored, so it may be
 * sent again at any time; what comes back is verified before it counts.
 *
 * An anchor makes no events but time stamps, which the sealer does not take
 * for news, and the first contradiction: else each checkpoint would call for
 * another one.
 *
 * Locking: an anchor's row until the transaction ends, then its delivery's.
 * Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "connector_config.h"
#include "delivery_queue.h"
#include "event_hash.h"
#include "guc.h"
#include "json_util.h"
#include "ledger.h"
#include "ledger_anchor.h"
#include "ledger_anchor_file.h"
#include "ledger_anchor_store.h"
#include "ledger_cosignature.h"
#include "ledger_timestamp.h"
#include "ledger_tree.h"
#include "spi_util.h"
#include "subtransaction.h"
#include "wake.h"

/* How soon to look again for anchors that others had locked. */
#define LOCKED_AGAIN_MS 50

/* How often one checkpoint is sent again for another size of the witness. */
#define MAX_RESENT 3

/* Of an answer that refuses, so much is shown. */
#define MAX_EXCERPT 200

/* What an answer means. */
typedef struct Finding
{
	const char *error;			/* NULL: anchored, unless resent */
	bool		contradicted;	/* the witness has seen another tree */
	bool		resent;
	bytea	   *receipt;
	TimestampTz stamped_at;
} Finding;

static UaefQuery select_sealed_after = {
	"SELECT sealed_at FROM uaef.ledger_block WHERE first_leaf >= $1"
	" ORDER BY first_leaf LIMIT 1",
	1, {INT8OID}
};

static UaefQuery select_note = {
	"SELECT note FROM uaef.ledger_checkpoint"
	" WHERE origin = $1 AND tree_size = $2",
	2, {TEXTOID, INT8OID}
};

static Jsonb *content_type(const char *type);
static bytea *bytes_of(const char *data, size_t len);
static void stamp_request(const UaefAnchoring *anchoring,
						  UaefStampRequest *request);
static void send_to_witness(const UaefAnchor *anchor,
							const UaefAnchoring *anchoring,
							UaefDeliveryRequest *request);
static void send_to_authority(UaefAnchoring *anchoring,
							  UaefDeliveryRequest *request);
static void send_delivery(const UaefAnchor *anchor, UaefAnchoring *anchoring);
static void start(const UaefAnchor *anchor, UaefAnchoring *anchoring);
static bool passes(int sqlstate);
static void try_start(const UaefAnchor *anchor, const UaefAnchoring *newest);
static const char *refusal(const UaefAnchorAnswer *answer);
static void read_witness(UaefAnchor *anchor, UaefAnchoring *anchoring,
						 const UaefNoteKey *key,
						 const UaefAnchorAnswer *answer, Finding *finding);
static void read_conflict(UaefAnchor *anchor, UaefAnchoring *anchoring,
						  const UaefAnchorAnswer *answer, Finding *finding);
static void read_authority(const UaefAnchor *anchor,
						   const UaefAnchoring *anchoring, const char *ca,
						   const UaefAnchorAnswer *answer, Finding *finding);
static void record_stamp(const UaefAnchor *anchor,
						 const UaefAnchoring *anchoring,
						 const UaefStamp *stamp);
static void record_contradiction(const UaefAnchor *anchor,
								 const UaefAnchoring *anchoring,
								 const char *error);
static void fail(const UaefAnchor *anchor, const UaefAnchoring *anchoring,
				 const Finding *finding);

static Jsonb *
content_type(const char *type)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "content-type", type);
	return uaef_json_end(&json);
}

static bytea *
bytes_of(const char *data, size_t len)
{
	return DatumGetByteaP(uaef_bytea(data, len));
}

/*
 * The digest is of the note, all of it, as it was signed.
 */
static void
stamp_request(const UaefAnchoring *anchoring, UaefStampRequest *request)
{
	uaef_hash_begin();
	uaef_hash_add(anchoring->note, strlen(anchoring->note));
	uaef_hash_end(request->digest);
	request->nonce = (uint64) anchoring->nonce;
}

static void
send_to_witness(const UaefAnchor *anchor, const UaefAnchoring *anchoring,
				UaefDeliveryRequest *request)
{
	static const char *const read = "{\"status\": [200, 409]}";
	UaefConnector connector;
	UaefProof	proof;
	char	   *body;
	size_t		len;

	uaef_connector_load(anchor->target, &connector);
	len = strlen(connector.config.url);
	while (len > 0 && connector.config.url[len - 1] == '/')
		connector.config.url[--len] = '\0';
	request->url = psprintf("%s/add-checkpoint", connector.config.url);
	request->method = "POST";
	request->expect = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
														 CStringGetDatum(read)));

	uaef_tree_consistency(anchoring->old_size, anchoring->tree_size, &proof);
	body = uaef_witness_request(anchoring->old_size, &proof, anchoring->note);
	request->bytes = bytes_of(body, strlen(body));
}

static void
send_to_authority(UaefAnchoring *anchoring, UaefDeliveryRequest *request)
{
	UaefStampRequest stamp;

	if (!pg_strong_random(&anchoring->nonce, sizeof(anchoring->nonce)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a nonce")));
	anchoring->nonce &= PG_INT64_MAX;
	stamp_request(anchoring, &stamp);
	request->method = "POST";
	request->headers = content_type("application/timestamp-query");
	request->bytes = uaef_stamp_request(&stamp);
}

/*
 * Sending the same note twice does no harm, so what is in doubt goes again.
 */
static void
send_delivery(const UaefAnchor *anchor, UaefAnchoring *anchoring)
{
	UaefDeliveryRequest request = {
		.connector = anchor->target,
		.role = anchor->role,
		.anchor = anchor->name,
		.idempotent = true,
		.headers = content_type("text/plain; charset=utf-8")
	};

	if (anchor->kind == UAEF_ANCHOR_WITNESS)
		send_to_witness(anchor, anchoring, &request);
	else if (anchor->kind == UAEF_ANCHOR_TIMESTAMP)
		send_to_authority(anchoring, &request);
	else
		request.bytes = bytes_of(anchoring->note, strlen(anchoring->note));
	anchoring->delivery_id = uaef_delivery_enqueue(&request);
}

static void
start(const UaefAnchor *anchor, UaefAnchoring *anchoring)
{
	if (anchor->kind == UAEF_ANCHOR_FILE)
	{
		uaef_anchor_file_append(anchor->role, anchor->target,
								anchoring->note);
		uaef_anchoring_request(anchor, anchoring);
		uaef_anchoring_done(anchor, anchoring, NULL, 0);
		return;
	}

	/* After a restore we may be behind the witness: it says where it is. */
	if (anchor->kind == UAEF_ANCHOR_WITNESS &&
		anchor->witness_size <= anchoring->tree_size)
		anchoring->old_size = anchor->witness_size;
	send_delivery(anchor, anchoring);
	uaef_anchoring_request(anchor, anchoring);
}

/*
 * Lost races, cancel, no memory: not the anchor's fault.  A full disk may be
 * that of the anchor's file.
 */
static bool
passes(int sqlstate)
{
	return ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_TRANSACTION_ROLLBACK ||
		ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_OPERATOR_INTERVENTION ||
		sqlstate == ERRCODE_LOCK_NOT_AVAILABLE ||
		sqlstate == ERRCODE_OUT_OF_MEMORY;
}

typedef struct Start
{
	const UaefAnchor *anchor;
	UaefAnchoring anchoring;
} Start;

static void
start_work(void *arg)
{
	Start	   *it = arg;

	start(it->anchor, &it->anchoring);
}

/*
 * In a subtransaction: what is wrong with one anchor keeps no other from its
 * checkpoint.
 */
static void
try_start(const UaefAnchor *anchor, const UaefAnchoring *newest)
{
	Start		it = {anchor, *newest};
	ErrorData  *error = uaef_try(start_work, &it);

	if (error != NULL)
	{
		Finding		finding = {error->message};

		if (passes(error->sqlerrcode))
			ReThrowError(error);
		fail(anchor, &it.anchoring, &finding);
	}
}

TimestampTz
uaef_anchor_work(void)
{
	UaefCaller	caller = uaef_spi_begin();
	TimestampTz next = DT_NOEND;
	UaefAnchoring newest;
	UaefAnchor *anchors;

	if (uaef_anchor_newest(&newest))
	{
		int			n = uaef_anchor_due(&newest, &anchors);

		for (int i = 0; i < n; i++)
			try_start(&anchors[i], &newest);
		next = uaef_anchor_next_due(&newest);
		if (next != DT_NOEND)
			next = Max(next,
					   TimestampTzPlusMilliseconds(uaef_clock_now(),
												   LOCKED_AGAIN_MS));
	}
	uaef_spi_end(caller);
	return next;
}

/*
 * Why there is no answer that counts, with the beginning of what the server
 * says, as far as that can be shown.
 */
static const char *
refusal(const UaefAnchorAnswer *answer)
{
	char	   *excerpt = pnstrdup(answer->body ? answer->body : "",
								   Min(answer->body_len, MAX_EXCERPT));

	for (char *p = excerpt; *p != '\0'; p++)
	{
		if (*p < ' ' || *p > '~')
			*p = *p == '\n' && p[1] == '\0' ? '\0' : '?';
	}
	return psprintf("%s%s%s (%s)", answer->message,
					*excerpt != '\0' ? ": " : "", excerpt, answer->code);
}

/*
 * 409: the witness has another size than we thought.
 */
static void
read_conflict(UaefAnchor *anchor, UaefAnchoring *anchoring,
			  const UaefAnchorAnswer *answer, Finding *finding)
{
	int64		newest;
	int64		size;

	finding->error = uaef_witness_read_size(answer->body, answer->body_len,
											&size);
	if (finding->error != NULL)
		return;
	newest = uaef_anchor_newest_size(anchoring->origin);
	if (size > newest || size > uaef_tree_size())
		finding->contradicted = true;
	if (finding->contradicted)
		finding->error = psprintf("the witness has a checkpoint of size " INT64_FORMAT ", and the newest of this ledger has size " INT64_FORMAT ": events are missing here, or another server signs with its key",
								  size, newest);
	else if (size == anchoring->old_size && size == anchoring->tree_size)
	{
		finding->contradicted = true;
		finding->error = psprintf("the witness has a checkpoint of size " INT64_FORMAT " with another root: the ledger was rewritten, or another server signs with its key",
								  size);
	}
	else if (size > anchoring->tree_size)
	{
		anchor->witness_size = size;
		finding->error = psprintf("the witness has a newer checkpoint of this ledger already, of size " INT64_FORMAT,
								  size);
	}
	else if (size == anchoring->old_size || anchoring->resent >= MAX_RESENT)
		finding->error = psprintf("the witness answers again and again with status 409 and a size of " INT64_FORMAT,
								  size);
	else
	{
		anchor->witness_size = size;
		anchoring->old_size = size;
		anchoring->resent++;
		send_delivery(anchor, anchoring);
		finding->resent = true;
	}
}

static void
read_witness(UaefAnchor *anchor, UaefAnchoring *anchoring,
			 const UaefNoteKey *key, const UaefAnchorAnswer *answer,
			 Finding *finding)
{
	UaefCosignature cosignature;

	if (answer->status == 422)
	{
		finding->contradicted = true;
		finding->error = psprintf("the witness refuses the proof that the tree of size " INT64_FORMAT " begins with the one of size " INT64_FORMAT " that it has seen: the ledger was rewritten, or another server signs with its key; %s",
								  anchoring->tree_size, anchoring->old_size,
								  refusal(answer));
	}
	else if (!answer->expected)
		finding->error = refusal(answer);
	else if (answer->status == 409)
		read_conflict(anchor, anchoring, answer, finding);
	else
		finding->error = uaef_witness_read(key, anchoring->note, answer->body,
										   answer->body_len, &cosignature);
	if (finding->error != NULL || finding->resent)
		return;
	uaef_cosignature_store(anchoring->origin, anchoring->tree_size, key,
						   &cosignature);
	finding->receipt = bytes_of(cosignature.line, strlen(cosignature.line));
}

/*
 * A verified time stamp is put into the ledger: events before it are in its
 * tree, events after it have it in theirs.
 */
static void
record_stamp(const UaefAnchor *anchor, const UaefAnchoring *anchoring,
			 const UaefStamp *stamp)
{
	uint8		hash[UAEF_HASH_LEN];
	UaefJson	json;
	UaefEvent	event = {
		.type = UAEF_TIMESTAMP_EVENT,
		.actor_type = "system"
	};

	uaef_hash_begin();
	uaef_hash_add(VARDATA_ANY(stamp->token), VARSIZE_ANY_EXHDR(stamp->token));
	uaef_hash_end(hash);
	uaef_json_begin(&json);
	uaef_json_text(&json, "anchor", anchor->name);
	uaef_json_text(&json, "origin", anchoring->origin);
	uaef_json_int(&json, "tree_size", anchoring->tree_size);
	uaef_json_time(&json, "time", stamp->at);
	uaef_json_text(&json, "token_hash", uaef_hex(hash, UAEF_HASH_LEN));
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

static void
read_authority(const UaefAnchor *anchor, const UaefAnchoring *anchoring,
			   const char *ca, const UaefAnchorAnswer *answer,
			   Finding *finding)
{
	UaefStampRequest request;
	UaefStamp	stamp;

	stamp_request(anchoring, &request);
	finding->error = uaef_stamp_read(&request, answer->body, answer->body_len,
									 ca, &stamp);
	if (finding->error != NULL)
		return;
	record_stamp(anchor, anchoring, &stamp);
	finding->receipt = stamp.token;
	finding->stamped_at = stamp.at;
}

static void
record_contradiction(const UaefAnchor *anchor, const UaefAnchoring *anchoring,
					 const char *error)
{
	UaefJson	json;
	UaefEvent	event = {
		.type = UAEF_CONTRADICTED_EVENT,
		.actor_type = "system"
	};

	uaef_json_begin(&json);
	uaef_json_text(&json, "anchor", anchor->name);
	uaef_json_text(&json, "origin", anchoring->origin);
	uaef_json_int(&json, "tree_size", anchoring->tree_size);
	uaef_json_text(&json, "error", error);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

/*
 * A contradiction is an event, and in the server's log, when it begins.
 */
static void
fail(const UaefAnchor *anchor, const UaefAnchoring *anchoring,
	 const Finding *finding)
{
	uaef_anchoring_failed(anchor, anchoring, finding->error,
						  finding->contradicted);
	if (!finding->contradicted || anchor->contradicted)
		return;
	record_contradiction(anchor, anchoring, finding->error);
	ereport(WARNING,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("anchor \"%s\" contradicts the ledger", anchor->name),
			 errdetail("%s.", finding->error)));
}

void
uaef_anchor_answer(const char *name, int64 delivery_id,
				   const UaefAnchorAnswer *answer)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefAnchorConfig config = {0};
	Finding		finding = {0};
	UaefAnchoring anchoring;
	UaefAnchor	anchor;

	if (uaef_anchor_waiting(name, delivery_id, &anchor, &anchoring))
	{
		/*
		 * A failure can be recorded whatever is wrong with the config: else
		 * an answer that it makes unreadable would be tried for ever.
		 */
		if (answer->expected)
			uaef_anchor_config_parse(anchor.kind, anchor.config, &config);
		if (anchor.kind == UAEF_ANCHOR_WITNESS)
			read_witness(&anchor, &anchoring, &config.witness, answer,
						 &finding);
		else if (!answer->expected)
			finding.error = refusal(answer);
		else if (anchor.kind == UAEF_ANCHOR_TIMESTAMP)
			read_authority(&anchor, &anchoring, config.ca, answer, &finding);
		else
			finding.receipt = bytes_of(answer->body, answer->body_len);

		if (finding.resent)
			uaef_anchoring_request(&anchor, &anchoring);
		else if (finding.error != NULL)
			fail(&anchor, &anchoring, &finding);
		else
			uaef_anchoring_done(&anchor, &anchoring, finding.receipt,
								finding.stamped_at);
		uaef_wake_worker_on_commit(UAEF_WAKE_ANCHORS);
	}
	uaef_spi_end(caller);
}

int64
uaef_anchor_max_age(void)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefAnchoring covered;
	Datum		args[1];
	bool		isnull;
	int64		age = 0;

	(void) uaef_anchor_covered(uaef_ledger_quorum, &covered);
	args[0] = Int64GetDatum(covered.tree_size);
	if (uaef_spi_run(&select_sealed_after, args, NULL) > 0)
		age = GetCurrentTimestamp() -
			DatumGetTimestampTz(uaef_spi_value(0, 1, &isnull));
	uaef_spi_end(caller);
	return Max(age, 0);
}

char *
uaef_anchor_covered_note(void)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	caller = uaef_spi_begin();
	UaefAnchoring covered;
	char	   *note = NULL;
	Datum		args[2];

	if (uaef_anchor_covered(uaef_ledger_quorum, &covered))
	{
		args[0] = CStringGetTextDatum(covered.origin);
		args[1] = Int64GetDatum(covered.tree_size);
		if (uaef_spi_run(&select_note, args, NULL) > 0)
		{
			note = uaef_spi_text(0, 1);
			note = psprintf("%s%s", note,
							uaef_cosignature_lines(covered.origin,
												   covered.tree_size));
			note = MemoryContextStrdup(context, note);
		}
	}
	uaef_spi_end(caller);
	return note;
}
