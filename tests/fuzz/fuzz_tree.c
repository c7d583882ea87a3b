
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "fuzz.h"
#include "fuzz_tree.h"


#define FUZZ_DEPTH         6


static fuzz_node_t *fuzz_tree_value(const u_char **p, const u_char *last,
    int depth);


static fuzz_node_t  fuzz_node[FUZZ_NODES];
static size_t       fuzz_nodes;


static int
fuzz_tree_line(const u_char **p, const u_char *last, mtd_str_t *line)
{
    const u_char  *end;

    end = memmem(*p, last - *p, "\r\n", 2);

    if (end == NULL || end - *p > 1000) {
        return 0;
    }

    line->data = (u_char *) *p;
    line->len = end - *p;
    *p = end + 2;

    return 1;
}


/* in its shortest form, and not a long one */

static int
fuzz_tree_integer(const mtd_str_t *line, long long *n)
{
    size_t  i;
    int     minus;

    minus = (line->len && line->data[0] == '-');
    *n = 0;

    if (line->len == (size_t) minus || line->len > 17
        || (line->data[minus] == '0' && line->len > 1))
    {
        return 0;
    }

    for (i = minus; i < line->len; i++) {

        if (line->data[i] < '0' || line->data[i] > '9') {
            return 0;
        }

        *n = *n * 10 + (line->data[i] - '0');
    }

    *n = minus ? -*n : *n;

    return 1;
}


static fuzz_node_t *
fuzz_tree_value(const u_char **p, const u_char *last, int depth)
{
    long long      i;
    mtd_str_t      line;
    fuzz_node_t   *node, **next;

    if (*p == last || fuzz_nodes == FUZZ_NODES || depth > FUZZ_DEPTH) {
        return NULL;
    }

    node = &fuzz_node[fuzz_nodes++];
    memset(node, 0, sizeof(fuzz_node_t));
    node->type = *(*p)++;

    if (!fuzz_tree_line(p, last, &line)) {
        return NULL;
    }

    if (node->type == '+' || node->type == '-') {
        node->text = line;

        if (memchr(line.data, '\n', line.len)
            || memchr(line.data, '\r', line.len))
        {
            return NULL;
        }

        return node;
    }

    if (strchr(":$*", node->type) == NULL || node->type == '\0'
        || !fuzz_tree_integer(&line, &node->n))
    {
        return NULL;
    }

    if (node->type == ':') {
        return node;
    }

    if (node->n == -1) {
        node->type = '_';
        return node;
    }

    if (node->n < 0 || node->n > 65536) {
        return NULL;
    }

    if (node->type == '$') {

        if (last - *p < node->n + 2
            || memcmp(*p + node->n, "\r\n", 2) != 0)
        {
            return NULL;
        }

        node->text.data = (u_char *) *p;
        node->text.len = node->n;
        *p += node->n + 2;

        return node;
    }

    next = &node->first;

    for (i = 0; i < node->n; i++) {
        *next = fuzz_tree_value(p, last, depth + 1);

        if (*next == NULL) {
            return NULL;
        }

        next = &(*next)->next;
    }

    return node;
}


fuzz_node_t *
fuzz_tree(const uint8_t *data, size_t size, size_t *n)
{
    fuzz_node_t   *first, **next;
    const u_char  *p, *last;

    p = data;
    last = data + size;
    first = NULL;
    next = &first;
    fuzz_nodes = 0;

    for (*n = 0; p < last; (*n)++) {
        *next = fuzz_tree_value(&p, last, 0);

        if (*next == NULL) {
            return NULL;
        }

        next = &(*next)->next;
    }

    return first;
}


fuzz_node_t *
fuzz_tree_at(fuzz_node_t *array, size_t index)
{
    fuzz_node_t  *node;

    if (array == NULL || array->type != '*') {
        return NULL;
    }

    for (node = array->first; node && index; node = node->next) {
        index--;
    }

    return node;
}


int
fuzz_tree_is(const fuzz_node_t *node, const char *text)
{
    return node && node->text.len == strlen(text)
           && memcmp(node->text.data, text, node->text.len) == 0;
}


int
fuzz_tree_place(ngx_mtd_place_t *place, mtd_str_t *host,
    const mtd_str_t *port)
{
    size_t     i;
    long       n;
    ngx_str_t  text;

    for (i = 0, n = 0; i < port->len && n < 65536; i++) {

        if (port->data[i] < '0' || port->data[i] > '9') {
            return 0;
        }

        n = n * 10 + (port->data[i] - '0');
    }

    text.data = host->data;
    text.len = host->len;

    return i && ngx_mtd_place(place, &text, n) == NGX_OK;
}


