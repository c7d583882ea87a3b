
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "mtd_canon.h"
#include "mtd_profile.h"


#define mtd_text(s)        { sizeof(s) - 1, (u_char *) s }
#define mtd_no_text        { 0, NULL }
#define mtd_no_endpoint    { mtd_no_text, 0, 0, 0, 0 }


#define READ     (MTD_METHOD_GET|MTD_METHOD_HEAD|MTD_METHOD_OPTIONS)
#define FORM     (READ|MTD_METHOD_POST)
#define REST     (FORM|MTD_METHOD_PUT|MTD_METHOD_DELETE|MTD_METHOD_PATCH      \
                  |MTD_METHOD_MERGE)
#define RPC      (FORM|MTD_METHOD_RPC_IN_DATA|MTD_METHOD_RPC_OUT_DATA         \
                  |MTD_METHOD_RPC_CONNECT)
#define ANY      (~(uint32_t) MTD_METHOD_OTHER)
#define HTTP     (ANY & ~(uint32_t) (MTD_METHOD_RPC_IN_DATA                   \
                  |MTD_METHOD_RPC_OUT_DATA|MTD_METHOD_RPC_CONNECT))

#define WEBDAV   (HTTP & ~(uint32_t) FORM)

#define EXACT    MTD_ENDPOINT_EXACT
#define STRICT   MTD_ENDPOINT_STRICT_QUERY
#define NAME     MTD_ENDPOINT_NAME
#define EAS      (MTD_ENDPOINT_OWN_QUERY|MTD_ENDPOINT_OPEN_OPTIONS|EXACT)


/* longer paths stand before their prefixes */

static const mtd_endpoint_t  mtd_exchange_endpoints[] = {

    { mtd_text("/microsoft-server-activesync"),
      MTD_PROTOCOL_EAS, MTD_GATED, EAS, FORM },
    { mtd_text("/microsoft-server-activesync/default.eas"),
      MTD_PROTOCOL_EAS, MTD_GATED, EAS, FORM },

    { mtd_text("/mapi/emsmdb"),
      MTD_PROTOCOL_MAPI, MTD_GATED, 0, FORM },
    { mtd_text("/mapi/nspi"),
      MTD_PROTOCOL_MAPI, MTD_GATED, 0, FORM },
    { mtd_text("/mapi/healthcheck.htm"),
      MTD_PROTOCOL_MAPI, MTD_GATED, EXACT, READ },

    { mtd_text("/ews"),
      MTD_PROTOCOL_EWS, MTD_GATED, 0, FORM },

    { mtd_text("/owa/auth.owa"),
      MTD_PROTOCOL_OWA, MTD_OPEN, EXACT, FORM },
    { mtd_text("/owa/auth"),
      MTD_PROTOCOL_OWA, MTD_OPEN, 0, FORM },
    { mtd_text("/owa"),
      MTD_PROTOCOL_OWA, MTD_GATED, 0, REST },

    { mtd_text("/ecp"),
      MTD_PROTOCOL_ECP, MTD_GATED, 0, FORM },

    { mtd_text("/autodiscover/autodiscover.xml"),
      MTD_PROTOCOL_AUTODISCOVER, MTD_OPEN, EXACT|STRICT, FORM },
    { mtd_text("/autodiscover/autodiscover.svc"),
      MTD_PROTOCOL_AUTODISCOVER, MTD_OPEN, EXACT|STRICT, FORM },
    { mtd_text("/autodiscover/autodiscover.json/v1.0"),
      MTD_PROTOCOL_AUTODISCOVER, MTD_OPEN, NAME|STRICT, READ },
    { mtd_text("/autodiscover/autodiscover.json"),
      MTD_PROTOCOL_AUTODISCOVER, MTD_OPEN, EXACT|STRICT, READ },
    { mtd_text("/autodiscover/healthcheck.htm"),
      MTD_PROTOCOL_AUTODISCOVER, MTD_GATED, EXACT, READ },

    { mtd_text("/oab"),
      MTD_PROTOCOL_OAB, MTD_GATED, 0, READ },

    { mtd_text("/rpc"),
      MTD_PROTOCOL_RPC, MTD_GATED, 0, RPC },
    { mtd_text("/rpcwithcert"),
      MTD_PROTOCOL_RPC, MTD_GATED, 0, RPC },

    { mtd_text("/api"),
      MTD_PROTOCOL_OTHER, MTD_GATED, 0, REST },

    { mtd_text("/microsoft-server-activesync/healthcheck.htm"),
      MTD_PROTOCOL_OTHER, MTD_GATED, EXACT, READ },

    { mtd_text("/exchange"),
      MTD_PROTOCOL_OTHER, MTD_REFUSED, 0, ANY },
    { mtd_text("/public"),
      MTD_PROTOCOL_OTHER, MTD_REFUSED, 0, ANY },
    { mtd_text("/exadmin"),
      MTD_PROTOCOL_OTHER, MTD_REFUSED, 0, ANY },
    { mtd_text("/aspnet_client"),
      MTD_PROTOCOL_OTHER, MTD_REFUSED, 0, ANY },

    { mtd_text("/"),
      MTD_PROTOCOL_OWA, MTD_GATED, EXACT, READ },

    mtd_no_endpoint
};


