/*-------------------------------------------------------------------------
 *
 * allocate.c
 *	  Splitting an amount into parts without losing a minor unit.
 *
 * Every part first gets its exact share cut down to a whole unit.  The units
 * left over, fewer than there are parts with a share, are handed out one each.
 *
 * Locking: none.  Memory: results are palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/sha2.h"

#include "allocate.h"
#include "errcodes.h"
#include "event_hash.h"
#include "numeric_util.h"

#define MAX_PARTS	10000

/* Shares below it, as many as there can be, add up to an int64. */
#define SMALL_LIMIT	INT64CONST(100000000000000)

/* A part in the order in which the units left over are handed out. */
typedef struct Claim
{
	int			part;
	Numeric		rest;			/* NULL: small_rest */
	int64		small_rest;
	uint8		hash[PG_SHA256_DIGEST_LENGTH];	/* of UAEF_REMAINDER_ROTATING */
} Claim;

static void hash_part(const char *seed, int part, uint8 *hash);
static int	compare_claims(const void *a, const void *b);
static bool check_arguments(Numeric minor, const Numeric *weights, int n,
							Numeric *sum, UaefEvalError *error);
#ifdef HAVE_INT128
static bool small_integer(Numeric number, Numeric limit, Numeric zero,
						  int64 *result);
static bool allocate_small(Numeric minor, const Numeric *weights, int n,
						   const UaefRemainder *policy, Numeric *parts);
static void hand_out_small(const UaefRemainder *policy, Claim *claims,
						   int nclaims, int64 left, int64 *shares);
#endif
static int	order_claims(const Numeric *weights, const Numeric *rests, int n,
						 const UaefRemainder *policy, Claim *claims);

/* The larger remainder first; of equal ones the earlier part. */
static int
compare_claims(const void *a, const void *b)
{
	const Claim *left = a;
	const Claim *right = b;
	int			order = left->rest != NULL ?
		uaef_numeric_compare(right->rest, left->rest) :
		(right->small_rest > left->small_rest) -
		(right->small_rest < left->small_rest);

	if (order == 0)
		order = memcmp(left->hash, right->hash, PG_SHA256_DIGEST_LENGTH);
	return order != 0 ? order : left->part - right->part;
}

/* A place among equals that nobody chose: SHA-256 of the seed and the part. */
static void
hash_part(const char *seed, int part, uint8 *hash)
{
	char	   *text = psprintf("%s|%d", seed == NULL ? "" : seed, part + 1);

	uaef_sha256(text, strlen(text), hash);
	pfree(text);
}

/*
 * uaef_remainder_by_name -- a policy for the units left over
 *
 * Raises UA221 for an unknown name.
 */
UaefRemainder
uaef_remainder_by_name(const char *name)
{
	static const struct
	{
		const char *name;
		UaefRemainderKind kind;
	}			names[] = {
		{"largest", UAEF_REMAINDER_LARGEST},
		{"largest_rotating", UAEF_REMAINDER_ROTATING},
		{"first", UAEF_REMAINDER_FIRST},
		{"last", UAEF_REMAINDER_LAST},
		{"to", UAEF_REMAINDER_TO}
	};
	const char *colon = strchr(name, ':');
	int			len = colon == NULL ? strlen(name) : colon - name;
	UaefRemainder result = {0};

	if (colon != NULL && colon[1] != '\0')
		result.text = pstrdup(colon + 1);
	for (int i = 0; i < lengthof(names); i++)
	{
		result.kind = names[i].kind;
		if (strlen(names[i].name) == len &&
			memcmp(names[i].name, name, len) == 0 &&
			(result.kind == UAEF_REMAINDER_TO ? result.text != NULL :
			 colon == NULL || result.kind == UAEF_REMAINDER_ROTATING))
			return result;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_EXPRESSION),
			 errmsg("unknown remainder policy \"%s\"", name),
			 errhint("Use largest, largest_rotating, first, last, or to:part.")));
}

/*
 * uaef_remainder_set_part -- the part that "to:2" means
 *
 * Raises UA209 when there is none.
 */
