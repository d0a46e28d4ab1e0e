/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/pages.h"

#include "backends/members.h"
#include <errno.h>
#include <string.h>

/* A circle of any length is found: the mark stands still while twice as many pages go by as
 * before. */
static bool goes_round(struct pages *p)
{
	bool same = p->mark.len && p->mark.len == p->token.len &&
		    !memcmp(p->mark.data, p->token.data, p->token.len);
	if (same || ++p->n != p->next_mark)
		return same;
	p->next_mark *= 2;
	buf_reset(&p->mark);
	buf_add(&p->mark, p->token.data, p->token.len);
	return false;
}

int pages_next(
	struct pages *p, struct json *doc, const struct json_node *token, struct sfs_err *err)
{
	buf_reset(&p->token);
	int rc = token ? member_text_of(doc, token, &p->token) : 0;
	if (rc == 0 && !p->token.len)
		return 0;
	if (rc == -ENOMEM)
		return err_set(err, ENOMEM, "out of memory for a page of the listing");
	if (rc)
		return err_set(err, EBADMSG,
			"the token for the next page is no text of at most %d bytes",
			PAGES_TOKEN_MAX);
	if (goes_round(p))
		return err_set(err, EBADMSG,
			"the listing goes round in a circle: a token for the next page came again");
	if (p->n > PAGES_MAX)
		return err_set(err, EFBIG, "the listing has more than %d pages", PAGES_MAX);
	return p->mark.failed ? err_set(err, ENOMEM, "out of memory for a page of the listing") : 1;
}

bool pages_restart(struct pages *p)
{
	bool again = !p->restarted && p->token.len;
	if (!again)
		return false;
	buf_reset(&p->token);
	buf_reset(&p->mark);
	p->n = 0;
	p->next_mark = 1;
	p->restarted = true;
	return true;
}

void pages_clear(struct pages *p)
{
	buf_clear(&p->token);
	buf_clear(&p->mark);
}
