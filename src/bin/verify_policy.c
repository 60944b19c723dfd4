/*-------------------------------------------------------------------------
 *
 * verify_policy.c
 *	  Whom to trust: a policy file of C2SP tlog-policy, with a line more for
 *	  the ledger's id.
 *
 * Memory: a policy lives as long as the program.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <string.h>

#include "verify_policy.h"

#define WORDS (POLICY_NAMES + 4)

/* The line that is read. */
typedef struct Line
{
	const char *path;
	int			number;
	int			words;
	char	   *word[WORDS];
} Line;

static void wrong(const Line *line, const char *what)
			__attribute__((noreturn));

static void
wrong(const Line *line, const char *what)
{
	fatal("%s:%d: %s", line->path, line->number, what);
}

static void
need_words(const Line *line, int least, int most, const char *form)
{
	if (line->words < least || line->words > most)
		fatal("%s:%d: the line must be of the form: %s", line->path,
			  line->number, form);
}

static Key
read_key(const Line *line, const char *text, int type)
{
	Key			key;
	const char *error = key_read(text, &key);

	if (error != NULL)
		wrong(line, error);
	if (key.type != type)
		wrong(line, type == KEY_ED25519 ? "a log's key must be of type 01" :
			  "a witness's key must be of type 04");
	return key;
}

static void
add_log(Policy *policy, const Line *line)
{
	Key			key;

	need_words(line, 2, 3, "log VKEY [URL]");
	key = read_key(line, line->word[1], KEY_ED25519);
	for (int i = 0; i < policy->logs; i++)
		if (memcmp(policy->log[i].public_key, key.public_key, 32) == 0)
			wrong(line, "the log's key occurs twice");
	if (policy->logs == POLICY_NAMES)
		wrong(line, "too many logs");
	policy->log[policy->logs++] = key;
}

static int
find_name(const Policy *policy, const char *name)
{
	for (int i = 0; i < policy->names; i++)
		if (strcmp(policy->name[i].name, name) == 0)
			return i;
	return -1;
}

static PolicyName *
new_name(Policy *policy, const Line *line)
{
	char	   *name = line->word[1];

	if (strcmp(name, "none") == 0 || find_name(policy, name) >= 0)
		wrong(line, "the name is taken");
	if (policy->names == POLICY_NAMES)
		wrong(line, "too many witnesses and groups");
	policy->name[policy->names].name = strdup(name);
	return &policy->name[policy->names];
}

static void
add_witness(Policy *policy, const Line *line)
{
	PolicyName *name;

	need_words(line, 3, 4, "witness NAME VKEY [URL]");
	name = new_name(policy, line);
	name->witness = true;
	name->key = read_key(line, line->word[2], KEY_COSIGNATURE);
	for (int i = 0; i < policy->names; i++)
		if (policy->name[i].witness &&
			memcmp(policy->name[i].key.public_key, name->key.public_key, 32) == 0)
			wrong(line, "the witness's key occurs twice");
	policy->names++;
}

static void
add_group(Policy *policy, const Line *line)
{
	PolicyName *group;
	int64_t		threshold;

	need_words(line, 4, WORDS, "group NAME all|any|NUMBER NAME...");
	group = new_name(policy, line);
	for (int i = 3; i < line->words; i++)
	{
		int			member = find_name(policy, line->word[i]);

		if (member < 0)
			wrong(line, "a member of the group is not defined above");
		if (policy->name[member].taken)
			wrong(line, "a name is a member twice");
		policy->name[member].taken = true;
		group->member[group->members++] = member;
	}
	if (strcmp(line->word[2], "all") == 0)
		threshold = group->members;
	else if (strcmp(line->word[2], "any") == 0)
		threshold = 1;
	else if (!decimal_decode(line->word[2], strlen(line->word[2]), &threshold) ||
			 threshold < 1 || threshold > group->members)
		wrong(line, "the group's number is not between 1 and that of its members");
	group->threshold = (int) threshold;
	policy->names++;
}

