/*-------------------------------------------------------------------------
 *
 * verify_json.c
 *	  A strict reader of JSON (RFC 8259), into an array of nodes.
 *
 * Nodes are referred to by index, because the array moves as it grows.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "verify_json.h"

/* Objects up to here are compared pair by pair. */
#define FEW_MEMBERS 16

static bool read_value(Json *json, int depth);

static bool
fail(Json *json, const char *error, const char *at)
{
	json->error = error;
	json->error_at = (size_t) (at - json->start);
	return false;
}

static void
skip_space(Json *json)
{
	while (json->p < json->end && (*json->p == ' ' || *json->p == '\t' ||
								   *json->p == '\n' || *json->p == '\r'))
		json->p++;
}

static uint32_t
new_node(Json *json, JsonType type)
{
	JsonNode   *node;

	if (json->count == json->size)
	{
		if (json->size > UINT32_MAX / 4)
			fatal("a JSON document has more than a billion values");
		json->size = Max(64, json->size * 2);
		json->nodes = more_memory(json->nodes, json->size * sizeof(JsonNode));
	}
	node = &json->nodes[json->count];
	memset(node, 0, sizeof(JsonNode));
	node->type = type;
	node->next = json->count + 1;
	return json->count++;
}

/*
 * Four hexadecimal digits of an escape, or -1.
 */
static long
read_unit(Json *json)
{
	uint8_t		bytes[2];

	if (json->end - json->p < 4 || !hex_decode(json->p, 4, bytes, 2))
		return -1;
	json->p += 4;
	return bytes[0] << 8 | bytes[1];
}

/*
 * The character of an escape \u, p behind the u.
 */
static bool
read_escape(Json *json)
{
	const char *at = json->p;
	long		code = read_unit(json);
	char	   *out = json->strings + json->strings_len;

	if (code < 0)
		return fail(json, "\\u is not followed by four hexadecimal digits", at);
	if (code >= 0xd800 && code <= 0xdfff)
	{
		long		low = -1;

		if (code < 0xdc00 && json->end - json->p >= 6 &&
			json->p[0] == '\\' && json->p[1] == 'u')
		{
			json->p += 2;
			low = read_unit(json);
		}
		if (low < 0xdc00 || low > 0xdfff)
			return fail(json, "half of a surrogate pair", at);
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
		*out++ = (char) (0xf0 | code >> 18);
		*out++ = (char) (0x80 | (code >> 12 & 0x3f));
		*out++ = (char) (0x80 | (code >> 6 & 0x3f));
		*out++ = (char) (0x80 | (code & 0x3f));
	}
	else if (code >= 0x800)
	{
		*out++ = (char) (0xe0 | code >> 12);
		*out++ = (char) (0x80 | (code >> 6 & 0x3f));
		*out++ = (char) (0x80 | (code & 0x3f));
	}
	else if (code >= 0x80)
	{
		*out++ = (char) (0xc0 | code >> 6);
		*out++ = (char) (0x80 | (code & 0x3f));
	}
	else
		*out++ = (char) code;
	json->strings_len = (size_t) (out - json->strings);
	return true;
}

/*
 * The rest of a string with escapes, from the first of them on.
 */
static bool
read_escaped(Json *json)
{
	while (json->p < json->end && *json->p != '"')
	{
		static const char from[] = "\"\\/bfnrt";
		static const char to[] = "\"\\/\b\f\n\r\t";
		const char *found;

		if ((unsigned char) *json->p < 0x20)
			return fail(json, "a control character in a string", json->p);
		if (*json->p != '\\')
		{
			json->strings[json->strings_len++] = *json->p++;
			continue;
		}
		json->p++;
		if (json->p == json->end)
			break;
		if (*json->p == 'u')
		{
			json->p++;
			if (!read_escape(json))
				return false;
			continue;
		}
		found = *json->p == '\0' ? NULL : strchr(from, *json->p);
		if (found == NULL)
			return fail(json, "an unknown escape in a string", json->p);
		json->strings[json->strings_len++] = to[found - from];
		json->p++;
	}
	return true;
}

static bool
read_string(Json *json)
{
	uint32_t	node = new_node(json, JSON_STRING);
	const char *start = ++json->p;
	const char *data = start;
	size_t		len;

	while (json->p < json->end && *json->p != '"' && *json->p != '\\' &&
		   (unsigned char) *json->p >= 0x20)
		json->p++;
	len = (size_t) (json->p - start);
	if (json->p < json->end && *json->p == '\\')
	{
		data = json->strings + json->strings_len;
		memcpy(json->strings + json->strings_len, start, len);
		json->strings_len += len;
		if (!read_escaped(json))
			return false;
		len = (size_t) (json->strings + json->strings_len - data);
	}
	if (json->p == json->end)
		return fail(json, "a string does not end", start - 1);
	if (*json->p != '"')
		return fail(json, "a control character in a string", json->p);
	json->p++;
	json->nodes[node].text.data = data;
	json->nodes[node].text.len = len;
	return true;
}

static bool
skip_digits(Json *json)
{
	const char *start = json->p;

	while (json->p < json->end && *json->p >= '0' && *json->p <= '9')
		json->p++;
	return json->p > start;
}

static bool
read_number(Json *json)
{
	const char *start = json->p;
	uint32_t	node = new_node(json, JSON_NUMBER);

	if (*json->p == '-')
		json->p++;
	if (json->p < json->end && *json->p == '0')
		json->p++;
	else if (!skip_digits(json))
		return fail(json, "not a JSON value", start);
	if (json->p < json->end && *json->p == '.')
	{
		json->p++;
		if (!skip_digits(json))
			return fail(json, "a number without digits behind its point", start);
	}
	if (json->p < json->end && (*json->p == 'e' || *json->p == 'E'))
	{
		json->p++;
		if (json->p < json->end && (*json->p == '+' || *json->p == '-'))
			json->p++;
		if (!skip_digits(json))
			return fail(json, "a number without digits in its exponent", start);
	}
	json->nodes[node].text.data = start;
	json->nodes[node].text.len = (size_t) (json->p - start);
	return true;
}

