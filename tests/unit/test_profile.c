
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>

#include <cmocka.h>

#include "mtd_profile.h"


#define UNKNOWN  (-1)


typedef struct {
    const char   *profile;
    const char   *uri;
    int           protocol;
    int           access;           /* UNKNOWN: there is no endpoint */
} match_case_t;


static match_case_t  cases[] = {
    { "exchange", "/Microsoft-Server-ActiveSync", MTD_PROTOCOL_EAS,
      MTD_GATED },
    { "exchange", "/MICROSOFT-SERVER-ACTIVESYNC", MTD_PROTOCOL_EAS,
      MTD_GATED },
    { "exchange", "/Microsoft-Server-ActiveSync/", MTD_PROTOCOL_EAS,
      MTD_GATED },
    { "exchange", "/Microsoft-Server-ActiveSync/default.eas",
      MTD_PROTOCOL_EAS, MTD_GATED },
    { "exchange", "/Microsoft-Server-ActiveSync/Proxy", 0, MTD_REFUSED },
    { "exchange", "/Microsoft-Server-ActiveSync/x", 0, UNKNOWN },
    { "exchange", "/Microsoft-Server-ActiveSyncX", 0, UNKNOWN },
    { "exchange", "/Microsoft\rServer-ActiveSync", 0, UNKNOWN },
    { "exchange", "/owa", MTD_PROTOCOL_OWA, MTD_GATED },
    { "exchange", "/OWA/x", MTD_PROTOCOL_OWA, MTD_GATED },
    { "exchange", "/owax", 0, UNKNOWN },
    { "exchange", "/owa/auth.owa", MTD_PROTOCOL_OWA, MTD_OPEN },
    { "exchange", "/owa/auth.owa/x", MTD_PROTOCOL_OWA, MTD_GATED },
    { "exchange", "/owa/auth/logon.aspx", MTD_PROTOCOL_OWA, MTD_OPEN },
    { "exchange", "/owa/authx", MTD_PROTOCOL_OWA, MTD_GATED },
    { "exchange", "/owa/auth/x/powershell", 0, MTD_REFUSED },
    { "exchange", "/owa/u@example.com/PowerShell", 0, MTD_REFUSED },
    { "exchange", "/PowerShell", 0, MTD_REFUSED },
    { "exchange", "/powershell/x", 0, MTD_REFUSED },
    { "exchange", "/ecp/x.js", MTD_PROTOCOL_ECP, MTD_GATED },
    { "exchange", "/EWS/Exchange.asmx", MTD_PROTOCOL_EWS, MTD_GATED },
    { "exchange", "/ews/mrsproxy.svc", 0, MTD_REFUSED },
    { "exchange", "/ews/exchange.asmx/WSSecurity", 0, MTD_REFUSED },
    { "exchange", "/mapi/emsmdb/", MTD_PROTOCOL_MAPI, MTD_GATED },
    { "exchange", "/mapi/nspi", MTD_PROTOCOL_MAPI, MTD_GATED },
    { "exchange", "/mapi", 0, UNKNOWN },
    { "exchange", "/rpc/rpcproxy.dll", MTD_PROTOCOL_RPC, MTD_GATED },
    { "exchange", "/rpcwithcert/rpcproxy.dll", MTD_PROTOCOL_RPC,
      MTD_GATED },
    { "exchange", "/oab/1/oab.xml", MTD_PROTOCOL_OAB, MTD_GATED },
    { "exchange", "/Autodiscover/Autodiscover.xml",
      MTD_PROTOCOL_AUTODISCOVER, MTD_OPEN },
    { "exchange", "/autodiscover/autodiscover.json/v1.0/u@example.com",
      MTD_PROTOCOL_AUTODISCOVER, MTD_OPEN },
    { "exchange", "/autodiscover/autodiscover.json/v1.0/",
      MTD_PROTOCOL_AUTODISCOVER, MTD_OPEN },
    { "exchange", "/autodiscover/autodiscover.json/v1.0/a/b", 0, UNKNOWN },
    { "exchange", "/autodiscover/autodiscover.json/v1.0/a/", 0, UNKNOWN },
    { "exchange", "/autodiscover/autodiscover.json/powershell", 0,
      MTD_REFUSED },
    { "exchange", "/autodiscover/autodiscover.json/x", 0, UNKNOWN },
    { "exchange", "/autodiscover/x", 0, UNKNOWN },
    { "exchange", "/autodiscover", 0, UNKNOWN },
    { "exchange", "/api/v2.0/me", MTD_PROTOCOL_OTHER, MTD_GATED },
    { "exchange", "/aspnet_client/x", 0, MTD_REFUSED },
    { "exchange", "/exchange", 0, MTD_REFUSED },
    { "exchange", "/public/x", 0, MTD_REFUSED },
    { "exchange", "/exadmin", 0, MTD_REFUSED },
    { "exchange", "/", MTD_PROTOCOL_OWA, MTD_GATED },
    { "exchange", "/metrics", 0, UNKNOWN },

    /* the rest of an Exchange's front end */

    { "exchange", "/owa/service.svc", MTD_PROTOCOL_OWA, MTD_GATED },
    { "exchange", "/owa/ev.owa2", MTD_PROTOCOL_OWA, MTD_GATED },
    { "exchange", "/owa/sessiondata.ashx", MTD_PROTOCOL_OWA, MTD_GATED },
    { "exchange", "/owa/plt1.ashx", MTD_PROTOCOL_OWA, MTD_GATED },
    { "exchange", "/owa/lang.owa", MTD_PROTOCOL_OWA, MTD_GATED },
    { "exchange", "/owa/prem/15.2.1118.7/scripts/boot.js", MTD_PROTOCOL_OWA,
      MTD_GATED },
    { "exchange", "/owa/calendar/1@example.com/2/calendar.html",
      MTD_PROTOCOL_OWA, MTD_GATED },
    { "exchange", "/owa/proxyLogon.owa", 0, MTD_REFUSED },
    { "exchange", "/ecp/", MTD_PROTOCOL_ECP, MTD_GATED },
    { "exchange", "/ecp/DDI/DDIService.svc/GetList", MTD_PROTOCOL_ECP,
      MTD_GATED },
    { "exchange", "/ecp/ProxyLogon.ecp", 0, MTD_REFUSED },
    { "exchange", "/EWS/Services.wsdl", MTD_PROTOCOL_EWS, MTD_GATED },
    { "exchange", "/ews/exchange.asmx/WSSecurity/X509Cert", 0, MTD_REFUSED },
    { "exchange", "/rpc/rpcproxy.dll/x", MTD_PROTOCOL_RPC, MTD_GATED },
    { "exchange", "/Autodiscover/Autodiscover.svc",
      MTD_PROTOCOL_AUTODISCOVER, MTD_OPEN },
    { "exchange", "/autodiscover/autodiscover.svc/wssecurity", 0,
      MTD_REFUSED },
    { "exchange", "/autodiscover/metadata/json/1", 0, UNKNOWN },
    { "exchange", "/pushnotifications/service.svc", 0, UNKNOWN },
    { "exchange", "/owa/healthcheck.htm", MTD_PROTOCOL_OWA, MTD_GATED },
    { "exchange", "/ecp/healthcheck.htm", MTD_PROTOCOL_ECP, MTD_GATED },
    { "exchange", "/ews/healthcheck.htm", MTD_PROTOCOL_EWS, MTD_GATED },
    { "exchange", "/api/healthcheck.htm", MTD_PROTOCOL_OTHER, MTD_GATED },
    { "exchange", "/rpc/healthcheck.htm", MTD_PROTOCOL_RPC, MTD_GATED },
    { "exchange", "/oab/healthcheck.htm", MTD_PROTOCOL_OAB, MTD_GATED },
    { "exchange", "/mapi/healthcheck.htm", MTD_PROTOCOL_MAPI, MTD_GATED },
    { "exchange", "/autodiscover/healthcheck.htm",
      MTD_PROTOCOL_AUTODISCOVER, MTD_GATED },
    { "exchange", "/Microsoft-Server-ActiveSync/healthcheck.htm",
      MTD_PROTOCOL_OTHER, MTD_GATED },
    { "exchange", "/powershell/healthcheck.htm", 0, MTD_REFUSED },
    { "exchange", "/mics/api/v2", 0, UNKNOWN },

    { "sharepoint", "/", MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED },
    { "sharepoint", "/sites/x/SitePages/Home.aspx",
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED },
    { "sharepoint", "/_api/web", MTD_PROTOCOL_SHAREPOINT_REST, MTD_GATED },
    { "sharepoint", "/sites/x/_API/web", MTD_PROTOCOL_SHAREPOINT_REST,
      MTD_GATED },
    { "sharepoint", "/x/_apix/y", MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED },
    { "sharepoint", "/_vti_bin/client.svc/ProcessQuery",
      MTD_PROTOCOL_SHAREPOINT_REST, MTD_GATED },
    { "sharepoint", "/x/_vti_bin/lists.asmx", MTD_PROTOCOL_OFFICE,
      MTD_GATED },
    { "sharepoint", "/_vti_inf.html", MTD_PROTOCOL_OFFICE, MTD_GATED },
    { "sharepoint", "/_vti_adm/admin.asmx", 0, MTD_REFUSED },
    { "sharepoint", "/sites/x/_VTI_ADM/admin.asmx", 0, MTD_REFUSED },
    { "sharepoint", "/_api/SPFileSync/sync/x", MTD_PROTOCOL_ONEDRIVE,
      MTD_GATED },
    { "sharepoint", "/_layouts/15/toolpane.aspx",
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED },
    { "sharepoint", "/_layouts/15/metadata/json/1", 0, MTD_REFUSED },
    { "sharepoint", "/_layouts/15/images/x.png",
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_OPEN },
    { "sharepoint", "/_login/default.aspx", MTD_PROTOCOL_SHAREPOINT_PAGE,
      MTD_OPEN },

    /* below any site, in any letter case */

    { "sharepoint", "/Sites/X/Pages/Default.ASPX",
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED },
    { "sharepoint", "/sites/x/_LAYOUTS/16/upload.aspx",
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED },
    { "sharepoint", "/sites/x/_layouts/15/wopiframe.aspx",
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED },
    { "sharepoint", "/sites/x/_layouts/16/Metadata/json/1", 0, MTD_REFUSED },
    { "sharepoint", "/sites/x/_layouts/15/images/x.png",
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED },
    { "sharepoint", "/_layouts/16/images/x.png",
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_OPEN },
    { "sharepoint", "/_forms/default.aspx", MTD_PROTOCOL_SHAREPOINT_PAGE,
      MTD_OPEN },
    { "sharepoint", "/_trust/", MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_OPEN },
    { "sharepoint", "/_windows/default.aspx", MTD_PROTOCOL_SHAREPOINT_PAGE,
      MTD_OPEN },
    { "sharepoint", "/x/_vti_bin/Sites.asmx", MTD_PROTOCOL_OFFICE,
      MTD_GATED },
    { "sharepoint", "/x/_vti_bin/cellstorage.svc/CellStorageService",
      MTD_PROTOCOL_OFFICE, MTD_GATED },
    { "sharepoint", "/x/_vti_bin/owssvr.dll", MTD_PROTOCOL_OFFICE,
      MTD_GATED },
    { "sharepoint", "/_vti_bin/_vti_aut/author.dll", MTD_PROTOCOL_OFFICE,
      MTD_GATED },
    { "sharepoint", "/_vti_bin/shtml.dll/_vti_rpc", MTD_PROTOCOL_OFFICE,
      MTD_GATED },
    { "sharepoint", "/_vti_bin/_vti_adm/admin.dll", 0, MTD_REFUSED },
    { "sharepoint", "/x/_vti_bin/wopi.ashx/files/1", MTD_PROTOCOL_OFFICE,
      MTD_GATED },
    { "sharepoint", "/x/_vti_bin/ListData.svc", MTD_PROTOCOL_SHAREPOINT_REST,
      MTD_GATED },
    { "sharepoint", "/x/_vti_bin/_api/web", MTD_PROTOCOL_SHAREPOINT_REST,
      MTD_GATED },
    { "sharepoint", "/x/_vti_inf.html", MTD_PROTOCOL_OFFICE, MTD_GATED },
    { "sharepoint", "/x/_API/spfilesync/sync/1", MTD_PROTOCOL_ONEDRIVE,
      MTD_GATED },

    /* a folder of that name, or a literal that holds it, opens nothing */

    { "sharepoint", "/sites/x/_login/secret.docx",
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED },
    { "sharepoint", "/_api/web/f('/_login/x')",
      MTD_PROTOCOL_SHAREPOINT_REST, MTD_GATED },
    { "sharepoint", "/_login/_api/web", MTD_PROTOCOL_SHAREPOINT_REST,
      MTD_GATED },
    { "sharepoint", "/_TRUST/x/_Layouts/15/ToolPane.aspx",
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED },
    { "sharepoint", "/_layouts/15/images/_vti_bin/lists.asmx",
      MTD_PROTOCOL_OFFICE, MTD_GATED },
    { "sharepoint", "/_forms/_layouts/15/metadata/json/1",
      MTD_PROTOCOL_OTHER, MTD_REFUSED },
    { "sharepoint", "/_windows/_login/default.aspx",
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_OPEN },
    { "sharepoint", "/_login/x_api/web", MTD_PROTOCOL_SHAREPOINT_PAGE,
      MTD_OPEN },
    { "sharepoint", "/_loginx", MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED },

    /* nor does a page that is open where it stands as a site would */

    { "sharepoint", "/_login/_api/web/lists", MTD_PROTOCOL_SHAREPOINT_REST,
      MTD_GATED },
    { "sharepoint", "/_LOGIN/x/_API", MTD_PROTOCOL_SHAREPOINT_REST,
      MTD_GATED },
    { "sharepoint", "/_trust/_vti_bin/lists.asmx", MTD_PROTOCOL_OFFICE,
      MTD_GATED },
    { "sharepoint", "/_windows/_vti_bin/client.svc/ProcessQuery",
      MTD_PROTOCOL_SHAREPOINT_REST, MTD_GATED },
    { "sharepoint", "/_forms/_layouts/15/download.aspx",
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED },
    { "sharepoint", "/_forms/_layouts/15/metadata/json/1", 0, MTD_REFUSED },
    { "sharepoint", "/_layouts/15/images/_api/web",
      MTD_PROTOCOL_SHAREPOINT_REST, MTD_GATED },
    { "sharepoint", "/_forms/_apix", MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_OPEN },

    { "generic", "/x", MTD_PROTOCOL_OTHER, MTD_GATED }
};


