/*-------------------------------------------------------------------------
 *
 * jsonb_check.c
 *	  Whether bytes that are said to be a jsonb value can be read as one.
 *
 * The form is told in the server's utils/jsonb.h: a container has a header, an
 * array of entries with the length or the end of each child, then the
 * children; numbers and containers are aligned to four bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "jsonb_check.h"

static bool container_sound(const JsonbContainer *container, size_t len);
static bool numeric_sound(const char *number, uint32 size);
static bool child_sound(const char *base, uint32 from, uint32 to, JEntry entry);

bool
uaef_jsonb_sound(Jsonb *value)
{
	size_t		size = VARSIZE(value);

	return size >= VARHDRSZ + sizeof(uint32) &&
		container_sound(&value->root, size - VARHDRSZ);
}

static bool
container_sound(const JsonbContainer *container, size_t len)
{
	uint32		n;
	uint32		kind;
	uint32		from = 0;
	const char *base;

	check_stack_depth();
	if (len < sizeof(uint32))
		return false;
	n = container->header & JB_CMASK;
	kind = container->header & ~JB_CMASK;
	if (kind != JB_FOBJECT && kind != JB_FARRAY &&
		!(kind == (JB_FARRAY | JB_FSCALAR) && n == 1))
		return false;
	if (kind == JB_FOBJECT)
		n *= 2;
	len -= sizeof(uint32);
	if (n > len / sizeof(JEntry))
		return false;
	len -= n * sizeof(JEntry);
	base = (const char *) (container->children + n);
	for (uint32 i = 0; i < n; i++)
	{
		JEntry		entry = container->children[i];
		uint32		to = JBE_OFFLENFLD(entry);

		if (!JBE_HAS_OFF(entry))
			to += from;
		if (to < from || to > len ||
			(kind == JB_FOBJECT && i < n / 2 && !JBE_ISSTRING(entry)) ||
			!child_sound(base, from, to, entry))
			return false;
		from = to;
	}
	return true;
}

/*
 * A number has a header of one word, or of two if its highest bit is not set.
 */
static bool
numeric_sound(const char *number, uint32 size)
{
	uint16		header;

	if (size < VARHDRSZ + sizeof(header) || !VARATT_IS_4B_U(number) ||
		VARSIZE_4B(number) != size)
		return false;
	memcpy(&header, number + VARHDRSZ, sizeof(header));
	return (header & 0x8000) != 0 ||
		size >= VARHDRSZ + 2 * sizeof(header);
}

/*
 * A child from one offset to another, which begins with its padding.
 */
static bool
child_sound(const char *base, uint32 from, uint32 to, JEntry entry)
{
	uint32		start = INTALIGN(from);

	if (JBE_ISSTRING(entry))
		return true;
	if (JBE_ISNULL(entry) || JBE_ISBOOL(entry))
		return from == to;
	if (start + sizeof(uint32) > to)
		return false;
	if (JBE_ISCONTAINER(entry))
		return container_sound((const JsonbContainer *) (base + start),
							   to - start);
	return JBE_ISNUMERIC(entry) && numeric_sound(base + start, to - start);
}
