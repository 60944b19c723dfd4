/*-------------------------------------------------------------------------
 *
 * shmem_area.h
 *	  Shared memory that the library asks for when the server starts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SHMEM_AREA_H
#define UAEF_SHMEM_AREA_H

/* Makes an area, or finds the one that another process has made. */
typedef void (*UaefShmemStartup) (void);

/*
 * From _PG_init, while the library is being preloaded: ask for so many bytes,
 * and have them made.  Areas are made in the order in which they were asked for.
 */
extern void uaef_shmem_area(Size size, UaefShmemStartup make);

#endif							/* UAEF_SHMEM_AREA_H */