static const mtd_profile_t *
profile(const char *name)
{
    return mtd_profile_find((u_char *) name, strlen(name));
}


static void
test_match(void **state)
{
    int                     access;
    size_t                  i;
    mtd_str_t               uri;
    match_case_t           *t;
    const mtd_endpoint_t   *e;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        t = &cases[i];
        uri.data = (u_char *) t->uri;
        uri.len = strlen(t->uri);

        e = mtd_profile_match(profile(t->profile), &uri);
        access = e ? (int) e->access : UNKNOWN;

        if (access != t->access
            || (access != UNKNOWN && access != MTD_REFUSED
                && e->protocol != t->protocol))
        {
            fail_msg("%s \"%s\": access %d, protocol %d", t->profile,
                     t->uri, access, e ? (int) e->protocol : -1);
        }
    }
}


/* a path that is taken for canonical without a scan must match the same */

static void
test_exact(void **state)
{
    size_t                 i, k;
    u_char                 path[64];
    mtd_str_t              uri;
    const mtd_profile_t   *p;
    const mtd_endpoint_t  *e, *exact;

    p = profile("exchange");

    for (e = p->endpoints; e->path.len; e++) {

        exact = mtd_profile_exact(p, &e->path);

        if ((e->flags & MTD_ENDPOINT_EXACT) == 0) {
            assert_null(exact);
            continue;
        }

        assert_ptr_equal(exact, e);
        assert_ptr_equal(mtd_profile_match(p, &e->path), e);

        /* no byte but a letter's other case is taken for it */

        for (i = 0; i < e->path.len; i++) {
            memcpy(path, e->path.data, e->path.len);
            uri.data = path;
            uri.len = e->path.len;

            for (k = 1; k < 0x7f; k++) {
                path[i] = k;

                if (mtd_profile_exact(p, &uri) == e) {
                    assert_true(k == e->path.data[i]
                                || (e->path.data[i] >= 'a'
                                    && k == (size_t) e->path.data[i] - 32));
                }
            }
        }
    }
}