static const mtd_str_t  mtd_exchange_refused[] = {
    mtd_text("powershell"),
    mtd_text("powershell-liveid"),
    mtd_text("proxy"),
    mtd_text("wssecurity"),
    mtd_text("mrsproxy.svc"),
    mtd_text("proxylogon.owa"),
    mtd_text("proxylogon.ecp"),
    mtd_no_text
};


/* at the root only: elsewhere a folder may have such a name */

static const mtd_endpoint_t  mtd_sharepoint_endpoints[] = {

    { mtd_text("/_login"),
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_OPEN, 0, FORM },
    { mtd_text("/_trust"),
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_OPEN, 0, FORM },
    { mtd_text("/_windows"),
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_OPEN, 0, FORM },
    { mtd_text("/_forms"),
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_OPEN, 0, FORM },
    { mtd_text("/_layouts/15/images"),
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_OPEN, 0, READ },
    { mtd_text("/_layouts/16/images"),
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_OPEN, 0, READ },

    mtd_no_endpoint
};


static const mtd_endpoint_t  mtd_sharepoint_segments[] = {

    { mtd_text("_api/spfilesync"),
      MTD_PROTOCOL_ONEDRIVE, MTD_GATED, 0, HTTP },
    { mtd_text("_api"),
      MTD_PROTOCOL_SHAREPOINT_REST, MTD_GATED, 0, REST },
    { mtd_text("_vti_bin/client.svc"),
      MTD_PROTOCOL_SHAREPOINT_REST, MTD_GATED, 0, REST },
    { mtd_text("_vti_bin/listdata.svc"),
      MTD_PROTOCOL_SHAREPOINT_REST, MTD_GATED, 0, REST },
    { mtd_text("_vti_bin/_api"),
      MTD_PROTOCOL_SHAREPOINT_REST, MTD_GATED, 0, REST },
    { mtd_text("_vti_bin"),
      MTD_PROTOCOL_OFFICE, MTD_GATED, 0, HTTP },
    { mtd_text("_vti_inf.html"),
      MTD_PROTOCOL_OFFICE, MTD_GATED, 0, READ },
    { mtd_text("_layouts/15/metadata"),
      MTD_PROTOCOL_OTHER, MTD_REFUSED, 0, ANY },
    { mtd_text("_layouts/16/metadata"),
      MTD_PROTOCOL_OTHER, MTD_REFUSED, 0, ANY },
    { mtd_text("_layouts"),
      MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED, 0, FORM },

    mtd_no_endpoint
};


static const mtd_str_t  mtd_sharepoint_refused[] = {
    mtd_text("_vti_adm"),
    mtd_no_text
};


static const mtd_endpoint_t  mtd_sharepoint_fallback = {
    mtd_text("/"), MTD_PROTOCOL_SHAREPOINT_PAGE, MTD_GATED, 0, HTTP
};


static const mtd_endpoint_t  mtd_sharepoint_webdav = {
    mtd_text("/"), MTD_PROTOCOL_WEBDAV, MTD_GATED, 0, WEBDAV
};


static const mtd_endpoint_t  mtd_generic_fallback = {
    mtd_text("/"), MTD_PROTOCOL_OTHER, MTD_GATED, 0, HTTP
};


static const mtd_str_t  mtd_no_segments[] = {
    mtd_no_text
};


