/*-------------------------------------------------------------------------
 *
 * verify_progress.c
 *	  How far a long run is, on a terminal.
 *
 * Locking: only who takes pieces of work shows progress.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "verify_progress.h"

#define WIDTH 40
#define INTERVAL 0.1

static bool enabled = false;
static bool shown = false;
static double began;
static double last;

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

void
progress_start(bool quiet)
{
	enabled = !quiet && isatty(STDERR_FILENO);
	began = last = now();
}

void
progress_show(int64_t done, int64_t total, int64_t events)
{
	double		time;
	char		bar[WIDTH + 1] = "";
	int			full;

	if (!enabled)
		return;
	time = now();
	if (time - last < INTERVAL)
		return;
	last = time;
	shown = true;
	if (total > 0)
	{
		full = (int) (done * WIDTH / total);
		memset(bar, ' ', WIDTH);
		memset(bar, '#', (size_t) Min(full, WIDTH));
		fprintf(stderr, "\r[%s] %3d %%", bar, (int) (done * 100 / total));
	}
	else
		fprintf(stderr, "\r");
	fprintf(stderr, " %lld events, %.0f/s ", (long long) events,
			(double) events / (time - began));
}

void
progress_clear(void)
{
	if (shown)
		fprintf(stderr, "\r%*s\r", WIDTH + 50, "");
	shown = false;
}
