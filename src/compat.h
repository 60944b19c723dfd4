/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between PostgreSQL 14 and 18, in one place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_COMPAT_H
#define UAEF_COMPAT_H

#include "storage/proc.h"

/* The number that a backend's slot has in shared memory, from 0. */
#if PG_VERSION_NUM >= 170000
#define uaef_backend_slot()		((int) MyProcNumber)
#else
#define uaef_backend_slot()		((int) MyProc->pgprocno)
#endif

#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix)	EmitWarningsOnPlaceholders(prefix)
#endif

#endif							/* UAEF_COMPAT_H */
