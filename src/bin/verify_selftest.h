/*-------------------------------------------------------------------------
 *
 * verify_selftest.h
 *	  Published test vectors.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_SELFTEST_H
#define VERIFY_SELFTEST_H

#include <stdbool.h>

/* Run all; prints what fails and how many passed. */
extern bool self_test(void);

#endif							/* VERIFY_SELFTEST_H */
