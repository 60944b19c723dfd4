/*-------------------------------------------------------------------------
 *
 * verify_util.h
 *	  What all files of the offline verifier need: memory, bytes, texts.
 *
 * Memory: what is allocated here is never NULL; running out of it ends the
 * program.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_UTIL_H
#define VERIFY_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_LEN 32
#define UUID_LEN 16

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))
#define Min(a, b) ((a) < (b) ? (a) : (b))
#define Max(a, b) ((a) > (b) ? (a) : (b))

/* Exit codes of the program. */
enum
{
	EXIT_SOUND = 0,				/* nothing is wrong */
	EXIT_PROBLEMS = 1,			/* something is */
	EXIT_UNREADABLE = 2,		/* the input or the command cannot be read */
	EXIT_POLICY = 3				/* sound, but fewer witnesses than asked for */
};

/* Bytes that grow; all zero is an empty one. */
typedef struct Buffer
{
	char	   *data;
	size_t		len;
	size_t		size;
} Buffer;

/* Bytes of somebody else; data is NULL when there are none. */
typedef struct Slice
{
	const char *data;
	size_t		len;
} Slice;

extern void fatal(const char *format,...)
			__attribute__((format(printf, 1, 2), noreturn));

extern void *get_memory(size_t len);
extern void *more_memory(void *old, size_t len);

extern void buffer_reserve(Buffer *buffer, size_t more);
extern void buffer_add(Buffer *buffer, const void *data, size_t len);
extern void buffer_char(Buffer *buffer, char c);
extern void buffer_print(Buffer *buffer, const char *format,...)
			__attribute__((format(printf, 2, 3)));
extern void buffer_free(Buffer *buffer);

/* Growing arrays of these. */
#define LIST(type) struct { type *item; size_t count; size_t size; }
#define list_add(list) \
	(list_room((void **) &(list)->item, (list)->count, &(list)->size, \
			   sizeof(*(list)->item)), &(list)->item[(list)->count++])
extern void list_room(void **items, size_t count, size_t *size, size_t width);

/* Append a file's bytes; false when it cannot be read, errno says why. */
extern bool read_file(const char *path, Buffer *buffer);

/*
 * The same of a note, or what ends in one.  psql writes a newline after each
 * value, also after a note, which has its own: no empty line ends a note.
 */
extern bool read_note_file(const char *path, Buffer *buffer);

/* Big-endian numbers; here, so that the compiler sees their length. */
static inline uint64_t
get_number(const void *bytes, int len)
{
	const uint8_t *in = bytes;
	uint64_t	number = 0;

	for (int i = 0; i < len; i++)
		number = number << 8 | in[i];
	return number;
}

static inline void
put_number(void *bytes, int len, uint64_t number)
{
	uint8_t    *out = bytes;

	for (int i = len - 1; i >= 0; i--)
	{
		out[i] = number & 0xff;
		number >>= 8;
	}
}

extern Slice make_slice(const char *data, size_t len);

/* Whether a slice is a text. */
extern bool slice_is(Slice slice, const char *text);

/*
 * Hexadecimal digits, without regard to case, that are len bytes; false when
 * they are not.
 */
extern bool hex_decode(const char *text, size_t text_len, void *bytes,
					   size_t len);

/* len bytes as 2 * len + 1 characters. */
extern char *hex_encode(const void *bytes, size_t len, char *text);

/* The text of a UUID, as its 16 bytes; false when it is none. */
extern bool uuid_decode(Slice text, uint8_t *uuid);
extern char *uuid_encode(const uint8_t *uuid, char *text);	/* 37 characters */

/*
 * Digits without leading zeros that fit into an int64; false when they are
 * not that.
 */
extern bool decimal_decode(const char *text, size_t len, int64_t *number);

/*
 * A time in ISO 8601 with an offset, in microseconds since 1970; false when
 * it is none.
 */
extern bool time_decode(Slice text, int64_t *us);
extern char *time_encode(int64_t us, char *text);	/* 64 characters */

/* Whether bytes are UTF-8, without surrogates and overlong forms. */
extern bool utf8_valid(const char *data, size_t len);

#endif							/* VERIFY_UTIL_H */