static const mtd_endpoint_t  mtd_no_endpoints[] = {
    mtd_no_endpoint
};


/* how a request is read, and where it was read before */

#define MTD_STRIPPED_COMMON                                                   \
    mtd_text("x-original-url"),                                               \
    mtd_text("x-rewrite-url"),                                                \
    mtd_text("x-http-method-override"),                                       \
    mtd_text("x-method-override"),                                            \
    mtd_text("x-original-host"),                                              \
    mtd_text("x-original-uri"),                                               \
    mtd_text("x-forwarded-uri"),                                              \
    mtd_text("x-forwarded-path"),                                             \
    mtd_text("x-forwarded-prefix"),                                           \
    mtd_text("x-envoy-original-path"),                                        \
    mtd_text("x-forwarded-user"),                                             \
    mtd_text("x-remote-user"),                                                \
    mtd_text("remote-user"),                                                  \
    mtd_text("x-auth-request-user"),                                          \
    mtd_text("proxy"),                                                        \
    mtd_text("x-ssl-cert"),                                                   \
    mtd_text("x-ssl-client-cert"),                                            \
    mtd_text("x-ssl-client-verify"),                                          \
    mtd_text("x-ssl-client-cn"),                                              \
    mtd_text("x-ssl-client-dn"),                                              \
    mtd_text("x-ssl-client-s-dn"),                                            \
    mtd_text("x-ssl-client-i-dn"),                                            \
    mtd_text("x-ssl-client-serial"),                                          \
    mtd_text("x-ssl-client-fingerprint"),                                     \
    mtd_text("x-ssl-client-sha1"),                                            \
    mtd_text("x-client-cert"),                                                \
    mtd_text("x-client-certificate"),                                         \
    mtd_text("x-clientcert"),                                                 \
    mtd_text("x-forwarded-client-cert"),                                      \
    mtd_text("x-forwarded-tls-client-cert"),                                  \
    mtd_text("x-forwarded-tls-client-cert-info"),                             \
    mtd_text("x-amzn-mtls-clientcert"),                                       \
    mtd_text("x-amzn-mtls-clientcert-leaf"),                                  \
    mtd_text("x-amzn-mtls-clientcert-subject"),                               \
    mtd_text("x-arr-clientcert"),                                             \
    mtd_text("x-arr-ssl"),                                                    \
    mtd_text("x-arr-log-id"),                                                 \
    mtd_text("client-cert"),                                                  \
    mtd_text("client-cert-chain"),                                            \
    mtd_text("ssl-client-cert"),                                              \
    mtd_text("ssl-client-verify"),                                            \
    mtd_text("ssl-client-subject-dn"),                                        \
    mtd_text("x-ms-proxy"),                                                   \
    mtd_text("x-ms-forwarded-client-ip"),                                     \
    mtd_text("x-ms-adfs-proxy-client-ip"),                                    \
    mtd_text("x-ms-endpoint-absolute-path"),                                  \
    mtd_text("x-ms-proxyauth-token"),                                         \
    mtd_text("x-ms-target-role"),                                             \
    mtd_text("x-ms-refreshtokencredential"),                                  \
    mtd_text("x-ms-devicecredential"),                                        \
    mtd_text("x-mtd-reference"),                                              \
    mtd_text("x-mtd-reason"),                                                 \
    mtd_text("x-mtd-decision"),                                               \
    mtd_text("x-mtd-device"),                                                 \
    mtd_text("x-mtd-user")


