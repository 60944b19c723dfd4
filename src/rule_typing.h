/*-------------------------------------------------------------------------
 *
 * rule_typing.h
 *	  What a workflow says of the data that rules will read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RULE_TYPING_H
#define UAEF_RULE_TYPING_H

#include "definition.h"

/*
 * By the schemas of its input and of its tasks' outputs, its context, and
 * what sys has.
 */
extern UaefTyping uaef_rule_typing(const UaefDefinition *definition);

#endif							/* UAEF_RULE_TYPING_H */
