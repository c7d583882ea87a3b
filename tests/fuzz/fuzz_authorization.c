
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The input is the value of an Authorization header, then, behind a newline,
 * a user's name as any source of it may spell it.
 */


#include <openssl/evp.h>

#include "fuzz.h"
#include "model.h"
#include "mtd_authorization.h"
#include "mtd_bearer.h"


static const mtd_user_domain_t  fuzz_domains[] = {
    { { 4, (u_char *) "corp" }, { 11, (u_char *) "example.com" } },
    { { 1, (u_char *) "*" }, { 11, (u_char *) "example.org" } }
};


/* the name in a Basic credential as OpenSSL decodes it; 0: there is none */

static size_t
fuzz_basic(u_char *to, const mtd_str_t *value)
{
    int      n;
    size_t   len, i;
    u_char  *in, *bytes, *again;

    len = value->len - sizeof("basic ") + 1;

    if (len == 0 || len % 4 || len > MTD_AUTHORIZATION_MAX) {
        return 0;
    }

    in = fuzz_copy(value->data + sizeof("basic ") - 1, len);
    bytes = fuzz_copy(in, len);
    again = malloc(len + 1);
    n = EVP_DecodeBlock(bytes, in, (int) len);
    i = 0;

    if (n > 0) {
        n -= (in[len - 1] == '=') + (in[len - 1] == '=' && in[len - 2] == '=');

        /* one spelling only */

        EVP_EncodeBlock(again, bytes, n);

        if (memcmp(again, in, len) == 0) {

            while (i < (size_t) n && bytes[i] != ':') {
                i++;
            }

            if (i == (size_t) n || i > MTD_AUTHORIZATION_USER) {
                i = 0;
            }

            memcpy(to, bytes, i);
        }
    }

    for (len = 0; len < i; len++) {
        if (to[len] < ' ' || to[len] == 127) {
            i = 0;
        }
    }

    free(again);
    free(bytes);
    free(in);

    return i;
}


static void
fuzz_value(const mtd_str_t *value)
{
    size_t                len, token_len, i, scheme;
    u_char               *user, expected[MTD_AUTHORIZATION_USER];
    const u_char         *token;
    mtd_authorization_e   is;

    user = malloc(MTD_AUTHORIZATION_USER);
    len = 0;

    is = mtd_authorization(user, &len, value);

    for (scheme = 0; scheme < value->len && value->data[scheme] > ' '
                     && value->data[scheme] < 127; scheme++)
    {
        /* void */
    }

    if (scheme == 0 || (scheme < value->len && value->data[scheme] != ' ')) {
        fuzz_check(is == MTD_AUTHORIZATION_MALFORMED, "no scheme");

    } else if (model_equal(value->data, scheme, "basic")) {
        i = (scheme < value->len) ? fuzz_basic(expected, value) : 0;

        fuzz_check((is == MTD_AUTHORIZATION_BASIC) == (i != 0), "basic");
        fuzz_check(is == MTD_AUTHORIZATION_BASIC
                   || is == MTD_AUTHORIZATION_MALFORMED, "another scheme");
        fuzz_check(i == 0 || (i == len && memcmp(expected, user, i) == 0),
                   "another user");

    } else {
        fuzz_check(is == (model_equal(value->data, scheme, "bearer")
                          ? MTD_AUTHORIZATION_BEARER
                          : MTD_AUTHORIZATION_OTHER), "another scheme");
    }

    /* who looks for tokens takes no other scheme for one, nor misses one */

    token_len = 0;
    token = mtd_bearer_token(value->data, value->len, &token_len);

    fuzz_check(token == NULL
               || (token >= value->data
                   && token + token_len <= value->data + value->len),
               "token past the end");
    fuzz_check(is != MTD_AUTHORIZATION_BASIC || token == NULL,
               "a password is a token");
    fuzz_check(is != MTD_AUTHORIZATION_BEARER || token, "a token is missed");

    free(user);
}


static void
fuzz_user(const mtd_str_t *user)
{
    size_t   len, i, max;
    u_char  *to, *at;

    for (max = 0; max <= 64; max += 16) {
        to = malloc(max ? max : 1);

        len = mtd_user_upn(to, max, user, fuzz_domains, 2);

        fuzz_check(len <= max, "no room");

        for (i = 0; i < len; i++) {
            fuzz_check(!(to[i] >= 'A' && to[i] <= 'Z'), "not folded");
        }

        at = len ? memchr(to, '@', len) : NULL;

        if (len) {
            fuzz_check(at && at > to && at + 1 < to + len
                       && memchr(at + 1, '@', to + len - at - 1) == NULL,
                       "no UPN");
            fuzz_check(memchr(to, '\\', len) == NULL, "a domain of NT in it");
        }

        if (len && memchr(user->data, '\\', user->len)) {
            fuzz_check(user->len > 5
                       && model_equal(user->data, 4, "corp")
                       && len == user->len - 5 + 12
                       && memcmp(at, "@example.com", 12) == 0,
                       "a domain that is not listed");

        } else if (len && memchr(user->data, '@', user->len) == NULL) {
            fuzz_check(len == user->len + 12
                       && memcmp(at, "@example.org", 12) == 0,
                       "a user of no domain");
        }

        free(to);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char     *copy;
    mtd_str_t   text;

    text = fuzz_line(&data, &size);
    copy = fuzz_copy(text.data, text.len);
    text.data = copy;

    fuzz_value(&text);
    fuzz_user(&text);
    free(copy);

    copy = fuzz_copy(data, size);
    text.data = copy;
    text.len = size;

    fuzz_user(&text);
    free(copy);

    return 0;
}