static const mtd_str_t  mtd_exchange_stripped[] = {
    MTD_STRIPPED_COMMON,
    mtd_text("x-http-method"),
    mtd_text("x-commonaccesstoken"),
    mtd_text("x-owa-explicitlogonuser"),
    mtd_text("x-owa-explicitlogontenant"),
    mtd_text("x-owa-proxyuri"),
    mtd_text("x-owa-proxysid"),
    mtd_text("x-owa-proxywebpart"),
    mtd_text("x-deviceinfo"),
    mtd_text("x-isfromcafe"),
    mtd_text("x-isfrombackend"),
    mtd_text("x-sourcecafeserver"),
    mtd_text("x-cafeerrorcode"),
    mtd_text("x-beresource"),
    mtd_text("x-backendcookie"),
    mtd_text("x-backendoverridecookie"),
    mtd_text("x-backendurl"),
    mtd_text("x-targetbackendserver"),
    mtd_text("x-calculatedbetarget"),
    mtd_text("x-proxytargetserver"),
    mtd_text("x-proxytargetserverversion"),
    mtd_text("x-originalrequesthost"),
    mtd_text("x-originalrequesthostschemeport"),
    mtd_text("x-vdirobjectid"),
    mtd_text("x-ms-edgeip"),
    mtd_text("msexchproxyuri"),
    mtd_text("msexchlogonaccount"),
    mtd_text("msexchlogonmailbox"),
    mtd_text("msexchtargetmailbox"),
    mtd_text("x-rps-cat"),
    mtd_text("x-psws-cat"),
    mtd_text("x-eas-proxy"),
    mtd_text("x-wlid-membername"),
    mtd_text("x-wlid-puid"),
    mtd_text("x-delegatedcontext"),
    mtd_text("x-organizationcontext"),
    mtd_text("x-securitycontext"),
    mtd_text("x-serializedsecuritycontext"),
    mtd_text("x-genericaccesstoken"),
    mtd_text("x-edgeaccesstoken"),
    mtd_text("x-clientsecuritycontext"),
    mtd_text("x-msexchange-authtype"),
    mtd_text("x-user-identity"),
    mtd_text("x-usertype"),
    mtd_text("x-cert-user"),
    mtd_no_text
};


/* X-HTTP-Method stays: it is how SharePoint's REST clients say MERGE */

static const mtd_str_t  mtd_sharepoint_stripped[] = {
    MTD_STRIPPED_COMMON,
    mtd_text("x-sp-externalip"),
    mtd_text("x-sp-clientip"),
    mtd_no_text
};


static const mtd_str_t  mtd_generic_stripped[] = {
    MTD_STRIPPED_COMMON,
    mtd_no_text
};


static const mtd_profile_t  mtd_profiles[] = {

    { mtd_text("exchange"), mtd_exchange_endpoints, mtd_no_endpoints,
      mtd_exchange_refused, NULL, NULL, mtd_exchange_stripped,
      MTD_CANON_COOKIES },

    { mtd_text("sharepoint"), mtd_sharepoint_endpoints,
      mtd_sharepoint_segments, mtd_sharepoint_refused,
      &mtd_sharepoint_fallback, &mtd_sharepoint_webdav,
      mtd_sharepoint_stripped,
      MTD_CANON_LITERALS|MTD_CANON_NAMES },

    { mtd_text("generic"), mtd_no_endpoints, mtd_no_endpoints,
      mtd_no_segments, &mtd_generic_fallback, NULL, mtd_generic_stripped,
      MTD_CANON_NAMES },
};


const mtd_profile_t *
mtd_profile_find(const u_char *name, size_t len)
{
    size_t  i;

    for (i = 0; i < sizeof(mtd_profiles) / sizeof(mtd_profiles[0]); i++) {
        if (mtd_profiles[i].name.len == len
            && memcmp(mtd_profiles[i].name.data, name, len) == 0)
        {
            return &mtd_profiles[i];
        }
    }

    return NULL;
}


int
mtd_profile_serves(const mtd_profile_t *profile, unsigned protocol)
{
    size_t                 i;
    const mtd_endpoint_t  *endpoint;
    const mtd_endpoint_t  *lists[] = { profile->endpoints, profile->segments };

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (endpoint = lists[i]; endpoint->path.len; endpoint++) {
            if (endpoint->protocol == protocol
                && endpoint->access != MTD_REFUSED)
            {
                return 1;
            }
        }
    }

    return (profile->fallback && profile->fallback->protocol == protocol)
           || (profile->webdav && profile->webdav->protocol == protocol);
}


/*
 * Bytes with bit 6 are letters, and "_", which DEL would match: there is
 * none in a request line.  All others must be equal.
 */

static inline int
mtd_profile_word(const u_char *p, const u_char *lower)
{
    uint64_t  a, b, fold;

    memcpy(&a, p, 8);
    memcpy(&b, lower, 8);

    fold = (b & 0x4040404040404040ULL) >> 1;

    return ((a ^ b) & ~fold) == 0;
}


#if defined(__SSE2__)