/* of the arrays behind host and port, each of names and values */

static fuzz_node_t *
fuzz_tree_ip(fuzz_node_t *master)
{
    fuzz_node_t  *more, *name;

    for (more = fuzz_tree_at(master, 2); more; more = more->next) {

        for (name = fuzz_tree_at(more, 0); name && name->next;
             name = name->next->next)
        {
            if (fuzz_tree_is(name, "ip") && name->next->text.len) {
                return name->next;
            }
        }
    }

    return NULL;
}


/* that a master is announced with; 0 if there is none */

static int
fuzz_tree_host(fuzz_node_t *master, const char *self, ngx_str_t *host)
{
    fuzz_node_t  *node;

    node = fuzz_tree_at(master, 0);

    if (node->type != '$' && node->type != '_') {
        return 0;
    }

    if (fuzz_tree_is(node, "?")) {
        node = fuzz_tree_ip(master);

        if (node == NULL) {
            return 0;
        }
    }

    host->data = node->text.data;
    host->len = node->text.len;

    if (host->len == 0) {
        host->data = (u_char *) self;
        host->len = strlen(self);
    }

    return 1;
}


void
fuzz_tree_map(fuzz_map_t *map, fuzz_node_t *reply, const char *self)
{
    size_t            i;
    long long         slot;
    ngx_str_t         host;
    fuzz_node_t      *range, *first, *last, *master, *port;
    ngx_mtd_place_t   place;

    map->valid = 0;
    map->n = 0;
    memset(map->slot, 0xff, sizeof(map->slot));

    for (range = reply->first; range; range = range->next) {
        first = fuzz_tree_at(range, 0);
        last = fuzz_tree_at(range, 1);
        master = fuzz_tree_at(range, 2);
        port = fuzz_tree_at(master, 1);

        if (port == NULL || first->type != ':' || last->type != ':'
            || first->n < 0 || first->n >= MTD_SLOTS
            || last->n < 0 || last->n >= MTD_SLOTS
            || port->type != ':' || !fuzz_tree_host(master, self, &host)
            || ngx_mtd_place(&place, &host, port->n) != NGX_OK)
        {
            return;
        }

        for (i = 0; i < map->n; i++) {
            if (ngx_mtd_place_same(&map->place[i], &place)) {
                break;
            }
        }

        if (i == NGX_MTD_CLUSTER_NODES) {
            return;
        }

        map->place[i] = place;
        map->n = (i < map->n) ? map->n : i + 1;

        for (slot = first->n; slot <= last->n; slot++) {
            map->slot[slot] = i;
        }
    }

    map->valid = map->n > 0;
}


void
fuzz_tree_fields(fuzz_fields_t *fields, fuzz_node_t *array)
{
    size_t        i;
    mtd_str_t    *field;
    fuzz_node_t  *name;

    static const char  *names[] = {
        "ip", "port", "flags", "master-link-status", "config-epoch"
    };

    memset(fields, 0, sizeof(fuzz_fields_t));

    field = &fields->ip;

    for (name = array->first; name && name->next; name = name->next->next) {
        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (fuzz_tree_is(name, names[i])) {
                field[i] = name->next->text;
            }
        }
    }
}


long long
fuzz_tree_number(const fuzz_node_t *text, const char *name, size_t digits,
    int base)
{
    int           digit;
    size_t        i, len;
    long long     n;
    const u_char *p;

    len = strlen(name);

    for (i = 0; i + len <= text->text.len; i++) {
        if (strncasecmp((char *) text->text.data + i, name, len) == 0) {
            break;
        }
    }

    if (i + len > text->text.len) {
        return -1;
    }

    p = text->text.data + i + len;
    len = text->text.len - i - len;

    for (i = 0, n = 0; i < len && i < digits; i++) {
        digit = (p[i] >= '0' && p[i] <= '9') ? p[i] - '0'
                : ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f')
                  ? (p[i] | 0x20) - 'a' + 10 : 16;

        if (digit >= base) {
            break;
        }

        if (__builtin_mul_overflow(n, base, &n)
            || __builtin_add_overflow(n, digit, &n))
        {
            return -1;
        }
    }

    return (i == digits || (i && base == 10)) ? n : -1;
}


uint32_t
fuzz_tree_crc32(uint32_t crc, const u_char *p, size_t len)
{
    int  bit;

    for ( /* void */ ; len; len--, p++) {
        crc ^= *p;

        for (bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) ? 0xedb88320 : 0);
        }
    }

    return crc;
}