void
uaef_remainder_set_part(UaefRemainder *remainder, int n)
{
	if (remainder->kind != UAEF_REMAINDER_TO)
		return;
	if (strspn(remainder->text, "0123456789") != strlen(remainder->text) ||
		strlen(remainder->text) > 6 || atoi(remainder->text) < 1 ||
		atoi(remainder->text) > n)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_SPLIT),
				 errmsg("remainder \"to:%s\" names no part", remainder->text),
				 errdetail("Parts are numbered from 1 to %d.", n)));
	remainder->part = atoi(remainder->text) - 1;
}

/* Check what is to be split and how; sums the weights up. */
static bool
check_arguments(Numeric minor, const Numeric *weights, int n, Numeric *sum,
				UaefEvalError *error)
{
	if (numeric_is_nan(minor) || numeric_is_inf(minor))
		return uaef_eval_fail(error, ERRCODE_UAEF_BAD_NUMBER, NULL, NULL,
							  "NaN and Infinity cannot be split");
	if (uaef_numeric_sign(minor) < 0)
		return uaef_eval_fail(error, ERRCODE_UAEF_NEGATIVE_AMOUNT, NULL, NULL,
							  "a negative amount cannot be split");
	if (n < 1 || n > MAX_PARTS)
		return uaef_eval_fail(error, ERRCODE_UAEF_BAD_SPLIT, NULL, NULL,
							  "a split needs 1 to %d shares", MAX_PARTS);

	*sum = int64_to_numeric(0);
	for (int i = 0; i < n; i++)
	{
		if (numeric_is_nan(weights[i]) || numeric_is_inf(weights[i]) ||
			uaef_numeric_sign(weights[i]) < 0)
			return uaef_eval_fail(error, ERRCODE_UAEF_BAD_SPLIT, NULL, NULL,
								  "share %d is not a number of at least 0",
								  i + 1);
		*sum = uaef_numeric_op(numeric_add, *sum, weights[i]);
	}
	if (uaef_numeric_sign(*sum) <= 0)
		return uaef_eval_fail(error, ERRCODE_UAEF_BAD_SPLIT, NULL, NULL,
							  "the shares sum up to 0");
	return true;
}

/* Who gets a unit left over, in order; parts without a share never do. */
static int
order_claims(const Numeric *weights, const Numeric *rests, int n,
			 const UaefRemainder *policy, Claim *claims)
{
	bool		rotating = policy->kind == UAEF_REMAINDER_ROTATING;
	int			nclaims = 0;

	for (int i = 0; i < n; i++)
	{
		int			part = policy->kind == UAEF_REMAINDER_LAST ? n - 1 - i : i;

		if (uaef_numeric_sign(weights[part]) > 0)
		{
			claims[nclaims].part = part;
			if (rotating)
				hash_part(policy->text, part, claims[nclaims].hash);
			else
				memset(claims[nclaims].hash, 0, PG_SHA256_DIGEST_LENGTH);
			claims[nclaims++].rest = rests[part];
		}
	}
	if (policy->kind == UAEF_REMAINDER_LARGEST || rotating)
		qsort(claims, nclaims, sizeof(Claim), compare_claims);
	return nclaims;
}

#ifdef HAVE_INT128
/* A whole number from 0 to below the limit, as int64; false for any other. */
static bool
small_integer(Numeric number, Numeric limit, Numeric zero, int64 *result)
{
	if (numeric_is_nan(number) || uaef_numeric_compare(number, zero) < 0 ||
		uaef_numeric_compare(number, limit) >= 0)
		return false;
	*result = DatumGetInt64(DirectFunctionCall1(numeric_int8,
												NumericGetDatum(number)));
	return uaef_numeric_compare(number, int64_to_numeric(*result)) == 0;
}

/*
 * The same in integers of the machine; false when a number is too large, or
 * none of the kind that is split.
 */