static inline int
mtd_profile_two_words(const u_char *p, const u_char *lower)
{
    __m128i  a, b, fold, differ;

    a = _mm_loadu_si128((const __m128i *) p);
    b = _mm_loadu_si128((const __m128i *) lower);

    fold = _mm_srli_epi16(_mm_and_si128(b, _mm_set1_epi8(0x40)), 1);
    differ = _mm_andnot_si128(fold, _mm_xor_si128(a, b));

    return _mm_movemask_epi8(_mm_cmpeq_epi8(differ, _mm_setzero_si128()))
           == 0xffff;
}

#else

#define mtd_profile_two_words(p, lower)                                       \
    (mtd_profile_word(p, lower) && mtd_profile_word((p) + 8, (lower) + 8))

#endif


static inline int mtd_profile_equal(const u_char *p, const u_char *lower,
    size_t len)
    __attribute__((always_inline));


static inline int
mtd_profile_equal(const u_char *p, const u_char *lower, size_t len)
{
    size_t  i;

    if (len < 8) {

        for (i = 0; i < len; i++) {
            if ((p[i] ^ lower[i]) & ~((lower[i] & 0x40) >> 1)) {
                return 0;
            }
        }

        return 1;
    }

    /* the last ones may overlap those before */

    if (len < 16) {
        return mtd_profile_word(p, lower)
               && mtd_profile_word(p + len - 8, lower + len - 8);
    }

    if (!mtd_profile_two_words(p, lower)) {
        return 0;
    }

    for (i = 16; i + 16 < len; i += 16) {
        if (!mtd_profile_two_words(p + i, lower + i)) {
            return 0;
        }
    }

    return mtd_profile_two_words(p + len - 16, lower + len - 16);
}


int
mtd_path_prefix(const mtd_str_t *uri, const mtd_str_t *path)
{
    if (uri->len < path->len
        || !mtd_profile_equal(uri->data, path->data, path->len))
    {
        return 0;
    }

    return uri->len == path->len || uri->data[path->len] == '/'
           || path->data[path->len - 1] == '/';
}


static int
mtd_profile_fits(const mtd_endpoint_t *endpoint, const mtd_str_t *uri)
{
    size_t  len;

    len = endpoint->path.len;

    /* most differ in the letter after the slash already */

    if (uri->len < len
        || (len > 1
            && (uri->data[1] | 0x20) != (endpoint->path.data[1] | 0x20))
        || !mtd_path_prefix(uri, &endpoint->path))
    {
        return 0;
    }

    if ((endpoint->flags & MTD_ENDPOINT_NAME) && uri->len > len + 1) {
        return memchr(uri->data + len + 1, '/', uri->len - len - 1) == NULL;
    }

    return (endpoint->flags & MTD_ENDPOINT_EXACT) == 0
           || uri->len == len
           || (uri->len == len + 1 && len > 1);
}


static int
mtd_profile_refused(const mtd_profile_t *profile, const mtd_str_t *uri)
{
    size_t            len;
    const u_char     *p, *last, *segment;
    const mtd_str_t  *name;

    p = uri->data;
    last = p + uri->len;

    while (p < last) {
        segment = ++p;

        while (p < last && *p != '/') {
            p++;
        }

        len = p - segment;

        for (name = profile->refused; name->len; name++) {
            if (name->len == len
                && mtd_profile_equal(segment, name->data, len))
            {
                return 1;
            }
        }
    }

    return 0;
}


static const mtd_endpoint_t *
mtd_profile_segment(const mtd_profile_t *profile, const mtd_str_t *uri)
{
    mtd_str_t              rest;
    const u_char          *p, *last;
    const mtd_endpoint_t  *endpoint;

    if (profile->segments->path.len == 0) {
        return NULL;
    }

    last = uri->data + uri->len;

    for (p = uri->data; p < last; p++) {

        if (*p != '/' || p + 1 == last || p[1] != '_') {
            continue;
        }

        rest.data = (u_char *) p + 1;
        rest.len = last - rest.data;

        for (endpoint = profile->segments; endpoint->path.len; endpoint++) {
            if (mtd_path_prefix(&rest, &endpoint->path)) {
                return endpoint;
            }
        }
    }

    return NULL;
}


