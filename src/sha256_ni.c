/*-------------------------------------------------------------------------
 *
 * sha256_ni.c
 *	  SHA-256 by the instructions that x86-64 processors have for it.
 *
 * libcrypto uses the same instructions, but what it does around them, per
 * call, costs as much as hashing the few blocks that an event or a node of the
 * tree is.  Each instruction waits for the one before it, so that two hashes
 * side by side take little longer than one.  Where the instructions are
 * missing, the caller uses libcrypto.
 *
 * uaef-verify has its own SHA-256: it must not err where this errs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "sha256_ni.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#include "port/pg_bswap.h"

#define BLOCK 64

/* Bits of what the processor says of itself. */
#define LEAF1_ECX_SSSE3		(1 << 9)
#define LEAF1_ECX_SSE41		(1 << 19)
#define LEAF7_EBX_SHA		(1 << 29)

static const uint32 constants[64]
__attribute__((aligned(16))) =
{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5,
		0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
		0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
		0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
		0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
		0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
		0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
		0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
		0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
		0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
		0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
		0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
		0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5,
		0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
		0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
		0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

/* The state as the instructions want it. */
typedef struct State
{
	__m128i		abef;
	__m128i		cdgh;
} State;

/* What is hashed, in blocks. */
typedef struct Message
{
	const uint8 *data;
	size_t		whole;			/* blocks of data */
	size_t		blocks;			/* with those of the end */
	uint8		end[2 * BLOCK]; /* the rest of data, and its length */
} Message;

#define TARGET __attribute__((target("sha,sse4.1,ssse3")))

static bool detect(void);
static bool is_present(void);
static void begin(Message *message, const void *data, size_t len);
static const uint8 *block_at(const Message *message, size_t i);
static State initial_state(void);
static void compress(State *state, const uint8 *const *blocks, int lanes);
static void finish(const State *state, uint8 *hash);
static void hash_one(const Message *message, uint8 *hash);
static void hash_two(const Message *messages, uint8 *first, uint8 *second);

static bool
detect(void)
{
	uint32		eax;
	uint32		ebx;
	uint32		ecx;
	uint32		edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 &&
		(ecx & LEAF1_ECX_SSSE3) != 0 && (ecx & LEAF1_ECX_SSE41) != 0 &&
		__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 &&
		(ebx & LEAF7_EBX_SHA) != 0;
}

static bool
is_present(void)
{
	static int	present = -1;	/* not known yet */

	if (present < 0)
		present = detect();
	return present;
}

static void
begin(Message *message, const void *data, size_t len)
{
	size_t		used = len % BLOCK;
	size_t		ends = used < BLOCK - sizeof(uint64) ? 1 : 2;
	uint64		bits = pg_hton64((uint64) len * 8);

	message->data = data;
	message->whole = len / BLOCK;
	message->blocks = message->whole + ends;
	memset(message->end, 0, sizeof(message->end));
	if (used > 0)
		memcpy(message->end, message->data + len - used, used);
	message->end[used] = 0x80;
	memcpy(message->end + ends * BLOCK - sizeof(bits), &bits, sizeof(bits));
}

static inline const uint8 *
block_at(const Message *message, size_t i)
{
	return i < message->whole ? message->data + i * BLOCK :
		message->end + (i - message->whole) * BLOCK;
}

TARGET static inline State
initial_state(void)
{
	State		state;

	state.abef = _mm_set_epi32(0x6a09e667, 0xbb67ae85, 0x510e527f, 0x9b05688c);
	state.cdgh = _mm_set_epi32(0x3c6ef372, 0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
	return state;
}

/*
 * A block of each lane; four rounds at a time, of which each make four words of
 * the message schedule out of the sixteen before them.  A round waits for the
 * one before it, and meanwhile the processor works at the other lane's.
 */
TARGET static pg_attribute_always_inline void
compress(State *state, const uint8 *const *blocks, int lanes)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL,
										0x0405060700010203LL);
	State		before[2];
	__m128i		words[2][4];

	for (int lane = 0; lane < lanes; lane++)
		before[lane] = state[lane];
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++)
	{
		const __m128i constant =
			_mm_load_si128((const __m128i *) constants + i);

#pragma GCC unroll 2
		for (int lane = 0; lane < lanes; lane++)
		{
			State	   *at = &state[lane];
			__m128i    *w = words[lane];
			__m128i		sum;

			if (i < 4)
				w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *) blocks[lane] + i),
										swap);
			else
				w[i & 3] = _mm_sha256msg2_epu32(
												_mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3],
																				   w[(i + 1) & 3]),
															  _mm_alignr_epi8(w[(i + 3) & 3],
																			  w[(i + 2) & 3], 4)),
												w[(i + 3) & 3]);
			sum = _mm_add_epi32(w[i & 3], constant);
			at->cdgh = _mm_sha256rnds2_epu32(at->cdgh, at->abef, sum);
			sum = _mm_shuffle_epi32(sum, 0x0e);
			at->abef = _mm_sha256rnds2_epu32(at->abef, at->cdgh, sum);
		}
	}
	for (int lane = 0; lane < lanes; lane++)
	{
		state[lane].abef = _mm_add_epi32(state[lane].abef, before[lane].abef);
		state[lane].cdgh = _mm_add_epi32(state[lane].cdgh, before[lane].cdgh);
	}
}

