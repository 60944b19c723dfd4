#include "verify_ledger.h"
void tiles_read(Ledger *ledger){ (void) ledger; fatal("tiles");}