static bool
read_word(Json *json)
{
	static const struct
	{
		const char *word;
		JsonType	type;
	}			words[] = {{"null", JSON_NULL}, {"true", JSON_TRUE}, {"false", JSON_FALSE}};

	for (size_t i = 0; i < lengthof(words); i++)
	{
		size_t		len = strlen(words[i].word);

		if ((size_t) (json->end - json->p) < len ||
			memcmp(json->p, words[i].word, len) != 0)
			continue;
		json->p += len;
		new_node(json, words[i].type);
		return true;
	}
	return fail(json, "not a JSON value", json->p);
}

static int
compare_slices(const void *a, const void *b)
{
	const Slice *left = a;
	const Slice *right = b;
	size_t		shorter = Min(left->len, right->len);
	int			order = shorter == 0 ? 0 :
		memcmp(left->data, right->data, shorter);

	if (order != 0)
		return order;
	return left->len < right->len ? -1 : left->len > right->len;
}

/*
 * Whether an object has no key twice.
 */
static bool
keys_differ(Json *json, uint32_t object)
{
	uint32_t	n = json->nodes[object].count;
	uint32_t	node = object + 1;
	Slice		few[FEW_MEMBERS];
	Slice	   *keys = few;
	bool		differ = true;

	if (n > FEW_MEMBERS)
		keys = get_memory(n * sizeof(Slice));
	for (uint32_t i = 0; i < n; i++)
	{
		keys[i] = json->nodes[node].text;
		node = json->nodes[node + 1].next;
	}
	if (n > FEW_MEMBERS)
	{
		qsort(keys, n, sizeof(Slice), compare_slices);
		for (uint32_t i = 1; i < n; i++)
			differ &= compare_slices(&keys[i - 1], &keys[i]) != 0;
		free(keys);
	}
	else
	{
		for (uint32_t i = 1; i < n; i++)
			for (uint32_t j = 0; j < i; j++)
				differ &= keys[i].len != keys[j].len ||
					memcmp(keys[i].data, keys[j].data, keys[i].len) != 0;
	}
	return differ;
}

/*
 * The comma before the next element or the end of the container; *more tells
 * which.
 */
static bool
read_comma(Json *json, char close, bool first, bool *more)
{
	skip_space(json);
	*more = true;
	if (json->p < json->end && *json->p == close)
	{
		json->p++;
		*more = false;
		return true;
	}
	if (first)
		return true;
	if (json->p == json->end || *json->p != ',')
		return fail(json, "a comma or the end of an array or object is missing",
					json->p);
	json->p++;
	skip_space(json);
	return true;
}

static bool
read_container(Json *json, int depth)
{
	const char *start = json->p;
	bool		object = *json->p == '{';
	uint32_t	node = new_node(json, object ? JSON_OBJECT : JSON_ARRAY);
	uint32_t	count = 0;
	bool		more;

	if (depth >= JSON_DEPTH)
		return fail(json, "arrays and objects nested too deep", start);
	json->p++;
	while (true)
	{
		if (!read_comma(json, object ? '}' : ']', count == 0, &more))
			return false;
		if (!more)
			break;
		if (object)
		{
			if (json->p == json->end || *json->p != '"')
				return fail(json, "a key is missing", json->p);
			if (!read_string(json))
				return false;
			skip_space(json);
			if (json->p == json->end || *json->p != ':')
				return fail(json, "a colon is missing", json->p);
			json->p++;
		}
		if (!read_value(json, depth + 1))
			return false;
		count++;
	}
	json->nodes[node].count = count;
	json->nodes[node].next = json->count;
	if (object && !keys_differ(json, node))
		return fail(json, "a key occurs twice in an object", start);
	return true;
}

static bool
read_value(Json *json, int depth)
{
	skip_space(json);
	if (json->p == json->end)
		return fail(json, "a value is missing", json->p);
	switch (*json->p)
	{
		case '{':
		case '[':
			return read_container(json, depth);
		case '"':
			return read_string(json);
		case 'n':
		case 't':
		case 'f':
			return read_word(json);
		default:
			return read_number(json);
	}
}

bool
json_read(Json *json, const char *text, size_t len)
{
	json->count = 0;
	json->row = 0;
	json->strings_len = 0;
	json->start = json->p = text;
	json->end = text + len;
	json->error = NULL;
	if (json->strings_size < len)
	{
		json->strings_size = Max(len, 2 * json->strings_size);
		free(json->strings);
		json->strings = get_memory(json->strings_size);
	}
	if (!utf8_valid(text, len))
		return fail(json, "the text is not UTF-8", text);
	if (!read_value(json, 0))
		return false;
	skip_space(json);
	if (json->p != json->end)
		return fail(json, "there is something behind the value", json->p);
	return true;
}

const JsonNode *
json_member(const Json *json, const JsonNode *object, const char *key)
{
	size_t		len = strlen(key);
	const JsonNode *node = object + 1;

	if (object->type != JSON_OBJECT)
		return NULL;
	for (uint32_t i = 0; i < object->count; i++)
	{
		if (node->text.len == len && memcmp(node->text.data, key, len) == 0)
			return node + 1;
		node = json->nodes + (node + 1)->next;
	}
	return NULL;
}

void
json_free(Json *json)
{
	free(json->nodes);
	free(json->strings);
	memset(json, 0, sizeof(Json));
}
