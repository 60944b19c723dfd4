/*-------------------------------------------------------------------------
 *
 * hide_statement.c
 *	  Keeping the text of a statement, which has a secret, from being shown.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgstat.h"
#include "tcop/tcopprot.h"

#include "hide_statement.h"

static void hide(void *arg);

/*
 * Called for each report that is made in between.
 */
static void
hide(void *arg)
{
	(void) errhidestmt(true);
	(void) errhidecontext(true);
}

void
uaef_hide_statement_begin(ErrorContextCallback *hiding, const char *instead)
{
	hiding->callback = hide;
	hiding->arg = NULL;
	hiding->previous = error_context_stack;
	error_context_stack = hiding;
	debug_query_string = instead;
	pgstat_report_activity(STATE_RUNNING, instead);
}

void
uaef_hide_statement_end(ErrorContextCallback *hiding)
{
	error_context_stack = hiding->previous;
}