static void
test_methods(void **state)
{
    u_char                 list[256], *last;
    mtd_str_t              uri;
    const mtd_endpoint_t  *e;

    assert_int_equal(mtd_method_bit((u_char *) "RPC_IN_DATA", 11),
                     MTD_METHOD_RPC_IN_DATA);
    assert_int_equal(mtd_method_bit((u_char *) "get", 3), MTD_METHOD_OTHER);
    assert_int_equal(mtd_method_bit((u_char *) "FOO_BAR", 7),
                     MTD_METHOD_OTHER);
    assert_int_equal(mtd_method_bit((u_char *) "", 0), MTD_METHOD_OTHER);

    last = mtd_method_list(list, MTD_METHOD_GET|MTD_METHOD_POST
                                 |MTD_METHOD_RPC_CONNECT);
    assert_int_equal(last - list, 22);
    assert_memory_equal(list, "GET, POST, RPC_CONNECT", 22);

    last = mtd_method_list(list, 0xffffffff);
    assert_true(last - list < 256);

    uri.data = (u_char *) "/rpc/rpcproxy.dll";
    uri.len = strlen((char *) uri.data);
    e = mtd_profile_match(profile("exchange"), &uri);
    assert_true(e->methods & MTD_METHOD_RPC_OUT_DATA);

    uri.data = (u_char *) "/owa";
    uri.len = 4;
    e = mtd_profile_match(profile("exchange"), &uri);
    assert_false(e->methods & MTD_METHOD_RPC_OUT_DATA);
    assert_false(e->methods & MTD_METHOD_PROPFIND);

    uri.data = (u_char *) "/sites/x/a.docx";
    uri.len = 15;
    e = mtd_profile_match(profile("sharepoint"), &uri);
    assert_true(e->methods & MTD_METHOD_PROPFIND);
    assert_true(e->methods & MTD_METHOD_LOCK);
    assert_false(e->methods & MTD_METHOD_RPC_IN_DATA);
    assert_false(e->methods & MTD_METHOD_OTHER);

    /* WebDAV's are those that no browser has */

    assert_ptr_equal(e, profile("sharepoint")->fallback);

    e = profile("sharepoint")->webdav;
    assert_int_equal(e->protocol, MTD_PROTOCOL_WEBDAV);
    assert_int_equal(e->access, MTD_GATED);
    assert_true(e->methods & MTD_METHOD_PROPFIND);
    assert_true(e->methods & MTD_METHOD_PUT);
    assert_false(e->methods & (MTD_METHOD_GET|MTD_METHOD_HEAD
                               |MTD_METHOD_POST|MTD_METHOD_OPTIONS));
    assert_null(profile("exchange")->webdav);
    assert_null(profile("generic")->webdav);
}