static bool
allocate_small(Numeric minor, const Numeric *weights, int n,
			   const UaefRemainder *policy, Numeric *parts)
{
	int64	   *small = palloc(2 * n * sizeof(int64));
	int64	   *shares = small + n;
	Claim	   *claims = palloc(n * sizeof(Claim));
	Numeric		limit = int64_to_numeric(SMALL_LIMIT);
	Numeric		zero = int64_to_numeric(0);
	int64		sum = 0;
	int64		amount;
	int64		left;
	int			nclaims = 0;

	if (!small_integer(minor, limit, zero, &amount))
		return false;
	for (int i = 0; i < n; i++)
	{
		if (!small_integer(weights[i], limit, zero, &small[i]))
			return false;
		sum += small[i];
	}
	if (sum == 0)
		return false;
	left = amount;
	for (int i = 0; i < n; i++)
	{
		int128		share = (int128) amount * small[i];

		shares[i] = share / sum;
		left -= shares[i];
	}
	for (int i = 0; i < n && left > 0; i++)
	{
		int			part = policy->kind == UAEF_REMAINDER_LAST ? n - 1 - i : i;
		Claim	   *claim = &claims[nclaims];

		if (small[part] == 0)
			continue;
		claim->part = part;
		claim->rest = NULL;
		claim->small_rest = (int128) amount * small[part] % sum;
		memset(claim->hash, 0, sizeof(claim->hash));
		if (policy->kind == UAEF_REMAINDER_ROTATING)
			hash_part(policy->text, part, claim->hash);
		nclaims++;
	}
	hand_out_small(policy, claims, nclaims, left, shares);
	for (int i = 0; i < n; i++)
		parts[i] = int64_to_numeric(shares[i]);
	return true;
}

/* The units left over, one each, or all to one part. */
static void
hand_out_small(const UaefRemainder *policy, Claim *claims, int nclaims,
			   int64 left, int64 *shares)
{
	if (policy->kind == UAEF_REMAINDER_TO)
	{
		shares[policy->part] += left;
		return;
	}
	if (left > 0 && (policy->kind == UAEF_REMAINDER_LARGEST ||
					 policy->kind == UAEF_REMAINDER_ROTATING))
		qsort(claims, nclaims, sizeof(Claim), compare_claims);
	for (int i = 0; i < nclaims && left > 0; i++, left--)
		shares[claims[i].part]++;
	if (left != 0)
		elog(ERROR, "a split did not add up");
}
#endif

/*
 * uaef_allocate -- split minor units by weights
 *
 * Fails with UA209 for weights that split nothing.
 */
bool
uaef_allocate(Numeric minor, const Numeric *weights, int n,
			  const UaefRemainder *policy, Numeric *parts,
			  UaefEvalError *error)
{
	Numeric		one = int64_to_numeric(1);
	Numeric		left = minor;
	Numeric		sum = NULL;
	Numeric    *rests;
	Claim	   *claims;
	int			nclaims;

#ifdef HAVE_INT128
	if (n >= 1 && n <= MAX_PARTS &&
		allocate_small(minor, weights, n, policy, parts))
		return true;
#endif
	if (!check_arguments(minor, weights, n, &sum, error))
		return false;
	rests = palloc(n * sizeof(Numeric));
	claims = palloc(n * sizeof(Claim));
	for (int i = 0; i < n; i++)
	{
		Numeric		share = uaef_numeric_op(numeric_mul, minor, weights[i]);

		parts[i] = uaef_numeric_op(numeric_div_trunc, share, sum);
		rests[i] = uaef_numeric_op(numeric_sub, share,
								   uaef_numeric_op(numeric_mul, parts[i], sum));
		left = uaef_numeric_op(numeric_sub, left, parts[i]);
	}

	if (policy->kind == UAEF_REMAINDER_TO)
	{
		parts[policy->part] = uaef_numeric_op(numeric_add,
											  parts[policy->part], left);
		return true;
	}
	nclaims = order_claims(weights, rests, n, policy, claims);
	for (int i = 0; i < nclaims && uaef_numeric_sign(left) > 0; i++)
	{
		parts[claims[i].part] = uaef_numeric_op(numeric_add,
												parts[claims[i].part], one);
		left = uaef_numeric_op(numeric_sub, left, one);
	}
	if (uaef_numeric_sign(left) != 0)
		elog(ERROR, "a split did not add up");
	return true;
}
