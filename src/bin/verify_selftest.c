/*-------------------------------------------------------------------------
 *
 * verify_selftest.c
 *	  Published test vectors: SHA-256 (FIPS 180-4), trees (RFC 6962, the
 *	  leaves of certificate-transparency), canonical JSON (RFC 8785, appendix
 *	  B and its sample of keys), Ed25519 (RFC 8032).
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify_canonical.h"
#include "verify_entry.h"
#include "verify_note.h"
#include "verify_selftest.h"
#include "verify_sha256.h"
#include "verify_tree.h"

static int	passed;
static int	failed;

static void
check(const char *name, bool good)
{
	if (good)
		passed++;
	else
	{
		failed++;
		printf("FAILED %s\n", name);
	}
}

static void
check_hash(const char *name, const uint8_t *hash, const char *expected)
{
	char		text[2 * HASH_LEN + 1];

	check(name, strcmp(hex_encode(hash, HASH_LEN, text), expected) == 0);
}

static void
test_sha256(void)
{
	static const char *const message[] = {
		"", "abc",
		"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
	};
	static const char *const expected[] = {
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
	};
	uint8_t		hash[HASH_LEN];
	uint8_t		other[HASH_LEN];
	uint8_t		bytes[300];
	Sha256		sha;

	for (size_t i = 0; i < lengthof(message); i++)
	{
		sha256(message[i], strlen(message[i]), hash);
		check_hash(sha256_engine(), hash, expected[i]);
	}
	sha256_begin(&sha);
	for (int i = 0; i < 1000000; i++)
		sha256_add(&sha, "a", 1);
	sha256_end(&sha, hash);
	check_hash("a million a", hash,
			   "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");

	/* Any way to cut a message gives the same hash. */
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t) (i * 7);
	for (size_t len = 0; len < sizeof(bytes); len++)
	{
		sha256(bytes, len, hash);
		sha256_begin(&sha);
		sha256_add(&sha, bytes, len / 3);
		sha256_add(&sha, bytes + len / 3, len - len / 3);
		sha256_end(&sha, other);
		check("parts of a message", memcmp(hash, other, HASH_LEN) == 0);
	}
}

static void
test_engines(void)
{
	uint8_t		one[HASH_LEN];
	uint8_t		two[HASH_LEN];

	sha256_choose(true);
	test_sha256();
	sha256_node((const uint8_t *) "0123456789abcdef0123456789abcdef",
				(const uint8_t *) "fedcba9876543210fedcba9876543210", one);
	sha256_choose(false);
	test_sha256();
	sha256_node((const uint8_t *) "0123456789abcdef0123456789abcdef",
				(const uint8_t *) "fedcba9876543210fedcba9876543210", two);
	check("a node by both engines", memcmp(one, two, HASH_LEN) == 0);
	sha256("\1" "0123456789abcdef0123456789abcdeffedcba9876543210fedcba9876543210",
		   65, one);
	check("a node is a message", memcmp(one, two, HASH_LEN) == 0);
}

static void
test_tree(void)
{
	static const char *const leaves[] = {
		"", "00", "10", "2021", "3031", "40414243", "5051525354555657",
		"606162636465666768696a6b6c6d6e6f"
	};
	static const char *const roots[] = {
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
	};
	Frontier	frontier = {0};
	TileTree   *tile = get_memory(sizeof(TileTree));
	uint8_t		root[HASH_LEN];

	for (int n = 0; n <= 8; n++)
	{
		uint8_t		bytes[16];
		size_t		len;
		Frontier	by_tile = {0};

		frontier_root(&frontier, root);
		check_hash("root of a tree", root, roots[n]);
		tile->width = n;
		tile_build(tile);
		frontier_append_tile(&by_tile, tile, 0, n);
		frontier_root(&by_tile, root);
		check_hash("root by a tile", root, roots[n]);
		if (n == 8)
			break;
		len = strlen(leaves[n]) / 2;
		(void) hex_decode(leaves[n], 2 * len, bytes, len);
		leaf_hash((const char *) bytes, len, tile->node[n]);
		frontier_append(&frontier, tile->node[n]);
	}
	free(tile);
}

/*
 * The audit paths of the same eight leaves, as the RFC's definition has them.
 */
static void
test_inclusion(void)
{
	static const uint8_t leaf[2][HASH_LEN] = {{1}, {2}};
	uint8_t		root[HASH_LEN];
	uint8_t		proved[HASH_LEN];

	sha256_node(leaf[0], leaf[1], root);
	check("a proof of two leaves",
		  inclusion_root(0, 2, leaf[0], leaf + 1, 1, proved) &&
		  memcmp(root, proved, HASH_LEN) == 0);
	check("a proof that is too long",
		  !inclusion_root(0, 1, leaf[0], leaf + 1, 1, proved));
	check("a proof that is too short",
		  !inclusion_root(0, 2, leaf[0], leaf + 1, 0, proved));
	check("an index outside of the tree",
		  !inclusion_root(2, 2, leaf[0], leaf + 1, 1, proved));
}

static bool
canonical_is(const char *json, const char *expected)
{
	Json		document = {0};
	Buffer		out = {0};
	bool		good = json_read(&document, json, strlen(json)) &&
		canonical_append(&out, &document, document.nodes) &&
		out.len == strlen(expected) &&
		memcmp(out.data, expected, out.len) == 0;

	if (!good)
		printf("%s became %.*s\n", json, (int) out.len, out.data);
	json_free(&document);
	buffer_free(&out);
	return good;
}

