/*-------------------------------------------------------------------------
 *
 * memcheck.h
 *	  What a server tells valgrind of its memory, told to gcc's address
 *	  sanitizer.
 *
 * A server that is built with -DUSE_VALGRIND and this directory before the
 * system's includes this file in place of valgrind's own.  The sanitizer then
 * knows which bytes palloc() gave out, of which contexts are gone, and of which
 * buffers are not pinned.  Without the sanitizer's library nothing is told.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_MEMCHECK_H
#define UAEF_MEMCHECK_H

extern void __asan_poison_memory_region(const volatile void *start,
										__SIZE_TYPE__ size) __attribute__((weak));
extern void __asan_unpoison_memory_region(const volatile void *start,
										  __SIZE_TYPE__ size) __attribute__((weak));

#define UAEF_FORBID(start, size) \
	(__asan_poison_memory_region ? \
	 __asan_poison_memory_region(start, size) : (void) 0)
#define UAEF_ALLOW(start, size) \
	(__asan_unpoison_memory_region ? \
	 __asan_unpoison_memory_region(start, size) : (void) 0)

#define VALGRIND_MAKE_MEM_NOACCESS(start, size)		UAEF_FORBID(start, size)
#define VALGRIND_MAKE_MEM_DEFINED(start, size)		UAEF_ALLOW(start, size)
#define VALGRIND_MAKE_MEM_UNDEFINED(start, size)	UAEF_ALLOW(start, size)
#define VALGRIND_MEMPOOL_ALLOC(pool, start, size)	UAEF_ALLOW(start, size)
#define VALGRIND_MEMPOOL_CHANGE(pool, old, start, size)	UAEF_ALLOW(start, size)
#define VALGRIND_MEMPOOL_FREE(pool, start)			((void) 0)
#define VALGRIND_MEMPOOL_TRIM(pool, start, size)	((void) 0)
#define VALGRIND_CREATE_MEMPOOL(pool, redzone, zeroed)	((void) 0)
#define VALGRIND_DESTROY_MEMPOOL(pool)				((void) 0)
#define VALGRIND_CHECK_MEM_IS_DEFINED(start, size)	((void) 0)
#define VALGRIND_GET_VBITS(start, bits, size)		0
#define VALGRIND_COUNT_ERRORS						0
#define VALGRIND_PRINTF(...)						((void) 0)

#endif							/* UAEF_MEMCHECK_H */