/*
 * The state as the bytes of the hash.
 */
TARGET static inline void
finish(const State *state, uint8 *hash)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL,
										0x0405060700010203LL);
	__m128i		low = _mm_shuffle_epi32(state->abef, 0x1b);
	__m128i		high = _mm_shuffle_epi32(state->cdgh, 0xb1);

	_mm_storeu_si128((__m128i *) hash,
					 _mm_shuffle_epi8(_mm_blend_epi16(low, high, 0xf0), swap));
	_mm_storeu_si128((__m128i *) hash + 1,
					 _mm_shuffle_epi8(_mm_alignr_epi8(high, low, 8), swap));
}

TARGET static void
hash_one(const Message *message, uint8 *hash)
{
	State		state = initial_state();

	for (size_t i = 0; i < message->blocks; i++)
	{
		const uint8 *block = block_at(message, i);

		compress(&state, &block, 1);
	}
	finish(&state, hash);
}

/*
 * Two messages, side by side as far as both go.
 */
TARGET static void
hash_two(const Message *messages, uint8 *first, uint8 *second)
{
	State		state[2] = {initial_state(), initial_state()};
	size_t		both = Min(messages[0].blocks, messages[1].blocks);

	for (size_t i = 0; i < both; i++)
	{
		const uint8 *blocks[2] = {
			block_at(&messages[0], i), block_at(&messages[1], i)
		};

		compress(state, blocks, 2);
	}
	for (int lane = 0; lane < 2; lane++)
		for (size_t i = both; i < messages[lane].blocks; i++)
		{
			const uint8 *block = block_at(&messages[lane], i);

			compress(&state[lane], &block, 1);
		}
	finish(&state[0], first);
	finish(&state[1], second);
}

bool
uaef_sha256_ni(const void *data, size_t len, uint8 *hash)
{
	Message		message;

	if (!is_present())
		return false;
	begin(&message, data, len);
	hash_one(&message, hash);
	return true;
}

bool
uaef_sha256_ni_two(const UaefHashed *first, const UaefHashed *second)
{
	Message		messages[2];

	if (!is_present())
		return false;
	begin(&messages[0], first->data, first->len);
	begin(&messages[1], second->data, second->len);
	hash_two(messages, first->hash, second->hash);
	return true;
}

#else

bool
uaef_sha256_ni(const void *data, size_t len, uint8 *hash)
{
	return false;
}

bool
uaef_sha256_ni_two(const UaefHashed *first, const UaefHashed *second)
{
	return false;
}

#endif