const mtd_endpoint_t *
mtd_profile_exact(const mtd_profile_t *profile, const mtd_str_t *path)
{
    const mtd_endpoint_t  *endpoint;

    for (endpoint = profile->endpoints; endpoint->path.len; endpoint++) {
        if (endpoint->path.len == path->len
            && (endpoint->flags & MTD_ENDPOINT_EXACT)
            && mtd_profile_equal(path->data, endpoint->path.data, path->len))
        {
            return endpoint;
        }
    }

    return NULL;
}


const mtd_endpoint_t *
mtd_profile_match(const mtd_profile_t *profile, const mtd_str_t *uri)
{
    mtd_str_t              rest;
    const mtd_endpoint_t  *endpoint, *segment;

    static const mtd_endpoint_t  refused = {
        mtd_text("/"), MTD_PROTOCOL_OTHER, MTD_REFUSED, 0, ANY
    };

    for (endpoint = profile->endpoints; endpoint->path.len; endpoint++) {
        if (mtd_profile_fits(endpoint, uri)) {
            break;
        }
    }

    if (endpoint->path.len && (endpoint->flags & MTD_ENDPOINT_EXACT)) {

        /* nothing is left that could be refused */

        return endpoint;
    }

    if (mtd_profile_refused(profile, uri)) {
        return &refused;
    }

    if (endpoint->path.len && endpoint->access != MTD_OPEN) {
        return endpoint;
    }

    /* SharePoint has its services below any path, and so below an open one */

    rest.data = uri->data + endpoint->path.len;
    rest.len = uri->len - endpoint->path.len;

    segment = mtd_profile_segment(profile, &rest);

    if (segment) {
        return segment;
    }

    return endpoint->path.len ? endpoint : profile->fallback;
}


static const struct {
    mtd_str_t   name;
    uint32_t    bit;
} mtd_methods[] = {
    { mtd_text("GET"), MTD_METHOD_GET },
    { mtd_text("HEAD"), MTD_METHOD_HEAD },
    { mtd_text("POST"), MTD_METHOD_POST },
    { mtd_text("OPTIONS"), MTD_METHOD_OPTIONS },
    { mtd_text("PUT"), MTD_METHOD_PUT },
    { mtd_text("DELETE"), MTD_METHOD_DELETE },
    { mtd_text("PATCH"), MTD_METHOD_PATCH },
    { mtd_text("MERGE"), MTD_METHOD_MERGE },
    { mtd_text("PROPFIND"), MTD_METHOD_PROPFIND },
    { mtd_text("PROPPATCH"), MTD_METHOD_PROPPATCH },
    { mtd_text("MKCOL"), MTD_METHOD_MKCOL },
    { mtd_text("COPY"), MTD_METHOD_COPY },
    { mtd_text("MOVE"), MTD_METHOD_MOVE },
    { mtd_text("LOCK"), MTD_METHOD_LOCK },
    { mtd_text("UNLOCK"), MTD_METHOD_UNLOCK },
    { mtd_text("REPORT"), MTD_METHOD_REPORT },
    { mtd_text("SEARCH"), MTD_METHOD_SEARCH },
    { mtd_text("RPC_IN_DATA"), MTD_METHOD_RPC_IN_DATA },
    { mtd_text("RPC_OUT_DATA"), MTD_METHOD_RPC_OUT_DATA },
    { mtd_text("RPC_CONNECT"), MTD_METHOD_RPC_CONNECT },
};


uint32_t
mtd_method_bit(const u_char *name, size_t len)
{
    size_t  i;

    for (i = 0; i < sizeof(mtd_methods) / sizeof(mtd_methods[0]); i++) {
        if (mtd_methods[i].name.len == len
            && memcmp(mtd_methods[i].name.data, name, len) == 0)
        {
            return mtd_methods[i].bit;
        }
    }

    return MTD_METHOD_OTHER;
}


u_char *
mtd_method_list(u_char *p, uint32_t methods)
{
    size_t  i;
    u_char  *start;

    start = p;

    for (i = 0; i < sizeof(mtd_methods) / sizeof(mtd_methods[0]); i++) {

        if ((methods & mtd_methods[i].bit) == 0) {
            continue;
        }

        if (p != start) {
            *p++ = ',';
            *p++ = ' ';
        }

        memcpy(p, mtd_methods[i].name.data, mtd_methods[i].name.len);
        p += mtd_methods[i].name.len;
    }

    return p;
}
