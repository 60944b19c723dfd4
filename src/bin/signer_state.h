/*-------------------------------------------------------------------------
 *
 * signer_state.h
 *	  What a signer has signed last, of each origin, in a file.
 *
 * The file is the last notes themselves, one after the other, so that a person
 * can read it, and can make one from a note that somebody else has kept.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SIGNER_STATE_H
#define SIGNER_STATE_H

#include "signer_note.h"

/* The last note of an origin. */
typedef struct Signed
{
	Checkpoint	checkpoint;
	char	   *note;			/* malloc'd */
} Signed;

typedef struct State
{
	const char *path;
	Signed	   *last;			/* malloc'd array */
	int			n;
	char		error[256];		/* what went wrong */
} State;

/*
 * Read a state; a key's own signatures in it are verified.  Returns 0; 1 when
 * there is no such file, with an empty state; -1 on an error.
 */
extern int	state_load(State *state, const char *path, const Key *key);

/* What was signed last of an origin, or NULL. */
extern const Signed *state_find(const State *state, const char *origin);

/*
 * Remember a note: it is on disk when this returns 0.  After -1 the state in
 * memory is as before, and the disk has either.
 */
extern int	state_save(State *state, const Checkpoint *checkpoint,
					   const char *note);

#endif							/* SIGNER_STATE_H */