static void
set_quorum(Policy *policy, const Line *line)
{
	need_words(line, 2, 2, "quorum NAME|none");
	if (policy->quorum_known)
		wrong(line, "there is a second quorum");
	policy->quorum_known = true;
	policy->quorum = find_name(policy, line->word[1]);
	if (policy->quorum < 0 && strcmp(line->word[1], "none") != 0)
		wrong(line, "the quorum's name is not defined above");
}

static void
set_ledger(Policy *policy, const Line *line)
{
	Slice		text;

	need_words(line, 2, 2, "ledger UUID");
	text.data = line->word[1];
	text.len = strlen(line->word[1]);
	if (policy->ledger_known || !uuid_decode(text, policy->ledger))
		wrong(line, "the ledger's id is no UUID, or there are two");
	policy->ledger_known = true;
}

static void
set_origin(Policy *policy, const Line *line)
{
	need_words(line, 2, 2, "origin NAME");
	if (policy->origin != NULL)
		wrong(line, "there is a second origin");
	policy->origin = strdup(line->word[1]);
}

/*
 * Take a line, which ends with a NUL, apart; the words are its own memory.
 */
static void
read_words(Line *line, char *text)
{
	line->words = 0;
	for (char *word = strtok(text, " \t"); word != NULL;
		 word = strtok(NULL, " \t"))
	{
		if (line->words == WORDS)
			wrong(line, "too many words");
		line->word[line->words++] = word;
	}
}

static void
read_line(Policy *policy, Line *line)
{
	static const struct
	{
		const char *word;
		void		(*read) (Policy *policy, const Line *line);
	}			kinds[] = {
		{"log", add_log}, {"witness", add_witness}, {"group", add_group},
		{"quorum", set_quorum}, {"ledger", set_ledger}, {"origin", set_origin}
	};

	if (line->words == 0 || line->word[0][0] == '#')
		return;
	for (size_t i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].word, line->word[0]) == 0)
		{
			kinds[i].read(policy, line);
			return;
		}
	wrong(line, "a line begins with log, witness, group, quorum, ledger, origin or #");
}

Policy *
policy_read(const char *path)
{
	Policy	   *policy = get_memory(sizeof(Policy));
	Buffer		file = {0};
	Line		line = {.path = path};
	char	   *p;
	char	   *end;

	memset(policy, 0, sizeof(Policy));
	policy->quorum = -1;
	if (!read_file(path, &file))
		fatal("could not read policy \"%s\": %s", path, strerror(errno));
	p = file.data;
	end = file.data + file.len;
	while (p < end)
	{
		char	   *newline = memchr(p, '\n', (size_t) (end - p));

		line.number++;
		if (newline == NULL)
			wrong(&line, "the last line does not end");
		for (char *c = p; c < newline; c++)
			if (((unsigned char) *c < 0x20 && *c != '\t') || *c == 0x7f)
				wrong(&line, "a control character");
		*newline = '\0';
		read_words(&line, p);
		read_line(policy, &line);
		p = newline + 1;
	}
	buffer_free(&file);
	if (!policy->quorum_known)
		fatal("%s: there is no quorum line; \"quorum none\" asks for no witness",
			  path);
	return policy;
}

/*
 * Names are defined before they are used, so one pass is enough.
 */
bool
policy_quorum(const Policy *policy, const bool *signed_by)
{
	bool		reached[POLICY_NAMES];

	if (policy->quorum < 0)
		return true;
	for (int i = 0; i <= policy->quorum; i++)
	{
		const PolicyName *name = &policy->name[i];
		int			n = 0;

		for (int j = 0; j < name->members; j++)
			n += reached[name->member[j]];
		reached[i] = name->witness ? signed_by[i] : n >= name->threshold;
	}
	return reached[policy->quorum];
}

int
policy_witnesses(const Policy *policy)
{
	int			n = 0;

	for (int i = 0; i < policy->names; i++)
		n += policy->name[i].witness;
	return n;
}
