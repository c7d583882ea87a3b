
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtd_eas.h"
#include "mtd_wbxml.h"


#define MTD_WBXML_VERSION      0x03     /* 1.3 */
#define MTD_WBXML_PUBLIC_ID    0x01     /* unknown */
#define MTD_WBXML_UTF8         0x6a
#define MTD_WBXML_SWITCH_PAGE  0x00
#define MTD_WBXML_END          0x01
#define MTD_WBXML_STR_I        0x03     /* text up to a NUL */
#define MTD_WBXML_CONTENT      0x40


/* code page of the command, its root element and that of Status */

typedef struct {
    u_char    page;
    u_char    root;
    u_char    status;
} mtd_wbxml_command_t;


static const mtd_wbxml_command_t  mtd_wbxml_commands[MTD_EAS_COMMAND_N] = {
    [MTD_EAS_SYNC] = { 0x00, 0x05, 0x0e },
    [MTD_EAS_SEND_MAIL] = { 0x15, 0x05, 0x12 },
    [MTD_EAS_SMART_FORWARD] = { 0x15, 0x06, 0x12 },
    [MTD_EAS_SMART_REPLY] = { 0x15, 0x07, 0x12 },
    [MTD_EAS_FOLDER_SYNC] = { 0x07, 0x16, 0x0c },
    [MTD_EAS_FOLDER_CREATE] = { 0x07, 0x13, 0x0c },
    [MTD_EAS_FOLDER_DELETE] = { 0x07, 0x14, 0x0c },
    [MTD_EAS_FOLDER_UPDATE] = { 0x07, 0x15, 0x0c },
    [MTD_EAS_MOVE_ITEMS] = { 0x05, 0x05, 0x0b },
    [MTD_EAS_GET_ITEM_ESTIMATE] = { 0x06, 0x05, 0x0e },
    [MTD_EAS_MEETING_RESPONSE] = { 0x08, 0x07, 0x0b },
    [MTD_EAS_SEARCH] = { 0x0f, 0x05, 0x0c },
    [MTD_EAS_SETTINGS] = { 0x12, 0x05, 0x06 },
    [MTD_EAS_PING] = { 0x0d, 0x05, 0x07 },
    [MTD_EAS_ITEM_OPERATIONS] = { 0x14, 0x05, 0x0d },
    [MTD_EAS_PROVISION] = { 0x0e, 0x05, 0x0b },
    [MTD_EAS_RESOLVE_RECIPIENTS] = { 0x0a, 0x05, 0x07 },
    [MTD_EAS_VALIDATE_CERT] = { 0x0b, 0x05, 0x0a },
    [MTD_EAS_FIND] = { 0x19, 0x05, 0x0a }
};


size_t
mtd_wbxml_error(u_char buf[MTD_WBXML_ERROR_MAX], unsigned command,
    unsigned status)
{
    u_char                     *p;
    const mtd_wbxml_command_t  *cmd;

    if (command >= MTD_EAS_COMMAND_N || status < 100 || status > 999) {
        return 0;
    }

    cmd = &mtd_wbxml_commands[command];

    if (cmd->root == 0) {
        return 0;
    }

    p = buf;

    *p++ = MTD_WBXML_VERSION;
    *p++ = MTD_WBXML_PUBLIC_ID;
    *p++ = MTD_WBXML_UTF8;
    *p++ = 0;                               /* no string table */

    if (cmd->page) {
        *p++ = MTD_WBXML_SWITCH_PAGE;
        *p++ = cmd->page;
    }

    *p++ = cmd->root | MTD_WBXML_CONTENT;
    *p++ = cmd->status | MTD_WBXML_CONTENT;
    *p++ = MTD_WBXML_STR_I;
    *p++ = (u_char) ('0' + status / 100);
    *p++ = (u_char) ('0' + status / 10 % 10);
    *p++ = (u_char) ('0' + status % 10);
    *p++ = 0;
    *p++ = MTD_WBXML_END;
    *p++ = MTD_WBXML_END;

    return p - buf;
}
