/*-------------------------------------------------------------------------
 *
 * verify_sha256.c
 *	  SHA-256 of FIPS 180-4, by the processor's instructions if it has them.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#include "verify_sha256.h"

#define BLOCK 64

typedef void (*Compress) (uint32_t *state, const uint8_t *data, size_t blocks);

static const uint32_t initial[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
};

static const uint32_t constants[64]
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

static void compress_portable(uint32_t *state, const uint8_t *data,
							  size_t blocks);

static Compress compress = compress_portable;

#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))

static void
compress_portable(uint32_t *state, const uint8_t *data, size_t blocks)
{
	uint32_t	w[64];

	for (; blocks > 0; blocks--, data += BLOCK)
	{
		uint32_t	v[8];

		memcpy(v, state, sizeof(v));
		for (int i = 0; i < 16; i++)
			w[i] = (uint32_t) get_number(data + 4 * i, 4);
		for (int i = 16; i < 64; i++)
			w[i] = w[i - 16] + w[i - 7] +
				(ROTATE(w[i - 15], 7) ^ ROTATE(w[i - 15], 18) ^ w[i - 15] >> 3) +
				(ROTATE(w[i - 2], 17) ^ ROTATE(w[i - 2], 19) ^ w[i - 2] >> 10);
		for (int i = 0; i < 64; i++)
		{
			uint32_t	t1 = v[7] + constants[i] + w[i] +
				(ROTATE(v[4], 6) ^ ROTATE(v[4], 11) ^ ROTATE(v[4], 25)) +
				((v[4] & v[5]) ^ (~v[4] & v[6]));
			uint32_t	t2 = (ROTATE(v[0], 2) ^ ROTATE(v[0], 13) ^ ROTATE(v[0], 22)) +
				((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

			memmove(v + 1, v, 7 * sizeof(uint32_t));
			v[4] += t1;
			v[0] = t1 + t2;
		}
		for (int i = 0; i < 8; i++)
			state[i] += v[i];
	}
}

#if defined(__x86_64__)

/*
 * Four rounds at a time.  The instructions want the state as ABEF and CDGH,
 * and make four words of the message schedule out of the sixteen before them.
 */
__attribute__((target("sha,sse4.1,ssse3")))
static void
compress_ni(uint32_t *state, const uint8_t *data, size_t blocks)
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

#endif

void
sha256_choose(bool portable)
{
	compress = compress_portable;
#if defined(__x86_64__)
	if (!portable)
	{
		uint32_t	a;
		uint32_t	b;
		uint32_t	c;
		uint32_t	d;

		/* Bit 29 of EBX of leaf 7; gcc 12 has no word "sha" for it. */
		if (__builtin_cpu_supports("sse4.1") &&
			__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1) != 0)
			compress = compress_ni;
	}
#else
	(void) portable;
#endif
}

const char *
sha256_engine(void)
{
	return compress == compress_portable ? "portable" : "SHA-NI";
}

void
sha256_begin(Sha256 *sha)
{
	memcpy(sha->state, initial, sizeof(initial));
	sha->len = 0;
}

void
sha256_add(Sha256 *sha, const void *data, size_t len)
{
	const uint8_t *in = data;
	size_t		used = sha->len % BLOCK;

	sha->len += len;
	if (used + len < BLOCK)
	{
		if (len > 0)
			memcpy(sha->block + used, in, len);
		return;
	}
	if (used > 0)
	{
		size_t		n = BLOCK - used;

		memcpy(sha->block + used, in, n);
		compress(sha->state, sha->block, 1);
		in += n;
		len -= n;
	}
	if (len >= BLOCK)
		compress(sha->state, in, len / BLOCK);
	if (len % BLOCK > 0)
		memcpy(sha->block, in + len / BLOCK * BLOCK, len % BLOCK);
}

void
sha256_end(Sha256 *sha, uint8_t *hash)
{
	uint8_t		last[2 * BLOCK];
	size_t		used = sha->len % BLOCK;
	size_t		blocks = used < BLOCK - 8 ? 1 : 2;

	memcpy(last, sha->block, used);
	last[used] = 0x80;
	memset(last + used + 1, 0, blocks * BLOCK - used - 9);
	put_number(last + blocks * BLOCK - 8, 8, sha->len * 8);
	compress(sha->state, last, blocks);
	for (int i = 0; i < 8; i++)
		put_number(hash + 4 * i, 4, sha->state[i]);
}

void
sha256(const void *data, size_t len, uint8_t *hash)
{
	Sha256		sha;

	sha256_begin(&sha);
	sha256_add(&sha, data, len);
	sha256_end(&sha, hash);
}

void
sha256_node(const uint8_t *left, const uint8_t *right, uint8_t *hash)
{
	uint8_t		message[2 * BLOCK] = {0x01};
	uint32_t	state[8];

	memcpy(message + 1, left, HASH_LEN);
	memcpy(message + 1 + HASH_LEN, right, HASH_LEN);
	message[65] = 0x80;
	message[126] = 0x02;		/* 65 bytes are 0x208 bits */
	message[127] = 0x08;
	memcpy(state, initial, sizeof(initial));
	compress(state, message, 2);
	for (int i = 0; i < 8; i++)
		put_number(hash + 4 * i, 4, state[i]);
}