/*
 * RFC 8785, appendix B: bits of a double and how it is written.
 */
static void
test_numbers(void)
{
	static const struct
	{
		uint64_t	bits;
		const char *text;
	}			sample[] = {
		{UINT64_C(0x0000000000000000), "0"},
		{UINT64_C(0x8000000000000000), "0"},
		{UINT64_C(0x0000000000000001), "5e-324"},
		{UINT64_C(0x8000000000000001), "-5e-324"},
		{UINT64_C(0x7fefffffffffffff), "1.7976931348623157e+308"},
		{UINT64_C(0xffefffffffffffff), "-1.7976931348623157e+308"},
		{UINT64_C(0x4340000000000000), "9007199254740992"},
		{UINT64_C(0xc340000000000000), "-9007199254740992"},
		{UINT64_C(0x4430000000000000), "295147905179352830000"},
		{UINT64_C(0x44b52d02c7e14af5), "9.999999999999997e+22"},
		{UINT64_C(0x44b52d02c7e14af6), "1e+23"},
		{UINT64_C(0x44b52d02c7e14af7), "1.0000000000000001e+23"},
		{UINT64_C(0x444b1ae4d6e2ef4e), "999999999999999700000"},
		{UINT64_C(0x444b1ae4d6e2ef4f), "999999999999999900000"},
		{UINT64_C(0x444b1ae4d6e2ef50), "1e+21"},
		{UINT64_C(0x3eb0c6f7a0b5ed8c), "9.999999999999997e-7"},
		{UINT64_C(0x3eb0c6f7a0b5ed8d), "0.000001"},
		{UINT64_C(0x41b3de4355555553), "333333333.3333332"},
		{UINT64_C(0x41b3de4355555554), "333333333.33333325"},
		{UINT64_C(0x41b3de4355555555), "333333333.3333333"},
		{UINT64_C(0x41b3de4355555556), "333333333.3333334"},
		{UINT64_C(0x41b3de4355555557), "333333333.33333343"},
		{UINT64_C(0xbecbf647612f3696), "-0.0000033333333333333333"},
		{UINT64_C(0x43143ff3c1cb0959), "1424953923781206.2"}
	};

	for (size_t i = 0; i < lengthof(sample); i++)
	{
		double		number;
		double		read;

		/* The text is canonical, and stands for these bits. */
		memcpy(&number, &sample[i].bits, sizeof(number));
		read = strtod(sample[i].text, NULL);
		check(sample[i].text, canonical_is(sample[i].text, sample[i].text) &&
			  read == number);
	}
}

static void
test_canonical(void)
{
	static const char *const pair[][2] = {
		{"[1.50,1e21,1e-7,-0.0,100,1E2,0.00,12e-1]", "[1.5,1e+21,1e-7,0,100,100,0,1.2]"},
		{"9007199254740993", "9007199254740993"},
		{"0.10000000000000000555", "0.10000000000000000555"},
		{"5.6843418860808015e-14", "0.000000000000056843418860808015"},
		{"2.000000000000000000000000000000000000000000000000000001e2",
		"200.0000000000000000000000000000000000000000000000000001"},
		{" { \"b\" : [ ] , \"a\" : { } } ", "{\"a\":{},\"b\":[]}"},
		{"\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\"",
		"\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\""},
		{"{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\","
			"\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\"1\":\"One\","
			"\"\\ud83d\\ude00\":\"Emoji: Grinning Face\","
			"\"\\u0080\":\"Control\","
			"\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
			"{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
			"\"\xc3\xb6\":\"Latin Small Letter O With Diaeresis\","
			"\"\xe2\x82\xac\":\"Euro Sign\","
			"\"\xf0\x9f\x98\x80\":\"Emoji: Grinning Face\","
		"\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}"}
	};
	static const char *const bad[] = {
		"", "{", "[1,]", "{\"a\":1,\"a\":2}", "01", "1.", "1e", "-", "+1", "nul",
		"\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\x\"", "\"\n\"", "\"\xff\"",
		"\"\xed\xa0\x80\"", "1 2", "[1 2]", "{\"a\" 1}", "{1:2}", "NaN", "\"a"
	};
	Json		json = {0};

	for (size_t i = 0; i < lengthof(pair); i++)
		check(pair[i][0], canonical_is(pair[i][0], pair[i][1]));
	for (size_t i = 0; i < lengthof(bad); i++)
		check(bad[i], !json_read(&json, bad[i], strlen(bad[i])));
	json_free(&json);
}

/*
 * RFC 8032, 7.1, test 2.
 */
static void
test_ed25519(void)
{
	uint8_t		key[32];
	uint8_t		signature[64];

	(void) hex_decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
					  64, key, 32);
	(void) hex_decode("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
					  "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
					  128, signature, 64);
	check("Ed25519", ed25519_verify(key, "\x72", 1, signature));
	check("Ed25519 of another message", !ed25519_verify(key, "\x73", 1, signature));
}

bool
self_test(void)
{
	test_engines();
	test_tree();
	test_inclusion();
	test_numbers();
	test_canonical();
	test_ed25519();
	printf("%d passed, %d failed\n", passed, failed);
	return failed == 0;
}
