/*-------------------------------------------------------------------------
 *
 * verify_report.c
 *	  What is wrong with a ledger, and where: a line for each finding.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "verify_report.h"

#define DETAIL_SIZE 500

bool		report_json = false;

static const char *const infos[] = {"REDACTED", "RETIRED"};
static const char *const warnings[] = {"COSIG_MISSING", "INCARNATION_UNDECLARED",
"UNANCHORED"};

/*
 * The word for a code's severity; counts it.
 */
static const char *
count(Report *report, const char *code)
{
	for (size_t i = 0; i < lengthof(infos); i++)
		if (strcmp(code, infos[i]) == 0)
		{
			report->infos++;
			return "info";
		}
	for (size_t i = 0; i < lengthof(warnings); i++)
		if (strcmp(code, warnings[i]) == 0)
		{
			report->warnings++;
			return "warning";
		}
	report->errors++;
	return "error";
}

void
add_json_string(Buffer *out, const char *text)
{
	buffer_char(out, '"');
	for (; *text != '\0'; text++)
	{
		if (*text == '"' || *text == '\\')
			buffer_char(out, '\\');
		if ((unsigned char) *text < 0x20)
			buffer_print(out, "\\u%04x", (unsigned char) *text);
		else
			buffer_char(out, *text);
	}
	buffer_char(out, '"');
}

static void
add_number(Buffer *out, const char *name, int64_t number, bool there)
{
	if (there)
		buffer_print(out, ",\"%s\":%lld", name, (long long) number);
}

static void
add_as_json(Buffer *out, const char *severity, const char *code,
			const Place *place, const char *detail)
{
	char		uuid[40];

	buffer_print(out, "{\"severity\":\"%s\",\"code\":\"%s\"", severity, code);
	if (place->stream != NULL)
		buffer_print(out, ",\"stream\":\"%s\"",
					 uuid_encode(place->stream, uuid));
	add_number(out, "stream_seq", place->stream_seq, place->stream != NULL);
	add_number(out, "event_id", place->event_id, place->event_id != 0);
	add_number(out, "block_no", place->block_no, place->block_no != 0);
	add_number(out, "leaf_index", place->leaf_plus_one - 1,
			   place->leaf_plus_one != 0);
	add_number(out, "tree_size", place->tree_size, place->tree_size != 0);
	buffer_print(out, ",\"detail\":");
	add_json_string(out, detail);
	buffer_print(out, "}\n");
}

static void
add_as_text(Buffer *out, const char *severity, const char *code,
			const Place *place, const char *detail)
{
	char		uuid[40];

	buffer_print(out, "%-7s %s", severity, code);
	if (place->block_no != 0)
		buffer_print(out, " block %lld", (long long) place->block_no);
	if (place->tree_size != 0)
		buffer_print(out, " checkpoint %lld", (long long) place->tree_size);
	if (place->leaf_plus_one != 0)
		buffer_print(out, " leaf %lld", (long long) place->leaf_plus_one - 1);
	if (place->event_id != 0)
		buffer_print(out, " event %lld", (long long) place->event_id);
	if (place->stream != NULL)
		buffer_print(out, " (stream %s number %lld)",
					 uuid_encode(place->stream, uuid),
					 (long long) place->stream_seq);
	buffer_print(out, ": %s\n", detail);
}

void
report_finding(Report *report, const char *code, const Place *place,
			   const char *format,...)
{
	static const Place nowhere = {0};
	char		detail[DETAIL_SIZE];
	va_list		args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	if (place == NULL)
		place = &nowhere;
	if (report_json)
		add_as_json(&report->text, count(report, code), code, place, detail);
	else
		add_as_text(&report->text, count(report, code), code, place, detail);
}

void
report_move(Report *to, Report *from)
{
	buffer_add(&to->text, from->text.data, from->text.len);
	to->errors += from->errors;
	to->warnings += from->warnings;
	to->infos += from->infos;
	buffer_free(&from->text);
	memset(from, 0, sizeof(Report));
}

void
report_write(Report *report)
{
	if (report->text.len == 0)
		return;
	if (fwrite(report->text.data, 1, report->text.len, stdout) !=
		report->text.len || fflush(stdout) != 0)
		fatal("could not write the findings: %s", strerror(errno));
	report->text.len = 0;
}
