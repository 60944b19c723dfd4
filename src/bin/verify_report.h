/*-------------------------------------------------------------------------
 *
 * verify_report.h
 *	  What is wrong with a ledger, and where: a line for each finding.
 *
 * Findings are collected as text, so that what several threads find can be
 * written in the order of the input.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_REPORT_H
#define VERIFY_REPORT_H

#include "verify_util.h"

typedef struct Report
{
	Buffer		text;
	int64_t		errors;
	int64_t		warnings;
	int64_t		infos;
} Report;

/* Where a finding is; what is 0 does not apply. */
typedef struct Place
{
	const uint8_t *stream;
	int64_t		stream_seq;
	int64_t		event_id;
	int64_t		block_no;
	int64_t		leaf_plus_one;	/* index in the tree */
	int64_t		tree_size;		/* of a checkpoint */
} Place;

/* Whether findings are JSON objects; before the first of them. */
extern bool report_json;

/* Add a finding; its severity follows from its code. */
extern void report_finding(Report *report, const char *code,
						   const Place *place, const char *format,...)
			__attribute__((format(printf, 4, 5)));

/* Move all of from behind what to has. */
extern void report_move(Report *to, Report *from);

/* Write the text to stdout and forget it; what was counted stays. */
extern void report_write(Report *report);

/* Append a text as a JSON string. */
extern void add_json_string(Buffer *out, const char *text);

#endif							/* VERIFY_REPORT_H */
