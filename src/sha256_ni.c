/*-------------------------------------------------------------------------
 *
 * sha256_ni.c
 *	  SHA-256 by the instructions that x86-64 processors have for it.
 *
 * libcrypto uses the same instructions, but what it does around them, per
 * call, costs as much as hashing the few blocks that an event or a node of the
 * tree is.  Where they are missing, the caller uses libcrypto.
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

static const uint32 initial[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
};

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

static bool detect(void);
static void compress(uint32 *state, const uint8 *data, size_t blocks);

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

/*
 * Four rounds at a time.  The instructions want the state as ABEF and CDGH,
 * and make four words of the message schedule out of the sixteen before them.
 */
__attribute__((target("sha,sse4.1,ssse3")))
static void
compress(uint32 *state, const uint8 *data, size_t blocks)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL,
										0x0405060700010203LL);
	__m128i		low = _mm_loadu_si128((const __m128i *) state);
	__m128i		high = _mm_loadu_si128((const __m128i *) (state + 4));
	__m128i		abef;
	__m128i		cdgh;

	low = _mm_shuffle_epi32(low, 0xb1);
	high = _mm_shuffle_epi32(high, 0x1b);
	abef = _mm_alignr_epi8(low, high, 8);
	cdgh = _mm_blend_epi16(high, low, 0xf0);

	for (; blocks > 0; blocks--, data += BLOCK)
	{
		__m128i		abef_before = abef;
		__m128i		cdgh_before = cdgh;
		__m128i		w[4];

#pragma GCC unroll 16
		for (int i = 0; i < 16; i++)
		{
			__m128i		sum;

			if (i < 4)
				w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *) data + i),
										swap);
			else
				w[i & 3] = _mm_sha256msg2_epu32(
												_mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3],
																				   w[(i + 1) & 3]),
															  _mm_alignr_epi8(w[(i + 3) & 3],
																			  w[(i + 2) & 3], 4)),
												w[(i + 3) & 3]);
			sum = _mm_add_epi32(w[i & 3],
								_mm_load_si128((const __m128i *) constants + i));
			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
			sum = _mm_shuffle_epi32(sum, 0x0e);
			abef = _mm_sha256rnds2_epu32(abef, cdgh, sum);
		}
		abef = _mm_add_epi32(abef, abef_before);
		cdgh = _mm_add_epi32(cdgh, cdgh_before);
	}

	low = _mm_shuffle_epi32(abef, 0x1b);
	high = _mm_shuffle_epi32(cdgh, 0xb1);
	_mm_storeu_si128((__m128i *) state, _mm_blend_epi16(low, high, 0xf0));
	_mm_storeu_si128((__m128i *) (state + 4), _mm_alignr_epi8(high, low, 8));
}

bool
uaef_sha256_ni(const void *data, size_t len, uint8 *hash)
{
	static int	present = -1;	/* not known yet */
	uint32		state[8];
	uint8		last[2 * BLOCK] = {0};
	size_t		used = len % BLOCK;
	size_t		blocks = used < BLOCK - sizeof(uint64) ? 1 : 2;
	uint64		bits = pg_hton64((uint64) len * 8);

	if (present < 0)
		present = detect();
	if (!present)
		return false;

	memcpy(state, initial, sizeof(state));
	compress(state, data, len / BLOCK);
	if (used > 0)
		memcpy(last, (const uint8 *) data + len - used, used);
	last[used] = 0x80;
	memcpy(last + blocks * BLOCK - sizeof(bits), &bits, sizeof(bits));
	compress(state, last, blocks);
	for (int i = 0; i < lengthof(state); i++)
		state[i] = pg_hton32(state[i]);
	memcpy(hash, state, sizeof(state));
	return true;
}

#else

bool
uaef_sha256_ni(const void *data, size_t len, uint8 *hash)
{
	return false;
}

#endif