static void
test_tables(void **state)
{
    size_t                 i, k;
    const mtd_str_t       *name;
    const mtd_profile_t   *p;

    static const char  *names[] = { "exchange", "sharepoint", "generic" };

    /* what real clients send must stay */

    static const char  *kept[] = {
        "x-anchormailbox", "x-ms-policykey", "ms-asprotocolversion",
        "x-requestdigest", "x-forms_based_auth_accepted", "x-clientinfo",
        "x-requestid", "x-requesttype", "authorization", "cookie", "host",
        "x-forwarded-for"
    };

    assert_null(profile("Exchange"));
    assert_null(profile(""));

    for (i = 0; i < 3; i++) {
        p = profile(names[i]);
        assert_non_null(p);

        for (name = p->stripped; name->len; name++) {
            for (k = 0; k < name->len; k++) {
                assert_true((name->data[k] >= 'a' && name->data[k] <= 'z')
                            || (name->data[k] >= '0' && name->data[k] <= '9')
                            || name->data[k] == '-');
            }

            for (k = 0; k < sizeof(kept) / sizeof(kept[0]); k++) {
                assert_false(strlen(kept[k]) == name->len
                             && memcmp(kept[k], name->data, name->len) == 0);
            }
        }

        assert_true(name - p->stripped < 255);
    }
}


static void
test_serves(void **state)
{
    assert_true(mtd_profile_serves(profile("exchange"), MTD_PROTOCOL_EAS));
    assert_false(mtd_profile_serves(profile("sharepoint"), MTD_PROTOCOL_EAS));
    assert_false(mtd_profile_serves(profile("generic"), MTD_PROTOCOL_EAS));

    /* of a segment, of what has no other, and of its methods */

    assert_true(mtd_profile_serves(profile("sharepoint"),
                                   MTD_PROTOCOL_SHAREPOINT_REST));
    assert_true(mtd_profile_serves(profile("generic"), MTD_PROTOCOL_OTHER));
    assert_true(mtd_profile_serves(profile("sharepoint"),
                                   MTD_PROTOCOL_WEBDAV));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_serves)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
